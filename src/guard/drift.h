// Do live conversations still look like those that the measured guard was calibrated on? If not,
// its rates of false alarms are no longer those that it states.
//
// A two-sample Kolmogorov-Smirnov test of the evidence of turns, at the quantiles that the guard
// file keeps, once a week. Turns of one conversation depend on each other, so that the number of
// conversations, not of turns, counts as the sample's size; and a guard that is tested every week
// for years must not cry stale by chance, so that each test has to be very sure.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "guard/measured_model.h"

namespace garrison {

// P(D >= `statistic`) of the two-sample test with `n` and `m` values, by Kolmogorov's asymptotic
// distribution with Stephens' correction for small samples.
double KolmogorovSmirnovP(double statistic, double n, double m);

enum class DriftStatus {
  kCollecting,  // too few conversations yet
  kCalibrated,
  kStale,
};

// "collecting", "calibrated", "stale".
std::string_view DriftStatusName(DriftStatus status);

struct DriftReport {
  DriftStatus status = DriftStatus::kCollecting;
  // Of the last whole week, or of what there is if there was none.
  double statistic = 0;  // largest distance of the two distributions
  double p = 1;
  std::uint64_t conversations = 0;
  std::uint64_t turns = 0;
};

// Thread-safe; Observe costs a few comparisons.
class GuardDrift {
 public:
  static constexpr std::chrono::hours kWeek{7 * 24};
  static constexpr std::uint64_t kConversationsMin = 100;
  // Ten years of weeks at one chance in twenty.
  static constexpr double kPMax = 0.05 / 520;
  // Below this distance the rates cannot have moved by more, however sure the test is.
  static constexpr double kStatisticMin = 0.05;

  // Called by Observe, on its thread, at the end of a week that was stale.
  using OnStale = std::function<void(const DriftReport&)>;

  // `clock` must outlive it.
  GuardDrift(const MeasuredModel& model, const Clock& clock, OnStale on_stale = {});

  // The evidence of a live turn, the first of its conversation or not.
  void Observe(double evidence, bool first_turn);
  DriftReport Report() const;

 private:
  DriftReport Judge() const;

  const std::vector<double> quantiles_;
  const double calibrated_on_;  // conversations
  const Clock& clock_;
  const OnStale on_stale_;

  mutable std::mutex mutex_;
  // Guarded by mutex_.
  SteadyTime began_;
  std::vector<std::uint64_t> counts_;  // turns from one quantile to the next
  std::uint64_t conversations_ = 0;
  DriftReport last_week_;
};

}  // namespace garrison
