// Requests of OpenAI's clients: bodies of /v1/chat/completions and /v1/completions.
#include "wire/openai_chat.h"

#include <fmt/format.h>

#include <cstddef>
#include <utility>
#include <vector>

#include "core/json.h"
#include "wire/chat_json.h"
#include "wire/fields.h"

namespace garrison {
namespace {

using Json = nlohmann::json;

constexpr std::string_view kOnlyText = "only text and images are taken here";

tl::unexpected<Error> Unknown(std::string where, std::string_view expected, std::string_view got) {
  return FailAt(std::move(where), Code::kInvalidArgument, "expected {}, got \"{}\"", expected,
                got.substr(0, 40));
}

Result<ChatPart> DecodePart(const Fields& part, ChatRole role) {
  ASSIGN_OR_RETURN(const std::string type, part.Text("type"));
  if (type == "text") {
    ASSIGN_OR_RETURN(std::string text, part.Text("text"));
    return ChatPart{ChatText{std::move(text)}};
  }
  if (type == "refusal" && role == ChatRole::kAssistant) {
    ASSIGN_OR_RETURN(std::string text, part.Text("refusal"));
    return ChatPart{ChatText{std::move(text)}};
  }
  if (type != "image_url" || role != ChatRole::kUser) {
    return Unknown(part.Place("type"),
                   role == ChatRole::kUser ? "\"text\" or \"image_url\"" : "\"text\"", type);
  }
  const Json* url = part.Find("image_url");
  if (url == nullptr) {
    return FailAt(part.Place("image_url"), Code::kInvalidArgument,
                  "the field is missing; expected an object with a url");
  }
  ASSIGN_OR_RETURN(const Fields fields, Fields::Of(*url, part.Place("image_url.")));
  ASSIGN_OR_RETURN(const std::string address, fields.Text("url"));
  ASSIGN_OR_RETURN(ChatImage image, ImageOfUrl(address, fields.Place("url")));
  ASSIGN_OR_RETURN(image.detail, fields.TextOr("detail", ""));
  return ChatPart{std::move(image)};
}

// A string, or a list of parts.
Result<std::vector<ChatPart>> DecodeContent(const Json& content, ChatRole role,
                                            const std::string& where) {
  std::vector<ChatPart> parts;
  if (content.is_string()) {
    parts.push_back({ChatText{content.get<std::string>()}});
    return parts;
  }
  if (!content.is_array()) return WrongType(where, "a string or a list of parts", content);
  parts.reserve(content.size());
  for (std::size_t i = 0; i < content.size(); ++i) {
    ASSIGN_OR_RETURN(const Fields fields, Fields::Of(content[i], fmt::format("{}[{}].", where, i)));
    ASSIGN_OR_RETURN(ChatPart part, DecodePart(fields, role));
    parts.push_back(std::move(part));
  }
  return parts;
}

Result<> DecodeToolCalls(const Json& list, const std::string& where, std::vector<ChatPart>& parts) {
  for (std::size_t i = 0; i < list.size(); ++i) {
    ASSIGN_OR_RETURN(const Fields call, Fields::Of(list[i], fmt::format("{}[{}].", where, i)));
    ASSIGN_OR_RETURN(const std::string type, call.TextOr("type", "function"));
    if (type != "function") return Unknown(call.Place("type"), "\"function\"", type);
    const Json* function = call.Find("function");
    if (function == nullptr) {
      return FailAt(call.Place("function"), Code::kInvalidArgument,
                    "the field is missing; expected an object with a name");
    }
    ASSIGN_OR_RETURN(const Fields fields, Fields::Of(*function, call.Place("function.")));
    ChatToolCall made;
    ASSIGN_OR_RETURN(made.id, call.Text("id"));
    ASSIGN_OR_RETURN(made.name, fields.Text("name"));
    ASSIGN_OR_RETURN(made.arguments, fields.TextOr("arguments", ""));
    parts.push_back({std::move(made)});
  }
  return {};
}

Result<> DecodeAssistant(const Fields& fields, ChatMessage& message) {
  RETURN_IF_ERROR(fields.Refuse("audio", kOnlyText));
  RETURN_IF_ERROR(fields.Refuse("function_call", "use tool_calls instead"));
  ASSIGN_OR_RETURN(std::string thought, fields.TextOr("reasoning_content", ""));
  if (!thought.empty()) message.parts.push_back({ChatThinking{std::move(thought), "", ""}});
  if (const Json* content = fields.Find("content")) {
    ASSIGN_OR_RETURN(std::vector<ChatPart> parts,
                     DecodeContent(*content, message.role, fields.Place("content")));
    for (ChatPart& part : parts) message.parts.push_back(std::move(part));
  }
  ASSIGN_OR_RETURN(std::string refusal, fields.TextOr("refusal", ""));
  if (!refusal.empty()) message.parts.push_back({ChatText{std::move(refusal)}});
  ASSIGN_OR_RETURN(const Json* const calls, fields.List("tool_calls"));
  if (calls != nullptr) {
    RETURN_IF_ERROR(DecodeToolCalls(*calls, fields.Place("tool_calls"), message.parts));
  }
  if (!message.parts.empty()) return {};
  return FailAt(fields.Place("content"), Code::kInvalidArgument,
                "the field is missing; expected a text, parts or tool_calls beside it");
}

Result<> DecodeTool(const Fields& fields, std::vector<ChatPart> content, ChatMessage& message) {
  ChatToolResult result;
  ASSIGN_OR_RETURN(result.call_id, fields.Text("tool_call_id"));
  for (ChatPart& part : content) {
    if (auto* text = std::get_if<ChatText>(&part.value)) result.content.emplace_back(*text);
  }
  message.parts.push_back({std::move(result)});
  return {};
}

Result<ChatRole> RoleOf(const Fields& fields) {
  ASSIGN_OR_RETURN(const std::string role, fields.Text("role"));
  if (role == "system" || role == "developer") return ChatRole::kSystem;
  if (role == "user") return ChatRole::kUser;
  if (role == "assistant") return ChatRole::kAssistant;
  if (role == "tool") return ChatRole::kTool;
  return Unknown(fields.Place("role"),
                 "\"system\", \"developer\", \"user\", \"assistant\" or \"tool\"", role);
}

Result<ChatMessage> DecodeMessage(const Fields& fields) {
  ChatMessage message;
  ASSIGN_OR_RETURN(message.role, RoleOf(fields));
  if (message.role == ChatRole::kAssistant) {
    RETURN_IF_ERROR(DecodeAssistant(fields, message));
    return message;
  }
  const Json* content = fields.Find("content");
  if (content == nullptr) {
    return FailAt(fields.Place("content"), Code::kInvalidArgument,
                  "the field is missing; expected a string or a list of parts");
  }
  ASSIGN_OR_RETURN(std::vector<ChatPart> parts,
                   DecodeContent(*content, message.role, fields.Place("content")));
  if (message.role == ChatRole::kTool) {
    RETURN_IF_ERROR(DecodeTool(fields, std::move(parts), message));
    return message;
  }
  if (parts.empty()) {
    return FailAt(fields.Place("content"), Code::kInvalidArgument,
                  "expected at least one part, got an empty list");
  }
  message.parts = std::move(parts);
  return message;
}

Result<> DecodeMessages(const Fields& fields, ChatRequest& request) {
  ASSIGN_OR_RETURN(const Json* const list, fields.List("messages"));
  if (list == nullptr || list->empty()) {
    return FailAt("messages", Code::kInvalidArgument, "expected at least one message");
  }
  request.messages.reserve(list->size());
  for (std::size_t i = 0; i < list->size(); ++i) {
    ASSIGN_OR_RETURN(const Fields one, Fields::Of((*list)[i], fmt::format("messages[{}].", i)));
    ASSIGN_OR_RETURN(ChatMessage message, DecodeMessage(one));
    request.messages.push_back(std::move(message));
  }
  return {};
}

Result<> DecodeTools(const Fields& fields, ChatRequest& request) {
  ASSIGN_OR_RETURN(const Json* const list, fields.List("tools"));
  if (list == nullptr) return {};
  for (std::size_t i = 0; i < list->size(); ++i) {
    ASSIGN_OR_RETURN(const Fields one, Fields::Of((*list)[i], fmt::format("tools[{}].", i)));
    ASSIGN_OR_RETURN(const std::string type, one.Text("type"));
    if (type != "function") return Unknown(one.Place("type"), "\"function\"", type);
    const Json* function = one.Find("function");
    if (function == nullptr) {
      return FailAt(one.Place("function"), Code::kInvalidArgument,
                    "the field is missing; expected an object with a name");
    }
    ASSIGN_OR_RETURN(const Fields tool, Fields::Of(*function, one.Place("function.")));
    ChatTool made;
    ASSIGN_OR_RETURN(made.name, tool.Text("name"));
    ASSIGN_OR_RETURN(made.description, tool.TextOr("description", ""));
    ASSIGN_OR_RETURN(made.schema, ObjectText(tool, "parameters"));
    if (made.schema.empty()) made.schema = kNoArguments;
    ASSIGN_OR_RETURN(made.strict, tool.Flag("strict"));
    request.tools.push_back(std::move(made));
  }
  return {};
}

Result<> DecodeToolChoice(const Fields& fields, ChatRequest& request) {
  const Json* choice = fields.Find("tool_choice");
  if (choice == nullptr) return {};
  ChatToolChoice made;
  if (choice->is_object()) {
    ASSIGN_OR_RETURN(const Fields named, Fields::Of(*choice, "tool_choice."));
    ASSIGN_OR_RETURN(const std::string type, named.Text("type"));
    const Json* function = named.Find("function");
    if (type != "function" || function == nullptr) {
      return Unknown("tool_choice.type", "\"function\" with the function's name", type);
    }
    ASSIGN_OR_RETURN(const Fields tool, Fields::Of(*function, "tool_choice.function."));
    made.mode = ChatToolChoice::Mode::kNamed;
    ASSIGN_OR_RETURN(made.name, tool.Text("name"));
  } else {
    ASSIGN_OR_RETURN(const std::string mode, fields.Text("tool_choice"));
    if (mode == "none") {
      made.mode = ChatToolChoice::Mode::kNone;
    } else if (mode == "required") {
      made.mode = ChatToolChoice::Mode::kRequired;
    } else if (mode != "auto") {
      return Unknown("tool_choice", "\"auto\", \"none\", \"required\" or a function", mode);
    }
  }
  request.tool_choice = std::move(made);
  return {};
}

Result<> DecodeFormat(const Fields& fields, ChatRequest& request) {
  const Json* format = fields.Find("response_format");
  if (format == nullptr) return {};
  ASSIGN_OR_RETURN(const Fields one, Fields::Of(*format, "response_format."));
  ASSIGN_OR_RETURN(const std::string type, one.Text("type"));
  ChatFormat made;
  if (type == "json_schema") {
    const Json* schema = one.Find("json_schema");
    if (schema == nullptr) {
      return FailAt("response_format.json_schema", Code::kInvalidArgument,
                    "the field is missing; expected an object with a name and a schema");
    }
    ASSIGN_OR_RETURN(const Fields inner, Fields::Of(*schema, "response_format.json_schema."));
    made.kind = ChatFormat::Kind::kJsonSchema;
    ASSIGN_OR_RETURN(made.name, inner.Text("name"));
    ASSIGN_OR_RETURN(made.schema, ObjectText(inner, "schema"));
    if (made.schema.empty()) made.schema = "{}";
    ASSIGN_OR_RETURN(made.strict, inner.Flag("strict"));
  } else if (type == "json_object") {
    made.kind = ChatFormat::Kind::kJsonObject;
  } else if (type != "text") {
    return Unknown("response_format.type", "\"text\", \"json_object\" or \"json_schema\"", type);
  }
  request.format = std::move(made);
  return {};
}

Result<> DecodeStop(const Fields& fields, ChatRequest& request) {
  const Json* stop = fields.Find("stop");
  if (stop == nullptr) return {};
  if (stop->is_array()) {
    ASSIGN_OR_RETURN(request.stop, fields.Texts("stop"));
  } else {
    ASSIGN_OR_RETURN(std::string text, fields.Text("stop"));
    request.stop.push_back(std::move(text));
  }
  for (const std::string& text : request.stop) {
    if (text.empty()) {
      return FailAt("stop", Code::kInvalidArgument, "expected texts that are not empty");
    }
  }
  return {};
}

Result<> DecodeSampling(const Fields& fields, ChatRequest& request) {
  ASSIGN_OR_RETURN(request.temperature, fields.Number("temperature", 0, 2));
  ASSIGN_OR_RETURN(request.top_p, fields.Number("top_p", 0, 1));
  ASSIGN_OR_RETURN(request.top_k, fields.Count32("top_k"));
  ASSIGN_OR_RETURN(request.presence_penalty, fields.Number("presence_penalty", -2, 2));
  ASSIGN_OR_RETURN(request.frequency_penalty, fields.Number("frequency_penalty", -2, 2));
  if (const Json* seed = fields.Find("seed")) {
    if (!seed->is_number_integer()) return WrongType("seed", "a whole number", *seed);
    if (seed->is_number_unsigned() && seed->get<std::uint64_t>() > INT64_MAX) {
      return FailAt("seed", Code::kInvalidArgument, "expected at most {}", INT64_MAX);
    }
    request.seed = seed->get<std::int64_t>();
  }
  return DecodeStop(fields, request);
}

// What both routes have.
Result<> DecodeCommon(const Fields& fields, OpenAiChatCall& call) {
  ChatRequest& request = call.request;
  ASSIGN_OR_RETURN(request.model, fields.TextOr("model", ""));
  ASSIGN_OR_RETURN(const std::optional<std::size_t> n, fields.Count("n"));
  if (n.value_or(1) != 1) {
    return FailAt("n", Code::kInvalidArgument, "expected 1, got {}; ask once for each answer", *n);
  }
  RETURN_IF_ERROR(fields.Refuse("logit_bias", "tokens are not weighted here"));
  RETURN_IF_ERROR(DecodeSampling(fields, request));
  ASSIGN_OR_RETURN(request.user, fields.TextOr("user", ""));
  ASSIGN_OR_RETURN(call.stream, fields.FlagOr("stream", false));
  const Json* options = fields.Find("stream_options");
  if (options == nullptr) return {};
  ASSIGN_OR_RETURN(const Fields stream, Fields::Of(*options, "stream_options."));
  ASSIGN_OR_RETURN(call.include_usage, stream.FlagOr("include_usage", false));
  return {};
}

// What has another price or meaning than what could be asked of a vendor.
Result<> RefuseOthers(const Fields& fields) {
  RETURN_IF_ERROR(fields.Refuse("audio", kOnlyText));
  RETURN_IF_ERROR(fields.Refuse("logprobs", "probabilities of tokens are not told here"));
  RETURN_IF_ERROR(fields.Refuse("web_search_options", "nothing is searched here"));
  RETURN_IF_ERROR(fields.Refuse("prediction", "predicted outputs have a price of their own"));
  RETURN_IF_ERROR(fields.Refuse("functions", "use tools instead"));
  RETURN_IF_ERROR(fields.Refuse("function_call", "use tool_choice instead"));
  if (const Json* modalities = fields.Find("modalities")) {
    if (*modalities != Json{"text"}) {
      return FailAt("modalities", Code::kInvalidArgument, "expected [\"text\"]; {}", kOnlyText);
    }
  }
  ASSIGN_OR_RETURN(const std::string tier, fields.TextOr("service_tier", "auto"));
  if (tier != "auto" && tier != "default") {
    return Unknown("service_tier", "\"auto\" or \"default\": others have other prices", tier);
  }
  ASSIGN_OR_RETURN(const std::string verbosity, fields.TextOr("verbosity", "medium"));
  if (verbosity != "medium") return Unknown("verbosity", "\"medium\"", verbosity);
  return {};
}

}  // namespace

Result<OpenAiChatCall> DecodeOpenAiChat(const Json& body) {
  ASSIGN_OR_RETURN(const Fields fields, Fields::Of(body));
  OpenAiChatCall call;
  ChatRequest& request = call.request;
  RETURN_IF_ERROR(DecodeMessages(fields, request));
  RETURN_IF_ERROR(RefuseOthers(fields));
  RETURN_IF_ERROR(DecodeCommon(fields, call));
  RETURN_IF_ERROR(DecodeTools(fields, request));
  RETURN_IF_ERROR(DecodeToolChoice(fields, request));
  RETURN_IF_ERROR(DecodeFormat(fields, request));
  ASSIGN_OR_RETURN(request.parallel_tool_calls, fields.Flag("parallel_tool_calls"));
  ASSIGN_OR_RETURN(request.reasoning_effort, fields.TextOr("reasoning_effort", ""));
  ASSIGN_OR_RETURN(request.max_tokens, fields.Count32("max_completion_tokens"));
  ASSIGN_OR_RETURN(const std::optional<std::uint32_t> older, fields.Count32("max_tokens"));
  if (!request.max_tokens) request.max_tokens = older;
  return call;
}

Result<OpenAiChatCall> DecodeOpenAiCompletion(const Json& body) {
  ASSIGN_OR_RETURN(const Fields fields, Fields::Of(body));
  OpenAiChatCall call;
  const Json* prompt = fields.Find("prompt");
  if (prompt != nullptr && prompt->is_array() && prompt->size() == 1 &&
      prompt->front().is_string()) {
    call.prompt = prompt->front().get<std::string>();
  } else if (prompt != nullptr && prompt->is_array()) {
    return FailAt("prompt", Code::kInvalidArgument,
                  "expected one text; ask once for each text, and not with token ids");
  } else {
    ASSIGN_OR_RETURN(call.prompt, fields.Text("prompt"));
  }
  call.request.messages.push_back({ChatRole::kUser, {{ChatText{call.prompt}}}});
  RETURN_IF_ERROR(DecodeCommon(fields, call));
  ASSIGN_OR_RETURN(const std::optional<std::size_t> best, fields.Count("best_of"));
  if (best.value_or(1) != 1) {
    return FailAt("best_of", Code::kInvalidArgument, "expected 1, got {}", *best);
  }
  ASSIGN_OR_RETURN(const std::string suffix, fields.TextOr("suffix", ""));
  if (!suffix.empty()) {
    return FailAt("suffix", Code::kInvalidArgument, "nothing is written in front of a text here");
  }
  RETURN_IF_ERROR(fields.Refuse("logprobs", "probabilities of tokens are not told here"));
  ASSIGN_OR_RETURN(call.echo_prompt, fields.FlagOr("echo", false));
  ASSIGN_OR_RETURN(call.request.max_tokens, fields.Count32("max_tokens"));
  return call;
}

}  // namespace garrison
