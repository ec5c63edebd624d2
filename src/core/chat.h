// Conversations with a language model, in no vendor's shape: what is asked, what comes back piece
// by piece, and the port for whoever answers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"
#include "core/money.h"
#include "core/request_context.h"

namespace garrison {

enum class ChatRole : std::uint8_t { kSystem, kUser, kAssistant, kTool };

struct ChatText {
  std::string text;
};

// Either `data` (base64, with its media type) or `url`.
struct ChatImage {
  std::string media_type;  // "image/png"
  std::string data;
  std::string url;
  std::string detail;  // OpenAI's "low", "high", "auto"; empty: not said
};

// What a model thought before it answered. `signature` lets the vendor that made it take it back;
// `redacted` is such a thought in the vendor's own cipher, with an empty text.
struct ChatThinking {
  std::string text;
  std::string signature;
  std::string redacted;
};

// The model wants a tool to be run. `arguments` is JSON, as the model wrote it: it may be broken.
struct ChatToolCall {
  std::string id;
  std::string name;
  std::string arguments;
};

// What became of it. Only texts and images.
struct ChatToolResult {
  std::string call_id;
  std::vector<std::variant<ChatText, ChatImage>> content;
  bool is_error = false;
};

struct ChatPart {
  std::variant<ChatText, ChatImage, ChatThinking, ChatToolCall, ChatToolResult> value;
  // Anthropic's cache_control as it came ("" or JSON): the prompt up to here is worth keeping.
  std::string cache_control = {};
};

// A message of kTool holds tool results only, one of kSystem texts only.
struct ChatMessage {
  ChatRole role = ChatRole::kUser;
  std::vector<ChatPart> parts;
};

struct ChatTool {
  std::string name;
  std::string description;
  std::string schema;  // JSON schema of the arguments; a JSON object
  std::optional<bool> strict;
  std::string cache_control = {};
};

struct ChatToolChoice {
  enum class Mode : std::uint8_t { kAuto, kNone, kRequired, kNamed };
  Mode mode = Mode::kAuto;
  std::string name;  // of kNamed
};

struct ChatFormat {
  enum class Kind : std::uint8_t { kText, kJsonObject, kJsonSchema };
  Kind kind = Kind::kText;
  std::string name;    // of kJsonSchema
  std::string schema;  // JSON
  std::optional<bool> strict;
};

struct ChatRequest {
  std::string model;  // as the client named it; empty: the default
  std::vector<ChatMessage> messages;
  std::vector<ChatTool> tools;
  std::optional<ChatToolChoice> tool_choice;
  std::optional<bool> parallel_tool_calls;
  // Tokens of the answer, thoughts included; unset: the gateway's own limit. Always sent upstream:
  // an answer without an end has no price.
  std::optional<std::uint32_t> max_tokens;
  std::optional<double> temperature;
  std::optional<double> top_p;
  std::optional<std::uint32_t> top_k;
  std::optional<double> presence_penalty;
  std::optional<double> frequency_penalty;
  std::optional<std::int64_t> seed;
  std::vector<std::string> stop;
  std::optional<ChatFormat> format;
  std::string reasoning_effort;  // OpenAI's; empty: not said
  // Anthropic's extended thinking; 0: off, unset: not said.
  std::optional<std::uint32_t> thinking_tokens;
  std::string user;  // an opaque name of the end user, passed on
};

// As billed. The four inputs are disjoint and add up to all tokens read.
struct ChatUsage {
  std::uint64_t input = 0;  // neither read from nor written to a cache
  std::uint64_t cache_read = 0;
  std::uint64_t cache_write = 0;     // kept for five minutes
  std::uint64_t cache_write_1h = 0;  // kept for an hour
  std::uint64_t output = 0;          // thoughts included
  std::uint64_t reasoning = 0;       // of these, thoughts
  // Made outside of tokens ("web search"); their price is unknown here.
  std::uint64_t server_tools = 0;

