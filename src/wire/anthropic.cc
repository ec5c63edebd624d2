// Requests of Anthropic's clients: bodies of /v1/messages and /v1/messages/count_tokens.
#include "wire/anthropic.h"

#include <fmt/format.h>

#include <cstddef>
#include <utility>
#include <vector>

#include "wire/chat_json.h"
#include "wire/fields.h"

namespace garrison {
namespace {

using Json = nlohmann::json;

tl::unexpected<Error> Unknown(std::string where, std::string_view expected, std::string_view got) {
  return FailAt(std::move(where), Code::kInvalidArgument, "expected {}, got \"{}\"", expected,
                got.substr(0, 40));
}

Result<const Json*> Needed(const Fields& fields, const char* name, std::string_view expected) {
  const Json* field = fields.Find(name);
  if (field != nullptr) return field;
  return FailAt(fields.Place(name), Code::kInvalidArgument, "the field is missing; expected {}",
                expected);
}

Result<ChatImage> DecodeImage(const Fields& block) {
  ASSIGN_OR_RETURN(const Json* const source, Needed(block, "source", "an object"));
  ASSIGN_OR_RETURN(const Fields fields, Fields::Of(*source, block.Place("source.")));
  ASSIGN_OR_RETURN(const std::string type, fields.Text("type"));
  if (type == "url") {
    ASSIGN_OR_RETURN(const std::string url, fields.Text("url"));
    ASSIGN_OR_RETURN(ChatImage image, ImageOfUrl(url, fields.Place("url")));
    return image;
  }
  if (type != "base64") return Unknown(fields.Place("type"), "\"base64\" or \"url\"", type);
  ASSIGN_OR_RETURN(const std::string media, fields.Text("media_type"));
  ASSIGN_OR_RETURN(const std::string data, fields.Text("data"));
  // The same rules as for an address of that content.
  ASSIGN_OR_RETURN(ChatImage image,
                   ImageOfUrl(fmt::format("data:{};base64,{}", media, data), fields.Place("data")));
  return image;
}

Result<ChatToolResult> DecodeToolResult(const Fields& block) {
  ChatToolResult result;
  ASSIGN_OR_RETURN(result.call_id, block.Text("tool_use_id"));
  ASSIGN_OR_RETURN(result.is_error, block.FlagOr("is_error", false));
  const Json* content = block.Find("content");
  if (content == nullptr) return result;
  if (content->is_string()) {
    result.content.emplace_back(ChatText{content->get<std::string>()});
    return result;
  }
  if (!content->is_array()) {
    return WrongType(block.Place("content"), "a string or a list of blocks", *content);
  }
  for (std::size_t i = 0; i < content->size(); ++i) {
    ASSIGN_OR_RETURN(const Fields one,
                     Fields::Of((*content)[i], fmt::format("{}[{}].", block.Place("content"), i)));
    ASSIGN_OR_RETURN(const std::string type, one.Text("type"));
    if (type == "text") {
      ASSIGN_OR_RETURN(std::string text, one.Text("text"));
      result.content.emplace_back(ChatText{std::move(text)});
    } else if (type == "image") {
      ASSIGN_OR_RETURN(ChatImage image, DecodeImage(one));
      result.content.emplace_back(std::move(image));
    } else {
      return Unknown(one.Place("type"), "\"text\" or \"image\"", type);
    }
  }
  return result;
}

// What only an assistant's message holds; unset for another type.
Result<std::optional<ChatPart>> DecodeAssistantBlock(const Fields& block, std::string_view type) {
  if (type == "tool_use") {
    ChatToolCall call;
    ASSIGN_OR_RETURN(call.id, block.Text("id"));
    ASSIGN_OR_RETURN(call.name, block.Text("name"));
    ASSIGN_OR_RETURN(call.arguments, ObjectText(block, "input"));
    if (call.arguments.empty()) call.arguments = "{}";
    return std::optional(ChatPart{std::move(call)});
  }
  ChatThinking thought;
  if (type == "thinking") {
    ASSIGN_OR_RETURN(thought.text, block.Text("thinking"));
    ASSIGN_OR_RETURN(thought.signature, block.TextOr("signature", ""));
  } else if (type == "redacted_thinking") {
    ASSIGN_OR_RETURN(thought.redacted, block.Text("data"));
  } else {
    return std::optional<ChatPart>();
  }
  return std::optional(ChatPart{std::move(thought)});
}

Result<ChatPart> DecodeBlock(const Json& json, const std::string& where, bool assistant) {
  ASSIGN_OR_RETURN(const Fields block, Fields::Of(json, where + "."));
  ASSIGN_OR_RETURN(const std::string type, block.Text("type"));
  ChatPart part;
  if (type == "text") {
    ASSIGN_OR_RETURN(std::string text, block.Text("text"));
    part.value = ChatText{std::move(text)};
  } else if (type == "image" && !assistant) {
    ASSIGN_OR_RETURN(part.value, DecodeImage(block));
  } else if (type == "tool_result" && !assistant) {
    ASSIGN_OR_RETURN(part.value, DecodeToolResult(block));
  } else {
    std::optional<ChatPart> own;
    if (assistant) {
      ASSIGN_OR_RETURN(own, DecodeAssistantBlock(block, type));
    }
    if (!own) {
      return Unknown(
          block.Place("type"),
          assistant
              ? "\"text\", \"tool_use\", \"thinking\" or \"redacted_thinking\" of an assistant"
              : "\"text\", \"image\" or \"tool_result\" of a user",
          type);
    }
    part = *std::move(own);
  }
  ASSIGN_OR_RETURN(part.cache_control, ObjectText(block, "cache_control"));
  return part;
}

// Tool results are messages of their own here; the order stays.
void Append(bool assistant, ChatPart part, bool first, std::vector<ChatMessage>& messages) {
  const bool result = std::holds_alternative<ChatToolResult>(part.value);
  const ChatRole role = assistant ? ChatRole::kAssistant
                        : result  ? ChatRole::kTool
                                  : ChatRole::kUser;
  if (first || messages.back().role != role) messages.push_back({role, {}});
  messages.back().parts.push_back(std::move(part));
}

Result<> DecodeMessage(const Json& json, const std::string& where,
                       std::vector<ChatMessage>& messages) {
  ASSIGN_OR_RETURN(const Fields fields, Fields::Of(json, where + "."));
  ASSIGN_OR_RETURN(const std::string role, fields.Text("role"));
  if (role != "user" && role != "assistant") {
    return Unknown(fields.Place("role"), "\"user\" or \"assistant\"", role);
  }
  const bool assistant = role == "assistant";
  ASSIGN_OR_RETURN(const Json* const content,
                   Needed(fields, "content", "a string or a list of blocks"));
  if (content->is_string()) {
    Append(assistant, {ChatText{content->get<std::string>()}}, true, messages);
    return {};
  }
  if (!content->is_array()) {
    return WrongType(fields.Place("content"), "a string or a list of blocks", *content);
  }
  if (content->empty()) {
    return FailAt(fields.Place("content"), Code::kInvalidArgument,
                  "expected at least one block, got an empty list");
  }
  for (std::size_t i = 0; i < content->size(); ++i) {
    const std::string place = fmt::format("{}[{}]", fields.Place("content"), i);
    ASSIGN_OR_RETURN(ChatPart part, DecodeBlock((*content)[i], place, assistant));
    Append(assistant, std::move(part), i == 0, messages);
  }
  return {};
}

Result<> DecodeSystem(const Fields& fields, ChatRequest& request) {
  const Json* system = fields.Find("system");
  if (system == nullptr) return {};
  ChatMessage message{ChatRole::kSystem, {}};
  if (system->is_string()) {
    message.parts.push_back({ChatText{system->get<std::string>()}});
  } else if (!system->is_array()) {
    return WrongType("system", "a string or a list of text blocks", *system);
  } else {
    for (std::size_t i = 0; i < system->size(); ++i) {
      const std::string where = fmt::format("system[{}]", i);
      ASSIGN_OR_RETURN(ChatPart part, DecodeBlock((*system)[i], where, false));
      if (!std::holds_alternative<ChatText>(part.value)) {
        return FailAt(where + ".type", Code::kInvalidArgument, "expected \"text\"");
      }
      message.parts.push_back(std::move(part));
    }
  }
  if (!message.parts.empty()) request.messages.push_back(std::move(message));
  return {};
}

Result<> DecodeTools(const Fields& fields, ChatRequest& request) {
  ASSIGN_OR_RETURN(const Json* const list, fields.List("tools"));
  if (list == nullptr) return {};
  for (std::size_t i = 0; i < list->size(); ++i) {
    ASSIGN_OR_RETURN(const Fields tool, Fields::Of((*list)[i], fmt::format("tools[{}].", i)));
    ASSIGN_OR_RETURN(const std::string type, tool.TextOr("type", "custom"));
    if (type != "custom") {
      return Unknown(tool.Place("type"), "\"custom\": the vendor's own tools are not offered here",
                     type);
    }
    for (const char* name : {"defer_loading", "input_examples", "allowed_callers"}) {
      RETURN_IF_ERROR(tool.Refuse(name, "not every vendor can do this"));
    }
    ChatTool made;
    ASSIGN_OR_RETURN(made.name, tool.Text("name"));
    ASSIGN_OR_RETURN(made.description, tool.TextOr("description", ""));
    RETURN_IF_ERROR(Needed(tool, "input_schema", "a JSON schema"));
    ASSIGN_OR_RETURN(made.schema, ObjectText(tool, "input_schema"));
    ASSIGN_OR_RETURN(made.strict, tool.Flag("strict"));
    ASSIGN_OR_RETURN(made.cache_control, ObjectText(tool, "cache_control"));
    request.tools.push_back(std::move(made));
  }
  return {};
}

Result<> DecodeToolChoice(const Fields& fields, ChatRequest& request) {
  const Json* choice = fields.Find("tool_choice");
  if (choice == nullptr) return {};
  ASSIGN_OR_RETURN(const Fields one, Fields::Of(*choice, "tool_choice."));
  ASSIGN_OR_RETURN(const std::string type, one.Text("type"));
  ChatToolChoice made;
  if (type == "any") {
    made.mode = ChatToolChoice::Mode::kRequired;
  } else if (type == "none") {
    made.mode = ChatToolChoice::Mode::kNone;
  } else if (type == "tool") {
    made.mode = ChatToolChoice::Mode::kNamed;
    ASSIGN_OR_RETURN(made.name, one.Text("name"));
  } else if (type != "auto") {
    return Unknown("tool_choice.type", "\"auto\", \"any\", \"tool\" or \"none\"", type);
  }
  request.tool_choice = std::move(made);
  ASSIGN_OR_RETURN(const std::optional<bool> single, one.Flag("disable_parallel_tool_use"));
  if (single) request.parallel_tool_calls = !*single;
  return {};
}

Result<> DecodeThinking(const Fields& fields, ChatRequest& request) {
  const Json* thinking = fields.Find("thinking");
  if (thinking == nullptr) return {};
  ASSIGN_OR_RETURN(const Fields one, Fields::Of(*thinking, "thinking."));
  ASSIGN_OR_RETURN(const std::string type, one.Text("type"));
  if (type == "disabled") {
    request.thinking_tokens = 0;
    return {};
  }
  if (type != "enabled") return Unknown("thinking.type", "\"enabled\" or \"disabled\"", type);
  RETURN_IF_ERROR(Needed(one, "budget_tokens", "a number of tokens"));
  ASSIGN_OR_RETURN(request.thinking_tokens, one.Count32("budget_tokens"));
  return {};
}

Result<> DecodeOutput(const Fields& fields, ChatRequest& request) {
  const Json* output = fields.Find("output_config");
  if (output == nullptr) return {};
  ASSIGN_OR_RETURN(const Fields one, Fields::Of(*output, "output_config."));
  RETURN_IF_ERROR(one.Refuse("task_budget", "not every vendor can do this"));
  ASSIGN_OR_RETURN(request.reasoning_effort, one.TextOr("effort", ""));
  const Json* format = one.Find("format");
  if (format == nullptr) return {};
  ASSIGN_OR_RETURN(const Fields inner, Fields::Of(*format, "output_config.format."));
  ASSIGN_OR_RETURN(const std::string type, inner.Text("type"));
  if (type != "json_schema") return Unknown(inner.Place("type"), "\"json_schema\"", type);
  RETURN_IF_ERROR(Needed(inner, "schema", "a JSON schema"));
  ChatFormat made;
  made.kind = ChatFormat::Kind::kJsonSchema;
  made.name = "answer";  // OpenAI wants one, Anthropic has none
  ASSIGN_OR_RETURN(made.schema, ObjectText(inner, "schema"));
  made.strict = true;
  request.format = std::move(made);
  return {};
}

Result<> RefuseOthers(const Fields& fields) {
  RETURN_IF_ERROR(fields.Refuse("mcp_servers", "MCP servers are not called here"));
  for (const char* name : {"container", "context_management", "inference_geo", "speed",
                           "output_format", "cache_control"}) {
    RETURN_IF_ERROR(fields.Refuse(name, "this is not passed on, as not every vendor can do it"));
  }
  ASSIGN_OR_RETURN(const std::string tier, fields.TextOr("service_tier", "auto"));
  if (tier == "auto" || tier == "standard_only") return {};
  return Unknown("service_tier", "\"auto\" or \"standard_only\"", tier);
}

Result<> DecodeMetadata(const Fields& fields, ChatRequest& request) {
  const Json* metadata = fields.Find("metadata");
  if (metadata == nullptr) return {};
  ASSIGN_OR_RETURN(const Fields one, Fields::Of(*metadata, "metadata."));
  ASSIGN_OR_RETURN(request.user, one.TextOr("user_id", ""));
  return {};
}

// What both routes have.
Result<ChatRequest> DecodeCommon(const Fields& fields) {
  ChatRequest request;
  ASSIGN_OR_RETURN(request.model, fields.TextOr("model", ""));
  RETURN_IF_ERROR(DecodeSystem(fields, request));
  ASSIGN_OR_RETURN(const Json* const list, fields.List("messages"));
  if (list == nullptr || list->empty()) {
    return FailAt("messages", Code::kInvalidArgument, "expected at least one message");
  }
  for (std::size_t i = 0; i < list->size(); ++i) {
    RETURN_IF_ERROR(DecodeMessage((*list)[i], fmt::format("messages[{}]", i), request.messages));
  }
  RETURN_IF_ERROR(RefuseOthers(fields));
  RETURN_IF_ERROR(DecodeTools(fields, request));
  RETURN_IF_ERROR(DecodeToolChoice(fields, request));
  RETURN_IF_ERROR(DecodeThinking(fields, request));
  RETURN_IF_ERROR(DecodeOutput(fields, request));
  return request;
}

}  // namespace

Result<AnthropicCall> DecodeAnthropicMessages(const Json& body) {
  ASSIGN_OR_RETURN(const Fields fields, Fields::Of(body));
  AnthropicCall call;
  ASSIGN_OR_RETURN(call.request, DecodeCommon(fields));
  ChatRequest& request = call.request;
  RETURN_IF_ERROR(Needed(fields, "max_tokens", "the most tokens of an answer"));
  ASSIGN_OR_RETURN(request.max_tokens, fields.Count32("max_tokens"));
  ASSIGN_OR_RETURN(request.temperature, fields.Number("temperature", 0, 1));
  ASSIGN_OR_RETURN(request.top_p, fields.Number("top_p", 0, 1));
  ASSIGN_OR_RETURN(request.top_k, fields.Count32("top_k"));
  if (fields.Find("stop_sequences") != nullptr) {
    ASSIGN_OR_RETURN(request.stop, fields.Texts("stop_sequences"));
  }
  for (const std::string& text : request.stop) {
    if (text.empty()) {
      return FailAt("stop_sequences", Code::kInvalidArgument, "expected texts that are not empty");
    }
  }
  RETURN_IF_ERROR(DecodeMetadata(fields, request));
  ASSIGN_OR_RETURN(call.stream, fields.FlagOr("stream", false));
  return call;
}

Result<ChatRequest> DecodeAnthropicCountTokens(const Json& body) {
  ASSIGN_OR_RETURN(const Fields fields, Fields::Of(body));
  return DecodeCommon(fields);
}

}  // namespace garrison
