#include "providers/remote_chat_model.h"

#include <algorithm>
#include <atomic>
#include <utility>

namespace garrison {

RemoteChatModel::RemoteChatModel(std::shared_ptr<const ChatVendor> vendor,
                                 std::shared_ptr<ChatUpstream> upstream,
                                 std::shared_ptr<Upstream> counting,
                                 const RemoteChatOptions& options)
    : vendor_(std::move(vendor)),
      upstream_(std::move(upstream)),
      counting_(std::move(counting)),
      options_(options),
      id_(vendor_->provider() + "/" + vendor_->model()) {}

Result<ChatRequest> RemoteChatModel::Limited(const ChatRequest& request) const {
  ChatRequest limited = request;
  const std::uint64_t asked =
      request.max_tokens
          ? *request.max_tokens
          // Thoughts count as output: what a request grants them is not taken from the answer.
          : std::uint64_t{options_.max_tokens} + request.thinking_tokens.value_or(0);
  if (asked < 1 || asked > options_.max_tokens_limit) {
    return FailAt("max_tokens", Code::kInvalidArgument,
                  "expected 1 to {} (chat.max_tokens_limit), thoughts included; got {}",
                  options_.max_tokens_limit, asked);
  }
  limited.max_tokens = static_cast<std::uint32_t>(asked);
  return limited;
}

Result<ChatOutcome> RemoteChatModel::Answer(const ChatRequest& request, ChatSink& sink,
                                            const RequestContext& context) const {
  ChatAttempts attempts;
  return Answer(request, sink, context, "", attempts);
}

Result<ChatOutcome> RemoteChatModel::Answer(const ChatRequest& request, ChatSink& sink,
                                            const RequestContext& context, std::string_view parent,
                                            ChatAttempts& attempts) const {
  ASSIGN_OR_RETURN(const ChatRequest limited, Limited(request));
  ASSIGN_OR_RETURN(std::string body, vendor_->Encode(limited));
  ChatCall call{*vendor_, BoundOf(*vendor_, limited, body), ""};
  call.bound.parent = parent;
  call.body = std::move(body);
  return upstream_->Run(call, sink, context, attempts);
}

Result<std::uint64_t> RemoteChatModel::CountTokens(const ChatRequest& request,
                                                   const RequestContext& context) const {
  ASSIGN_OR_RETURN(const ChatRequest limited, Limited(request));
  ASSIGN_OR_RETURN(const HttpCall http, vendor_->MakeCount(limited));
  std::uint64_t count = 0;
  UpstreamCall call;
  call.bound = {.provider = vendor_->provider(), .model = vendor_->model(), .kind = "count"};
  call.make = [&](const RequestContext&) { return Result<HttpCall>(http); };
  call.failure = [&](const HttpReply& reply) { return vendor_->Failure(reply); };
  call.accept = [&](const HttpReply& reply) -> Result<AttemptUse> {
    ASSIGN_OR_RETURN(count, vendor_->DecodeCount(reply));
    return AttemptUse{};
  };
  CallTally tally;
  RETURN_IF_ERROR(counting_->Run(call, context, tally));
  return count;
}

}  // namespace garrison
