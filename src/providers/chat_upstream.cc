#include "providers/chat_upstream.h"

#include <atomic>
#include <stop_token>
#include <utility>

#include "providers/failure.h"

namespace garrison {
namespace {

// Of a refusal: more than any vendor has to say.
constexpr std::size_t kRefusalBytesMax = 1 << 20;

// The body of a refusal as far as it comes: what is missing of it changes nothing.
std::string ReadRefusal(HttpReplyStream& stream, std::chrono::milliseconds idle) {
  std::string body;
  while (body.size() < kRefusalBytesMax) {
    Result<std::string> piece = stream.Read(idle);
    if (!piece || piece->empty()) break;
    body += *piece;
  }
  return body;
}

// Turned down before any work, though the reply had begun.
bool IsUnbilled(FailureClass kind) {
  return kind == FailureClass::kRateLimit || kind == FailureClass::kOverloaded;
}

}  // namespace

ChatUpstream::ChatUpstream(const UpstreamOptions& options, std::shared_ptr<HttpClient> client,
                           std::shared_ptr<AttemptGate> gate, Chance chance)
    : line_(options, std::move(gate), std::move(chance)), client_(std::move(client)) {}

Result<ChatOutcome> ChatUpstream::Run(const ChatCall& call, ChatSink& sink,
                                      const RequestContext& given, ChatAttempts& attempts) {
  ChatOutcome outcome;
  RETURN_IF_ERROR(line_.Repeat(given, [&](const RequestContext& context, bool again) {
    AttemptBound bound = call.bound;
    if (again) bound.parent = "retry";
    return Attempt(call, bound, sink, context, attempts, outcome);
  }));
  outcome.cost = attempts.cost;
  return outcome;
}

AttemptVerdict ChatUpstream::Attempt(const ChatCall& call, const AttemptBound& bound,
                                     ChatSink& sink, const RequestContext& context,
                                     ChatAttempts& attempts, ChatOutcome& outcome) {
  const auto make = [&call](const RequestContext& own) {
    return call.vendor.MakeCall(call.body, own);
  };
  Result<VendorLine::Departure> departure = line_.Depart(bound, make, context);
  if (!departure) return {.error = std::move(departure).error()};
  ++attempts.count;
  HttpCallLimits limits = line_.LimitsOf(context);
  // With time to read on, a client that leaves cuts the call only until its answer begins.
  std::stop_source cut;
  std::atomic<bool> replied = false;
  const std::stop_callback forward(context.stop, [&] {
    if (!replied) cut.request_stop();
  });
  if (line_.options().drain.count() > 0) limits.stop = cut.get_token();
  const SteadyTime asked = line_.clock().Now();
  HttpProgress progress;
  Result<std::unique_ptr<HttpReplyStream>> stream =
      client_->Open(departure->call, limits, &progress);
  replied = true;
  if (!stream) {
    if (progress.sent) {
      attempts.Charge(line_.gate().Dispute(departure->ticket, {}));
    } else {
      line_.gate().Release(departure->ticket);
    }
    return line_.Broken(stream.error(), progress);
  }
  line_.Learn(bound.model, (*stream)->headers());
  if ((*stream)->status() != 200) {
    return Refused(call, **stream, departure->ticket, progress, attempts);
  }
  const ChatServed served{
      .by = bound.provider + "/" + bound.model, .model = "", .id = "", .attempts = attempts.count};
  ChatReader reader(line_, call.vendor, **stream, sink, served, context, asked);
  const Result<> read = reader.Read();
  attempts.begun = attempts.begun || reader.begun();
  AttemptVerdict verdict = Ended(read, reader, departure->ticket, progress, attempts);
  outcome.served = reader.served();
  outcome.end = reader.end();
  if (!outcome.end.usage_known) {
    outcome.end.usage = {.input = bound.tokens, .output = bound.output_tokens};
  }
  return verdict;
}

AttemptVerdict ChatUpstream::Refused(const ChatCall& call, HttpReplyStream& stream,
                                     std::uint64_t ticket, const HttpProgress& progress,
                                     ChatAttempts& attempts) {
  const HttpReply reply{stream.status(), stream.headers(),
                        ReadRefusal(stream, line_.options().content_idle)};
  if (garrison::IsUnbilled(reply.status)) {
    line_.gate().Release(ticket);
  } else {
    attempts.Charge(line_.gate().Dispute(ticket, {.reply_bytes = progress.body_bytes}));
  }
  return line_.Refused(call.vendor.Failure(reply), reply.status, reply.headers);
}

AttemptVerdict ChatUpstream::Ended(const Result<>& read, const ChatReader& reader,
                                   std::uint64_t ticket, const HttpProgress& progress,
                                   ChatAttempts& attempts) {
  const std::optional<UpstreamFailure>& failure = reader.failure();
  AttemptGate& gate = line_.gate();
  if (reader.finished()) {
    AttemptUse use;
    if (reader.end().usage_known) use.chat = reader.end().usage;
    attempts.Charge(gate.Settle(ticket, use));
    line_.Succeeded();
    if (reader.left()) return {.error = reader.left()};
    return {};
  }
  if (failure && IsUnbilled(failure->kind) && !reader.begun() && !reader.produced()) {
    gate.Release(ticket);
  } else {
    attempts.Charge(gate.Dispute(
        ticket, {.reply_bytes = progress.body_bytes, .output_tokens = reader.end().usage.output}));
  }
  if (reader.left()) {
    line_.Abstained();
    return {.error = reader.left()};
  }
  AttemptVerdict verdict =
      failure ? line_.Refused(*failure, 200, {}) : line_.Broken(read.error(), progress);
  // Nothing of it was handed on, so another answer may take its place.
  if (failure &&
      (failure->kind == FailureClass::kBadReply || failure->kind == FailureClass::kNetwork)) {
    verdict.retry = true;
  }
  verdict.retry = verdict.retry && !reader.begun();
  return verdict;
}

}  // namespace garrison
