// What is asked of vendors that speak OpenAI's shape.
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

OrderedJson TextPart(std::string_view text) { return {{"type", "text"}, {"text", text}}; }

OrderedJson ImagePart(const ChatImage& image) {
  OrderedJson url = {{"url", image.url.empty()
                                 ? fmt::format("data:{};base64,{}", image.media_type, image.data)
                                 : image.url}};
  if (!image.detail.empty()) url["detail"] = image.detail;
  return {{"type", "image_url"}, {"image_url", std::move(url)}};
}

// The plain string where one part is all there is: some servers take nothing else.
OrderedJson Content(OrderedJson parts) {
  if (parts.size() == 1 && parts.front()["type"] == "text") return parts.front()["text"];
  return parts;
}

Result<OrderedJson> PromptMessage(const ChatMessage& message, const std::string& where) {
  OrderedJson parts = OrderedJson::array();
  for (const ChatPart& part : message.parts) {
    if (const auto* text = std::get_if<ChatText>(&part.value)) {
      parts.push_back(TextPart(text->text));
    } else if (const auto* image = std::get_if<ChatImage>(&part.value);
               image != nullptr && message.role == ChatRole::kUser) {
      parts.push_back(ImagePart(*image));
    } else {
      return Cannot(where, "a part of this message has no place in this role");
    }
  }
  return OrderedJson{{"role", message.role == ChatRole::kUser ? "user" : "system"},
                     {"content", Content(std::move(parts))}};
}

Result<OrderedJson> AssistantMessage(const ChatMessage& message, const OpenAiChatForm& form,
                                     const std::string& where) {
  OrderedJson parts = OrderedJson::array();
  OrderedJson calls = OrderedJson::array();
  std::string thoughts;
  for (const ChatPart& part : message.parts) {
    if (const auto* text = std::get_if<ChatText>(&part.value)) {
      parts.push_back(TextPart(text->text));
    } else if (const auto* call = std::get_if<ChatToolCall>(&part.value)) {
      calls.push_back({{"id", call->id},
                       {"type", "function"},
                       {"function", {{"name", call->name}, {"arguments", call->arguments}}}});
    } else if (const auto* thought = std::get_if<ChatThinking>(&part.value)) {
      thoughts += thought->text;
    } else {
      return Cannot(where, "an assistant's message holds texts, thoughts and tool calls");
    }
  }
  OrderedJson json = {{"role", "assistant"}};
  // What was only thought is no message, but leaves the turns in their order.
  json["content"] = !parts.empty()  ? Content(std::move(parts))
                    : calls.empty() ? OrderedJson("")
                                    : OrderedJson(nullptr);
  if (form.reasoning_content && !thoughts.empty()) json["reasoning_content"] = std::move(thoughts);
  if (!calls.empty()) json["tool_calls"] = std::move(calls);
  return json;
}

Result<> AppendToolMessages(const ChatMessage& message, const std::string& where,
                            OrderedJson& messages) {
  for (const ChatPart& part : message.parts) {
    const auto* result = std::get_if<ChatToolResult>(&part.value);
    if (result == nullptr) return Cannot(where, "a tool's message holds results only");
    OrderedJson parts = OrderedJson::array();
    for (const auto& piece : result->content) {
      const auto* text = std::get_if<ChatText>(&piece);
      if (text == nullptr) return Cannot(where, "this model takes no images as a tool's result");
      parts.push_back(TextPart(text->text));
    }
    if (parts.empty()) parts.push_back(TextPart(""));
    // There is no flag for an error: the text says it.
    messages.push_back({{"role", "tool"},
                        {"tool_call_id", result->call_id},
                        {"content", Content(std::move(parts))}});
  }
  return {};
}

