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

Upstream::Upstream(const UpstreamOptions& options, std::shared_ptr<HttpClient> client,
                   std::shared_ptr<AttemptGate> gate, Chance chance)
    : line_(options, std::move(gate), std::move(chance)), client_(std::move(client)) {}

Result<AttemptUse> Upstream::Run(const UpstreamCall& call, const RequestContext& given,
                                 CallTally& tally) {
  AttemptUse use;
  RETURN_IF_ERROR(line_.Repeat(given, [&](const RequestContext& context, bool again) {
    const std::string_view parent = again ? "retry" : std::string_view(call.bound.parent);
    const Sent sent = line_.options().hedge.count() > 0 ? SendHedged(call, context, parent, tally)
                                                        : Send(call, context, parent, tally, {});
    return Judge(call, sent, tally, use);
  }));
  return use;
}

Upstream::Sent Upstream::Send(const UpstreamCall& call, const RequestContext& context,
                              std::string_view parent, CallTally& tally,
                              const std::function<void()>& leaving) {
  Sent sent;
  AttemptBound bound = call.bound;
  bound.parent = parent;
  Result<VendorLine::Departure> departure = line_.Depart(bound, call.make, context);
  if (!departure) {
    sent.reply = tl::unexpected(std::move(departure).error());
    return sent;
  }
  sent.ticket = departure->ticket;
  ++tally.attempts;
  if (leaving) leaving();
  sent.reply = client_->Fetch(departure->call, line_.LimitsOf(context), &sent.progress);
  if (sent.reply) line_.Learn(bound.model, sent.reply->headers);
  return sent;
}

// The first to be answered well, of two; the other one is cut off. Both run on threads of their
// own, which have ended when this returns.
Upstream::Sent Upstream::SendHedged(const UpstreamCall& call, const RequestContext& context,
                                    std::string_view parent, CallTally& tally) {
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
      Sent sent = Send(call, own, i == 0 ? parent : "hedge", tally, [&] {
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
      return Send(call, context, parent, tally, {});
    }
    std::unique_lock lock(mutex);
    // A call that waits for its turn is not slow: a second one would only wait behind it.
    done.wait(lock, [&] { return left || results[0].has_value(); });
    if (!done.wait_for(lock, line_.options().hedge, [&] { return results[0].has_value(); })) {
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
  if (results[1 - winner]) Drop(*results[1 - winner], tally);
  return std::move(*results[winner]);
}

void Upstream::Drop(const Sent& sent, CallTally& tally) {
  if (!sent.ticket) return;  // it did not pass the breaker, or has said so itself
  line_.Abstained();
  if (!sent.progress.sent || (sent.reply && IsUnbilled(sent.reply->status))) {
    line_.gate().Release(*sent.ticket);
  } else {
    tally.Add(line_.gate().Dispute(*sent.ticket, {.reply_bytes = sent.progress.body_bytes}));
  }
}

AttemptVerdict Upstream::Judge(const UpstreamCall& call, const Sent& sent, CallTally& tally,
                               AttemptUse& use) {
  if (!sent.ticket) return {.error = sent.reply.error()};
  AttemptGate& gate = line_.gate();
  const AttemptTrace trace{.reply_bytes = sent.progress.body_bytes};
  if (!sent.reply) {
    if (sent.progress.sent) {
      tally.Add(gate.Dispute(*sent.ticket, trace));
    } else {
      gate.Release(*sent.ticket);
    }
    return line_.Broken(sent.reply.error(), sent.progress);
  }
  const HttpReply& reply = *sent.reply;
  if (reply.status == 200) {
    Result<AttemptUse> accepted = call.accept(reply);
    if (accepted) {
      line_.Succeeded();
      tally.Add(gate.Settle(*sent.ticket, *accepted));
      use = *accepted;
      return {};
    }
    tally.Add(gate.Dispute(*sent.ticket, trace));
    AttemptVerdict verdict =
        line_.Refused({FailureClass::kBadReply, accepted.error().message}, 200, {});
    // Not asked again: what is wrong with it is seldom chance, and it was paid for.
    verdict.retry = false;
    return verdict;
  }
  if (IsUnbilled(reply.status)) {
    gate.Release(*sent.ticket);
  } else {
    tally.Add(gate.Dispute(*sent.ticket, trace));
  }
  return line_.Refused(call.failure(reply), reply.status, reply.headers);
}

}  // namespace garrison
