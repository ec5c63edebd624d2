#include "providers/chat_vendor.h"

#include <algorithm>
#include <variant>

namespace garrison {
namespace {

// Images have a price of their own: their bytes are no text.
void CountImage(const ChatImage& image, AttemptBound& bound) {
  ++bound.images;
  bound.tokens -= std::min<std::uint64_t>(bound.tokens, image.data.size());
}

void CountImages(const ChatPart& part, AttemptBound& bound) {
  if (const auto* image = std::get_if<ChatImage>(&part.value)) CountImage(*image, bound);
  const auto* result = std::get_if<ChatToolResult>(&part.value);
  if (result == nullptr) return;
  for (const auto& content : result->content) {
    if (const auto* image = std::get_if<ChatImage>(&content)) CountImage(*image, bound);
  }
}

bool AsksToCache(const ChatRequest& request) {
  const auto asks = [](const auto& part) { return !part.cache_control.empty(); };
  return std::any_of(request.tools.begin(), request.tools.end(), asks) ||
         std::any_of(request.messages.begin(), request.messages.end(), [&](const auto& message) {
           return std::any_of(message.parts.begin(), message.parts.end(), asks);
         });
}

}  // namespace

Result<HttpCall> ChatVendor::MakeCount(const ChatRequest&) const {
  return Fail(Code::kUnimplemented, "{} does not count tokens for nothing", provider());
}

Result<std::uint64_t> ChatVendor::DecodeCount(const HttpReply&) const {
  return Fail(Code::kUnimplemented, "{} does not count tokens for nothing", provider());
}

AttemptBound BoundOf(const ChatVendor& vendor, const ChatRequest& request, std::string_view body) {
  AttemptBound bound{.provider = vendor.provider(), .model = vendor.model(), .kind = "chat"};
  bound.tokens = body.size();
  bound.tools = request.tools.size();
  for (const ChatMessage& message : request.messages) {
    // Some vendors take each tool's result as a message of its own.
    bound.messages +=
        message.role == ChatRole::kTool ? std::max<std::size_t>(1, message.parts.size()) : 1;
    for (const ChatPart& part : message.parts) CountImages(part, bound);
  }
  bound.output_tokens = request.max_tokens.value_or(0);
  bound.cache_writes = vendor.caches_unasked() || AsksToCache(request);
  return bound;
}

}  // namespace garrison
