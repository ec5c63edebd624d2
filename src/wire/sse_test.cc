#include "wire/sse.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace garrison {
namespace {

struct Event {
  std::string type;
  std::string data;
  std::string last_id;
  bool operator==(const Event&) const = default;
};

// The receiving side, word for word after "9.2.6 Interpreting an event stream" of the HTML
// standard, without the decoding of UTF-8. Takes the stream in pieces of any size.
class EventStreamParser {
 public:
  void Feed(std::string_view bytes) {
    for (const char c : bytes) {
      const bool after_return = after_return_;
      after_return_ = c == '\r';
      if (c == '\n' && after_return) continue;
      if (c != '\r' && c != '\n') {
        line_ += c;
        continue;
      }
      EndLine();
      line_.clear();
    }
  }
  const std::vector<Event>& events() const { return events_; }
  // Nothing is left that would be thrown away at the end of the stream.
  bool AtRest() const { return line_.empty() && data_.empty() && type_.empty(); }

 private:
  void EndLine() {
    if (line_.empty()) return Dispatch();
    const std::size_t colon = line_.find(':');
    if (colon == 0) return;
    if (colon == std::string::npos) return Field(line_, "");
    std::string value = line_.substr(colon + 1);
    if (value.starts_with(' ')) value.erase(0, 1);
    Field(line_.substr(0, colon), value);
  }
  void Field(const std::string& name, const std::string& value) {
    if (name == "event") type_ = value;
    if (name == "data") data_ += value + '\n';
    if (name == "id" && value.find('\0') == std::string::npos) id_ = value;
  }
  void Dispatch() {
    if (!data_.empty()) {
      data_.pop_back();
      events_.push_back({type_.empty() ? "message" : type_, data_, id_});
    }
    data_.clear();
    type_.clear();
  }

  std::vector<Event> events_;
  std::string line_, data_, type_, id_;
  bool after_return_ = false;
};

std::vector<Event> Parse(std::string_view stream) {
  EventStreamParser parser;
  parser.Feed(stream);
  EXPECT_TRUE(parser.AtRest());
  return parser.events();
}

// What a client is meant to see.
std::string WithNewlines(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\n' && i > 0 && text[i - 1] == '\r') continue;
    out += text[i] == '\r' ? '\n' : text[i];
  }
  return out;
}

TEST(EventStreamParser, ReadsTheExamplesOfTheStandard) {
  EXPECT_EQ(Parse("data: YHOO\ndata: +2\ndata: 10\n\n"),
            (std::vector<Event>{{"message", "YHOO\n+2\n10", ""}}));
  EXPECT_EQ(Parse(": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\n"
                  "data:  third event\n\n"),
            (std::vector<Event>{{"message", "first event", "1"},
                                {"message", "second event", ""},
                                {"message", " third event", ""}}));
  EXPECT_EQ(Parse("data\r\n\r\ndata\rdata\r\r"),
            (std::vector<Event>{{"message", "", ""}, {"message", "\n", ""}}));
}

TEST(Sse, TheBytesOfAnEvent) {
  EXPECT_EQ(EncodeSseEvent("{\"a\":1}"), "data: {\"a\":1}\n\n");
  EXPECT_EQ(EncodeSseEvent("[DONE]", "end", "7"), "event: end\nid: 7\ndata: [DONE]\n\n");
  EXPECT_EQ(EncodeSseEvent("a\nb\r\nc\rd\r\r\n"),
            "data: a\ndata: b\ndata: c\ndata: d\ndata: \ndata: \n\n");
  EXPECT_EQ(EncodeSseEvent(""), "data: \n\n");
}

TEST(Sse, CommentsAreNoEvents) {
  EXPECT_EQ(EncodeSseComment(), ": \n\n");
  EXPECT_EQ(EncodeSseComment("ping"), ": ping\n\n");
  EXPECT_EQ(Parse(EncodeSseComment("a\ndata: b\rdata: c\r\n\r\ndata: d")), std::vector<Event>());
}

TEST(SseDeathTest, NamesWithLineBreaksAreBugs) {
  EXPECT_DEATH(EncodeSseEvent("x", "a\nb"), "");
  EXPECT_DEATH(EncodeSseEvent("x", "", "a\rb"), "");
  EXPECT_DEATH(EncodeSseEvent("x", "", std::string_view("a\0b", 3)), "");
}

// Text in which everything that means something to the format is frequent.
rc::Gen<std::string> AnyText() {
  const auto part = rc::gen::oneOf(
      rc::gen::element<std::string>("\n", "\r", "\r\n", ":", " ", "data: ", "event: x", "id: 1", "",
                                    "\xEF\xBB\xBF", "\xC3\xA4", "\xE2\x80\xA8", "retry: 5"),
      rc::gen::map(rc::gen::arbitrary<char>(), [](char c) { return std::string(1, c); }));
  return rc::gen::map(rc::gen::container<std::vector<std::string>>(part),
                      [](const std::vector<std::string>& parts) {
                        std::string text;
                        for (const std::string& one : parts) text += one;
                        return text;
                      });
}

rc::Gen<std::string> AnyName() {
  return rc::gen::map(AnyText(), [](std::string text) {
    std::erase_if(text, [](char c) { return c == '\n' || c == '\r' || c == '\0'; });
    return text;
  });
}

RC_GTEST_PROP(Sse, EveryTextArrivesHoweverTheStreamIsCut, ()) {
  std::string stream, id;
  std::vector<Event> expected;
  for (int i = *rc::gen::inRange(1, 4); i > 0; --i) {
    const std::string data = *AnyText(), event = *AnyName(), new_id = *AnyName();
    if (*rc::gen::arbitrary<bool>()) stream += EncodeSseComment(*AnyText());
    stream += EncodeSseEvent(data, event, new_id);
    if (!new_id.empty()) id = new_id;
    expected.push_back({event.empty() ? "message" : event, WithNewlines(data), id});
  }
  for (std::size_t cut = 0; cut <= stream.size(); ++cut) {
    EventStreamParser parser;
    parser.Feed(stream.substr(0, cut));
    parser.Feed(stream.substr(cut));
    RC_ASSERT(parser.events() == expected);
    RC_ASSERT(parser.AtRest());
  }
}

}  // namespace
}  // namespace garrison
