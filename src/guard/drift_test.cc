#include "guard/drift.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>

namespace garrison {
namespace {

class Source {
 public:
  double Next() {
    state_ = state_ * 6364136223846793005ULL + 1442695040888963407ULL;
    return static_cast<double>(state_ >> 11) * 0x1p-53;
  }

 private:
  std::uint64_t state_ = 3;
};

// Calibrated on evidence between 0 and 1, evenly.
MeasuredModel Even() {
  MeasuredModel model;
  for (int i = 0; i <= 64; ++i) model.evidence_quantiles.push_back(i / 64.0);
  model.calibration_conversations = 300;
  return model;
}

TEST(KolmogorovSmirnov, AgreesWithTheTables) {
  // Critical values 1.358 and 1.628 of the asymptotic distribution are those of 5 % and 1 %.
  const double n = 1e8;
  const double root = std::sqrt(n / 2);
  EXPECT_NEAR(KolmogorovSmirnovP(1.3581 / root, n, n), 0.05, 1e-4);
  EXPECT_NEAR(KolmogorovSmirnovP(1.6276 / root, n, n), 0.01, 1e-4);
  EXPECT_EQ(KolmogorovSmirnovP(0, 100, 100), 1);
  EXPECT_LT(KolmogorovSmirnovP(1, 100, 100), 1e-20);
}

TEST(Drift, TheSameDistributionStaysCalibrated) {
  ManualClock clock;
  GuardDrift drift(Even(), clock);
  Source source;
  for (int i = 0; i < 99; ++i) drift.Observe(source.Next(), true);
  EXPECT_EQ(drift.Report().status, DriftStatus::kCollecting);
  for (int i = 0; i < 5000; ++i) drift.Observe(source.Next(), i % 4 == 0);
  const DriftReport report = drift.Report();
  EXPECT_EQ(report.status, DriftStatus::kCalibrated);
  EXPECT_GT(report.p, 0.01);
  EXPECT_EQ(report.turns, 5099u);
}

TEST(Drift, AnotherDistributionIsStale) {
  ManualClock clock;
  GuardDrift drift(Even(), clock);
  Source source;
  for (int i = 0; i < 4000; ++i) drift.Observe(source.Next() * 0.6 + 0.4, i % 4 == 0);
  EXPECT_EQ(drift.Report().status, DriftStatus::kStale);
  EXPECT_NEAR(drift.Report().statistic, 0.4, 0.05);
}

// Many turns of few conversations are little evidence.
TEST(Drift, CountsConversationsNotTurns) {
  ManualClock clock;
  GuardDrift drift(Even(), clock);
  Source source;
  for (int i = 0; i < 12'000; ++i) drift.Observe(source.Next() * 0.85 + 0.15, i % 100 == 0);
  EXPECT_EQ(drift.Report().status, DriftStatus::kCalibrated);
}

TEST(Drift, JudgesAWeekAtItsEnd) {
  ManualClock clock;
  std::vector<DriftReport> told;
  GuardDrift drift(Even(), clock, [&](const DriftReport& report) { told.push_back(report); });
  Source source;
  for (int i = 0; i < 2000; ++i) drift.Observe(source.Next() * 0.5, i % 4 == 0);
  EXPECT_TRUE(told.empty());
  clock.Advance(GuardDrift::kWeek);
  drift.Observe(source.Next(), true);
  EXPECT_EQ(drift.Report().status, DriftStatus::kStale) << "of the week that ended";
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(told[0].turns, 2000u);
  for (int i = 0; i < 2000; ++i) drift.Observe(source.Next(), i % 4 == 0);
  clock.Advance(GuardDrift::kWeek);
  drift.Observe(source.Next(), true);
  EXPECT_EQ(drift.Report().status, DriftStatus::kCalibrated);
  EXPECT_EQ(told.size(), 1u);
}

}  // namespace
}  // namespace garrison
