#include "guard/measured.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <utility>

namespace garrison {
namespace {

// The centred windows of a side and, last, its whole message, which is the window itself if there
// is only one. A side that did not speak is one row of zeros.
RowMatrixF Centred(const MessageSide& side, const Eigen::VectorXf& mean) {
  if (side.empty()) return RowMatrixF::Zero(1, mean.size());
  const Eigen::Index windows = side.windows.rows();
  RowMatrixF out(windows == 1 ? 1 : windows + 1, mean.size());
  out.topRows(windows) = side.windows.rowwise() - mean.transpose();
  if (windows != 1) out.bottomRows(1) = side.whole.rowwise() - mean.transpose();
  return out;
}

// The embedder speaks of "input[i]"; the caller of the guard knows sides.
Error NameSide(Error error) {
  for (const auto& [input, side] : {std::pair{"input[0]", "user"}, {"input[1]", "model"}}) {
    if (error.where.starts_with(input)) error.where.replace(0, 8, side);
  }
  return error;
}

// The evidence of a side that is not foreign altogether.
std::optional<double> Known(const std::optional<SideScore>& side) {
  if (!side || side->language == LanguageVerdict::kForeign) return std::nullopt;
  return side->evidence;
}

// What follows from the sides.
void CompleteScores(MeasuredScores& scores) {
  if (scores.user && scores.compliance) {
    scores.toxic_sycophancy = scores.user->probability * *scores.compliance;
  }
  constexpr double kNone = -std::numeric_limits<double>::infinity();
  scores.evidence = std::max(scores.user ? scores.user->evidence : kNone,
                             scores.reply ? scores.reply->evidence : kNone);
}

}  // namespace

// ---- a conversation
// -----------------------------------------------------------------------------

std::optional<double> Excess(const MeasuredScores& scores, const AlarmRule& rule) {
  const std::optional<double> user = Known(scores.user);
  const std::optional<double> reply = Known(scores.reply);
  if (!user && !reply) return std::nullopt;
  constexpr double kNone = -std::numeric_limits<double>::infinity();
  return std::max(user ? *user - rule.user_level : kNone,
                  reply ? *reply - rule.reply_level : kNone);
}

Result<Alarm::Step> CountTurn(const MeasuredScores& scores, const AlarmRule& rule, Alarm& alarm) {
  const std::optional<double> excess = Excess(scores, rule);
  if (excess && (scores.calibrated || *excess > rule.drift)) return alarm.Take(*excess, rule);
  return alarm.Hold();
}

Result<MeasuredTurn> MeasuredState::Take(MeasuredScores scores, const MeasuredModel& model) {
  MeasuredRecord record;
  record.calibrated = scores.calibrated;
  ASSIGN_OR_RETURN(record.alarm, CountTurn(scores, model.alarm, alarm_));
  if (scores.calibrated) {
    if (scores.user && scores.reply) {
      robustness_.Take(Sigmoid(scores.reply->evidence), Sigmoid(scores.user->evidence),
                       model.baseline);
    }
    record.robustness = robustness_.value(model.baseline);
  }
  for (const auto& side : {Known(scores.user), Known(scores.reply)}) {
    record.turn_alert = record.turn_alert || (side && *side > model.turn_threshold);
  }
  return TurnAgain(std::move(scores), record);
}

MeasuredTurn TurnAgain(MeasuredScores scores, const MeasuredRecord& record) {
  MeasuredTurn turn;
  turn.scores = std::move(scores);
  turn.alarm = record.alarm;
  turn.robustness = record.robustness;
  turn.turn_alert = record.turn_alert;
  turn.action = turn.alarm.on                           ? Action::kBlock
                : turn.turn_alert || !record.calibrated ? Action::kReview
                                                        : Action::kAllow;
  return turn;
}

MeasuredRecord RecordOf(const MeasuredTurn& turn) {
  const auto evidence = [](const std::optional<SideScore>& side) {
    return side ? std::optional(side->evidence) : std::nullopt;
  };
  return {.user = evidence(turn.scores.user),
          .reply = evidence(turn.scores.reply),
          .compliance = turn.scores.compliance,
          .calibrated = turn.scores.calibrated,
          .turn_alert = turn.turn_alert,
          .alarm = turn.alarm,
          .robustness = turn.robustness};
}

MeasuredTurn TurnAgain(const MeasuredRecord& record, double prior_log_odds) {
  const auto side = [&](std::optional<double> evidence) -> std::optional<SideScore> {
    if (!evidence) return std::nullopt;
    SideScore score;
    score.evidence = *evidence;
    score.probability = Sigmoid(*evidence + prior_log_odds);
    score.windows = 0;
    return score;
  };
  MeasuredScores scores;
  scores.user = side(record.user);
  scores.reply = side(record.reply);
  scores.compliance = record.compliance;
  scores.calibrated = record.calibrated;
  CompleteScores(scores);
  return TurnAgain(std::move(scores), record);
}

std::vector<std::string> MeasuredMessages(const MeasuredTurn& turn) {
  if (!turn.alarm.on) return {};
  const MeasuredScores& scores = turn.scores;
  const bool by_user =
      scores.user && (!scores.reply || scores.user->evidence >= scores.reply->evidence);
  return {by_user
              ? "User Policy Violation Warning: the messages of this conversation add up to more "
                "risk than is allowed. Please rephrase, or start a new conversation."
              : "AI Guardrail Erosion Threshold Exceeded: the model's answers moved away from its "
                "safe behaviour. Please restart your conversation in a new instance."};
}

std::string_view MeasuredStatus(const MeasuredTurn& turn) {
  if (turn.alarm.on) return "alarm";
  if (!turn.scores.calibrated) return "not calibrated";
  return turn.turn_alert ? "suspicious turn" : "ordinary";
}

Result<MeasuredState> MeasuredState::Restore(const Data& data) {
  MeasuredState state;
  ASSIGN_OR_RETURN(state.alarm_, Alarm::Restore(data.alarm));
  ASSIGN_OR_RETURN(state.robustness_, RobustnessRatio::Restore(data.robustness));
  return state;
}

// ---- a turn
// -------------------------------------------------------------------------------------

MeasuredMonitor::MeasuredMonitor(const Embedder& embedder, GuardFile file, double prior)
    : embedder_(embedder), file_(std::move(file)), prior_log_odds_(Logit(prior)) {}

Result<std::unique_ptr<MeasuredMonitor>> MeasuredMonitor::Create(const Embedder& embedder,
                                                                 GuardFile file, double prior) {
  RETURN_IF_ERROR(file.CheckModel(embedder.info()));
  if (!(prior > 0 && prior < 1)) {
    return FailAt("guard.prior", Code::kInvalidArgument, "expected a share between 0 and 1, got {}",
                  prior);
  }
  std::unique_ptr<MeasuredMonitor> monitor(new MeasuredMonitor(embedder, std::move(file), prior));
  RETURN_IF_ERROR(monitor->EmbedAnchors());
  return monitor;
}

Result<> MeasuredMonitor::EmbedAnchors() {
  const std::vector<AnchorSet>& sets = file_.model().anchors;
  EmbedRequest request{.long_input = LongInput{.policy = LongInput::Policy::kChunk}};
  for (const AnchorSet& set : sets) {
    for (const std::string& text : set.texts) request.inputs.emplace_back(text);
  }
  if (request.inputs.empty()) return {};
  RequestContext context;
  context.id = "guard.file";
  const auto rows = embedder_.Embed(request, context);
  if (!rows) return tl::unexpected(At("guard.file: anchors", rows.error()));
  const Eigen::VectorXf& mean = file_.model().mean;
  anchors_ = RowMatrixF::Zero(static_cast<Eigen::Index>(sets.size()), mean.size());
  std::size_t row = 0;
  for (std::size_t i = 0; i < sets.size(); ++i) {
    auto direction = anchors_.row(static_cast<Eigen::Index>(i));
    for (std::size_t text = 0; text < sets[i].texts.size(); ++text) {
      const Eigen::Map<const Eigen::VectorXf> x(rows->row(row++).data(), mean.size());
      direction += (x - mean).normalized().transpose();
    }
    direction.normalize();
  }
  return {};
}

NearestAnchor MeasuredMonitor::Nearest(const Eigen::Ref<const Eigen::RowVectorXf>& centred) const {
  if (anchors_.rows() == 0) return {};
  Eigen::Index best = 0;
  float largest = -std::numeric_limits<float>::infinity();
  for (Eigen::Index i = 0; i < anchors_.rows(); ++i) {
    const float product = anchors_.row(i).dot(centred);
    if (product <= largest) continue;
    largest = product;
    best = i;
  }
  const float length = centred.norm();
  return {file_.model().anchors[static_cast<std::size_t>(best)].name,
          length > 0 ? largest / length : 0.0};
}

SideScore MeasuredMonitor::WorstWindow(const Probe& probe, const MessageSide& side,
                                       const RowMatrixF& centred,
                                       std::span<const double> scores) const {
  const auto worst = std::max_element(scores.begin(), scores.end());
  const auto fired = static_cast<std::size_t>(worst - scores.begin());
  SideScore score;
  score.evidence = probe.calibration.LogLikelihoodRatio(*worst);
  score.probability = Sigmoid(score.evidence + prior_log_odds_);
  score.window = side.places[fired];
  score.windows = scores.size();
  score.nearest = Nearest(centred.row(static_cast<Eigen::Index>(fired)));
  return score;
}

Result<MeasuredScores> MeasuredMonitor::ScoreSides(const MessageSide& user,
                                                   const MessageSide& reply) const {
  const MeasuredModel& model = file_.model();
  const auto probe = [&](GuardHead head) -> const Probe& {
    return model.probes[static_cast<std::size_t>(head)];
  };
  const RowMatrixF user_vectors = Centred(user, model.mean);
  const RowMatrixF reply_vectors = Centred(reply, model.mean);
  const auto u = user_vectors.row(user_vectors.rows() - 1);
  const auto r = reply_vectors.row(reply_vectors.rows() - 1);

  MeasuredScores scores;
  std::vector<double> window_scores;
  if (!user.empty()) {
    const Probe& harmful = probe(GuardHead::kUserHarmful);
    for (Eigen::Index i = 0; i < user.windows.rows(); ++i) {
      const auto& words = user.window_words[static_cast<std::size_t>(i)];
      // A probe of the message alone does not look at the second vector.
      window_scores.push_back(harmful.Score({user_vectors.row(i), u, words, {}}));
    }
    scores.user = WorstWindow(harmful, user, user_vectors, window_scores);
  }
  if (!reply.empty()) {
    const Probe& risky = probe(GuardHead::kReplyRisky);
    window_scores.clear();
    for (Eigen::Index i = 0; i < reply.windows.rows(); ++i) {
      const auto& words = reply.window_words[static_cast<std::size_t>(i)];
      window_scores.push_back(risky.Score({u, reply_vectors.row(i), user.whole_words, words}));
    }
    scores.reply = WorstWindow(risky, reply, reply_vectors, window_scores);
  }
  if (scores.user && scores.reply) {
    const Probe& complies = probe(GuardHead::kReplyComplies);
    scores.compliance = Sigmoid(
        complies.calibration.LogOdds(complies.Score({u, r, user.whole_words, reply.whole_words})));
  }
  CompleteScores(scores);
  if (!std::isfinite(scores.evidence)) {
    return Fail(Code::kInternal, "expected finite vectors of a message, got NaN or infinity");
  }
  return scores;
}

Result<MeasuredScores> MeasuredMonitor::Score(const std::optional<std::string>& user,
                                              const std::optional<std::string>& model,
                                              const RequestContext& context) const {
  if (!user && !model) {
    return Fail(Code::kInvalidArgument,
                "expected a message of the user, the model or both, got neither");
  }
  const std::array<std::optional<std::string>, 2> texts = {user, model};
  const auto read = Read(texts, context);
  if (!read) return tl::unexpected(NameSide(read.error()));
  return Score((*read)[0], (*read)[1]);
}

Result<std::vector<MeasuredMonitor::Message>> MeasuredMonitor::Read(
    std::span<const std::optional<std::string>> texts, const RequestContext& context) const {
  ASSIGN_OR_RETURN(std::vector<MessageSide> sides, EmbedSides(embedder_, texts, context));
  std::vector<Message> messages(sides.size());
  for (std::size_t i = 0; i < sides.size(); ++i) {
    messages[i].side = std::move(sides[i]);
    if (texts[i]) messages[i].language = file_.model().language.Judge(*texts[i]);
  }
  return messages;
}

Result<MeasuredScores> MeasuredMonitor::Score(const Message& user, const Message& reply) const {
  ASSIGN_OR_RETURN(MeasuredScores scores, ScoreSides(user.side, reply.side));
  const auto judge = [&](std::optional<SideScore>& side, LanguageVerdict language) {
    if (!side) return;
    side->language = language;
    const bool partly_foreign =
        language == LanguageVerdict::kForeign || language == LanguageVerdict::kMixed;
    if (partly_foreign) scores.calibrated = false;
  };
  judge(scores.user, user.language);
  judge(scores.reply, reply.language);
  scores.tokens = user.side.tokens + reply.side.tokens;
  return scores;
}

Result<std::vector<MeasuredTurn>> CheckConversation(const MeasuredMonitor& monitor,
                                                    const Conversation& conversation,
                                                    const RequestContext& context) {
  MeasuredState state;
  std::vector<MeasuredTurn> turns;
  turns.reserve(conversation.turns.size());
  for (const Turn& turn : conversation.turns) {
    auto scores = monitor.Score(turn.user, turn.model, context);
    if (!scores) {
      return tl::unexpected(At(fmt::format("turn {}", turn.number), std::move(scores).error()));
    }
    ASSIGN_OR_RETURN(MeasuredTurn report, state.Take(*std::move(scores), monitor.file().model()));
    turns.push_back(std::move(report));
  }
  return turns;
}

}  // namespace garrison
