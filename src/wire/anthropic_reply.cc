// Replies to Anthropic's clients, whole and as streams.
#include <string>
#include <utility>
#include <variant>

#include "core/json.h"
#include "wire/anthropic.h"
#include "wire/chat_json.h"
#include "wire/sse.h"

namespace garrison {
namespace {

using OrderedJson = nlohmann::ordered_json;

std::string_view StopReason(ChatFinish finish) {
  switch (finish) {
    case ChatFinish::kStop:
      return "end_turn";
    case ChatFinish::kStopSequence:
      return "stop_sequence";
    case ChatFinish::kLength:
      return "max_tokens";
    case ChatFinish::kToolCalls:
      return "tool_use";
    case ChatFinish::kRefusal:
      return "refusal";
  }
  return "end_turn";
}

OrderedJson StopSequence(const ChatEnd& end) {
  if (end.finish != ChatFinish::kStopSequence || end.stop_sequence.empty()) return nullptr;
  return end.stop_sequence;
}

OrderedJson UsageOf(const ChatEnd& end) {
  const ChatUsage& usage = end.usage;
  OrderedJson json = {{"input_tokens", usage.input},
                      {"cache_creation_input_tokens", usage.cache_write + usage.cache_write_1h},
                      {"cache_read_input_tokens", usage.cache_read},
                      {"cache_creation",
                       {{"ephemeral_5m_input_tokens", usage.cache_write},
                        {"ephemeral_1h_input_tokens", usage.cache_write_1h}}},
                      {"output_tokens", usage.output}};
  // The vendor did not say: no client shall take a bound for a count.
  if (!end.usage_known) json["estimated"] = true;
  return json;
}

OrderedJson Message(const AnthropicReplyName& name, OrderedJson content) {
  return {{"id", name.id},
          {"type", "message"},
          {"role", "assistant"},
          {"model", name.model},
          {"content", std::move(content)}};
}

OrderedJson BlockOf(const ChatPart& part) {
  if (const auto* text = std::get_if<ChatText>(&part.value)) {
    return {{"type", "text"}, {"text", text->text}};
  }
  if (const auto* thought = std::get_if<ChatThinking>(&part.value)) {
    if (!thought->redacted.empty()) {
      return {{"type", "redacted_thinking"}, {"data", thought->redacted}};
    }
    return {{"type", "thinking"}, {"thinking", thought->text}, {"signature", thought->signature}};
  }
  if (const auto* call = std::get_if<ChatToolCall>(&part.value)) {
    return {{"type", "tool_use"},
            {"id", call->id},
            {"name", call->name},
            {"input", ToolInput(call->arguments)}};
  }
  return nullptr;  // models make nothing else
}

std::string_view TypeOfStatus(int status) {
  switch (status) {
    case 401:
      return "authentication_error";
    case 402:
      return "billing_error";
    case 403:
      return "permission_error";
    case 404:
      return "not_found_error";
    case 413:
      return "request_too_large";
    case 429:
      return "rate_limit_error";
    case 408:
    case 504:
      return "timeout_error";
    case 503:
    case 529:
      return "overloaded_error";
    default:
      return status >= 400 && status < 500 ? "invalid_request_error" : "api_error";
  }
}

// Within a stream there is no status any more.
int StatusOf(Code code) {
  switch (code) {
    case Code::kInvalidArgument:
    case Code::kFailedPrecondition:
    case Code::kOutOfRange:
      return 400;
    case Code::kResourceExhausted:
      return 429;
    case Code::kDeadlineExceeded:
      return 504;
    default:
      return 500;
  }
}

class Stream final : public ChatStreamEncoder {
 public:
  explicit Stream(AnthropicReplyName name) : name_(std::move(name)) {}

  std::string Begin(const ChatServed&) override {
    OrderedJson message = Message(name_, OrderedJson::array());
    message["stop_reason"] = nullptr;
    message["stop_sequence"] = nullptr;
    // Nobody knows yet; message_delta has all of it, and its numbers count.
    message["usage"] = {{"input_tokens", 0}, {"output_tokens", 0}};
    return Send("message_start", {{"message", std::move(message)}});
  }

