// How vendors are asked for an answer of a language model, and how what they stream becomes events.
// Pure: no input or output. Nothing that a vendor sends is trusted.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "core/chat.h"
#include "wire/upstream.h"

namespace garrison {

// What tells OpenAI, DeepSeek and others that speak its shape apart.
struct OpenAiChatForm {
  bool max_completion_tokens = true;  // false: the older max_tokens
  bool reasoning_content = false;     // thoughts of earlier turns are sent back (DeepSeek: never)
};

// The body of POST .../chat/completions, always streamed and with usage. REQUIRES: max_tokens is
// set. INVALID_ARGUMENT naming the field for what OpenAI's shape cannot say.
Result<std::string> EncodeUpstreamOpenAiChat(std::string_view model, const ChatRequest& request,
                                             const OpenAiChatForm& form);

struct AnthropicForm {
  bool bedrock = false;     // without model and stream, with anthropic_version
  bool count = false;       // of /v1/messages/count_tokens
  bool sampling = true;     // the model takes temperature, top_p and top_k
  bool forced_tool = true;  // the model takes a tool_choice that forces one
};

// The body of POST /v1/messages, always streamed. As above.
Result<std::string> EncodeUpstreamAnthropic(std::string_view model, const ChatRequest& request,
                                            const AnthropicForm& form);

// One answer as it is streamed. One thread at a time. Errors are UNAVAILABLE ("bad_reply"): the
// answer cannot be used, or not any further; the vendor's own error within a stream is that of
// `failure()` too.
class UpstreamChatDecoder {
 public:
  virtual ~UpstreamChatDecoder() = default;
  // One server-sent event: appends what it means to `events`.
  virtual Result<> Decode(std::string_view name, std::string_view data,
                          std::vector<ChatEvent>& events) = 0;
  // A whole answer that was not streamed, as some servers give all the same.
  virtual Result<> DecodeWhole(std::string_view body, std::vector<ChatEvent>& events) = 0;
  // The orderly end has come: OpenAI's [DONE] behind a finish reason, Anthropic's message_stop.
  // What comes behind it is ignored.
  virtual bool finished() const = 0;
  // After it, or as far as it is known before: usage is at least this.
  virtual const ChatEnd& end() const = 0;
  virtual const std::string& model() const = 0;
  virtual const std::string& id() const = 0;
  // Set when the vendor said within the stream that it failed.
  virtual const std::optional<UpstreamFailure>& failure() const = 0;
};

std::unique_ptr<UpstreamChatDecoder> MakeOpenAiChatDecoder(std::vector<std::string> secrets);
std::unique_ptr<UpstreamChatDecoder> MakeAnthropicDecoder(std::vector<std::string> secrets);

// Of a reply with another status than 200. Anthropic's 429 with enforced_spend_limit_reached, its
// 402 and DeepSeek's are kBilling. (OpenAI's: DecodeUpstreamOpenAiFailure.)
UpstreamFailure DecodeUpstreamAnthropicFailure(int status, std::string_view body,
                                               std::span<const std::string> secrets);
// {"input_tokens": n}
Result<std::uint64_t> DecodeUpstreamAnthropicCount(std::string_view body);

struct StreamEvent {
  std::string name;  // "message" if the stream names none
  std::string data;
};

// Cuts bytes, in pieces of any size, into events. Comments, blank lines and events without data are
// nothing.
class EventDecoder {
 public:
  virtual ~EventDecoder() = default;
  // UNAVAILABLE for what is no such stream, and for an event of more than 16 MiB.
  virtual Result<> Add(std::string_view bytes, std::vector<StreamEvent>& events) = 0;
  // Nothing more comes: UNAVAILABLE if it ends within an event.
  virtual Result<> Finish(std::vector<StreamEvent>& events) = 0;
};

// text/event-stream, by the rules of the HTML standard: any line ends, UTF-8 split anywhere, a byte
// order mark at the beginning.
std::unique_ptr<EventDecoder> MakeSseDecoder();
// application/vnd.amazon.eventstream: frames with two CRC-32 each. A frame "chunk" becomes the JSON
// event that its "bytes" hold, under that event's own "type"; an exception becomes an event
// "exception:NAME" with its payload as the data.
std::unique_ptr<EventDecoder> MakeAwsEventDecoder();

}  // namespace garrison
