// Bodies of chats, in both dialects: what decodes can be asked of every vendor, or is refused with
// an error that names a field; what is asked is JSON.
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "core/json.h"
#include "wire/anthropic.h"
#include "wire/openai_chat.h"
#include "wire/upstream_chat.h"

namespace {

using namespace garrison;

void CheckSent(const Result<std::string>& body) {
  if (body) {
    CHECK(ParseJson(*body, 160).has_value());
  } else {
    CHECK(body.error().code == Code::kInvalidArgument && !body.error().where.empty());
  }
}

void Ask(ChatRequest request) {
  CHECK(!request.messages.empty());
  if (!request.max_tokens) request.max_tokens = 16;
  for (const bool flag : {false, true}) {
    CheckSent(EncodeUpstreamOpenAiChat("m", request, {flag, flag}));
    CheckSent(EncodeUpstreamAnthropic("m", request, {flag, false, flag, flag}));
  }
  CheckSent(EncodeUpstreamAnthropic("m", request, {.count = true}));
}

template <typename Call>
void CheckError(const Result<Call>& call) {
  if (call) return;
  CHECK(call.error().code == Code::kInvalidArgument);
  CHECK(ParseJson(EncodeAnthropicError(call.error(), 400, "r"), 8).has_value());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto body = ParseJson({reinterpret_cast<const char*>(data), size}, 64);
  if (!body) return 0;
  const auto chat = DecodeOpenAiChat(*body);
  CheckError(chat);
  if (chat) Ask(chat->request);
  const auto completion = DecodeOpenAiCompletion(*body);
  CheckError(completion);
  if (completion) Ask(completion->request);
  const auto messages = DecodeAnthropicMessages(*body);
  CheckError(messages);
  if (messages) Ask(messages->request);
  const auto count = DecodeAnthropicCountTokens(*body);
  CheckError(count);
  if (count) Ask(*count);
  return 0;
}
