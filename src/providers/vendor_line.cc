#include "providers/vendor_line.h"

#include <algorithm>
#include <utility>

#include "providers/failure.h"

namespace garrison {
namespace {

// A vendor that asks for more time than this is not waited for; the caller is told.
constexpr std::chrono::milliseconds kRetryAfterMax{60'000};
// Tokens of a text are at most its bytes; that many bytes they usually have at least.
constexpr std::uint64_t kBytesPerToken = 4;
// Clients may name models, so their number needs a limit; what is forgotten the vendor tells again.
constexpr std::size_t kModelsMax = 64;

}  // namespace

bool IsUnbilled(int status) {
  return status == 429 || status == 529 ||
         (status >= 400 && status < 500 && status != 408 && status != 409 && status != 424);
}

VendorLine::VendorLine(const UpstreamOptions& options, std::shared_ptr<AttemptGate> gate,
                       Chance chance)
    : options_(options),
      gate_(std::move(gate)),
      chance_(std::move(chance)),
      breaker_(options.breaker),
      slots_(options.concurrency) {}

Result<> VendorLine::Repeat(
    const RequestContext& given,
    const std::function<AttemptVerdict(const RequestContext&, bool again)>& attempt) const {
  RequestContext context = given;
  context.deadline = std::min(given.deadline, chance_.clock.Now() + options_.total);
  bool stale_before = false;
  for (unsigned made = 1;; ++made) {
    RETURN_IF_ERROR(given.Check(chance_.clock.Now()));
    AttemptVerdict verdict = attempt(context, made > 1 || stale_before);
    if (!verdict.error) return {};
    Error& error = *verdict.error;
    if (verdict.after) error.retry_after = verdict.after;
    if (verdict.stale && !stale_before) {
      stale_before = true;
      --made;
      continue;
    }
    if (!verdict.retry || made >= options_.attempts) return tl::unexpected(std::move(error));
    if (verdict.after && *verdict.after > kRetryAfterMax) return tl::unexpected(std::move(error));
    const auto wait = verdict.after.value_or(Backoff(made - 1, chance_.random()));
    if (chance_.clock.Now() + wait >= context.deadline) return tl::unexpected(std::move(error));
    chance_.wait(wait, context.stop);
  }
}

std::shared_ptr<RateLimits> VendorLine::RatesOf(const std::string& model) {
  const std::lock_guard lock(mutex_);
  if (rates_.size() >= kModelsMax && !rates_.contains(model)) rates_.clear();
  std::shared_ptr<RateLimits>& rates = rates_[model];
  if (rates == nullptr) rates = std::make_shared<RateLimits>();
  return rates;
}

void VendorLine::Learn(const std::string& model, const std::vector<HttpHeader>& headers) {
  RatesOf(model)->Learn(headers, chance_.clock.Now());
}

// Waits for a slot, which it then holds, and until the vendor's rates allow the call.
Result<> VendorLine::Enter(const AttemptBound& bound, const RequestContext& context) {
  RETURN_IF_ERROR(slots_.Take(context, chance_.clock));
  const auto admitted = [&]() -> Result<> {
    const std::shared_ptr<RateLimits> rates = RatesOf(bound.model);
    for (;;) {
      const SteadyTime now = chance_.clock.Now();
      RETURN_IF_ERROR(context.Check(now));
      const auto wait = rates->TryTake(bound.tokens / kBytesPerToken, now);
      if (wait.count() == 0) break;
      if (now + wait >= context.deadline) {
        Error error = FailureError(options_.provider, {FailureClass::kRateLimit, ""}, 0);
        error.retry_after = std::chrono::ceil<std::chrono::milliseconds>(wait);
        return tl::unexpected(std::move(error));
      }
      chance_.wait(wait, context.stop);
    }
    const auto open_for = breaker_.TryPass(chance_.clock.Now());
    if (!open_for) return {};
    Error error = FailureError(options_.provider, {FailureClass::kCircuitOpen, ""}, 0);
    error.retry_after = open_for;
    return tl::unexpected(std::move(error));
  };
  Result<> result = admitted();
  if (!result) slots_.Give();
  return result;
}

bool VendorLine::TryEnter(const AttemptBound& bound) {
  if (!slots_.TryTake()) return false;
  const SteadyTime now = chance_.clock.Now();
  const std::shared_ptr<RateLimits> rates = RatesOf(bound.model);
  if (rates->TryTake(bound.tokens / kBytesPerToken, now).count() == 0) {
    if (!breaker_.TryPass(now)) return true;
    rates->Give(bound.tokens / kBytesPerToken, now);
  }
  slots_.Give();
  return false;
}

Result<HttpCall> VendorLine::Make(const MakeCall& make, const RequestContext& context) const {
  ASSIGN_OR_RETURN(HttpCall call, make(context));
  if (context.trace.exists()) {  // beside the signed headers, where there is a signature
    call.headers.push_back({"traceparent", FormatTraceparent(context.trace)});
    if (!context.trace.state.empty()) call.headers.push_back({"tracestate", context.trace.state});
  }
  return call;
}

Result<VendorLine::Departure> VendorLine::Depart(const AttemptBound& bound, const MakeCall& make,
                                                 const RequestContext& context) {
  RETURN_IF_ERROR(context.Check(chance_.clock.Now()));
  if (TryEnter(bound)) return DepartAtOnce(bound, make, context);
  // Money is put aside before the call waits for its turn: who cannot pay need not wait.
  ASSIGN_OR_RETURN(const std::uint64_t ticket, gate_->Admit(bound, context));
  if (Result<> entered = Enter(bound, context); !entered) {
    gate_->Release(ticket);
    return tl::unexpected(std::move(entered).error());
  }
  SlotHolder slot(slots_);
  const auto refuse = [&](Error error) {
    breaker_.Abstained();
    gate_->Release(ticket);
    return tl::unexpected(std::move(error));
  };
  Result<HttpCall> call = Make(make, context);
  if (!call) return refuse(std::move(call).error());
  if (Result<> marked = gate_->MarkSent(ticket); !marked) {
    return refuse(std::move(marked).error());
  }
  return Departure{ticket, *std::move(call), std::move(slot)};
}

// Nothing to wait for: putting the money aside and marking the attempt as sent are one record.
Result<VendorLine::Departure> VendorLine::DepartAtOnce(AttemptBound bound, const MakeCall& make,
                                                       const RequestContext& context) {
  SlotHolder slot(slots_);
  const auto refuse = [&](Error error) {
    breaker_.Abstained();
    RatesOf(bound.model)->Give(bound.tokens / kBytesPerToken, chance_.clock.Now());
    return tl::unexpected(std::move(error));
  };
  Result<HttpCall> call = Make(make, context);
  if (!call) return refuse(std::move(call).error());
  bound.leaves = true;
  const Result<std::uint64_t> ticket = gate_->Admit(bound, context);
  if (!ticket) return refuse(ticket.error());
  return Departure{*ticket, *std::move(call), std::move(slot)};
}

HttpCallLimits VendorLine::LimitsOf(const RequestContext& context) const {
  HttpCallLimits limits;
  limits.connect = options_.connect;
  limits.first_content = options_.first_content;
  limits.content_idle = options_.content_idle;
  limits.deadline = context.deadline;
  limits.stop = context.stop;
  limits.reply_bytes = options_.reply_bytes;
  return limits;
}

AttemptVerdict VendorLine::Refused(const UpstreamFailure& failure, int status,
                                   const std::vector<HttpHeader>& headers) {
  switch (failure.kind) {
    case FailureClass::kServer:
    case FailureClass::kOverloaded:
    case FailureClass::kTimeout:
    case FailureClass::kNetwork:
    case FailureClass::kBadReply:
      breaker_.Failed(chance_.clock.Now(), false);
      break;
    case FailureClass::kBilling:
      breaker_.Failed(chance_.clock.Now(), true);
      break;
    case FailureClass::kRateLimit:
      breaker_.Abstained();
      break;
    default:
      breaker_.Succeeded();
  }
  return {.error = FailureError(options_.provider, failure, status == 200 ? 0 : status),
          .retry = MayRetry(failure.kind, status, headers),
          .after = RetryAfter(headers, chance_.clock.WallNow())};
}

AttemptVerdict VendorLine::Broken(const Error& error, const HttpProgress& progress) {
  FailureClass kind = FailureClass::kNetwork;
  switch (error.code) {
    case Code::kCancelled:
      breaker_.Abstained();
      return {.error = error};
    case Code::kDeadlineExceeded:
      kind = FailureClass::kTimeout;
      break;
    case Code::kResourceExhausted:
      kind = FailureClass::kBadReply;
      break;
    case Code::kInvalidArgument:  // an address or a key that cannot be sent
      kind = FailureClass::kNotFound;
      break;
    default:
      break;
  }
  const bool stale = kind == FailureClass::kNetwork && progress.reused && !progress.received;
  // The time of the whole call may be up for reasons of ours.
  if (stale || error.where == "total" || kind == FailureClass::kNotFound) {
    breaker_.Abstained();
  } else {
    breaker_.Failed(chance_.clock.Now(), false);
  }
  return {.error = TransportError(options_.provider, kind, error),
          .retry = MayRetry(kind, 0, {}),
          .stale = stale};
}

}  // namespace garrison
