// What all calls to one vendor share, whatever they ask for: who may pay, how many at once, the
// rates that the vendor told, its circuit, and when a failed attempt is worth another one.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

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
  std::chrono::milliseconds hedge{0};  // of whole replies; 0: never ask twice at once
  std::chrono::milliseconds drain{0};  // of streams: how long they are read when nobody listens
  CircuitBreaker::Options breaker;
  std::size_t reply_bytes = std::size_t{64} << 20;
};

// What one attempt means for the call.
struct AttemptVerdict {
  std::optional<Error> error;  // unset: it went well
  bool retry = false;
  std::optional<std::chrono::milliseconds> after;  // that the vendor asked for
  bool stale = false;  // a kept connection was closed by the vendor: says nothing about it
};

// Whether a status says that the request was turned down before any work.
bool IsUnbilled(int status);

// Thread-safe.
class VendorLine {
 public:
  using MakeCall = std::function<Result<HttpCall>(const RequestContext&)>;

  class SlotHolder {
   public:
    explicit SlotHolder(Slots& slots) : slots_(&slots) {}
    SlotHolder(SlotHolder&& other) noexcept : slots_(std::exchange(other.slots_, nullptr)) {}
    SlotHolder& operator=(SlotHolder&&) = delete;
    SlotHolder(const SlotHolder&) = delete;
    SlotHolder& operator=(const SlotHolder&) = delete;
    ~SlotHolder() {
      if (slots_ != nullptr) slots_->Give();
    }

   private:
    Slots* slots_;
  };
  // An attempt that may leave now: it is marked as sent. Its ticket is the caller's to end, and
  // one of Succeeded(), Refused(), Broken() and Abstained() must follow.
  struct Departure {
    std::uint64_t ticket = 0;
    HttpCall call;
    SlotHolder slot;
  };

  VendorLine(const UpstreamOptions& options, std::shared_ptr<AttemptGate> gate, Chance chance);

  const UpstreamOptions& options() const { return options_; }
  AttemptGate& gate() const { return *gate_; }
  const Clock& clock() const { return chance_.clock; }
  CircuitBreaker::State circuit() const { return breaker_.state(chance_.clock.Now()); }

  // Makes attempts until one went well, none may follow, or the time is up. `attempt` is told
  // whether it is not the first.
  Result<> Repeat(
      const RequestContext& given,
      const std::function<AttemptVerdict(const RequestContext&, bool again)>& attempt) const;

  // After an error nothing was sent and no ticket is open.
  Result<Departure> Depart(const AttemptBound& bound, const MakeCall& make,
                           const RequestContext& context);
  HttpCallLimits LimitsOf(const RequestContext& context) const;
  void Learn(const std::string& model, const std::vector<HttpHeader>& headers);

  // An answer has begun: who waits to know whether the vendor is back need not wait for its end.
  void Began() {
    if (circuit() == CircuitBreaker::State::kHalfOpen) breaker_.Succeeded();
  }
  void Succeeded() { breaker_.Succeeded(); }
  void Abstained() { breaker_.Abstained(); }
  // Of a failure that the vendor named; status 200 if within its answer.
  AttemptVerdict Refused(const UpstreamFailure& failure, int status,
                         const std::vector<HttpHeader>& headers);
  // Of an error of HttpClient.
  AttemptVerdict Broken(const Error& error, const HttpProgress& progress);

 private:
  Result<> Enter(const AttemptBound& bound, const RequestContext& context);
  // Enter without waiting: false if it would have to.
  bool TryEnter(const AttemptBound& bound);
  Result<Departure> DepartAtOnce(AttemptBound bound, const MakeCall& make,
                                 const RequestContext& context);
  Result<HttpCall> Make(const MakeCall& make, const RequestContext& context) const;
  std::shared_ptr<RateLimits> RatesOf(const std::string& model);

  const UpstreamOptions options_;
  const std::shared_ptr<AttemptGate> gate_;
  const Chance chance_;
  CircuitBreaker breaker_;  // own synchronisation, as the next one
  Slots slots_;
  std::mutex mutex_;                                                    // guards rates_
  std::unordered_map<std::string, std::shared_ptr<RateLimits>> rates_;  // by model
};

}  // namespace garrison
