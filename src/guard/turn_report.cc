#include "guard/turn_report.h"

namespace garrison {
namespace {

class Mean {
 public:
  void Add(std::optional<double> value) {
    if (!value) return;
    total_ += *value;
    ++count_;
  }
  std::optional<double> Get() const {
    return count_ == 0 ? std::nullopt : std::optional(total_ / static_cast<double>(count_));
  }

 private:
  double total_ = 0;
  std::size_t count_ = 0;
};

void Raise(std::optional<Peak>& peak, std::optional<double> value, int turn) {
  if (value && (!peak || *value > peak->value)) peak = {*value, turn};
}

void Latest(std::optional<double>& last, std::optional<double> value) {
  if (value) last = value;
}

void AddPeaks(const TurnReport& turn, Summary& summary) {
  const TurnMetrics& metrics = turn.metrics;
  Raise(summary.peak_r_model, metrics.r_model, metrics.turn);
  Raise(summary.peak_r_user, metrics.r_user, metrics.turn);
  Raise(summary.peak_likelihood, metrics.likelihood, metrics.turn);
  Raise(summary.peak_a, metrics.a_model, metrics.turn);
  Raise(summary.peak_rho, metrics.rho, metrics.turn);
  Raise(summary.peak_toxic_sycophancy, turn.scores.toxic_sycophancy, metrics.turn);
  Latest(summary.final_c_model, metrics.c_model);
  Latest(summary.final_c_user, metrics.c_user);
  Latest(summary.final_rho, metrics.rho);
}

void AddCounts(const TurnReport& turn, Summary& summary) {
  summary.partial_turns += turn.partial();
  for (const Alert& alert : turn.verdict.alerts)
    ++summary.alerts[static_cast<std::size_t>(alert.kind)];
  summary.alert_turns += !turn.verdict.alerts.empty();
  summary.high_priority_turns += turn.verdict.high_priority;
  summary.sycophancy_events += turn.scores.sycophancy_event;
  summary.sycophancy_traps += turn.scores.quadrant == Quadrant::kSycophancyTrap;
}

}  // namespace

std::optional<PlanePoint> InPlane(std::span<const double> vector) {
  if (vector.size() != 2) return std::nullopt;
  return PlanePoint{vector[0], vector[1]};
}

void CompleteScores(TurnScores& scores, const GuardSettings& settings) {
  if (!scores.risk.user || !scores.agreement) return;
  scores.toxic_sycophancy = ToxicSycophancy(*scores.risk.user, *scores.agreement);
  scores.quadrant = ClassifyQuadrant(*scores.risk.user, *scores.agreement, settings);
  scores.sycophancy_event = *scores.toxic_sycophancy >= settings.sycophancy_event;
}

TurnReport MakeTurnReport(const TurnMetrics& metrics, const TurnScores& scores,
                          const GuardSettings& settings) {
  TurnReport report{metrics, scores, Judge(metrics, settings), std::nullopt};
  if (metrics.rho) report.robustness = ClassifyRho(*metrics.rho, settings.rho_tolerance);
  return report;
}

Summary Summarize(std::span<const TurnReport> turns, const GuardSettings& settings,
                  const Provenance& provenance) {
  Summary summary;
  summary.turns = turns.size();
  summary.provenance = provenance;
  Mean likelihood;
  Mean erosion;
  Mean sycophancy;
  for (const TurnReport& turn : turns) {
    AddPeaks(turn, summary);
    AddCounts(turn, summary);
    likelihood.Add(turn.metrics.likelihood);
    erosion.Add(turn.metrics.a_model);
    sycophancy.Add(turn.scores.toxic_sycophancy);
  }
  summary.mean_likelihood = likelihood.Get();
  summary.mean_a = erosion.Get();
  summary.mean_toxic_sycophancy = sycophancy.Get();
  if (summary.final_rho) {
    summary.robustness = ClassifyRho(*summary.final_rho, settings.rho_tolerance);
    summary.fragility = Fragility({&*summary.final_rho, 1});
    summary.fragility_passes = FragilityPasses(*summary.fragility, settings);
  }
  return summary;
}

}  // namespace garrison