Result<OrderedJson> Messages(const ChatRequest& request, const OpenAiChatForm& form) {
  OrderedJson messages = OrderedJson::array();
  for (std::size_t i = 0; i < request.messages.size(); ++i) {
    const ChatMessage& message = request.messages[i];
    const std::string where = fmt::format("messages[{}]", i);
    if (message.role == ChatRole::kTool) {
      RETURN_IF_ERROR(AppendToolMessages(message, where, messages));
      continue;
    }
    Result<OrderedJson> json = message.role == ChatRole::kAssistant
                                   ? AssistantMessage(message, form, where)
                                   : PromptMessage(message, where);
    if (!json) return tl::unexpected(std::move(json).error());
    messages.push_back(*std::move(json));
  }
  return messages;
}

void AddTools(const ChatRequest& request, OrderedJson& body) {
  if (!request.tools.empty()) {
    OrderedJson tools = OrderedJson::array();
    for (const ChatTool& tool : request.tools) {
      OrderedJson function = {{"name", tool.name}};
      if (!tool.description.empty()) function["description"] = tool.description;
      function["parameters"] = ObjectOf(tool.schema);
      if (tool.strict) function["strict"] = *tool.strict;
      tools.push_back({{"type", "function"}, {"function", std::move(function)}});
    }
    body["tools"] = std::move(tools);
    if (request.parallel_tool_calls) body["parallel_tool_calls"] = *request.parallel_tool_calls;
  }
  if (!request.tool_choice) return;
  switch (request.tool_choice->mode) {
    case ChatToolChoice::Mode::kAuto:
      // Refused by OpenAI without tools, and what happens anyhow.
      if (!request.tools.empty()) body["tool_choice"] = "auto";
      break;
    case ChatToolChoice::Mode::kNone:
      if (!request.tools.empty()) body["tool_choice"] = "none";
      break;
    case ChatToolChoice::Mode::kRequired:
      body["tool_choice"] = "required";
      break;
    case ChatToolChoice::Mode::kNamed:
      body["tool_choice"] = {{"type", "function"},
                             {"function", {{"name", request.tool_choice->name}}}};
      break;
  }
}

void AddFormat(const ChatFormat& format, OrderedJson& body) {
  switch (format.kind) {
    case ChatFormat::Kind::kText:
      return;
    case ChatFormat::Kind::kJsonObject:
      body["response_format"] = {{"type", "json_object"}};
      return;
    case ChatFormat::Kind::kJsonSchema:
      break;
  }
  OrderedJson schema = {{"name", format.name}, {"schema", ObjectOf(format.schema)}};
  if (format.strict) schema["strict"] = *format.strict;
  body["response_format"] = {{"type", "json_schema"}, {"json_schema", std::move(schema)}};
}

void AddSampling(const ChatRequest& request, OrderedJson& body) {
  if (request.temperature) body["temperature"] = *request.temperature;
  if (request.top_p) body["top_p"] = *request.top_p;
  if (request.presence_penalty) body["presence_penalty"] = *request.presence_penalty;
  if (request.frequency_penalty) body["frequency_penalty"] = *request.frequency_penalty;
  if (request.seed) body["seed"] = *request.seed;
  if (!request.stop.empty()) body["stop"] = request.stop;
}

}  // namespace

Result<std::string> EncodeUpstreamOpenAiChat(std::string_view model, const ChatRequest& request,
                                             const OpenAiChatForm& form) {
  CHECK(request.max_tokens.has_value());
  if (request.top_k) return Cannot("top_k", "this model does not take it");
  // "Off" needs no words: these models think by reasoning_effort, if at all.
  if (request.thinking_tokens.value_or(0) > 0) {
    return Cannot("thinking", "this model does not think by a number of tokens");
  }
  OrderedJson body = {{"model", model}};
  ASSIGN_OR_RETURN(body["messages"], Messages(request, form));
  body[form.max_completion_tokens ? "max_completion_tokens" : "max_tokens"] = *request.max_tokens;
  AddSampling(request, body);
  AddTools(request, body);
  if (request.format) AddFormat(*request.format, body);
  if (!request.reasoning_effort.empty()) body["reasoning_effort"] = request.reasoning_effort;
  if (!request.user.empty()) body["user"] = request.user;
  body["stream"] = true;
  body["stream_options"] = {{"include_usage", true}};
  return DumpJson(body);
}

}  // namespace garrison
