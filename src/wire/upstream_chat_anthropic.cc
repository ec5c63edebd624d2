// Answers of Anthropic's models, streamed or whole, and how they fail.
#include <algorithm>
#include <array>
#include <memory>
#include <string>
#include <utility>

#include "core/json.h"
#include "wire/upstream_bedrock.h"
#include "wire/upstream_chat.h"
#include "wire/upstream_chat_base.h"

namespace garrison {
namespace {

using Json = nlohmann::json;

struct Finish {
  std::string_view name;
  ChatFinish finish;
};
constexpr std::array kFinishes = {
    Finish{"end_turn", ChatFinish::kStop},
    Finish{"stop_sequence", ChatFinish::kStopSequence},
    Finish{"max_tokens", ChatFinish::kLength},
    Finish{"model_context_window_exceeded", ChatFinish::kLength},
    // Only while the vendor's own tools run, which nobody asked for. The answer is not whole.
    Finish{"pause_turn", ChatFinish::kLength},
    Finish{"tool_use", ChatFinish::kToolCalls},
    Finish{"refusal", ChatFinish::kRefusal},
};

struct ErrorType {
  std::string_view name;
  FailureClass kind;
};
constexpr std::array kErrorTypes = {
    ErrorType{"invalid_request_error", FailureClass::kBadRequest},
    ErrorType{"request_too_large", FailureClass::kBadRequest},
    ErrorType{"authentication_error", FailureClass::kAuthentication},
    ErrorType{"permission_error", FailureClass::kPermission},
    ErrorType{"billing_error", FailureClass::kBilling},
    ErrorType{"not_found_error", FailureClass::kNotFound},
    ErrorType{"rate_limit_error", FailureClass::kRateLimit},
    ErrorType{"timeout_error", FailureClass::kTimeout},
    ErrorType{"overloaded_error", FailureClass::kOverloaded},
    ErrorType{"api_error", FailureClass::kServer},
};

// A limit of spending comes as 429 and 400 too, and passes by no retry.
bool IsBilling(const Json& error, std::string_view message) {
  if (const Json* type = Member(error, "type"); type != nullptr && *type == "billing_error") {
    return true;
  }
  if (const Json* details = Member(error, "details"); details != nullptr && details->is_object()) {
    const Json* code = Member(*details, "error_code");
    if (code != nullptr && *code == "enforced_spend_limit_reached") return true;
  }
  return message.find("credit balance is too low") != std::string_view::npos ||
         message.find("specified API usage limits") != std::string_view::npos;
}

// `reply` is {"type":"error","error":{...}}. The class stays as it is where nothing says better.
void ReadFailure(const Json& reply, std::span<const std::string> secrets,
                 UpstreamFailure& failure) {
  const Json* error = reply.is_object() ? Member(reply, "error") : nullptr;
  if (error == nullptr || !error->is_object()) return;
  std::string_view message;
  if (const Json* text = Member(*error, "message"); text != nullptr && text->is_string()) {
    message = text->get_ref<const std::string&>();
  }
  failure.message = ShortMessage(message, secrets);
  if (IsBilling(*error, message)) failure.kind = FailureClass::kBilling;
}

FailureClass ClassOfType(const Json& reply) {
  const Json* error = Member(reply, "error");
  const Json* type = error != nullptr && error->is_object() ? Member(*error, "type") : nullptr;
  for (const ErrorType& known : kErrorTypes) {
    if (type != nullptr && *type == known.name) return known.kind;
  }
  return FailureClass::kServer;
}

// An exception of Bedrock's stream, "throttlingException". Its errors outside of streams begin with
// a capital.
UpstreamFailure BedrockFailure(std::string name, std::string_view payload,
                               std::span<const std::string> secrets) {
  if (!name.empty() && name[0] >= 'a' && name[0] <= 'z') {
    name[0] = static_cast<char>(name[0] - 'a' + 'A');
  }
  int status = 500;
  if (name.starts_with("Validation")) status = 400;
  if (name.starts_with("ResourceNotFound")) status = 404;
  if (name.starts_with("ServiceUnavailable")) status = 503;
  return DecodeUpstreamBedrockFailure(status, name, payload, secrets);
}

// Counts are cumulative, and each may be missing or be a placeholder in some event: the highest one
// is right, a sum never is.
class Usage {
 public:
  void Take(const Json* json) {
    if (json == nullptr) return;
    if (!json->is_object()) {
      odd_ = true;
      return;
    }
    Most(*json, "input_tokens", input_);
    Most(*json, "cache_read_input_tokens", read_);
    Most(*json, "cache_creation_input_tokens", written_);
    Most(*json, "output_tokens", output_);
    if (const Json* creation = Part(*json, "cache_creation")) {
      Most(*creation, "ephemeral_5m_input_tokens", written_5m_);
      Most(*creation, "ephemeral_1h_input_tokens", written_1h_);
    }
    if (const Json* details = Part(*json, "output_tokens_details")) {
      Most(*details, "thinking_tokens", reasoning_);
      Most(*details, "reasoning_tokens", reasoning_);
    }
    const Json* tools = Part(*json, "server_tool_use");
    if (tools == nullptr) return;
    std::uint64_t sum = 0;
    for (const Json& count : *tools) {
      if (IsTokenCount(count)) sum += count.get<std::uint64_t>();
    }
    server_tools_ = std::max(server_tools_, sum);
  }

