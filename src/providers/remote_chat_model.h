// A vendor's language model.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "core/chat.h"
#include "providers/chat_upstream.h"
#include "providers/chat_vendor.h"
#include "providers/upstream.h"

namespace garrison {

struct RemoteChatOptions {
  std::uint32_t max_tokens = 1024;        // of answers whose request names no number
  std::uint32_t max_tokens_limit = 8192;  // that a request may name
};

class RemoteChatModel final : public ChatModel {
 public:
  // `counting`: for calls that cost nothing.
  RemoteChatModel(std::shared_ptr<const ChatVendor> vendor, std::shared_ptr<ChatUpstream> upstream,
                  std::shared_ptr<Upstream> counting, const RemoteChatOptions& options);

  const std::string& id() const override { return id_; }
  Result<ChatOutcome> Answer(const ChatRequest& request, ChatSink& sink,
                             const RequestContext& context) const override;
  // The same as one of several that are asked in turn. `parent`: as AttemptBound has it.
  Result<ChatOutcome> Answer(const ChatRequest& request, ChatSink& sink,
                             const RequestContext& context, std::string_view parent,
                             ChatAttempts& attempts) const;
  Result<std::uint64_t> CountTokens(const ChatRequest& request,
                                    const RequestContext& context) const override;

 private:
  // With a number of tokens for the answer, whatever the request says.
  Result<ChatRequest> Limited(const ChatRequest& request) const;

  const std::shared_ptr<const ChatVendor> vendor_;
  const std::shared_ptr<ChatUpstream> upstream_;
  const std::shared_ptr<Upstream> counting_;
  const RemoteChatOptions options_;
  const std::string id_;
};

}  // namespace garrison
