// Calls to one vendor: limits, attempts, waits between them, and what each may have cost.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "core/attempt_gate.h"
#include "core/request_context.h"
#include "net/http_client.h"
#include "providers/chance.h"
#include "providers/circuit_breaker.h"
#include "providers/rate_limits.h"
#include "providers/slots.h"
#include "wire/upstream.h"

namespace garrison {

struct UpstreamOptions {
  std::string provider;  // "openai", for messages
  unsigned attempts = 3;
  std::size_t concurrency = 16;
  std::chrono::milliseconds connect{5'000};
  std::chrono::milliseconds first_content{60'000};
  std::chrono::milliseconds content_idle{30'000};
  std::chrono::milliseconds total{120'000};
  std::chrono::milliseconds hedge{0};  // 0: never ask twice at once
  CircuitBreaker::Options breaker;
  std::size_t reply_bytes = std::size_t{64} << 20;
};

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

  // Adds the attempts that were admitted to `attempts`. Errors: those of FailureError(), with the
  // vendor's time to wait as `retry_after`; CANCELLED and DEADLINE_EXCEEDED from `context`; those
  // of the gate and of `make`.
  Result<AttemptUse> Run(const UpstreamCall& call, const RequestContext& context,
                         std::atomic<unsigned>& attempts);

  CircuitBreaker::State circuit() const { return breaker_.state(chance_.clock.Now()); }

 private:
  // One attempt until its reply.
  struct Sent {
    Result<HttpReply> reply;
    HttpProgress progress;
    std::optional<std::uint64_t> ticket;  // unset: it was not admitted, and `reply` says why
  };
  // What it means.
  struct Judged {
    Result<AttemptUse> use;
    bool retry = false;
    std::optional<std::chrono::milliseconds> after;  // that the vendor asked for
    bool stale = false;  // a kept connection was closed by the vendor: says nothing about it
  };

  // `leaving` (may be empty) is called right before the attempt is sent, if it is. `parent`: as
  // AttemptBound has it.
  Sent Send(const UpstreamCall& call, const RequestContext& context, std::string_view parent,
            std::atomic<unsigned>& attempts, const std::function<void()>& leaving);
  Result<> Enter(const UpstreamCall& call, const RequestContext& context);
  Sent SendHedged(const UpstreamCall& call, const RequestContext& context, std::string_view parent,
                  std::atomic<unsigned>& attempts);
  void Drop(const Sent& sent);
  Judged Judge(const UpstreamCall& call, const Sent& sent);
  Judged JudgeReply(const UpstreamCall& call, const Sent& sent);
  Judged JudgeError(const Sent& sent);

  const UpstreamOptions options_;
  const std::shared_ptr<HttpClient> client_;
  const std::shared_ptr<AttemptGate> gate_;
  const Chance chance_;
  CircuitBreaker breaker_;  // own synchronisation, as the next two
  RateLimits rates_;
  Slots slots_;
};

}  // namespace garrison