  bool odd() const { return odd_; }

  ChatUsage Sum() const {
    ChatUsage usage;
    usage.input = input_;
    usage.cache_read = read_;
    usage.cache_write = written_5m_;
    usage.cache_write_1h = written_1h_;
    // The parts may be those of the first round only. What they leave out has the higher price of
    // those that there are.
    if (const std::uint64_t parts = written_5m_ + written_1h_; written_ > parts) {
      (written_1h_ > 0 ? usage.cache_write_1h : usage.cache_write) += written_ - parts;
    }
    usage.output = output_;
    usage.reasoning = std::min(reasoning_, output_);
    usage.server_tools = server_tools_;
    return usage;
  }

 private:
  void Most(const Json& json, const char* name, std::uint64_t& most) {
    const Json* field = Member(json, name);
    if (field == nullptr) return;
    if (IsTokenCount(*field)) {
      most = std::max(most, field->get<std::uint64_t>());
    } else {
      odd_ = true;
    }
  }

  const Json* Part(const Json& json, const char* name) {
    const Json* field = Member(json, name);
    if (field == nullptr) return nullptr;
    if (field->is_object()) return field;
    odd_ = true;
    return nullptr;
  }

  std::uint64_t input_ = 0, read_ = 0, written_ = 0, written_5m_ = 0, written_1h_ = 0;
  std::uint64_t output_ = 0, reasoning_ = 0, server_tools_ = 0;
  bool odd_ = false;
};

class AnthropicDecoder final : public ChatDecoderBase {
 public:
  explicit AnthropicDecoder(std::vector<std::string> secrets)
      : ChatDecoderBase(std::move(secrets)) {}

 private:
  // kOther: a block of a kind that nobody asked for. It is walked over.
  enum class Block : std::uint8_t { kNone, kText, kThinking, kTool, kOther };

  static tl::unexpected<Error> Odd(std::string_view what) {
    return garrison::Fail(Code::kUnavailable, "the vendor's answer makes no sense: {}", what);
  }

  Result<> DecodeEvent(std::string_view name, std::string_view data,
                       std::vector<ChatEvent>& events) override {
    constexpr std::string_view kException = "exception:";
    if (name.starts_with(kException)) {
      return Failed(BedrockFailure(std::string(name.substr(kException.size())), data, secrets_));
    }
    ASSIGN_OR_RETURN(const Json event, ParseUpstreamJson(data));
    if (!event.is_object()) return Odd("an event is no JSON object");
    ASSIGN_OR_RETURN(const std::string type, MemberText(event, "type"));
    if (type == "error") return VendorError(event);
    if (type == "message_start") return Start(event);
    const bool known = type == "content_block_start" || type == "content_block_delta" ||
                       type == "content_block_stop" || type == "message_delta" ||
                       type == "message_stop";
    // "ping", and what Anthropic may add.
    if (!known) return {};
    if (!started_) return Odd("it does not begin with message_start");
    if (type == "message_delta") return MessageDelta(event);
    if (type == "message_stop") return Stop();
    const Json* index = Member(event, "index");
    if (index == nullptr || !IsTokenCount(*index)) return Odd("a block has no index");
    const auto number = index->get<std::uint64_t>();
    if (type == "content_block_start") return StartBlock(number, event, events);
    if (block_ == Block::kNone || number != index_) return Odd("a block is not there");
    return type == "content_block_delta" ? Delta(event, events) : StopBlock(events);
  }

