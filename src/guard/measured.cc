#include "guard/measured.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <utility>

namespace garrison {
namespace {

// The embedder speaks of "input[i]"; the caller of the guard knows sides.
Error NameSide(Error error) {
  for (const auto& [input, side] : {std::pair{"input[0]", "user"}, {"input[1]", "model"}}) {
    if (error.where.starts_with(input)) error.where.replace(0, 8, side);
  }
  return error;
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

Result<MeasuredTurn> MeasuredState::Take(MeasuredScores scores, const MeasuredModel& model) {
  MeasuredRecord record;
  if (scores.calibrated) {
    ASSIGN_OR_RETURN(record.alarm, alarm_.Take(scores.evidence, model.alarm));
    if (scores.user && scores.reply) {
      robustness_.Take(Sigmoid(scores.reply->evidence), Sigmoid(scores.user->evidence),
                       model.baseline);
    }
    record.robustness = robustness_.value(model.baseline);
  }
  return TurnAgain(std::move(scores), record, model);
}

MeasuredTurn TurnAgain(MeasuredScores scores, const MeasuredRecord& record,
                       const MeasuredModel& model) {
  MeasuredTurn turn;
  turn.scores = std::move(scores);
  turn.alarm = record.alarm;
  turn.robustness = record.robustness;
  if (!turn.alarm) {
    turn.action = Action::kReview;
    return turn;
  }
  turn.turn_alert = turn.scores.evidence > model.turn_threshold;
  turn.action = turn.alarm->on    ? Action::kBlock
                : turn.turn_alert ? Action::kReview
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
          .alarm = turn.alarm,
          .robustness = turn.robustness};
}

MeasuredTurn TurnAgain(const MeasuredRecord& record, const MeasuredModel& model, double prior) {
  const auto side = [&](std::optional<double> evidence) -> std::optional<SideScore> {
    if (!evidence) return std::nullopt;
    SideScore score;
    score.evidence = *evidence;
    score.probability = Sigmoid(*evidence + Logit(prior));
    score.windows = 0;
    return score;
  };
  MeasuredScores scores;
  scores.user = side(record.user);
  scores.reply = side(record.reply);
  scores.compliance = record.compliance;
  scores.calibrated = record.alarm.has_value();
  CompleteScores(scores);
  return TurnAgain(std::move(scores), record, model);
}

std::vector<std::string> MeasuredMessages(const MeasuredTurn& turn) {
  if (!turn.alarm || !turn.alarm->on) return {};
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
  if (!turn.scores.calibrated) return "not calibrated";
  if (turn.alarm && turn.alarm->on) return "alarm";
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
    : embedder_(embedder), file_(std::move(file)), prior_(prior) {}

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
  for (std::size_t i = 0; i < sets.size(); ++i) {
    for (const std::string& text : sets[i].texts) {
      request.inputs.emplace_back(text);
      anchor_set_.push_back(i);
    }
  }
  if (request.inputs.empty()) return {};
  RequestContext context;
  context.id = "guard.file";
  const auto rows = embedder_.Embed(request, context);
  if (!rows) return tl::unexpected(At("guard.file: anchors", rows.error()));
  const Eigen::Map<const RowMatrixF> x(rows->values.data(), static_cast<Eigen::Index>(rows->size()),
                                       static_cast<Eigen::Index>(rows->dimension));
  anchors_ = file_.model().whitening.Apply(x);
  anchors_.rowwise().normalize();
  return {};
}

NearestAnchor MeasuredMonitor::Nearest(const Eigen::Ref<const Eigen::RowVectorXf>& whitened) const {
  if (anchors_.rows() == 0) return {};
  Eigen::Index best = 0;
  const Eigen::VectorXf products = anchors_ * whitened.transpose();
  const float largest = products.maxCoeff(&best);
  const float length = whitened.norm();
  const std::size_t set = anchor_set_[static_cast<std::size_t>(best)];
  return {file_.model().anchors[set].name, length > 0 ? largest / length : 0.0};
}

SideScore MeasuredMonitor::WorstWindow(const Probe& probe, const MessageSide& side,
                                       const RowMatrixF& whitened,
                                       std::span<const double> scores) const {
  const auto worst = std::max_element(scores.begin(), scores.end());
  const auto fired = static_cast<std::size_t>(worst - scores.begin());
  SideScore score;
  score.evidence = probe.calibration.LogLikelihoodRatio(*worst);
  score.probability = probe.calibration.Probability(*worst, prior_);
  score.window = side.places[fired];
  score.windows = scores.size();
  score.nearest = Nearest(whitened.row(static_cast<Eigen::Index>(fired)));
  return score;
}

Result<MeasuredScores> MeasuredMonitor::ScoreSides(const MessageSide& user,
                                                   const MessageSide& reply) const {
  const MeasuredModel& model = file_.model();
  const auto probe = [&](GuardHead head) -> const Probe& {
    return model.probes[static_cast<std::size_t>(head)];
  };
  const Eigen::RowVectorXf none = Eigen::RowVectorXf::Zero(model.whitening.mean.size());
  // Whitened windows, and the whole message, which is its own window if it is short.
  const auto whiten = [&](const MessageSide& side, RowMatrixF& windows) -> Eigen::RowVectorXf {
    if (side.empty()) return none;
    windows = model.whitening.Apply(side.windows);
    return side.windows.rows() == 1 ? windows.row(0) : model.whitening.Apply(side.whole).row(0);
  };
  RowMatrixF user_windows;
  RowMatrixF reply_windows;
  const Eigen::RowVectorXf u = whiten(user, user_windows);
  const Eigen::RowVectorXf r = whiten(reply, reply_windows);

  MeasuredScores scores;
  std::vector<double> window_scores;
  if (!user.empty()) {
    const Probe& harmful = probe(GuardHead::kUserHarmful);
    for (Eigen::Index i = 0; i < user_windows.rows(); ++i) {
      const auto& words = user.window_words[static_cast<std::size_t>(i)];
      window_scores.push_back(harmful.Score({user_windows.row(i), none, words, {}}));
    }
    scores.user = WorstWindow(harmful, user, user_windows, window_scores);
  }
  if (!reply.empty()) {
    const Probe& risky = probe(GuardHead::kReplyRisky);
    window_scores.clear();
    for (Eigen::Index i = 0; i < reply_windows.rows(); ++i) {
      const auto& words = reply.window_words[static_cast<std::size_t>(i)];
      window_scores.push_back(risky.Score({u, reply_windows.row(i), user.whole_words, words}));
    }
    scores.reply = WorstWindow(risky, reply, reply_windows, window_scores);
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
  auto scored = ScoreAll(texts, context);
  if (!scored) return tl::unexpected(NameSide(std::move(scored).error()));
  return std::move(scored->front().scores);
}

Result<std::vector<MeasuredMonitor::ScoredSides>> MeasuredMonitor::ScoreAll(
    std::span<const std::optional<std::string>> texts, const RequestContext& context) const {
  ASSIGN_OR_RETURN(std::vector<MessageSide> sides, EmbedSides(embedder_, texts, context));
  std::vector<ScoredSides> all;
  all.reserve(sides.size() / 2);
  for (std::size_t i = 0; i + 1 < sides.size(); i += 2) {
    ScoredSides& turn = all.emplace_back();
    turn.user = std::move(sides[i]);
    turn.reply = std::move(sides[i + 1]);
    MeasuredScores& scores = turn.scores;
    ASSIGN_OR_RETURN(scores, ScoreSides(turn.user, turn.reply));
    const auto judge = [&](std::optional<SideScore>& side, const std::optional<std::string>& text) {
      if (!side) return;
      side->language = file_.model().language.Judge(*text);
      if (side->language == LanguageVerdict::kForeign) scores.calibrated = false;
    };
    judge(scores.user, texts[i]);
    judge(scores.reply, texts[i + 1]);
    scores.tokens = turn.user.tokens + turn.reply.tokens;
  }
  return all;
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
