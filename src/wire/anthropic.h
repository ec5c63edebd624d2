// Anthropic's Messages to and from core types, for clients that speak it. Pure: no input or output.
#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "core/chat.h"
#include "wire/chat_stream.h"

namespace garrison {

struct AnthropicCall {
  ChatRequest request;
  bool stream = false;
};

// Body of POST /v1/messages. INVALID_ARGUMENT names the field at fault. What would change the price
// or the meaning and cannot be kept (documents, server tools, MCP servers, service_tier other than
// auto or standard_only) is refused, not dropped.
Result<AnthropicCall> DecodeAnthropicMessages(const nlohmann::json& body);
// Body of POST /v1/messages/count_tokens: the same without max_tokens.
Result<ChatRequest> DecodeAnthropicCountTokens(const nlohmann::json& body);

struct AnthropicReplyName {
  std::string id;  // "msg_..."
  std::string model;
};

std::string EncodeAnthropicMessage(const AnthropicReplyName& name, std::span<const ChatPart> parts,
                                   const ChatOutcome& outcome);
// {"input_tokens": n}
std::string EncodeAnthropicCount(std::uint64_t tokens);

// message_start, content_block_*, message_delta, message_stop; a failure is an event "error".
std::unique_ptr<ChatStreamEncoder> MakeAnthropicStream(AnthropicReplyName name);

// {"type":"error","error":{"type","message"},"request_id"}; `type` by the status, as Anthropic
// names them (529: overloaded_error).
std::string EncodeAnthropicError(const Error& error, int status, std::string_view request_id);

}  // namespace garrison