  std::string Event(const ChatEvent& event) override {
    if (const auto* piece = std::get_if<ChatTextDelta>(&event)) {
      // In two steps: opening a block sets the index that the delta names.
      std::string text = Open(Block::kText, {{"type", "text"}, {"text", ""}});
      return text += Delta({{"type", "text_delta"}, {"text", piece->text}});
    }
    if (const auto* thought = std::get_if<ChatThinkingDelta>(&event)) return Thought(*thought);
    if (const auto* start = std::get_if<ChatToolStart>(&event)) {
      std::string text = Close();
      return text + Open(Block::kTool, {{"type", "tool_use"},
                                        {"id", start->id},
                                        {"name", start->name},
                                        {"input", OrderedJson::object()}});
    }
    if (open_ != Block::kTool) return "";
    return Delta(
        {{"type", "input_json_delta"}, {"partial_json", std::get<ChatToolArguments>(event).json}});
  }

  std::string End(const ChatOutcome& outcome) override {
    std::string text = Close();
    text += Send("message_delta", {{"delta",
                                    {{"stop_reason", StopReason(outcome.end.finish)},
                                     {"stop_sequence", StopSequence(outcome.end)}}},
                                   {"usage", UsageOf(outcome.end)}});
    return text + Send("message_stop", OrderedJson::object());
  }

  std::string Fail(const Error& error) override {
    return EncodeSseEvent(EncodeAnthropicError(error, StatusOf(error.code), ""), "error");
  }

 private:
  enum class Block : std::uint8_t { kNone, kText, kThinking, kTool };

  static std::string Send(std::string_view type, OrderedJson rest) {
    OrderedJson event = {{"type", type}};
    event.update(rest);
    return EncodeSseEvent(DumpJson(event), type);
  }

  std::string Delta(OrderedJson delta) const {
    return Send("content_block_delta", {{"index", index_}, {"delta", std::move(delta)}});
  }

  std::string Open(Block block, OrderedJson content) {
    if (open_ == block) return "";
    std::string text = Close();
    open_ = block;
    signed_ = false;
    return text +
           Send("content_block_start", {{"index", index_}, {"content_block", std::move(content)}});
  }

  std::string Close() {
    if (open_ == Block::kNone) return "";
    open_ = Block::kNone;
    return Send("content_block_stop", {{"index", index_++}});
  }

  std::string Thought(const ChatThinkingDelta& thought) {
    std::string text;
    if (!thought.redacted.empty()) {
      text = Close();
      text += Open(Block::kThinking, {{"type", "redacted_thinking"}, {"data", thought.redacted}});
      return text + Close();
    }
    // A signature ends a thought; what follows is another.
    if (signed_) text = Close();
    text += Open(Block::kThinking, {{"type", "thinking"}, {"thinking", ""}, {"signature", ""}});
    if (!thought.text.empty()) {
      text += Delta({{"type", "thinking_delta"}, {"thinking", thought.text}});
    }
    if (!thought.signature.empty()) {
      text += Delta({{"type", "signature_delta"}, {"signature", thought.signature}});
      signed_ = true;
    }
    return text;
  }

  const AnthropicReplyName name_;
  Block open_ = Block::kNone;
  std::size_t index_ = 0;  // of the block that is open, or comes next
  bool signed_ = false;    // the open thought has its signature
};

}  // namespace

std::string EncodeAnthropicMessage(const AnthropicReplyName& name, std::span<const ChatPart> parts,
                                   const ChatOutcome& outcome) {
  OrderedJson content = OrderedJson::array();
  for (const ChatPart& part : parts) {
    if (OrderedJson block = BlockOf(part); !block.is_null()) content.push_back(std::move(block));
  }
  OrderedJson message = Message(name, std::move(content));
  message["stop_reason"] = StopReason(outcome.end.finish);
  message["stop_sequence"] = StopSequence(outcome.end);
  message["usage"] = UsageOf(outcome.end);
  return DumpJson(message);
}

std::string EncodeAnthropicCount(std::uint64_t tokens) {
  return DumpJson({{"input_tokens", tokens}});
}

std::unique_ptr<ChatStreamEncoder> MakeAnthropicStream(AnthropicReplyName name) {
  return std::make_unique<Stream>(std::move(name));
}

std::string EncodeAnthropicError(const Error& error, int status, std::string_view request_id) {
  OrderedJson body = {{"type", "error"},
                      {"error", {{"type", TypeOfStatus(status)}, {"message", error.Sentence()}}}};
  if (!request_id.empty()) body["request_id"] = request_id;
  return DumpJson(body);
}

}  // namespace garrison
