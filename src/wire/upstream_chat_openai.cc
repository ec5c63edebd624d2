// Answers of vendors that speak OpenAI's shape, streamed or whole.
#include <algorithm>
#include <array>
#include <memory>
#include <string>
#include <utility>

#include "core/json.h"
#include "wire/upstream_chat.h"
#include "wire/upstream_chat_base.h"
#include "wire/upstream_openai.h"

namespace garrison {
namespace {

using Json = nlohmann::json;

struct Finish {
  std::string_view name;
  ChatFinish finish;
};
constexpr std::array kFinishes = {
    Finish{"stop", ChatFinish::kStop},
    Finish{"length", ChatFinish::kLength},
    Finish{"tool_calls", ChatFinish::kToolCalls},
    Finish{"function_call", ChatFinish::kToolCalls},
    Finish{"content_filter", ChatFinish::kRefusal},
    // text-generation-inference
    Finish{"eos_token", ChatFinish::kStop},
    Finish{"stop_sequence", ChatFinish::kStopSequence},
};

// The status that an error within a stream would have had.
int StatusOf(const Json& error) {
  for (const char* name : {"code", "status", "http_status", "type"}) {
    const Json* field = error.is_object() ? Member(error, name) : nullptr;
    if (field == nullptr) continue;
    if (field->is_number_unsigned() && field->get<std::uint64_t>() >= 400 &&
        field->get<std::uint64_t>() < 600) {
      return field->get<int>();
    }
    if (!field->is_string()) continue;
    const std::string_view text = field->get_ref<const std::string&>();
    const auto has = [&](std::string_view part) { return text.find(part) != text.npos; };
    if (has("rate_limit")) return 429;
    if (has("overloaded") || has("unavailable")) return 503;
    if (has("timeout")) return 504;
    if (has("invalid_request") || has("context_length")) return 400;
    if (has("authentication") || has("invalid_api_key")) return 401;
  }
  return 500;
}

// Counts of one usage object. Unset where they cannot be meant.
std::optional<ChatUsage> UsageOf(const Json& json) {
  bool odd = false;
  const auto count = [&odd](const Json* object, const char* name) -> std::uint64_t {
    const Json* field = object != nullptr && object->is_object() ? Member(*object, name) : nullptr;
    if (field == nullptr) return 0;
    if (IsTokenCount(*field)) return field->get<std::uint64_t>();
    odd = true;
    return 0;
  };
  if (!json.is_object() || Member(json, "prompt_tokens") == nullptr ||
      Member(json, "completion_tokens") == nullptr) {
    return std::nullopt;
  }
  const std::uint64_t prompt = count(&json, "prompt_tokens");
  const std::uint64_t completion = count(&json, "completion_tokens");
  const std::uint64_t total = count(&json, "total_tokens");
  const Json* read = Member(json, "prompt_tokens_details");
  const Json* made = Member(json, "completion_tokens_details");
  ChatUsage usage;
  usage.cache_read =
      std::max(count(read, "cached_tokens"), count(&json, "prompt_cache_hit_tokens"));
  usage.cache_write = count(read, "cache_write_tokens");
  if (odd || usage.cache_read > prompt) return std::nullopt;
  usage.input = prompt - usage.cache_read;
  // Part of the prompt, unless it does not fit into it.
  if (usage.cache_write <= usage.input) usage.input -= usage.cache_write;
  // Some servers leave thoughts out of the completion; the total has them.
  usage.output = total > prompt ? std::max(completion, total - prompt) : completion;
  usage.reasoning = std::min(count(made, "reasoning_tokens"), usage.output);
  return odd ? std::nullopt : std::optional(usage);
}

class OpenAiDecoder final : public ChatDecoderBase {
 public:
  explicit OpenAiDecoder(std::vector<std::string> secrets) : ChatDecoderBase(std::move(secrets)) {}

 private:
  static tl::unexpected<Error> Odd(std::string_view what) {
    return garrison::Fail(Code::kUnavailable, "the vendor's answer makes no sense: {}", what);
  }

  Result<> DecodeEvent(std::string_view, std::string_view data,
                       std::vector<ChatEvent>& events) override {
    if (data == "[DONE]") {
      if (!ended_) return Odd("it is done without a reason to finish");
      finished_ = true;
      return {};
    }
    ASSIGN_OR_RETURN(const Json chunk, ParseUpstreamJson(data));
    return Reply(chunk, "delta", data, events);
  }

  Result<> DecodeBody(std::string_view body, std::vector<ChatEvent>& events) override {
    ASSIGN_OR_RETURN(const Json reply, ParseUpstreamJson(body));
    RETURN_IF_ERROR(Reply(reply, "message", body, events));
    if (!ended_) return Odd("it has no reason to finish");
    finished_ = true;
    return {};
  }

  // A chunk, or all of it: the only difference is the name of what holds the pieces.
  Result<> Reply(const Json& reply, const char* content, std::string_view text,
                 std::vector<ChatEvent>& events) {
    if (!reply.is_object()) return Odd("a chunk is no JSON object");
    if (const Json* error = Member(reply, "error")) {
      return Failed(DecodeUpstreamOpenAiFailure(StatusOf(*error), text, secrets_));
    }
    Name(reply, "model", model_);
    Name(reply, "id", id_);
    if (const Json* usage = Member(reply, "usage")) TakeUsage(*usage);
    const Json* choices = Member(reply, "choices");
    if (choices == nullptr) return {};
    if (!choices->is_array()) return Odd("\"choices\" is no list");
    for (const Json& choice : *choices) {
      if (!choice.is_object()) return Odd("a choice is no JSON object");
      const Json* index = Member(choice, "index");
      if (index != nullptr && *index != 0) return Odd("there is a second answer");
      const Json* pieces = Member(choice, content);
      if (pieces != nullptr) RETURN_IF_ERROR(Pieces(*pieces, events));
      RETURN_IF_ERROR(End(choice));
    }
    // What was counted before the end is not what was billed.
    if (!ended_) end_.usage_known = false;
    return {};
  }

