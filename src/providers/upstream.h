// Calls to one vendor whose replies are read whole: attempts, hedging, and what each may have cost.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "core/attempt_gate.h"
#include "core/request_context.h"
#include "net/http_client.h"
#include "providers/call_tally.h"
#include "providers/chance.h"
#include "providers/vendor_line.h"
#include "wire/upstream.h"

namespace garrison {

struct UpstreamCall {
  AttemptBound bound;
  // For each attempt anew: a signature holds the time. Any thread.
  std::function<Result<HttpCall>(const RequestContext&)> make;
  // Of a reply with another status than 200. The thread of Run().
  std::function<UpstreamFailure(const HttpReply&)> failure;
  // Of a reply with status 200; an error (UNAVAILABLE) if it cannot be used. The thread of Run().
  std::function<Result<AttemptUse>(const HttpReply&)> accept;
};

// Thread-safe.
class Upstream {
 public:
  Upstream(const UpstreamOptions& options, std::shared_ptr<HttpClient> client,
           std::shared_ptr<AttemptGate> gate, Chance chance);

  // Adds the attempts that were admitted and their cost to `tally`. Errors: those of
  // FailureError(), with the vendor's time to wait as `retry_after`; CANCELLED and
  // DEADLINE_EXCEEDED from `context`; those of the gate and of `make`.
  Result<AttemptUse> Run(const UpstreamCall& call, const RequestContext& context, CallTally& tally);

  CircuitBreaker::State circuit() const { return line_.circuit(); }

 private:
  // One attempt until its reply.
  struct Sent {
    Result<HttpReply> reply;
    HttpProgress progress;
    std::optional<std::uint64_t> ticket;  // unset: it was not admitted, and `reply` says why
  };

  // `leaving` (may be empty) is called right before the attempt is sent, if it is. `parent`: as
  // AttemptBound has it.
  Sent Send(const UpstreamCall& call, const RequestContext& context, std::string_view parent,
            CallTally& tally, const std::function<void()>& leaving);
  Sent SendHedged(const UpstreamCall& call, const RequestContext& context, std::string_view parent,
                  CallTally& tally);
  void Drop(const Sent& sent, CallTally& tally);
  // Sets `use` when the answer is good.
  AttemptVerdict Judge(const UpstreamCall& call, const Sent& sent, CallTally& tally,
                       AttemptUse& use);

  VendorLine line_;
  const std::shared_ptr<HttpClient> client_;
};

}  // namespace garrison
