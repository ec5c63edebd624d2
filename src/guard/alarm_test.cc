#include "guard/alarm.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace garrison {
namespace {

constexpr AlarmRule kRule{
    .drift = 0.5, .threshold = 3, .release = 1.5, .evidence_max = 6, .slope_sigma = 2};

std::vector<Alarm::Step> Steps(const std::vector<double>& evidence) {
  Alarm alarm;
  std::vector<Alarm::Step> steps;
  for (const double l : evidence) steps.push_back(alarm.Take(l, kRule).value());
  return steps;
}

TEST(Alarm, AddsUpWhatSpeaksForAChange) {
  const auto steps = Steps({-2, 1, 1, 0.5, 2.6, 0});
  const double sums[] = {0, 0.5, 1, 1, 3.1, 2.6};
  for (std::size_t i = 0; i < steps.size(); ++i) EXPECT_DOUBLE_EQ(steps[i].sum, sums[i]);
  EXPECT_FALSE(steps[3].on);
  EXPECT_TRUE(steps[4].on);
  EXPECT_TRUE(steps[4].rose);
  EXPECT_FALSE(steps[5].rose);
}

// What the compatible mode cannot: a slow rise alerts, and the alarm survives a mild turn.
TEST(Alarm, ASlowRiseAlertsAndOneMildTurnDoesNotEndIt) {
  std::vector<double> evidence;
  for (int i = 0; i < 16; ++i) evidence.push_back(0.1 * i);
  EXPECT_TRUE(Steps(evidence).back().on);
  evidence.push_back(-0.5);
  EXPECT_TRUE(Steps(evidence).back().on);
  evidence.insert(evidence.end(), 5, -2.0);
  EXPECT_FALSE(Steps(evidence).back().on);
}

TEST(Alarm, StandingAtTheThresholdIsNotBeyondIt) {
  EXPECT_FALSE(Steps({3.5}).back().on);
  EXPECT_TRUE(Steps({3.6}).back().on);
}

TEST(Alarm, OneTurnCountsNoMoreThanTheMost) { EXPECT_DOUBLE_EQ(Steps({1e9}).back().sum, 5.5); }

TEST(Alarm, TheTrendIsTheLeastSquaresSlopeOfTheLastTurns) {
  const auto steps = Steps({9, 1, 3, 2, 6});
  EXPECT_FALSE(steps[1].trend);
  // Of 6 (bounded from 9), 1, 3.
  EXPECT_NEAR(steps[2].trend->slope, -1.5, 1e-12);
  // Of 1, 3, 2, 6: sum (i - 1.5) l / 5 = 7 / 5.
  EXPECT_NEAR(steps[4].trend->slope, 1.4, 1e-12);
  EXPECT_NEAR(steps[4].trend->z, 1.4 / (2 / std::sqrt(5.0)), 1e-12);
}

TEST(Alarm, RefusesWhatIsNoNumber) {
  Alarm alarm;
  EXPECT_FALSE(alarm.Take(std::numeric_limits<double>::quiet_NaN(), kRule));
  EXPECT_FALSE(alarm.Take(std::numeric_limits<double>::infinity(), kRule));
  EXPECT_EQ(alarm.state().turns, 0u);
  Alarm::State bad;
  bad.sum = -1;
  EXPECT_FALSE(Alarm::Restore(bad));
}

RC_GTEST_PROP(Alarm, GoesOnAfterItWasKept, ()) {
  const auto evidence = *rc::gen::container<std::vector<double>>(
      rc::gen::map(rc::gen::inRange(-800, 800), [](int i) { return i / 100.0; }));
  Alarm whole;
  Alarm kept;
  for (const double l : evidence) {
    kept = Alarm::Restore(kept.state()).value();
    const Alarm::Step a = whole.Take(l, kRule).value();
    const Alarm::Step b = kept.Take(l, kRule).value();
    RC_ASSERT(a.sum == b.sum);
    RC_ASSERT(a.on == b.on);
    RC_ASSERT(a.sum >= 0);
  }
  RC_ASSERT(whole.state() == kept.state());
}

TEST(Conformal, IsTheRankThatTheGuaranteeNeeds) {
  std::vector<double> maxima;
  for (int i = 1; i <= 99; ++i) maxima.push_back(i);
  std::reverse(maxima.begin(), maxima.end());
  EXPECT_EQ(ConformalThreshold(maxima, 0.01).value(), 99);
  EXPECT_EQ(ConformalThreshold(maxima, 0.05).value(), 95);
  EXPECT_EQ(ConformalThreshold(maxima, 0.5).value(), 50);
}

TEST(Conformal, SaysHowManyItNeeds) {
  const auto refused = ConformalThreshold(std::vector<double>(98, 1.0), 0.01);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kFailedPrecondition);
  EXPECT_NE(refused.error().message.find("at least 99"), std::string::npos);
  EXPECT_FALSE(ConformalThreshold({}, 0.5));
  EXPECT_FALSE(ConformalThreshold(std::vector<double>{1}, 0));
}

// The guarantee itself: among exchangeable numbers a new one exceeds the threshold at most so
// often.
TEST(Conformal, KeepsItsRateOnFreshNumbers) {
  std::uint64_t state = 7;
  const auto next = [&] {
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    return static_cast<double>(state >> 11) * 0x1p-53;
  };
  int exceeded = 0;
  constexpr int kTrials = 20'000;
  for (int trial = 0; trial < kTrials; ++trial) {
    std::vector<double> maxima(39);
    for (double& m : maxima) m = next();
    exceeded += next() > ConformalThreshold(maxima, 0.1).value() ? 1 : 0;
  }
  // Exactly 0.1 is expected here; five deviations either way.
  EXPECT_NEAR(static_cast<double>(exceeded) / kTrials, 0.1, 5 * std::sqrt(0.09 / kTrials));
}

TEST(Robustness, IsTheLogRatioOfExcesses) {
  RobustnessRatio ratio;
  ratio.Take(0.05, 0.1, 0.1);
  EXPECT_FALSE(ratio.value(0.1)) << "nothing to withstand yet";
  ratio.Take(0.2, 0.6, 0.1);
  ratio.Take(0.4, 0.8, 0.1);
  const auto value = ratio.value(0.1);
  ASSERT_TRUE(value);
  EXPECT_NEAR(value->log_ratio, std::log((0.1 + 0.3 + 0.2) / (0.5 + 0.7 + 0.2)), 1e-12);
  ASSERT_TRUE(value->interval);
  EXPECT_LT((*value->interval)[0], value->log_ratio);
  EXPECT_GT((*value->interval)[1], value->log_ratio);
}

// 20 turns alike say no more or less than 10 in kind, only with more certainty.
TEST(Robustness, DoesNotDependOnTheNumberOfTurns) {
  const auto after = [](int turns) {
    RobustnessRatio ratio;
    for (int i = 0; i < turns; ++i)
      ratio.Take(0.5 + 0.2 * (i % 2), 0.5 + 0.2 * ((i + 1) % 2), 0.05);
    return ratio.value(0.05).value();
  };
  EXPECT_NEAR(after(10).log_ratio, after(100).log_ratio, 1e-9);
  EXPECT_NEAR(after(10).log_ratio, 0, 1e-9);
  const auto width = [&](int turns) {
    const auto interval = *after(turns).interval;
    return interval[1] - interval[0];
  };
  EXPECT_LT(width(100), width(10));
}

}  // namespace
}  // namespace garrison
