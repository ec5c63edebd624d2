// Replies to OpenAI's clients, whole and as streams.
#include <string>
#include <utility>
#include <variant>

#include "core/json.h"
#include "wire/openai.h"
#include "wire/openai_chat.h"
#include "wire/sse.h"

namespace garrison {
namespace {

using OrderedJson = nlohmann::ordered_json;

std::string_view FinishName(ChatFinish finish) {
  switch (finish) {
    case ChatFinish::kStop:
    case ChatFinish::kStopSequence:
      return "stop";
    case ChatFinish::kLength:
      return "length";
    case ChatFinish::kToolCalls:
      return "tool_calls";
    case ChatFinish::kRefusal:
      return "content_filter";
  }
  return "stop";
}

// Text completions know two reasons more or less: nothing else can come of a prompt without tools.
std::string_view CompletionFinishName(ChatFinish finish) {
  return finish == ChatFinish::kToolCalls ? "stop" : FinishName(finish);
}

OrderedJson UsageOf(const ChatEnd& end) {
  const ChatUsage& usage = end.usage;
  OrderedJson json = {{"prompt_tokens", usage.all_input()},
                      {"completion_tokens", usage.output},
                      {"total_tokens", usage.all_input() + usage.output},
                      {"prompt_tokens_details", {{"cached_tokens", usage.cache_read}}},
                      {"completion_tokens_details", {{"reasoning_tokens", usage.reasoning}}}};
  const std::uint64_t written = usage.cache_write + usage.cache_write_1h;
  if (written > 0) json["prompt_tokens_details"]["cache_write_tokens"] = written;
  // The vendor did not say: no client shall take a bound for a count.
  if (!end.usage_known) json["estimated"] = true;
  return json;
}

OrderedJson Head(const ChatReplyName& name, std::string_view object) {
  return {{"id", name.id}, {"object", object}, {"created", name.created}, {"model", name.model}};
}

OrderedJson CallOf(const ChatToolCall& call) {
  return {{"id", call.id},
          {"type", "function"},
          {"function", {{"name", call.name}, {"arguments", call.arguments}}}};
}

std::string TextOf(std::span<const ChatPart> parts) {
  std::string text;
  for (const ChatPart& part : parts) {
    if (const auto* piece = std::get_if<ChatText>(&part.value)) text += piece->text;
  }
  return text;
}

std::string FailureEvent(const Error& error) {
  switch (error.code) {
    case Code::kInvalidArgument:
      return EncodeSseEvent(EncodeOpenAiError(error, "invalid_request_error"));
    case Code::kResourceExhausted:
      return EncodeSseEvent(EncodeOpenAiError(error, "rate_limit_error"));
    default:
      return EncodeSseEvent(EncodeOpenAiError(error, "server_error"));
  }
}

// The usage, where it was asked for, and the end.
std::string LastEvents(const ChatReplyName& name, std::string_view object, bool include_usage,
                       const ChatOutcome& outcome) {
  std::string text;
  if (include_usage) {
    OrderedJson chunk = Head(name, object);
    chunk["choices"] = OrderedJson::array();
    chunk["usage"] = UsageOf(outcome.end);
    text = EncodeSseEvent(DumpJson(chunk));
  }
  return text + EncodeSseEvent("[DONE]");
}

class ChatStream final : public ChatStreamEncoder {
 public:
  ChatStream(ChatReplyName name, bool include_usage)
      : name_(std::move(name)), include_usage_(include_usage) {}

  std::string Begin(const ChatServed&) override {
    return Chunk({{"role", "assistant"}, {"content", ""}}, nullptr);
  }

  std::string Event(const ChatEvent& event) override {
    if (const auto* text = std::get_if<ChatTextDelta>(&event)) {
      return Chunk({{"content", text->text}}, nullptr);
    }
    if (const auto* thought = std::get_if<ChatThinkingDelta>(&event)) {
      // There is no place for signatures and ciphers.
      if (thought->text.empty()) return "";
      return Chunk({{"reasoning_content", thought->text}}, nullptr);
    }
    if (const auto* start = std::get_if<ChatToolStart>(&event)) {
      OrderedJson call = {{"index", start->index}};
      call.update(CallOf({start->id, start->name, ""}));
      return Chunk({{"tool_calls", OrderedJson::array({std::move(call)})}}, nullptr);
    }
    const auto& piece = std::get<ChatToolArguments>(event);
    OrderedJson call = {{"index", piece.index}, {"function", {{"arguments", piece.json}}}};
    return Chunk({{"tool_calls", OrderedJson::array({std::move(call)})}}, nullptr);
  }

