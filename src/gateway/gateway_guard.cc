// The gateway's part about conversations that the guard watches.
#include <optional>
#include <utility>
#include <vector>

#include "base/hash.h"
#include "gateway/gateway.h"

namespace garrison {

Result<> Gateway::CheckTurn(const SafetyRequest& request) const {
  if (!request.conversation_id.empty()) {
    RETURN_IF_ERROR(GuardSessions::CheckId(request.conversation_id));
  }
  if (!request.idempotency_key.empty()) {
    RETURN_IF_ERROR(GuardSessions::CheckIdempotencyKey(request.idempotency_key));
  }
  RETURN_IF_ERROR(CheckSize(request.user_message.size(), "user_message"));
  return CheckSize(request.model_message.size(), "model_message");
}

namespace {

// The embedder speaks of inputs; who asks about one turn knows messages.
Error NameMessage(Error error) {
  for (const auto& [input, message] : {std::pair{"input[0]", "user_message"},
                                       {"input[1]", "model_message"},
                                       {"user", "user_message"},
                                       {"model", "model_message"}}) {
    if (error.where == input) error.where = message;
  }
  return error;
}

std::optional<std::span<const float>> RowOf(const MessageSide& side) {
  return std::span(side.whole.data(), static_cast<std::size_t>(side.whole.cols()));
}

}  // namespace

Result<SessionScores> Gateway::ScoreOne(const SafetyRequest& request,
                                        const RequestContext& context) const {
  const SafetyRequest* const one = &request;
  auto scores = ScoreTogether({&one, 1}, context);
  if (scores) return std::move(scores->front());
  Error error = NameMessage(std::move(scores).error());
  // A reply that is being made begins with nothing, or with nothing that can be read.
  const bool begins =
      request.preview && error.code == Code::kInvalidArgument && error.where == "model_message";
  if (!begins) return tl::unexpected(std::move(error));
  const std::optional<std::string> user = request.user_message;
  SessionScores alone;
  ASSIGN_OR_RETURN(alone.compat, monitor_.Score(user, std::nullopt, context));
  if (parts_.measured != nullptr) {
    ASSIGN_OR_RETURN(alone.measured, parts_.measured->Score(user, std::nullopt, context));
  }
  return alone;
}

// With one call of the embedder for all of them.
Result<std::vector<SessionScores>> Gateway::ScoreTogether(
    std::span<const SafetyRequest* const> requests, const RequestContext& context) const {
  std::vector<SessionScores> all;
  if (parts_.measured == nullptr) {
    std::vector<GuardMonitor::Exchange> turns;
    for (const SafetyRequest* one : requests) {
      turns.push_back({one->user_message, one->model_message});
    }
    ASSIGN_OR_RETURN(std::vector<TurnScores> scores, monitor_.ScoreAll(turns, context));
    for (TurnScores& one : scores) all.push_back({std::move(one)});
    return all;
  }
  std::vector<std::optional<std::string>> texts;
  for (const SafetyRequest* one : requests) {
    texts.emplace_back(one->user_message);
    texts.emplace_back(one->model_message);
  }
  ASSIGN_OR_RETURN(const std::vector<MeasuredMonitor::Message> messages,
                   parts_.measured->Read(texts, context));
  for (std::size_t i = 0; i < messages.size(); i += 2) {
    const MeasuredMonitor::Message& user = messages[i];
    const MeasuredMonitor::Message& reply = messages[i + 1];
    SessionScores& scores = all.emplace_back();
    ASSIGN_OR_RETURN(scores.measured, parts_.measured->Score(user, reply));
    ASSIGN_OR_RETURN(scores.compat, monitor_.ScoreRows(RowOf(user.side), RowOf(reply.side)));
    scores.compat.tokens = scores.measured->tokens;
  }
  return all;
}

Result<SafetyReply> Gateway::TakeTurn(const SafetyRequest& request, const SessionScores& scores,
                                      const RequestContext& context) const {
  SessionTurn turn{.tenant = context.client,
                   .id = std::nullopt,
                   .number = request.turn,
                   .idempotency_key = request.idempotency_key,
                   .content = {},
                   .preview = request.preview};
  if (!request.conversation_id.empty()) turn.id = request.conversation_id;
  if (!turn.idempotency_key.empty()) {
    turn.content = ContentHash(request.user_message, request.model_message);
  }
  ASSIGN_OR_RETURN(SessionStep step, sessions_.Step(turn, scores));
  SafetyReply reply;
  reply.conversation_id = std::move(step.conversation_id);
  reply.turn = std::move(step.turn);
  reply.repeated = step.repeated;
  reply.preview = request.preview;
  reply.provenance = monitor_.provenance();
  if (!request.preview) Tell(reply, context);
  return reply;
}

// Of a turn that was taken: the calibration's watch, and whoever wants to know of alarms. An alarm
// is told again when its turn is asked again, since who told it first may have died before that.
void Gateway::Tell(const SafetyReply& reply, const RequestContext& context) const {
  const SessionTurnReport& turn = reply.turn;
  const int number = turn.compat.metrics.turn;
  if (parts_.drift != nullptr && !reply.repeated && turn.measured &&
      turn.measured->scores.calibrated) {
    parts_.drift->Observe(turn.measured->scores.evidence, number == 1);
  }
  const bool alarm = turn.measured ? turn.measured->alarm.rose : turn.compat.verdict.high_priority;
  if (parts_.alerts == nullptr || !alarm) return;
  GuardAlert alert{.id = Sha256Hex(fmt::format("alert\n{}\n{}\n{}", context.client,
                                               reply.conversation_id, number))
                             .substr(0, 32),
                   .at = clock_.WallNow(),
                   .source = "check-safety",
                   .conversation_id = reply.conversation_id,
                   .tenant = context.client,
                   .request_id = context.id,
                   .turn = number,
                   .status = std::string(RiskStatusName(turn.compat.verdict.status)),
                   .evidence = turn.compat.metrics.likelihood.value_or(0),
                   .sum = 0,
                   .guard = reply.provenance.space};
  if (turn.measured) {
    alert.status = MeasuredStatus(*turn.measured);
    alert.evidence = turn.measured->scores.evidence;
    alert.sum = turn.measured->alarm.sum;
    alert.guard = parts_.measured->file().hash();
  }
  parts_.alerts->Notify(std::move(alert));
}

Result<SafetyReply> Gateway::CheckSafety(const SafetyRequest& request,
                                         const RequestContext& context) const {
  const SteadyTime start = clock_.Now();
  RETURN_IF_ERROR(context.Check(start));
  RETURN_IF_ERROR(CheckTurn(request));
  ASSIGN_OR_RETURN(const SessionScores scores, ScoreOne(request, context));
  const SteadyTime embedded = clock_.Now();
  ASSIGN_OR_RETURN(SafetyReply reply, TakeTurn(request, scores, context));
  reply.embed_time = embedded - start;
  reply.total_time = clock_.Now() - start;
  return reply;
}

// When the model refuses one text of all, each turn is scored by itself: so each has its own error,
// and the work stays in proportion.
std::vector<Result<SessionScores>> Gateway::ScoreEach(const std::vector<SafetyRequest>& requests,
                                                      const RequestContext& context) const {
  std::vector<Result<SessionScores>> scores;
  std::vector<const SafetyRequest*> good;
  for (const SafetyRequest& request : requests) {
    const Result<> checked = CheckTurn(request);
    if (checked) good.push_back(&request);
    scores.push_back(checked ? Result<SessionScores>(SessionScores{})
                             : Result<SessionScores>(tl::unexpected(checked.error())));
  }
  Result<std::vector<SessionScores>> together = ScoreTogether(good, context);
  std::size_t next = 0;
  for (Result<SessionScores>& one : scores) {
    if (!one) continue;
    one = together ? Result<SessionScores>(std::move((*together)[next]))
                   : ScoreOne(*good[next], context);
    ++next;
  }
  return scores;
}

Result<std::vector<Result<SafetyReply>>> Gateway::CheckSafetyOfAll(
    const std::vector<SafetyRequest>& requests, const RequestContext& context) const {
  const SteadyTime start = clock_.Now();
  RETURN_IF_ERROR(context.Check(start));
  if (requests.empty()) {
    return FailAt("items", Code::kInvalidArgument, "expected at least one turn, got none");
  }
  RETURN_IF_ERROR(CheckCount(2 * requests.size(), "items", "messages"));
  std::vector<Result<SessionScores>> scores = ScoreEach(requests, context);
  // Nothing is taken for a client that has left: it would ask for all of it again.
  RETURN_IF_ERROR(context.Check(clock_.Now()));
  const SteadyTime embedded = clock_.Now();
  std::vector<Result<SafetyReply>> replies;
  for (std::size_t i = 0; i < requests.size(); ++i) {
    if (!scores[i]) {
      replies.push_back(tl::unexpected(std::move(scores[i]).error()));
      continue;
    }
    Result<SafetyReply> reply = TakeTurn(requests[i], *scores[i], context);
    if (reply) {
      reply->embed_time = embedded - start;
      reply->total_time = clock_.Now() - start;
    }
    replies.push_back(std::move(reply));
  }
  return replies;
}

Result<SessionState> Gateway::FindConversation(const std::string& id,
                                               const RequestContext& context) const {
  RETURN_IF_ERROR(context.Check(clock_.Now()));
  return sessions_.Find(context.client, id);
}

Result<SessionState> Gateway::ExportConversation(const std::string& id,
                                                 const RequestContext& context) const {
  RETURN_IF_ERROR(context.Check(clock_.Now()));
  return sessions_.Export(context.client, id);
}

Result<> Gateway::EndConversation(const std::string& id, const RequestContext& context) const {
  RETURN_IF_ERROR(context.Check(clock_.Now()));
  return sessions_.End(context.client, id);
}

Result<SessionState> Gateway::ImportConversation(const std::string& id, const nlohmann::json& json,
                                                 bool replace,
                                                 const RequestContext& context) const {
  RETURN_IF_ERROR(context.Check(clock_.Now()));
  return sessions_.Import(context.client, id, json, replace);
}

}  // namespace garrison
