#include "providers/upstream.h"

#include <algorithm>
#include <array>
#include <condition_variable>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

#include "providers/failure.h"

namespace garrison {
namespace {

// A vendor that asks for more time than this is not waited for; the caller is told.
constexpr std::chrono::milliseconds kRetryAfterMax{60'000};
// Tokens of a text are at most its bytes; that many bytes they usually have at least.
constexpr std::uint64_t kBytesPerToken = 4;

// Replies that say that the request was turned down before any work.
bool IsUnbilled(int status) {
  return status == 429 || status == 529 ||
         (status >= 400 && status < 500 && status != 408 && status != 409 && status != 424);
}

class SlotHolder {
 public:
  explicit SlotHolder(Slots& slots) : slots_(slots) {}
  ~SlotHolder() { slots_.Give(); }
  SlotHolder(const SlotHolder&) = delete;
  SlotHolder& operator=(const SlotHolder&) = delete;

 private:
  Slots& slots_;
};

}  // namespace

Upstream::Upstream(const UpstreamOptions& options, std::shared_ptr<HttpClient> client,
                   std::shared_ptr<AttemptGate> gate, Chance chance)
    : options_(options),
      client_(std::move(client)),
      gate_(std::move(gate)),
      chance_(std::move(chance)),
      breaker_(options.breaker),
      slots_(options.concurrency) {}

Result<AttemptUse> Upstream::Run(const UpstreamCall& call, const RequestContext& given,
                                 std::atomic<unsigned>& attempts) {
  RequestContext context = given;
  context.deadline = std::min(given.deadline, chance_.clock.Now() + options_.total);
  bool stale_before = false;
  for (unsigned made = 1;; ++made) {
    RETURN_IF_ERROR(given.Check(chance_.clock.Now()));
    const std::string_view parent = made > 1 || stale_before ? "retry" : "";
    const Sent sent = options_.hedge.count() > 0 ? SendHedged(call, context, parent, attempts)
                                                 : Send(call, context, parent, attempts, {});
    Judged judged = Judge(call, sent);
    if (judged.use) return judged.use;
    Error& error = judged.use.error();
    if (judged.after) error.retry_after = judged.after;
    if (judged.stale && !stale_before) {
      stale_before = true;
      --made;
      continue;
    }
    if (!judged.retry || made >= options_.attempts) return judged.use;
    if (judged.after && *judged.after > kRetryAfterMax) return judged.use;
    const auto wait = judged.after.value_or(Backoff(made - 1, chance_.random()));
    if (chance_.clock.Now() + wait >= context.deadline) return judged.use;
    chance_.wait(wait, context.stop);
  }
}

// Waits for a slot, which it then holds, and until the vendor's rates allow the call.
Result<> Upstream::Enter(const UpstreamCall& call, const RequestContext& context) {
  RETURN_IF_ERROR(slots_.Take(context, chance_.clock));
  const auto admitted = [&]() -> Result<> {
    for (;;) {
      const SteadyTime now = chance_.clock.Now();
      RETURN_IF_ERROR(context.Check(now));
      const auto wait = rates_.TryTake(call.bound.tokens / kBytesPerToken, now);
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

Upstream::Sent Upstream::Send(const UpstreamCall& call, const RequestContext& context,
                              std::string_view parent, std::atomic<unsigned>& attempts,
                              const std::function<void()>& leaving) {
  Sent sent;
  // Money is put aside before the call waits for its turn: who cannot pay need not wait.
  AttemptBound bound = call.bound;
  bound.parent = parent;
  Result<std::uint64_t> ticket = gate_->Admit(bound, context);
  if (!ticket) {
    sent.reply = tl::unexpected(std::move(ticket).error());
    return sent;
  }
  const auto refuse = [&](Error error) {
    gate_->Release(*ticket);
    sent.reply = tl::unexpected(std::move(error));
  };
  if (Result<> entered = Enter(call, context); !entered) {
    refuse(std::move(entered).error());
    return sent;
  }
  const SlotHolder holder(slots_);
  Result<HttpCall> http = call.make(context);
  if (!http) {
    breaker_.Abstained();
    refuse(std::move(http).error());
    return sent;
  }
  if (context.trace.exists()) {  // beside the signed headers, where there is a signature
    http->headers.push_back({"traceparent", FormatTraceparent(context.trace)});
    if (!context.trace.state.empty()) http->headers.push_back({"tracestate", context.trace.state});
  }
  if (Result<> marked = gate_->MarkSent(*ticket); !marked) {
    breaker_.Abstained();
    refuse(std::move(marked).error());
    return sent;
  }
  sent.ticket = *ticket;
  ++attempts;
  if (leaving) leaving();
  HttpCallLimits limits;
  limits.connect = options_.connect;
  limits.first_content = options_.first_content;
  limits.content_idle = options_.content_idle;
  limits.deadline = context.deadline;
  limits.stop = context.stop;
  limits.reply_bytes = options_.reply_bytes;
  sent.reply = client_->Fetch(*http, limits, &sent.progress);
  if (sent.reply) rates_.Learn(sent.reply->headers, chance_.clock.Now());
  return sent;
}

// The first to be answered well, of two; the other one is cut off. Both run on threads of their
// own, which have ended when this returns.
Upstream::Sent Upstream::SendHedged(const UpstreamCall& call, const RequestContext& context,
                                    std::string_view parent, std::atomic<unsigned>& attempts) {
  std::mutex mutex;
  std::condition_variable done;
  std::array<std::optional<Sent>, 2> results;
  std::array<std::stop_source, 2> stops;
  bool left = false;  // the first of the two
  const std::stop_callback forward(context.stop, [&stops] {
    for (std::stop_source& stop : stops) stop.request_stop();
  });
  const auto start = [&](std::size_t i) {
    return std::jthread([&, i] {
      RequestContext own = context;
      own.stop = stops[i].get_token();
      Sent sent = Send(call, own, i == 0 ? parent : "hedge", attempts, [&] {
        const std::lock_guard lock(mutex);
        left = true;
        done.notify_all();
      });
      const std::lock_guard lock(mutex);
      results[i] = std::move(sent);
      done.notify_all();
    });
  };
  const auto good = [](const std::optional<Sent>& sent) {
    return sent && sent->reply && sent->reply->status == 200;
  };
  std::size_t winner = 0;
  {
    std::array<std::jthread, 2> threads;
    try {
      threads[0] = start(0);
    } catch (const std::system_error&) {  // there are too many threads: without hedging
      return Send(call, context, parent, attempts, {});
    }
    std::unique_lock lock(mutex);
    // A call that waits for its turn is not slow: a second one would only wait behind it.
    done.wait(lock, [&] { return left || results[0].has_value(); });
    if (!done.wait_for(lock, options_.hedge, [&] { return results[0].has_value(); })) {
      try {
        threads[1] = start(1);
      } catch (const std::system_error&) {
        done.wait(lock, [&] { return results[0].has_value(); });
      }
      done.wait(lock, [&] {
        return good(results[0]) || good(results[1]) ||
               (results[0] && (results[1] || !threads[1].joinable()));
      });
    }
    if (good(results[1]) && !good(results[0])) winner = 1;
    stops[1 - winner].request_stop();
    lock.unlock();
  }
  if (results[1 - winner]) Drop(*results[1 - winner]);
  return std::move(*results[winner]);
}

void Upstream::Drop(const Sent& sent) {
  if (!sent.ticket) return;  // it did not pass the breaker, or has said so itself
  breaker_.Abstained();
  if (!sent.progress.sent || (sent.reply && IsUnbilled(sent.reply->status))) {
    gate_->Release(*sent.ticket);
  } else {
    gate_->Dispute(*sent.ticket, {.reply_bytes = sent.progress.body_bytes});
  }
}

Upstream::Judged Upstream::Judge(const UpstreamCall& call, const Sent& sent) {
  if (!sent.ticket) return {.use = tl::unexpected(sent.reply.error())};
  return sent.reply ? JudgeReply(call, sent) : JudgeError(sent);
}

Upstream::Judged Upstream::JudgeReply(const UpstreamCall& call, const Sent& sent) {
  const HttpReply& reply = *sent.reply;
  const SteadyTime now = chance_.clock.Now();
  if (reply.status == 200) {
    Result<AttemptUse> use = call.accept(reply);
    if (use) {
      breaker_.Succeeded();
      gate_->Settle(*sent.ticket, *use);
      return {.use = std::move(use)};
    }
    // Not asked again: what is wrong with it is seldom chance, and it was paid for.
    breaker_.Failed(now, false);
    gate_->Dispute(*sent.ticket, {.reply_bytes = sent.progress.body_bytes});
    return {.use = tl::unexpected(FailureError(options_.provider,
                                               {FailureClass::kBadReply, use.error().message}, 0))};
  }
  const UpstreamFailure failure = call.failure(reply);
  if (IsUnbilled(reply.status)) {
    gate_->Release(*sent.ticket);
  } else {
    gate_->Dispute(*sent.ticket, {.reply_bytes = sent.progress.body_bytes});
  }
  switch (failure.kind) {
    case FailureClass::kServer:
    case FailureClass::kOverloaded:
    case FailureClass::kTimeout:
      breaker_.Failed(now, false);
      break;
    case FailureClass::kBilling:
      breaker_.Failed(now, true);
      break;
    case FailureClass::kRateLimit:
      breaker_.Abstained();
      break;
    default:
      breaker_.Succeeded();
  }
  return {.use = tl::unexpected(FailureError(options_.provider, failure, reply.status)),
          .retry = MayRetry(failure.kind, reply.status, reply.headers),
          .after = RetryAfter(reply.headers, chance_.clock.WallNow())};
}

Upstream::Judged Upstream::JudgeError(const Sent& sent) {
  const Error& error = sent.reply.error();
  if (sent.progress.sent) {
    gate_->Dispute(*sent.ticket, {.reply_bytes = sent.progress.body_bytes});
  } else {
    gate_->Release(*sent.ticket);
  }
  FailureClass kind = FailureClass::kNetwork;
  switch (error.code) {
    case Code::kCancelled:
      breaker_.Abstained();
      return {.use = tl::unexpected(error)};
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
  const bool stale =
      kind == FailureClass::kNetwork && sent.progress.reused && !sent.progress.received;
  // The time of the whole call may be up for reasons of ours.
  if (stale || error.where == "total" || kind == FailureClass::kNotFound) {
    breaker_.Abstained();
  } else {
    breaker_.Failed(chance_.clock.Now(), false);
  }
  return {.use = tl::unexpected(TransportError(options_.provider, kind, error)),
          .retry = MayRetry(kind, 0, {}),
          .stale = stale};
}

}  // namespace garrison
