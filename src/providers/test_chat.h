// For tests of conversations: a gate that knows the rules, a client that may leave, and streams.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/attempt_gate.h"
#include "core/chat.h"
#include "providers/test_http_client.h"

namespace garrison {

// Fails the test when a ticket is not ended exactly once, or something is sent unmarked.
class StrictGate final : public AttemptGate {
 public:
  struct Ticket {
    AttemptBound bound;
    bool sent = false;
    std::string ended;  // "settled", "released", "disputed"
    std::optional<AttemptUse> use;
    AttemptTrace trace;
  };
  static constexpr Pusd kSettled = 5;
  static constexpr Pusd kDisputed = 100;

  // Why an attempt is not admitted; may be empty.
  std::function<std::optional<Error>(const AttemptBound&)> refuse;
  std::vector<Ticket> tickets;

  ~StrictGate() override {
    for (const Ticket& ticket : tickets) EXPECT_NE(ticket.ended, "") << "a ticket is open";
    EXPECT_EQ(opened_, sent_);
  }

  Result<std::uint64_t> Admit(const AttemptBound& bound, const RequestContext&) override {
    if (refuse) {
      if (std::optional<Error> why = refuse(bound)) return tl::unexpected(*std::move(why));
    }
    tickets.push_back({.bound = bound, .sent = bound.leaves, .ended = "", .use = {}, .trace = {}});
    if (bound.leaves) ++sent_;
    return tickets.size() - 1;
  }
  Result<> MarkSent(std::uint64_t ticket) override {
    EXPECT_FALSE(tickets.at(ticket).sent);
    tickets.at(ticket).sent = true;
    ++sent_;
    return {};
  }
  std::optional<Pusd> Settle(std::uint64_t ticket, const AttemptUse& use) override {
    EXPECT_TRUE(tickets.at(ticket).sent);
    End(ticket, "settled");
    tickets[ticket].use = use;
    return kSettled;
  }
  void Release(std::uint64_t ticket) override { End(ticket, "released"); }
  std::optional<Pusd> Dispute(std::uint64_t ticket, const AttemptTrace& trace) override {
    EXPECT_TRUE(tickets.at(ticket).sent);
    End(ticket, "disputed");
    tickets[ticket].trace = trace;
    return kDisputed;
  }

  // To be called when a stream is opened.
  void Opened() { EXPECT_EQ(++opened_, sent_) << "sent without being marked"; }
  // "released disputed settled"
  std::string Story() const {
    std::string story;
    for (const Ticket& ticket : tickets) story += (story.empty() ? "" : " ") + ticket.ended;
    return story;
  }

 private:
  void End(std::uint64_t ticket, const char* how) {
    EXPECT_EQ(tickets.at(ticket).ended, "") << "ended twice";
    tickets.at(ticket).ended = how;
  }

  std::size_t sent_ = 0;
  std::size_t opened_ = 0;
};

// Gathers, and leaves at a call of Take() (0: at Begin()).
class TestSink final : public ChatSink {
 public:
  std::size_t leaves_at = std::numeric_limits<std::size_t>::max();
  std::function<void(const ChatEvent&)> on_event;

  Result<> Begin(const ChatServed& by) override {
    EXPECT_EQ(begun++, 0) << "begun twice";
    served = by;
    if (leaves_at == 0) return Fail(Code::kCancelled, "the client left");
    return {};
  }
  Result<> Take(const ChatEvent& event) override {
    EXPECT_EQ(begun, 1);
    EXPECT_LT(events, leaves_at) << "called after it had failed";
    if (++events >= leaves_at) return Fail(Code::kCancelled, "the client left");
    if (on_event) on_event(event);
    if (const auto* delta = std::get_if<ChatTextDelta>(&event)) text += delta->text;
    if (const auto* start = std::get_if<ChatToolStart>(&event)) text += "[" + start->name + "]";
    if (const auto* args = std::get_if<ChatToolArguments>(&event)) text += args->json;
    if (const auto* thought = std::get_if<ChatThinkingDelta>(&event)) {
      text += "(" + thought->text + ")";
    }
    return {};
  }

