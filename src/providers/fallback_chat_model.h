// A language model that others stand in for when it fails before it has said anything.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/log.h"
#include "core/chat.h"
#include "providers/remote_chat_model.h"
#include "wire/upstream.h"

namespace garrison {

struct ChatFallbackOptions {
  std::vector<FailureClass> on;              // failures after which the next one is asked
  std::chrono::milliseconds total{600'000};  // for all of them together
};

class FallbackChatModel final : public ChatModel {
 public:
  // `models` are asked in turn, the first is the one that stands for all. `clock` and `logger` must
  // outlive the model.
  FallbackChatModel(std::vector<std::shared_ptr<const RemoteChatModel>> models,
                    ChatFallbackOptions options, const Clock& clock, Logger& logger);

  const std::string& id() const override { return models_.front()->id(); }
  // The first one's error, with what became of each fallback, when none could answer.
  Result<ChatOutcome> Answer(const ChatRequest& request, ChatSink& sink,
                             const RequestContext& context) const override;
  Result<std::uint64_t> CountTokens(const ChatRequest& request,
                                    const RequestContext& context) const override {
    return models_.front()->CountTokens(request, context);
  }

 private:
  bool MovesOn(const Error& error) const;

  const std::vector<std::shared_ptr<const RemoteChatModel>> models_;
  const ChatFallbackOptions options_;
  const Clock& clock_;
  Logger& logger_;
};

}  // namespace garrison
