#include "core/chat.h"

#include <utility>

namespace garrison {

Result<> ChatCollector::Begin(const ChatServed& served) {
  served_ = served;
  return {};
}

Result<> ChatCollector::Take(const ChatEvent& event) {
  const auto last = [this]<typename Part>(Part*) -> Part* {
    return parts_.empty() ? nullptr : std::get_if<Part>(&parts_.back().value);
  };
  if (const auto* text = std::get_if<ChatTextDelta>(&event)) {
    if (ChatText* const before = last(static_cast<ChatText*>(nullptr))) {
      before->text += text->text;
    } else {
      parts_.push_back({ChatText{text->text}});
    }
  } else if (const auto* thought = std::get_if<ChatThinkingDelta>(&event)) {
    ChatThinking* const before = last(static_cast<ChatThinking*>(nullptr));
    // A signature ends a thought; a redacted one stands alone.
    if (before != nullptr && before->signature.empty() && before->redacted.empty() &&
        thought->redacted.empty()) {
      before->text += thought->text;
      before->signature = thought->signature;
    } else {
      parts_.push_back({ChatThinking{thought->text, thought->signature, thought->redacted}});
    }
  } else if (const auto* start = std::get_if<ChatToolStart>(&event)) {
    parts_.push_back({ChatToolCall{start->id, start->name, ""}});
  } else if (ChatToolCall* const call = last(static_cast<ChatToolCall*>(nullptr))) {
    call->arguments += std::get<ChatToolArguments>(event).json;
  }
  return {};
}

}  // namespace garrison
