// OpenAI's chat and text completions to and from core types. Pure: no input or output.
#pragma once

#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "core/chat.h"
#include "wire/chat_stream.h"

namespace garrison {

struct OpenAiChatCall {
  ChatRequest request;
  bool stream = false;
  bool include_usage = false;  // a last chunk with the usage
  bool echo_prompt = false;    // of /v1/completions
  std::string prompt;          // of /v1/completions
};

// Body of POST /v1/chat/completions. INVALID_ARGUMENT names the field at fault
// ("messages[2].role"). What would change the price or the meaning and cannot be kept (n above 1,
// audio, logprobs, files, web search, service_tier other than auto or default) is refused, not
// dropped; fields without either (user, metadata, store) may be.
Result<OpenAiChatCall> DecodeOpenAiChat(const nlohmann::json& body);
// Body of POST /v1/completions: the prompt, one text, becomes a message of the user.
Result<OpenAiChatCall> DecodeOpenAiCompletion(const nlohmann::json& body);

struct ChatReplyName {
  std::string id;  // "chatcmpl-..."
  std::string model;
  std::int64_t created = 0;  // seconds since 1970
};

// `parts` as ChatCollector gathers them. Thoughts become reasoning_content, as DeepSeek has it.
std::string EncodeOpenAiChat(const ChatReplyName& name, std::span<const ChatPart> parts,
                             const ChatOutcome& outcome);
std::string EncodeOpenAiCompletion(const ChatReplyName& name, const OpenAiChatCall& call,
                                   std::span<const ChatPart> parts, const ChatOutcome& outcome);

// A chunk with the role, chunks, one with the finish reason, the usage if wanted, [DONE]. A failure
// is an event {"error":{...}} of OpenAI's shape, without [DONE].
std::unique_ptr<ChatStreamEncoder> MakeOpenAiChatStream(ChatReplyName name, bool include_usage);
std::unique_ptr<ChatStreamEncoder> MakeOpenAiCompletionStream(ChatReplyName name,
                                                              const OpenAiChatCall& call);

}  // namespace garrison
