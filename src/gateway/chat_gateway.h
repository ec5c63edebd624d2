// What Garrison does with a conversation once it is understood, whatever the dialect: the model,
// the limits.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "core/chat.h"
#include "core/request_context.h"
#include "core/settings.h"
#include "gateway/chat_guard.h"

namespace garrison {

// Thread-safe. What it is made of must outlive it.
class ChatGateway {
 public:
  // `catalog` is null where no model chats: everything is then answered with FAILED_PRECONDITION,
  // `reason` "model_not_available". `guard` is null where nobody watches conversations.
  ChatGateway(const ChatCatalog* catalog, const LimitSettings& limits, const Clock& clock,
              const ChatGuard* guard = nullptr);

  // INVALID_ARGUMENT past limits.inputs_per_request (messages, their parts, tools, stop sequences)
  // and limits.input_bytes (one text); otherwise the errors of ChatCatalog::Find. The
  // model stands behind the guard, if there is one.
  Result<std::shared_ptr<const ChatModel>> Admit(const ChatRequest& request,
                                                 const RequestContext& context) const;

  std::vector<ChatModelStatus> Models() const;
  // NOT_FOUND when there is none of that name or alias.
  Result<ChatModelStatus> FindModel(std::string_view name) const;

 private:
  Result<> CheckText(std::string_view text, std::string_view where) const;
  Result<> CheckCount(std::size_t count, std::string_view where, std::string_view what) const;
  Result<> CheckPart(const ChatPart& part) const;
  Result<> CheckLimits(const ChatRequest& request) const;

  const ChatCatalog* const catalog_;
  const std::size_t count_max_;
  const std::size_t text_max_;
  const Clock& clock_;
  const ChatGuard* const guard_;
};

// Bytes of what a model reads of a request, without images.
std::uint64_t TextBytes(const ChatRequest& request);
// The same of a piece of an answer.
std::uint64_t TextBytes(const ChatEvent& event);

}  // namespace garrison
