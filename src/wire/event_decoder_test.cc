#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <string>
#include <vector>

#include "base/base64.h"
#include "core/json.h"
#include "wire/sse.h"
#include "wire/upstream_chat.h"

namespace garrison {
namespace {

using Json = nlohmann::json;
using Decoders = std::unique_ptr<EventDecoder> (*)();

// Events as "name|data", and a last entry that says how it ended.
std::vector<std::string> Read(Decoders make, const std::vector<std::string>& pieces) {
  const auto decoder = make();
  std::vector<StreamEvent> events;
  bool ok = true;
  for (const std::string& piece : pieces) ok = ok && decoder->Add(piece, events).has_value();
  const bool whole = ok && decoder->Finish(events).has_value();
  std::vector<std::string> read;
  for (const StreamEvent& event : events) read.push_back(event.name + "|" + event.data);
  read.push_back(whole ? "end" : ok ? "cut" : "broken");
  return read;
}

std::vector<std::string> Sse(const std::string& text) { return Read(&MakeSseDecoder, {text}); }
using Strings = std::vector<std::string>;

TEST(SseDecoder, FollowsTheStandard) {
  EXPECT_EQ(Sse("data: a\n\n"), (Strings{"message|a", "end"}));
  EXPECT_EQ(Sse("event: ping\r\ndata: {}\r\n\r\n"), (Strings{"ping|{}", "end"}));
  EXPECT_EQ(Sse("data:a\r\rdata: b\r\r"), (Strings{"message|a", "message|b", "end"}));
  EXPECT_EQ(Sse("data: one\ndata:  two\n\n"), (Strings{"message|one\n two", "end"}));
  EXPECT_EQ(Sse("data\n\n"), (Strings{"message|", "end"}));
  EXPECT_EQ(Sse("data\ndata\n\n"), (Strings{"message|\n", "end"}));
  EXPECT_EQ(Sse("\xef\xbb\xbf"
                "data: a\n\n"),
            (Strings{"message|a", "end"}));
  EXPECT_EQ(Sse("id: 7\nretry: 9\nodd: x\n dataa: y\ndata: a\n\n"), (Strings{"message|a", "end"}));
}

TEST(SseDecoder, WhatHasNoDataIsNoEvent) {
  EXPECT_EQ(Sse(""), (Strings{"end"}));
  EXPECT_EQ(Sse(": keep-alive\n\n\n\r\n: again"), (Strings{"end"}));
  // The name goes with the event that was none.
  EXPECT_EQ(Sse("event: lost\n\ndata: a\n\n"), (Strings{"message|a", "end"}));
  EXPECT_EQ(Sse("data: a\n: between\ndata: b\n\n"), (Strings{"message|a\nb", "end"}));
}

TEST(SseDecoder, AnEndWithinAnEventIsNoEnd) {
  EXPECT_EQ(Sse("data: a\n\ndata: b"), (Strings{"message|a", "cut"}));
  EXPECT_EQ(Sse("data: a\n"), (Strings{"cut"}));
  EXPECT_EQ(Sse("dat"), (Strings{"cut"}));
}

TEST(SseDecoder, RefusesWhatIsNoUtf8AndStaysBroken) {
  EXPECT_EQ(Sse("data: \xff\n\n"), (Strings{"broken"}));
  const auto decoder = MakeSseDecoder();
  std::vector<StreamEvent> events;
  const auto first = decoder->Add("data: \xc3\n\n", events);
  ASSERT_FALSE(first);
  EXPECT_EQ(first.error().code, Code::kUnavailable);
  EXPECT_FALSE(decoder->Add("data: a\n\n", events));
  EXPECT_FALSE(decoder->Finish(events));
  EXPECT_TRUE(events.empty());
}

TEST(SseDecoder, EventsHaveALimitAndCommentsNone) {
  const std::string mebibyte(std::size_t{1} << 20, 'x');
  for (const bool lines : {false, true}) {
    const auto decoder = MakeSseDecoder();
    std::vector<StreamEvent> events;
    bool ok = true;
    for (int i = 0; i < 17 && ok; ++i) {
      const std::string piece = lines ? "data: " + mebibyte + "\n" : i == 0 ? "data: " : mebibyte;
      ok = decoder->Add(piece, events).has_value();
      EXPECT_TRUE(ok || i >= 15) << i;
    }
    EXPECT_FALSE(ok);
  }
  const auto decoder = MakeSseDecoder();
  std::vector<StreamEvent> events;
  ASSERT_TRUE(decoder->Add(":", events));
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(decoder->Add(mebibyte, events));
  ASSERT_TRUE(decoder->Add("\ndata: a\n\n", events));
  EXPECT_EQ(events.size(), 1u);
}

// Every cut into two, and into single bytes.
void ExpectSameInPieces(Decoders make, const std::string& bytes) {
  const Strings whole = Read(make, {bytes});
  Strings single;
  for (std::size_t cut = 0; cut <= bytes.size(); ++cut) {
    ASSERT_EQ(Read(make, {bytes.substr(0, cut), bytes.substr(cut)}), whole) << "cut at " << cut;
    if (cut < bytes.size()) single.emplace_back(1, bytes[cut]);
  }
  ASSERT_EQ(Read(make, single), whole);
}

TEST(SseDecoder, CutsAnywhereChangeNothing) {
  ExpectSameInPieces(&MakeSseDecoder,
                     "\xef\xbb\xbf"
                     ": hi\r\n\r\nevent: d\r\ndata: gr\xc3\xbc\xc3\x9f "
                     "\xf0\x9f\x98\x80\rdata\r\r\ndata: x\n\n\ndata: open");
  ExpectSameInPieces(&MakeSseDecoder, "data: a\n\ndata: \xff\n\ndata: b\n\n");
}

TEST(SseDecoder, AnySoupIsReadAlikeInPieces) {
  EXPECT_TRUE(rc::check([] {
    const auto tokens = *rc::gen::container<std::vector<std::string>>(
        rc::gen::element<std::string>("\r", "\n", "\r\n", ":", "data", "data: ", "event: ", "x",
                                      "\xc3\xa9", "\xef\xbb\xbf", " ", "\xc3"));
    std::string bytes;
    for (const std::string& token : tokens) bytes += token;
    const Strings whole = Read(&MakeSseDecoder, {bytes});
    const auto cut = *rc::gen::inRange<std::size_t>(0, bytes.size() + 1);
    RC_ASSERT(Read(&MakeSseDecoder, {bytes.substr(0, cut), bytes.substr(cut)}) == whole);
    Strings single;
    for (const char c : bytes) single.emplace_back(1, c);
    RC_ASSERT(Read(&MakeSseDecoder, single) == whole);
  }));
}

TEST(SseDecoder, ReadsWhatTheEncoderWrites) {
  EXPECT_TRUE(rc::check([] {
    const auto lines = *rc::gen::container<std::vector<std::string>>(
        rc::gen::element<std::string>("", " a", "b:c", "\xc3\xa9", "data: x"));
    std::string text;
    for (const std::string& line : lines) text += (text.empty() ? "" : "\n") + line;
    RC_ASSERT(Sse(EncodeSseComment(text) + EncodeSseEvent(text, "e")) ==
              (Strings{"e|" + text, "end"}));
  }));
}

// Bit by bit, unlike the decoder's table.
std::uint32_t Crc(const std::string& bytes) {
  std::uint32_t crc = ~0u;
  for (const char c : bytes) {
    crc ^= static_cast<unsigned char>(c);
    for (int i = 0; i < 8; ++i) crc = (crc >> 1) ^ (0xedb88320u & (0u - (crc & 1u)));
  }
  return ~crc;
}

std::string Big(std::uint64_t value, int size) {
  std::string bytes;
  for (int i = size - 1; i >= 0; --i) bytes += static_cast<char>(value >> (8 * i));
  return bytes;
}

std::string Header(const std::string& name, int type, const std::string& value) {
  return Big(name.size(), 1) + name + Big(static_cast<std::uint64_t>(type), 1) + value;
}
std::string Text(const std::string& name, const std::string& value) {
  return Header(name, 7, Big(value.size(), 2) + value);
}

std::string Frame(const std::string& headers, const std::string& payload) {
  std::string frame = Big(headers.size() + payload.size() + 16, 4) + Big(headers.size(), 4);
  frame += Big(Crc(frame), 4);
  frame += headers + payload;
  return frame + Big(Crc(frame), 4);
}

std::string ChunkHeaders() {
  return Text(":message-type", "event") + Text(":event-type", "chunk") +
         Text(":content-type", "application/json");
}

std::string Chunk(const std::string& json) {
  const std::string bytes = EncodeBase64(std::as_bytes(std::span(json)));
  return Frame(ChunkHeaders(), Json({{"bytes", bytes}, {"p", "abcdef"}}).dump());
}

Strings Aws(const std::string& bytes) { return Read(&MakeAwsEventDecoder, {bytes}); }

TEST(AwsDecoder, TheTestsOwnChecksumIsTheRightOne) { EXPECT_EQ(Crc("123456789"), 0xcbf43926u); }

TEST(AwsDecoder, ChunksBecomeTheEventsTheyHold) {
  const std::string a = R"({"type":"ping"})";
  const std::string b = R"({"odd":1})";
  EXPECT_EQ(Aws(Chunk(a) + Chunk(b)), (Strings{"ping|" + a, "message|" + b, "end"}));
  EXPECT_EQ(Aws(""), (Strings{"end"}));
}

TEST(AwsDecoder, ExceptionsAndErrorsAreNamed) {
  const std::string payload = R"({"message":"slow down"})";
  EXPECT_EQ(
      Aws(Frame(Text(":message-type", "exception") + Text(":exception-type", "throttlingException"),
                payload)),
      (Strings{"exception:throttlingException|" + payload, "end"}));
  EXPECT_EQ(Aws(Frame(Text(":message-type", "error") + Text(":error-code", "E") +
                          Text(":error-message", "m"),
                      "")),
            (Strings{R"(exception:E|{"message":"m"})", "end"}));
  EXPECT_EQ(Aws(Frame(Text(":message-type", "event") + Text(":event-type", "new"), "?")),
            (Strings{"end"}));
}

TEST(AwsDecoder, WalksOverHeadersOfEveryType) {
  // "{}"
  const std::string payload = R"({"bytes":"e30="})";
  const std::string all = Header("t", 0, "") + Header("f", 1, "") + Header("b", 2, Big(1, 1)) +
                          Header("s", 3, Big(2, 2)) + Header("i", 4, Big(3, 4)) +
                          Header("l", 5, Big(4, 8)) + Header("y", 6, Big(3, 2) + "abc") +
                          Header("d", 8, Big(5, 8)) + Header("u", 9, std::string(16, 'u'));
  EXPECT_EQ(Aws(Frame(all + ChunkHeaders(), payload)), (Strings{"message|{}", "end"}));
  EXPECT_EQ(Aws(Frame(Header("x", 10, "") + ChunkHeaders(), payload)), (Strings{"broken"}));
  EXPECT_EQ(Aws(Frame(ChunkHeaders() + Header("", 0, ""), payload)), (Strings{"broken"}));
  EXPECT_EQ(Aws(Frame(ChunkHeaders() + Header("l", 5, "1234567"), payload)), (Strings{"broken"}));
  EXPECT_EQ(Aws(Frame(ChunkHeaders() + Header("y", 6, Big(4, 2) + "abc"), payload)),
            (Strings{"broken"}));
  EXPECT_EQ(Aws(Frame(ChunkHeaders() + Header("y", 7, "1"), payload)), (Strings{"broken"}));
}

TEST(AwsDecoder, AnyFlippedBitBreaksTheStream) {
  const std::string frame = Chunk(R"({"type":"ping"})");
  for (std::size_t bit = 0; bit < frame.size() * 8; ++bit) {
    std::string bad = frame;
    bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << (bit % 8)));
    ASSERT_EQ(Aws(bad), (Strings{"broken"})) << "bit " << bit;
  }
}

