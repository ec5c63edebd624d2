// Calls to one vendor whose answers are streamed: attempts until the first piece of an answer has
// been handed on, and what each may have cost.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/result.h"
#include "core/attempt_gate.h"
#include "core/chat.h"
#include "core/request_context.h"
#include "net/http_client.h"
#include "providers/chance.h"
#include "providers/chat_reader.h"
#include "providers/chat_vendor.h"
#include "providers/vendor_line.h"

namespace garrison {

// What the attempts for one request have come to, whoever made them.
struct ChatAttempts {
  unsigned count = 0;
  std::optional<Pusd> cost;
  bool begun = false;  // the sink has taken something: nobody else may answer

  void Charge(std::optional<Pusd> amount) {
    if (amount) cost = AddCapped(cost.value_or(0), *amount);
  }
};

struct ChatCall {
  const ChatVendor& vendor;
  AttemptBound bound;
  std::string body;  // of ChatVendor::Encode()
};

// Thread-safe.
class ChatUpstream {
 public:
  ChatUpstream(const UpstreamOptions& options, std::shared_ptr<HttpClient> client,
               std::shared_ptr<AttemptGate> gate, Chance chance);

  // Errors: those of FailureError(), with the vendor's time to wait as `retry_after`; CANCELLED and
  // DEADLINE_EXCEEDED from `context`; those of the gate, the sink and ChatVendor::MakeCall.
  Result<ChatOutcome> Run(const ChatCall& call, ChatSink& sink, const RequestContext& context,
                          ChatAttempts& attempts);

  CircuitBreaker::State circuit() const { return line_.circuit(); }

 private:
  AttemptVerdict Attempt(const ChatCall& call, const AttemptBound& bound, ChatSink& sink,
                         const RequestContext& context, ChatAttempts& attempts,
                         ChatOutcome& outcome);
  AttemptVerdict Refused(const ChatCall& call, HttpReplyStream& stream, std::uint64_t ticket,
                         const HttpProgress& progress, ChatAttempts& attempts);
  AttemptVerdict Ended(const Result<>& read, const ChatReader& reader, std::uint64_t ticket,
                       const HttpProgress& progress, ChatAttempts& attempts);

  VendorLine line_;
  const std::shared_ptr<HttpClient> client_;
};

}  // namespace garrison
