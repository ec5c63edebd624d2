#include "guard/drift.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>
#include <utility>

namespace garrison {

double KolmogorovSmirnovP(double statistic, double n, double m) {
  const double root = std::sqrt(n * m / (n + m));
  const double lambda = (root + 0.12 + 0.11 / root) * statistic;
  if (lambda < 0.2) return 1;  // the series converges slowly there, to 1
  double sum = 0;
  double sign = 2;
  for (int j = 1; j <= 100; ++j) {
    const double term = sign * std::exp(-2.0 * j * j * lambda * lambda);
    sum += term;
    if (std::abs(term) < 1e-12) break;
    sign = -sign;
  }
  return std::clamp(sum, 0.0, 1.0);
}

std::string_view DriftStatusName(DriftStatus status) {
  switch (status) {
    case DriftStatus::kCollecting:
      return "collecting";
    case DriftStatus::kCalibrated:
      return "calibrated";
    case DriftStatus::kStale:
      break;
  }
  return "stale";
}

GuardDrift::GuardDrift(const MeasuredModel& model, const Clock& clock, OnStale on_stale)
    : quantiles_(model.evidence_quantiles),
      calibrated_on_(static_cast<double>(model.calibration_conversations)),
      clock_(clock),
      on_stale_(std::move(on_stale)),
      began_(clock.Now()),
      counts_(model.evidence_quantiles.size() + 1) {}

void GuardDrift::Observe(double evidence, bool first_turn) {
  const auto bin = std::lower_bound(quantiles_.begin(), quantiles_.end(), evidence);
  const SteadyTime now = clock_.Now();
  std::optional<DriftReport> ended;
  {
    const std::lock_guard lock(mutex_);
    if (now - began_ >= kWeek) {
      ended = last_week_ = Judge();
      began_ = now;
      conversations_ = 0;
      std::fill(counts_.begin(), counts_.end(), 0);
    }
    ++counts_[static_cast<std::size_t>(bin - quantiles_.begin())];
    if (first_turn) ++conversations_;
  }
  if (ended && ended->status == DriftStatus::kStale && on_stale_) on_stale_(*ended);
}

DriftReport GuardDrift::Report() const {
  const std::lock_guard lock(mutex_);
  return last_week_.status == DriftStatus::kCollecting ? Judge() : last_week_;
}

DriftReport GuardDrift::Judge() const {
  DriftReport report;
  report.conversations = conversations_;
  report.turns = std::accumulate(counts_.begin(), counts_.end(), std::uint64_t{0});
  if (conversations_ < kConversationsMin) return report;
  const auto turns = static_cast<double>(report.turns);
  const auto steps = static_cast<double>(quantiles_.size() - 1);
  std::uint64_t below = 0;
  for (std::size_t i = 0; i < quantiles_.size(); ++i) {
    below += counts_[i];
    // Equal quantiles are one step of the calibration's distribution, as high as its last.
    if (i + 1 < quantiles_.size() && quantiles_[i + 1] == quantiles_[i]) continue;
    const double expected = static_cast<double>(i) / steps;
    report.statistic =
        std::max(report.statistic, std::abs(static_cast<double>(below) / turns - expected));
  }
  // One quantile is known to within a step.
  report.statistic = std::max(0.0, report.statistic - 1 / steps);
  report.p =
      KolmogorovSmirnovP(report.statistic, static_cast<double>(conversations_), calibrated_on_);
  const bool stale = report.p < kPMax && report.statistic > kStatisticMin;
  report.status = stale ? DriftStatus::kStale : DriftStatus::kCalibrated;
  return report;
}

}  // namespace garrison