TEST(AwsDecoder, LengthsAreBounded) {
  const auto prelude = [](std::uint64_t total, std::uint64_t headers) {
    const std::string lengths = Big(total, 4) + Big(headers, 4);
    return lengths + Big(Crc(lengths), 4);
  };
  EXPECT_EQ(Aws(prelude((16u << 20) + 1, 0)), (Strings{"broken"}));
  EXPECT_EQ(Aws(prelude(16u << 20, 0)), (Strings{"cut"}));
  EXPECT_EQ(Aws(prelude(15, 0)), (Strings{"broken"}));
  EXPECT_EQ(Aws(prelude(0, 0)), (Strings{"broken"}));
  EXPECT_EQ(Aws(prelude(100, 85)), (Strings{"broken"}));
  EXPECT_EQ(Aws(prelude(1u << 20, (128u << 10) + 1)), (Strings{"broken"}));
  EXPECT_EQ(Aws(prelude(0xffffffff, 0xffffffff)), (Strings{"broken"}));
}

TEST(AwsDecoder, PayloadsThatMakeNoSenseBreakTheStream) {
  for (const char* payload : {"", "[]", "{}", R"({"bytes":7})", R"({"bytes":"?"})",
                              R"({"bytes":"W10="})", R"({"bytes":"eHg="})"}) {
    EXPECT_EQ(Aws(Frame(ChunkHeaders(), payload)), (Strings{"broken"})) << payload;
  }
  EXPECT_EQ(Aws(Frame("", "{}")), (Strings{"broken"}));
  EXPECT_EQ(Aws(Frame(Text(":message-type", "exception"), "\xff")), (Strings{"broken"}));
}

TEST(AwsDecoder, CutsAnywhereChangeNothing) {
  const std::string good = Chunk(R"({"type":"ping"})") + Chunk(R"({"type":"x"})");
  ExpectSameInPieces(&MakeAwsEventDecoder, good);
  std::string bad = good;
  bad[bad.size() - 1] = static_cast<char>(bad[bad.size() - 1] ^ 1);
  ExpectSameInPieces(&MakeAwsEventDecoder, bad);
  ExpectSameInPieces(&MakeAwsEventDecoder, good.substr(0, good.size() - 3));
}

}  // namespace
}  // namespace garrison