  Result<> DecodeBody(std::string_view body, std::vector<ChatEvent>& events) override {
    ASSIGN_OR_RETURN(const Json message, ParseUpstreamJson(body));
    if (!message.is_object()) return Odd("it is no JSON object");
    if (Member(message, "error") != nullptr) return VendorError(message);
    Begin(message);
    const Json* content = Member(message, "content");
    if (content == nullptr || !content->is_array()) return Odd("it has no list of blocks");
    for (const Json& block : *content) {
      RETURN_IF_ERROR(OpenBlock(block, events));
      RETURN_IF_ERROR(StopBlock(events));
    }
    RETURN_IF_ERROR(EndReason(message));
    Settle(Member(message, "usage"));
    return Stop();
  }

  Result<> VendorError(const Json& event) {
    UpstreamFailure failure{ClassOfType(event), ""};
    ReadFailure(event, secrets_, failure);
    return Failed(std::move(failure));
  }

  void Begin(const Json& message) {
    started_ = true;
    Name(message, "model", model_);
    Name(message, "id", id_);
    usage_.Take(Member(message, "usage"));
    end_.usage = usage_.Sum();
  }

  Result<> Start(const Json& event) {
    if (started_) return Odd("it begins twice");
    const Json* message = Member(event, "message");
    if (message == nullptr || !message->is_object()) return Odd("message_start has no message");
    Begin(*message);
    return {};
  }

  Result<> StartBlock(std::uint64_t index, const Json& event, std::vector<ChatEvent>& events) {
    if (block_ != Block::kNone) return Odd("a block begins within another");
    if (ended_) return Odd("it goes on behind its end");
    const Json* content = Member(event, "content_block");
    if (content == nullptr) return Odd("a block has no content");
    index_ = index;
    return OpenBlock(*content, events);
  }

  Result<> OpenBlock(const Json& content, std::vector<ChatEvent>& events) {
    if (!content.is_object()) return Odd("a block is no JSON object");
    ASSIGN_OR_RETURN(const std::string type, MemberText(content, "type"));
    block_ = Block::kOther;
    if (type == "text") {
      block_ = Block::kText;
      return Text(content, "text", events);
    }
    if (type == "thinking") {
      block_ = Block::kThinking;
      RETURN_IF_ERROR(Thought(content, "thinking", events));
      return Signature(content, events);
    }
    if (type == "redacted_thinking") {
      ASSIGN_OR_RETURN(std::string data, MemberText(content, "data"));
      if (!data.empty()) events.emplace_back(ChatThinkingDelta{"", "", std::move(data)});
      return {};
    }
    return type == "tool_use" ? Tool(content, events) : Result<>();
  }

  Result<> Tool(const Json& content, std::vector<ChatEvent>& events) {
    ChatToolStart start;
    ASSIGN_OR_RETURN(start.id, MemberText(content, "id"));
    ASSIGN_OR_RETURN(start.name, MemberText(content, "name"));
    if (start.id.empty() || start.name.empty()) return Odd("a tool call has no id and name");
    if (calls_ == kToolCallsMax) return Odd("it has too many tool calls");
    block_ = Block::kTool;
    has_arguments_ = false;
    start.index = calls_++;
    events.emplace_back(std::move(start));
    const Json* input = Member(content, "input");
    if (input == nullptr || (input->is_object() && input->empty())) return {};
    if (!input->is_object()) return Odd("a tool's input is no JSON object");
    has_arguments_ = true;
    events.emplace_back(ChatToolArguments{calls_ - 1, DumpJson(*input)});
    return {};
  }

  Result<> Delta(const Json& event, std::vector<ChatEvent>& events) {
    const Json* delta = Member(event, "delta");
    if (delta == nullptr || !delta->is_object()) return Odd("a delta is no JSON object");
    ASSIGN_OR_RETURN(const std::string type, MemberText(*delta, "type"));
    // Citations, and what Anthropic may add.
    Block wanted = block_;
    if (type == "text_delta") wanted = Block::kText;
    if (type == "thinking_delta" || type == "signature_delta") wanted = Block::kThinking;
    if (type == "input_json_delta") wanted = Block::kTool;
    if (block_ == Block::kOther) return {};
    if (block_ != wanted) return Odd("a delta is of another kind than its block");
    if (type == "text_delta") return Text(*delta, "text", events);
    if (type == "thinking_delta") return Thought(*delta, "thinking", events);
    if (type == "signature_delta") return Signature(*delta, events);
    if (type != "input_json_delta") return {};
    ASSIGN_OR_RETURN(std::string json, MemberText(*delta, "partial_json"));
    if (json.empty()) return {};
    has_arguments_ = true;
    events.emplace_back(ChatToolArguments{calls_ - 1, std::move(json)});
    return {};
  }

