// One vendor's way of answering conversations: how a request looks, and how its stream is read.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "core/attempt_gate.h"
#include "core/chat.h"
#include "net/http_client.h"
#include "wire/upstream.h"
#include "wire/upstream_chat.h"

namespace garrison {

// Thread-safe.
class ChatVendor {
 public:
  virtual ~ChatVendor() = default;
  virtual const std::string& provider() const = 0;  // "openai"
  virtual const std::string& model() const = 0;
  // REQUIRES: max_tokens is set. INVALID_ARGUMENT naming the field for what this vendor, or this
  // model of its, cannot do.
  virtual Result<std::string> Encode(const ChatRequest& request) const = 0;
  // `body`: of Encode().
  virtual Result<HttpCall> MakeCall(const std::string& body,
                                    const RequestContext& context) const = 0;
  virtual UpstreamFailure Failure(const HttpReply& reply) const = 0;
  virtual std::unique_ptr<EventDecoder> MakeEvents() const { return MakeSseDecoder(); }
  virtual std::unique_ptr<UpstreamChatDecoder> MakeDecoder() const = 0;
  // Whether it may keep a prompt, and bill that, without being asked to by cache_control.
  virtual bool caches_unasked() const { return true; }

  // The vendor's own count of a request's tokens. UNIMPLEMENTED where it has none, or not for
  // nothing.
  virtual Result<HttpCall> MakeCount(const ChatRequest& request) const;
  virtual Result<std::uint64_t> DecodeCount(const HttpReply& reply) const;
};

// The most that one attempt with that body can use: a byte of it is at most one token. REQUIRES:
// max_tokens is set.
AttemptBound BoundOf(const ChatVendor& vendor, const ChatRequest& request, std::string_view body);

}  // namespace garrison