  std::string End(const ChatOutcome& outcome) override {
    std::string text = Chunk(OrderedJson::object(), FinishName(outcome.end.finish));
    return text + LastEvents(name_, "chat.completion.chunk", include_usage_, outcome);
  }

  std::string Fail(const Error& error) override { return FailureEvent(error); }

 private:
  std::string Chunk(OrderedJson delta, OrderedJson finish) const {
    OrderedJson chunk = Head(name_, "chat.completion.chunk");
    chunk["choices"] = OrderedJson::array({OrderedJson{{"index", 0},
                                                       {"delta", std::move(delta)},
                                                       {"logprobs", nullptr},
                                                       {"finish_reason", std::move(finish)}}});
    if (include_usage_) chunk["usage"] = nullptr;
    return EncodeSseEvent(DumpJson(chunk));
  }

  const ChatReplyName name_;
  const bool include_usage_;
};

class CompletionStream final : public ChatStreamEncoder {
 public:
  CompletionStream(ChatReplyName name, const OpenAiChatCall& call)
      : name_(std::move(name)),
        include_usage_(call.include_usage),
        echo_(call.echo_prompt ? call.prompt : "") {}

  std::string Begin(const ChatServed&) override {
    return echo_.empty() ? "" : Chunk(echo_, nullptr);
  }

  std::string Event(const ChatEvent& event) override {
    const auto* text = std::get_if<ChatTextDelta>(&event);
    return text == nullptr ? "" : Chunk(text->text, nullptr);
  }

  std::string End(const ChatOutcome& outcome) override {
    std::string text = Chunk("", CompletionFinishName(outcome.end.finish));
    return text + LastEvents(name_, "text_completion", include_usage_, outcome);
  }

  std::string Fail(const Error& error) override { return FailureEvent(error); }

 private:
  std::string Chunk(std::string_view text, OrderedJson finish) const {
    OrderedJson chunk = Head(name_, "text_completion");
    chunk["choices"] = OrderedJson::array({OrderedJson{{"text", text},
                                                       {"index", 0},
                                                       {"logprobs", nullptr},
                                                       {"finish_reason", std::move(finish)}}});
    if (include_usage_) chunk["usage"] = nullptr;
    return EncodeSseEvent(DumpJson(chunk));
  }

  const ChatReplyName name_;
  const bool include_usage_;
  const std::string echo_;
};

}  // namespace

std::string EncodeOpenAiChat(const ChatReplyName& name, std::span<const ChatPart> parts,
                             const ChatOutcome& outcome) {
  std::string thoughts;
  OrderedJson calls = OrderedJson::array();
  for (const ChatPart& part : parts) {
    if (const auto* thought = std::get_if<ChatThinking>(&part.value)) thoughts += thought->text;
    if (const auto* call = std::get_if<ChatToolCall>(&part.value)) calls.push_back(CallOf(*call));
  }
  OrderedJson message = {{"role", "assistant"}, {"content", TextOf(parts)}, {"refusal", nullptr}};
  if (!thoughts.empty()) message["reasoning_content"] = std::move(thoughts);
  if (!calls.empty()) {
    // OpenAI's own: nothing was said beside the calls.
    if (message["content"] == "") message["content"] = nullptr;
    message["tool_calls"] = std::move(calls);
  }
  OrderedJson body = Head(name, "chat.completion");
  body["choices"] =
      OrderedJson::array({OrderedJson{{"index", 0},
                                      {"message", std::move(message)},
                                      {"logprobs", nullptr},
                                      {"finish_reason", FinishName(outcome.end.finish)}}});
  body["usage"] = UsageOf(outcome.end);
  return DumpJson(body);
}

std::string EncodeOpenAiCompletion(const ChatReplyName& name, const OpenAiChatCall& call,
                                   std::span<const ChatPart> parts, const ChatOutcome& outcome) {
  OrderedJson body = Head(name, "text_completion");
  body["choices"] = OrderedJson::array(
      {OrderedJson{{"text", (call.echo_prompt ? call.prompt : "") + TextOf(parts)},
                   {"index", 0},
                   {"logprobs", nullptr},
                   {"finish_reason", CompletionFinishName(outcome.end.finish)}}});
  body["usage"] = UsageOf(outcome.end);
  return DumpJson(body);
}

std::unique_ptr<ChatStreamEncoder> MakeOpenAiChatStream(ChatReplyName name, bool include_usage) {
  return std::make_unique<ChatStream>(std::move(name), include_usage);
}

std::unique_ptr<ChatStreamEncoder> MakeOpenAiCompletionStream(ChatReplyName name,
                                                              const OpenAiChatCall& call) {
  return std::make_unique<CompletionStream>(std::move(name), call);
}

}  // namespace garrison
