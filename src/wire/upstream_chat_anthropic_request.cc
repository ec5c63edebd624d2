// What is asked of Anthropic's models, also by way of Bedrock.
#include <fmt/format.h>

#include <string>
#include <utility>
#include <variant>

#include "base/check.h"
#include "core/json.h"
#include "wire/chat_json.h"
#include "wire/upstream_chat.h"

namespace garrison {
namespace {

using OrderedJson = nlohmann::ordered_json;

tl::unexpected<Error> Cannot(std::string where, std::string_view why) {
  return FailAt(std::move(where), Code::kInvalidArgument, "{}", why);
}

void AddCacheControl(const std::string& cache_control, OrderedJson& block) {
  if (!cache_control.empty()) block["cache_control"] = ObjectOf(cache_control);
}

// OpenAI's "detail" has no counterpart: the size of the image is what decides.
OrderedJson ImageBlock(const ChatImage& image) {
  OrderedJson source;
  if (!image.url.empty()) {
    source = {{"type", "url"}, {"url", image.url}};
  } else {
    source = {{"type", "base64"}, {"media_type", image.media_type}, {"data", image.data}};
  }
  return {{"type", "image"}, {"source", std::move(source)}};
}

OrderedJson TextBlock(std::string_view text) { return {{"type", "text"}, {"text", text}}; }

OrderedJson ResultBlock(const ChatToolResult& result) {
  OrderedJson content = OrderedJson::array();
  for (const auto& piece : result.content) {
    if (const auto* image = std::get_if<ChatImage>(&piece)) {
      content.push_back(ImageBlock(*image));
    } else if (const auto& text = std::get<ChatText>(piece).text; !text.empty()) {
      content.push_back(TextBlock(text));
    }
  }
  OrderedJson block = {{"type", "tool_result"}, {"tool_use_id", result.call_id}};
  if (!content.empty()) block["content"] = std::move(content);
  if (result.is_error) block["is_error"] = true;
  return block;
}

// Null for what Anthropic does not take: an empty text, a thought that nobody has signed. Both come
// from other vendors' answers.
OrderedJson BlockOf(const ChatPart& part) {
  OrderedJson block;
  if (const auto* text = std::get_if<ChatText>(&part.value)) {
    if (text->text.empty()) return nullptr;
    block = TextBlock(text->text);
  } else if (const auto* image = std::get_if<ChatImage>(&part.value)) {
    block = ImageBlock(*image);
  } else if (const auto* call = std::get_if<ChatToolCall>(&part.value)) {
    block = {{"type", "tool_use"},
             {"id", call->id},
             {"name", call->name},
             {"input", ToolInput(call->arguments)}};
  } else if (const auto* result = std::get_if<ChatToolResult>(&part.value)) {
    block = ResultBlock(*result);
  } else {
    const auto& thought = std::get<ChatThinking>(part.value);
    if (!thought.redacted.empty()) {
      return {{"type", "redacted_thinking"}, {"data", thought.redacted}};
    }
    if (thought.signature.empty()) return nullptr;
    return {{"type", "thinking"}, {"thinking", thought.text}, {"signature", thought.signature}};
  }
  AddCacheControl(part.cache_control, block);
  return block;
}

bool Fits(const ChatPart& part, ChatRole role) {
  const auto& value = part.value;
  switch (role) {
    case ChatRole::kSystem:
      return std::holds_alternative<ChatText>(value);
    case ChatRole::kUser:
      return std::holds_alternative<ChatText>(value) || std::holds_alternative<ChatImage>(value);
    case ChatRole::kAssistant:
      return !std::holds_alternative<ChatImage>(value) &&
             !std::holds_alternative<ChatToolResult>(value);
    case ChatRole::kTool:
      return std::holds_alternative<ChatToolResult>(value);
  }
  return false;
}

// Instructions stand apart, in their order, wherever they came; what follows one another from one
// side is one message.
Result<> AddMessages(const ChatRequest& request, OrderedJson& body) {
  OrderedJson system = OrderedJson::array();
  OrderedJson messages = OrderedJson::array();
  for (std::size_t i = 0; i < request.messages.size(); ++i) {
    const ChatMessage& message = request.messages[i];
    const char* const role = message.role == ChatRole::kAssistant ? "assistant" : "user";
    for (const ChatPart& part : message.parts) {
      if (!Fits(part, message.role)) {
        return Cannot(fmt::format("messages[{}]", i), "a part has no place in this role");
      }
      OrderedJson block = BlockOf(part);
      if (block.is_null()) continue;
      if (message.role == ChatRole::kSystem) {
        system.push_back(std::move(block));
        continue;
      }
      if (messages.empty() || messages.back()["role"] != role) {
        messages.push_back({{"role", role}, {"content", OrderedJson::array()}});
      }
      messages.back()["content"].push_back(std::move(block));
    }
  }
  if (messages.empty()) {
    return Cannot("messages", "expected a message with a text that is not empty");
  }
  if (!system.empty()) body["system"] = std::move(system);
  body["messages"] = std::move(messages);
  return {};
}

Result<> AddToolChoice(const ChatRequest& request, const AnthropicForm& form, OrderedJson& body) {
  using Mode = ChatToolChoice::Mode;
  const ChatToolChoice choice = request.tool_choice.value_or(ChatToolChoice{});
  const bool forced = choice.mode == Mode::kRequired || choice.mode == Mode::kNamed;
  if (forced && !form.forced_tool) {
    return Cannot("tool_choice", "this model cannot be made to use a tool; ask with \"auto\"");
  }
  if (request.tools.empty()) {
    return forced ? Result<>(Cannot("tool_choice", "there are no tools to choose from"))
                  : Result<>();
  }
  const bool single = request.parallel_tool_calls == false;
  if (!request.tool_choice && !single) return {};
  OrderedJson json;
  switch (choice.mode) {
    case Mode::kAuto:
      json = {{"type", "auto"}};
      break;
    case Mode::kNone:
      body["tool_choice"] = {{"type", "none"}};
      return {};
    case Mode::kRequired:
      json = {{"type", "any"}};
      break;
    case Mode::kNamed:
      json = {{"type", "tool"}, {"name", choice.name}};
      break;
  }
  if (single) json["disable_parallel_tool_use"] = true;
  body["tool_choice"] = std::move(json);
  return {};
}

Result<> AddTools(const ChatRequest& request, const AnthropicForm& form, OrderedJson& body) {
  OrderedJson tools = OrderedJson::array();
  for (const ChatTool& tool : request.tools) {
    OrderedJson json = {{"name", tool.name}};
    if (!tool.description.empty()) json["description"] = tool.description;
    json["input_schema"] = ObjectOf(tool.schema);
    if (tool.strict.value_or(false)) json["strict"] = true;
    AddCacheControl(tool.cache_control, json);
    tools.push_back(std::move(json));
  }
  if (!tools.empty()) body["tools"] = std::move(tools);
  return AddToolChoice(request, form, body);
}

Result<> AddSampling(const ChatRequest& request, const AnthropicForm& form, OrderedJson& body) {
  if (request.temperature.value_or(0) > 1) {
    return FailAt("temperature", Code::kInvalidArgument,
                  "expected at most 1 for this model, got {}", *request.temperature);
  }
  // What is the default anyhow need not be said, and some models refuse even that.
  if (request.presence_penalty.value_or(0) != 0) {
    return Cannot("presence_penalty", "this model does not take it");
  }
  if (request.frequency_penalty.value_or(0) != 0) {
    return Cannot("frequency_penalty", "this model does not take it");
  }
  if (request.seed) return Cannot("seed", "this model does not take it");
  if (form.sampling) {
    if (request.temperature) body["temperature"] = *request.temperature;
    if (request.top_p) body["top_p"] = *request.top_p;
    if (request.top_k) body["top_k"] = *request.top_k;
    return {};
  }
  if (request.temperature.value_or(1) != 1) {
    return Cannot("temperature", "this model takes no other than 1");
  }
  if (request.top_p.value_or(1) != 1) return Cannot("top_p", "this model takes no other than 1");
  if (request.top_k) return Cannot("top_k", "this model does not take it");
  return {};
}

void AddThinking(const ChatRequest& request, OrderedJson& body) {
  if (!request.thinking_tokens) return;
  if (*request.thinking_tokens == 0) {
    body["thinking"] = {{"type", "disabled"}};
  } else {
    body["thinking"] = {{"type", "enabled"}, {"budget_tokens", *request.thinking_tokens}};
  }
}

Result<> AddOutput(const ChatRequest& request, OrderedJson& body) {
  OrderedJson output = OrderedJson::object();
  if (const std::string& effort = request.reasoning_effort; !effort.empty()) {
    if (effort != "low" && effort != "medium" && effort != "high" && effort != "xhigh" &&
        effort != "max") {
      return FailAt("reasoning_effort", Code::kInvalidArgument,
                    "expected \"low\", \"medium\", \"high\", \"xhigh\" or \"max\" for this model, "
                    "got \"{}\"",
                    effort.substr(0, 40));
    }
    output["effort"] = effort;
  }
  if (request.format && request.format->kind == ChatFormat::Kind::kJsonObject) {
    return Cannot("response_format", "this model knows \"json_schema\" and \"text\" only");
  }
  if (request.format && request.format->kind == ChatFormat::Kind::kJsonSchema) {
    output["format"] = {{"type", "json_schema"}, {"schema", ObjectOf(request.format->schema)}};
  }
  if (!output.empty()) body["output_config"] = std::move(output);
  return {};
}

}  // namespace

Result<std::string> EncodeUpstreamAnthropic(std::string_view model, const ChatRequest& request,
                                            const AnthropicForm& form) {
  CHECK(form.count || request.max_tokens.has_value());
  OrderedJson body;
  if (form.bedrock) {
    body["anthropic_version"] = "bedrock-2023-05-31";
  } else {
    body["model"] = model;
  }
  if (!form.count) body["max_tokens"] = *request.max_tokens;
  RETURN_IF_ERROR(AddMessages(request, body));
  RETURN_IF_ERROR(AddTools(request, form, body));
  AddThinking(request, body);
  RETURN_IF_ERROR(AddOutput(request, body));
  if (form.count) return DumpJson(body);
  RETURN_IF_ERROR(AddSampling(request, form, body));
  if (!request.stop.empty()) body["stop_sequences"] = request.stop;
  if (!request.user.empty()) body["metadata"] = {{"user_id", request.user}};
  if (!form.bedrock) body["stream"] = true;
  return DumpJson(body);
}

}  // namespace garrison