  std::uint64_t all_input() const { return input + cache_read + cache_write + cache_write_1h; }
  bool operator==(const ChatUsage&) const = default;
};

enum class ChatFinish : std::uint8_t {
  kStop,
  kStopSequence,
  kLength,
  kToolCalls,
  kRefusal,  // the vendor's filter, or the model itself
};

// The pieces of an answer, in order. Tool calls are numbered from 0; a call's start comes before
// its arguments, and nothing of another kind between them.
struct ChatTextDelta {
  std::string text;
};
struct ChatThinkingDelta {
  std::string text;
  std::string signature;  // comes behind the text of its thought
  std::string redacted;
};
struct ChatToolStart {
  std::size_t index = 0;
  std::string id;
  std::string name;
};
struct ChatToolArguments {
  std::size_t index = 0;
  std::string json;  // a piece of it
};
using ChatEvent = std::variant<ChatTextDelta, ChatThinkingDelta, ChatToolStart, ChatToolArguments>;

// How an answer ended.
struct ChatEnd {
  ChatFinish finish = ChatFinish::kStop;
  std::string stop_sequence;  // of kStopSequence, where the vendor says which
  ChatUsage usage;
  bool usage_known = true;  // false: the vendor did not say; `usage` is an upper bound
};

// What the guard thinks of a conversation up to some point.
struct ChatVerdict {
  // "ordinary", "suspicious turn", "alarm", "not calibrated", or "failed": the guard could not say.
  std::string_view status = "ordinary";
  double evidence = 0;  // of the last turn
  double sum = 0;       // that the alarm has gathered
  std::string advice;   // what to tell the user; empty: nothing, or guard.action is "monitor"
  std::string error;    // of "failed"
};

// Who answered, known before the first event.
struct ChatServed {
  std::string by;     // "anthropic/claude-haiku-4-5"
  std::string model;  // as the vendor names it in its reply; empty: it does not
  std::string id;     // the vendor's id of the answer; empty: none
  unsigned attempts = 0;
  // Of the conversation, before it was answered; in an outcome, with the answer if the guard looks
  // at answers. Unset: no guard.
  std::optional<ChatVerdict> verdict = std::nullopt;
};

// Takes an answer as it comes. Called by one thread at a time.
class ChatSink {
 public:
  virtual ~ChatSink() = default;
  // Once, before the first event: from here on nobody else answers.
  virtual Result<> Begin(const ChatServed& served) = 0;
  // An error (usually CANCELLED: the client has left) stops the answer upstream.
  virtual Result<> Take(const ChatEvent& event) = 0;
};

struct ChatOutcome {
  ChatServed served;
  ChatEnd end;
  std::optional<Pusd> cost;  // all attempts that were charged; unset: made here
};

// Thread-safe.
class ChatModel {
 public:
  virtual ~ChatModel() = default;
  virtual const std::string& id() const = 0;  // "openai/gpt-4o-mini"
  // The whole answer goes through `sink`; what the sink has taken stays, also after an error: it is
  // then for the front end to say that the answer is broken. INVALID_ARGUMENT naming the field for
  // what this model cannot do; CANCELLED, DEADLINE_EXCEEDED from `context`; UNAVAILABLE and others
  // as the vendor failed, `reason` "upstream_CLASS"; RESOURCE_EXHAUSTED with `reason`
  // "budget_exceeded" (or another of core/attempt_gate.h) when money is short; the sink's own.
  virtual Result<ChatOutcome> Answer(const ChatRequest& request, ChatSink& sink,
                                     const RequestContext& context) const = 0;
  // Tokens that the request has, by the vendor's own count where it offers one for nothing.
  // UNIMPLEMENTED otherwise.
  virtual Result<std::uint64_t> CountTokens(const ChatRequest& request,
                                            const RequestContext& context) const = 0;
};

struct ChatModelStatus {
  std::string id;
  std::string provider;  // "local" for the arm that is not there yet
  std::vector<std::string> aliases;
  bool available = true;
  std::string error;  // why it is not
};

// Thread-safe.
class ChatCatalog {
 public:
  virtual ~ChatCatalog() = default;
  // An empty name means the default model. NOT_FOUND names the models there are;
  // FAILED_PRECONDITION with `reason` "model_not_available" for a local model.
  virtual Result<std::shared_ptr<const ChatModel>> Find(std::string_view name) const = 0;
  virtual std::vector<ChatModelStatus> List() const = 0;
};

// Gathers an answer that is wanted whole: the sink for requests without streaming.
class ChatCollector final : public ChatSink {
 public:
  Result<> Begin(const ChatServed& served) override;
  Result<> Take(const ChatEvent& event) override;

  const ChatServed& served() const { return served_; }
  // The parts of the assistant's message: thoughts, texts, tool calls, in the order they came.
  const std::vector<ChatPart>& parts() const { return parts_; }

 private:
  ChatServed served_;
  std::vector<ChatPart> parts_;
};

}  // namespace garrison
