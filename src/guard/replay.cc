#include "guard/replay.h"

#include <utility>

namespace garrison {
namespace {

Error InTurn(int turn, Error error) {
  error.where = fmt::format("turn {}", turn);
  return error;
}

Result<> CheckAxis(const std::vector<double>& axis, std::string_view name) {
  auto self = RiskSeverity(axis, axis);
  if (self) return {};
  return FailAt(std::string(name), Code::kInvalidArgument,
                "expected finite numbers that are not all zero: {}", self.error().message);
}

Result<TurnScores> ScoreVectors(const VectorTurn& turn, const ReplayAxes& axes,
                                const GuardSettings& settings) {
  TurnScores scores;
  if (turn.user) {
    ASSIGN_OR_RETURN(scores.risk.user, RiskSeverity(*turn.user, axes.v_safe));
    scores.user_point = InPlane(*turn.user);
  }
  if (turn.model) {
    ASSIGN_OR_RETURN(scores.risk.model, RiskSeverity(*turn.model, axes.v_safe));
    scores.model_point = InPlane(*turn.model);
    if (!axes.v_sycophancy.empty()) {
      ASSIGN_OR_RETURN(scores.agreement, Agreement(*turn.model, axes.v_sycophancy));
    }
  }
  CompleteScores(scores, settings);
  return scores;
}

Result<TurnReport> StepScored(Kinematics& kinematics, int number, const TurnScores& scores,
                              const GuardSettings& settings) {
  auto metrics = kinematics.Step(scores.risk);
  if (!metrics) return tl::unexpected(InTurn(number, std::move(metrics).error()));
  metrics->turn = number;
  return MakeTurnReport(*metrics, scores, settings);
}

}  // namespace

Result<std::vector<TurnReport>> Replay(std::span<const VectorTurn> turns, const ReplayAxes& axes,
                                       const GuardSettings& settings) {
  RETURN_IF_ERROR(CheckAxis(axes.v_safe, "vsafe"));
  if (!axes.v_sycophancy.empty()) RETURN_IF_ERROR(CheckAxis(axes.v_sycophancy, "vsyc"));
  Kinematics kinematics(settings);
  std::vector<TurnReport> reports;
  reports.reserve(turns.size());
  for (const VectorTurn& turn : turns) {
    const auto scores = ScoreVectors(turn, axes, settings);
    if (!scores) return tl::unexpected(InTurn(turn.number, scores.error()));
    ASSIGN_OR_RETURN(TurnReport report, StepScored(kinematics, turn.number, *scores, settings));
    reports.push_back(std::move(report));
  }
  return reports;
}

Result<std::vector<TurnReport>> Replay(std::span<const RiskTurn> turns,
                                       const GuardSettings& settings) {
  Kinematics kinematics(settings);
  std::vector<TurnReport> reports;
  reports.reserve(turns.size());
  for (const RiskTurn& turn : turns) {
    TurnScores scores;
    scores.risk = turn.risk;
    ASSIGN_OR_RETURN(TurnReport report, StepScored(kinematics, turn.number, scores, settings));
    reports.push_back(std::move(report));
  }
  return reports;
}

}  // namespace garrison