  void TakeUsage(const Json& json) {
    const std::optional<ChatUsage> usage = UsageOf(json);
    if (!usage) {
      end_.usage_known = false;
      return;
    }
    // Counts of some servers grow from chunk to chunk; smaller ones of a duplicate are not better.
    if (usage->all_input() + usage->output < end_.usage.all_input() + end_.usage.output) return;
    end_.usage = *usage;
    end_.usage_known = usage->all_input() > 0;  // nothing is made of nothing
  }

  Result<> Pieces(const Json& pieces, std::vector<ChatEvent>& events) {
    if (!pieces.is_object()) return Odd("a piece is no JSON object");
    ASSIGN_OR_RETURN(std::string thought, MemberText(pieces, "reasoning_content"));
    if (thought.empty() && Member(pieces, "reasoning") != nullptr &&
        pieces["reasoning"].is_string()) {  // vLLM, OpenRouter
      thought = pieces["reasoning"].get<std::string>();
    }
    ASSIGN_OR_RETURN(std::string text, MemberText(pieces, "content"));
    ASSIGN_OR_RETURN(std::string refusal, MemberText(pieces, "refusal"));
    const Json* calls = Member(pieces, "tool_calls");
    if (calls != nullptr && !calls->is_array()) return Odd("\"tool_calls\" is no list");
    const bool any = !thought.empty() || !text.empty() || !refusal.empty() ||
                     (calls != nullptr && !calls->empty());
    if (any && ended_) return Odd("it goes on behind its end");
    if (!thought.empty() || !text.empty() || !refusal.empty()) call_open_ = false;
    if (!thought.empty()) events.emplace_back(ChatThinkingDelta{std::move(thought), "", ""});
    if (!text.empty()) events.emplace_back(ChatTextDelta{std::move(text)});
    if (!refusal.empty()) {
      refused_ = true;
      events.emplace_back(ChatTextDelta{std::move(refusal)});
    }
    if (calls == nullptr) return {};
    for (std::size_t i = 0; i < calls->size(); ++i) RETURN_IF_ERROR(Call((*calls)[i], i, events));
    return {};
  }

  Result<> Call(const Json& call, std::size_t place, std::vector<ChatEvent>& events) {
    if (!call.is_object()) return Odd("a tool call is no JSON object");
    std::uint64_t index = place;  // of a whole answer, and of servers that give none
    if (const Json* given = Member(call, "index")) {
      if (!IsTokenCount(*given)) return Odd("a tool call's index is no number");
      index = given->get<std::uint64_t>();
    }
    ASSIGN_OR_RETURN(std::string id, MemberText(call, "id"));
    std::string name, arguments;
    if (const Json* function = Member(call, "function")) {
      if (!function->is_object()) return Odd("a tool call's function is no JSON object");
      ASSIGN_OR_RETURN(name, MemberText(*function, "name"));
      ASSIGN_OR_RETURN(arguments, MemberText(*function, "arguments"));
    }
    // Some servers repeat the id with every piece, others give each call the index 0.
    const bool same = call_open_ && index == call_index_ && (id.empty() || id == call_id_);
    if (!same) RETURN_IF_ERROR(StartCall(index, std::move(id), std::move(name), events));
    if (!arguments.empty()) {
      events.emplace_back(ChatToolArguments{calls_ - 1, std::move(arguments)});
    }
    return {};
  }

  Result<> StartCall(std::uint64_t index, std::string id, std::string name,
                     std::vector<ChatEvent>& events) {
    // Also what comes for a call that another has followed: it cannot be put into order any more.
    if (id.empty() || name.empty()) return Odd("a tool call has no id and name");
    if (calls_ > 0 && (index < call_index_ || id == call_id_)) {
      return Odd("pieces of tool calls are mixed");
    }
    if (calls_ == kToolCallsMax) return Odd("it has too many tool calls");
    call_open_ = true;
    call_index_ = index;
    call_id_ = id;
    events.emplace_back(ChatToolStart{calls_++, std::move(id), std::move(name)});
    return {};
  }

  Result<> End(const Json& choice) {
    ASSIGN_OR_RETURN(const std::string reason, MemberText(choice, "finish_reason"));
    if (reason.empty() || ended_) return {};
    if (reason == "insufficient_system_resource") {  // DeepSeek
      return Failed({FailureClass::kOverloaded, "insufficient system resource"});
    }
    const auto* const found =
        std::find_if(kFinishes.begin(), kFinishes.end(),
                     [&](const Finish& finish) { return finish.name == reason; });
    if (found == kFinishes.end()) return Odd("nobody knows why it finished");
    ended_ = true;
    end_.finish = refused_ ? ChatFinish::kRefusal : found->finish;
    return {};
  }

  bool ended_ = false;  // a reason to finish has come; usage and [DONE] may follow
  bool refused_ = false;
  std::size_t calls_ = 0;
  // Of the last call.
  bool call_open_ = false;
  std::uint64_t call_index_ = 0;
  std::string call_id_;
};

}  // namespace

std::unique_ptr<UpstreamChatDecoder> MakeOpenAiChatDecoder(std::vector<std::string> secrets) {
  return std::make_unique<OpenAiDecoder>(std::move(secrets));
}

}  // namespace garrison
