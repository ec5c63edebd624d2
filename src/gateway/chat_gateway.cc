#include "gateway/chat_gateway.h"

#include <algorithm>
#include <utility>
#include <variant>

namespace garrison {
namespace {

template <typename... Ts>
struct Overloaded : Ts... {
  using Ts::operator()...;
};

// Calls `take` with each text of a part that a model reads.
template <typename Take>
void ForEachText(const ChatPart& part, Take take) {
  std::visit(Overloaded{
                 [&](const ChatText& text) { take(text.text); },
                 [](const ChatImage&) {},
                 [&](const ChatThinking& thought) { take(thought.text); },
                 [&](const ChatToolCall& call) {
                   take(call.name);
                   take(call.arguments);
                 },
                 [&](const ChatToolResult& result) {
                   for (const auto& one : result.content) {
                     if (const auto* text = std::get_if<ChatText>(&one)) take(text->text);
                   }
                 },
             },
             part.value);
}

}  // namespace

ChatGateway::ChatGateway(const ChatCatalog* catalog, const LimitSettings& limits,
                         const Clock& clock, const ChatGuard* guard)
    : catalog_(catalog),
      count_max_(static_cast<std::size_t>(limits.inputs_per_request)),
      text_max_(static_cast<std::size_t>(limits.input_bytes)),
      clock_(clock),
      guard_(guard) {}

Result<> ChatGateway::CheckText(std::string_view text, std::string_view where) const {
  if (text.size() <= text_max_) return {};
  return FailAt(std::string(where), Code::kInvalidArgument,
                "expected texts of at most {} bytes, got one of {}; see limits.input_bytes",
                text_max_, text.size());
}

Result<> ChatGateway::CheckCount(std::size_t count, std::string_view where,
                                 std::string_view what) const {
  if (count <= count_max_) return {};
  return FailAt(std::string(where), Code::kInvalidArgument,
                "expected at most {} {}, got {}; see limits.inputs_per_request", count_max_, what,
                count);
}

Result<> ChatGateway::CheckPart(const ChatPart& part) const {
  Result<> checked;
  ForEachText(part, [&](std::string_view text) {
    if (checked) checked = CheckText(text, "messages");
  });
  return checked;
}

Result<> ChatGateway::CheckLimits(const ChatRequest& request) const {
  if (request.messages.empty()) {
    return FailAt("messages", Code::kInvalidArgument, "expected at least one message");
  }
  RETURN_IF_ERROR(CheckCount(request.messages.size(), "messages", "messages"));
  std::size_t parts = 0;
  for (const ChatMessage& message : request.messages) {
    parts += message.parts.size();
    for (const ChatPart& part : message.parts) RETURN_IF_ERROR(CheckPart(part));
  }
  RETURN_IF_ERROR(CheckCount(parts, "messages", "parts of messages"));
  RETURN_IF_ERROR(CheckCount(request.tools.size(), "tools", "tools"));
  for (const ChatTool& tool : request.tools) {
    for (const std::string* text : {&tool.name, &tool.description, &tool.schema}) {
      RETURN_IF_ERROR(CheckText(*text, "tools"));
    }
  }
  RETURN_IF_ERROR(CheckCount(request.stop.size(), "stop", "stop sequences"));
  for (const std::string& stop : request.stop) RETURN_IF_ERROR(CheckText(stop, "stop"));
  if (request.format) RETURN_IF_ERROR(CheckText(request.format->schema, "response_format"));
  return {};
}

Result<std::shared_ptr<const ChatModel>> ChatGateway::Admit(const ChatRequest& request,
                                                            const RequestContext& context) const {
  RETURN_IF_ERROR(context.Check(clock_.Now()));
  RETURN_IF_ERROR(CheckLimits(request));
  if (Models().empty()) {
    auto failure =
        FailAt("model", Code::kFailedPrecondition,
               "nobody is set up who answers conversations: set chat.model, for example "
               "anthropic/claude-haiku-4-5, and anthropic.api_key; docs/chat.md has more");
    failure.value().reason = "model_not_available";
    return failure;
  }
  ASSIGN_OR_RETURN(std::shared_ptr<const ChatModel> model, catalog_->Find(request.model));
  return guard_ == nullptr ? model : guard_->Wrap(std::move(model));
}

std::vector<ChatModelStatus> ChatGateway::Models() const {
  return catalog_ == nullptr ? std::vector<ChatModelStatus>() : catalog_->List();
}

Result<ChatModelStatus> ChatGateway::FindModel(std::string_view name) const {
  for (ChatModelStatus& model : Models()) {
    const auto& aliases = model.aliases;
    if (model.id == name || std::find(aliases.begin(), aliases.end(), name) != aliases.end()) {
      return std::move(model);
    }
  }
  return FailAt("model", Code::kNotFound, "there is no model \"{}\" that chats",
                name.substr(0, 100));
}

std::uint64_t TextBytes(const ChatRequest& request) {
  std::uint64_t bytes = 0;
  for (const ChatMessage& message : request.messages) {
    for (const ChatPart& part : message.parts) {
      ForEachText(part, [&](std::string_view text) { bytes += text.size(); });
    }
  }
  for (const ChatTool& tool : request.tools) {
    bytes += tool.name.size() + tool.description.size() + tool.schema.size();
  }
  return bytes + (request.format ? request.format->schema.size() : 0);
}

std::uint64_t TextBytes(const ChatEvent& event) {
  return std::visit(Overloaded{
                        [](const ChatTextDelta& text) { return text.text.size(); },
                        [](const ChatThinkingDelta& thought) { return thought.text.size(); },
                        [](const ChatToolStart& start) { return start.name.size(); },
                        [](const ChatToolArguments& arguments) { return arguments.json.size(); },
                    },
                    event);
}

}  // namespace garrison