  ChatServed served;
  std::string text;
  std::size_t events = 0;
  int begun = 0;
};

inline std::string SseOf(std::string_view name, const nlohmann::json& data) {
  return (name.empty() ? "" : "event: " + std::string(name) + "\n") + "data: " + data.dump() +
         "\n\n";
}

// Anthropic's events of an answer "Grüß Gott" with 10 tokens in and 5 out.
inline std::vector<nlohmann::json> AnthropicAnswer() {
  using Json = nlohmann::json;
  const auto delta = [](const char* text) {
    return Json{{"type", "content_block_delta"},
                {"index", 0},
                {"delta", {{"type", "text_delta"}, {"text", text}}}};
  };
  return {{{"type", "message_start"},
           {"message",
            {{"id", "msg_1"},
             {"type", "message"},
             {"role", "assistant"},
             {"model", "claude-haiku-4-5-20251001"},
             {"content", Json::array()},
             {"stop_reason", nullptr},
             {"stop_sequence", nullptr},
             {"usage", {{"input_tokens", 10}, {"output_tokens", 1}}}}}},
          {{"type", "content_block_start"},
           {"index", 0},
           {"content_block", {{"type", "text"}, {"text", ""}}}},
          {{"type", "ping"}},
          delta("Gr\xc3\xbc\xc3\x9f"),
          delta(" Gott"),
          {{"type", "content_block_stop"}, {"index", 0}},
          {{"type", "message_delta"},
           {"delta", {{"stop_reason", "end_turn"}, {"stop_sequence", nullptr}}},
           {"usage", {{"output_tokens", 5}}}},
          {{"type", "message_stop"}}};
}

inline std::vector<std::string> AnthropicPieces() {
  std::vector<std::string> pieces;
  for (const nlohmann::json& event : AnthropicAnswer()) {
    pieces.push_back(SseOf(event["type"].get<std::string>(), event));
  }
  return pieces;
}

// The same of OpenAI's shape.
inline std::vector<std::string> OpenAiPieces(bool usage = true) {
  using Json = nlohmann::json;
  const auto chunk = [](Json delta, Json finish) {
    return Json{
        {"id", "chatcmpl-1"},
        {"object", "chat.completion.chunk"},
        {"created", 1},
        {"model", "gpt-4o-mini-2024-07-18"},
        {"choices",
         {{{"index", 0}, {"delta", std::move(delta)}, {"finish_reason", std::move(finish)}}}}};
  };
  std::vector<std::string> pieces = {
      SseOf("", chunk({{"role", "assistant"}, {"content", ""}}, nullptr)),
      SseOf("", chunk({{"content", "Gr\xc3\xbc\xc3\x9f"}}, nullptr)),
      SseOf("", chunk({{"content", " Gott"}}, nullptr)), SseOf("", chunk(Json::object(), "stop"))};
  if (usage) {
    Json last = chunk(Json::object(), nullptr);
    last["choices"] = Json::array();
    last["usage"] = {{"prompt_tokens", 10}, {"completion_tokens", 5}, {"total_tokens", 15}};
    pieces.push_back(SseOf("", last));
  }
  pieces.emplace_back("data: [DONE]\n\n");
  return pieces;
}

inline TestHttpClient::Stream StreamOf(const std::vector<std::string>& pieces) {
  TestHttpClient::Stream stream;
  for (const std::string& piece : pieces) stream.steps.push_back({.bytes = piece});
  return stream;
}

inline ChatRequest RequestOf(std::string text) {
  ChatRequest request;
  request.messages.push_back({ChatRole::kUser, {{ChatText{std::move(text)}}}});
  return request;
}

}  // namespace garrison