  Result<> Text(const Json& json, const char* name, std::vector<ChatEvent>& events) {
    ASSIGN_OR_RETURN(std::string text, MemberText(json, name));
    if (!text.empty()) events.emplace_back(ChatTextDelta{std::move(text)});
    return {};
  }

  Result<> Thought(const Json& json, const char* name, std::vector<ChatEvent>& events) {
    ASSIGN_OR_RETURN(std::string text, MemberText(json, name));
    if (!text.empty()) events.emplace_back(ChatThinkingDelta{std::move(text), "", ""});
    return {};
  }

  Result<> Signature(const Json& json, std::vector<ChatEvent>& events) {
    ASSIGN_OR_RETURN(std::string signature, MemberText(json, "signature"));
    if (!signature.empty()) events.emplace_back(ChatThinkingDelta{"", std::move(signature), ""});
    return {};
  }

  Result<> StopBlock(std::vector<ChatEvent>& events) {
    // A tool without arguments: other vendors write them down all the same.
    if (block_ == Block::kTool && !has_arguments_) {
      events.emplace_back(ChatToolArguments{calls_ - 1, "{}"});
    }
    block_ = Block::kNone;
    return {};
  }

  Result<> EndReason(const Json& json) {
    ASSIGN_OR_RETURN(const std::string reason, MemberText(json, "stop_reason"));
    if (reason.empty()) return {};
    const auto* const found =
        std::find_if(kFinishes.begin(), kFinishes.end(),
                     [&](const Finish& finish) { return finish.name == reason; });
    if (found == kFinishes.end()) return Odd("nobody knows why it finished");
    ended_ = true;
    end_.finish = found->finish;
    ASSIGN_OR_RETURN(end_.stop_sequence, MemberText(json, "stop_sequence"));
    return {};
  }

  // The usage of the end: what came before has a placeholder for the output.
  void Settle(const Json* usage) {
    usage_.Take(usage);
    end_.usage = usage_.Sum();
    const bool counted =
        usage != nullptr && usage->is_object() && Member(*usage, "output_tokens") != nullptr;
    end_.usage_known = (counted || end_.usage_known) && !usage_.odd() && end_.usage.all_input() > 0;
  }

  Result<> MessageDelta(const Json& event) {
    if (block_ != Block::kNone) return Odd("it ends within a block");
    if (const Json* delta = Member(event, "delta")) {
      if (!delta->is_object()) return Odd("a delta is no JSON object");
      RETURN_IF_ERROR(EndReason(*delta));
    }
    Settle(Member(event, "usage"));
    return {};
  }

  Result<> Stop() {
    if (block_ != Block::kNone) return Odd("it ends within a block");
    if (!ended_) return Odd("it has no reason to finish");
    finished_ = true;
    return {};
  }

  Usage usage_;
  bool started_ = false;
  bool ended_ = false;  // a reason to stop has come
  Block block_ = Block::kNone;
  std::uint64_t index_ = 0;  // of the block that is open
  std::size_t calls_ = 0;
  bool has_arguments_ = false;  // the open call
};

}  // namespace

std::unique_ptr<UpstreamChatDecoder> MakeAnthropicDecoder(std::vector<std::string> secrets) {
  return std::make_unique<AnthropicDecoder>(std::move(secrets));
}

UpstreamFailure DecodeUpstreamAnthropicFailure(int status, std::string_view body,
                                               std::span<const std::string> secrets) {
  UpstreamFailure failure{ClassOfStatus(status), ""};
  const Result<Json> json = ParseUpstreamJson(body);
  if (json) ReadFailure(*json, secrets, failure);
  return failure;
}

Result<std::uint64_t> DecodeUpstreamAnthropicCount(std::string_view body) {
  ASSIGN_OR_RETURN(const Json json, ParseUpstreamJson(body));
  const Json* tokens = json.is_object() ? Member(json, "input_tokens") : nullptr;
  if (tokens == nullptr || !IsTokenCount(*tokens)) {
    return Fail(Code::kUnavailable, "the reply has no number \"input_tokens\"");
  }
  return tokens->get<std::uint64_t>();
}

}  // namespace garrison
