#include "guard/evaluation_stats.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cmath>
#include <random>

#include "guard/kinematics.h"
#include "guard/test_support.h"

namespace garrison {
namespace {

TEST(Describe, IsOfThePopulation) {
  EXPECT_FALSE(Describe({}).has_value());
  const std::vector<double> values = {4, 1, 3, 2};
  const SampleStats stats = Describe(values).value();
  EXPECT_EQ(stats.count, 4u);
  EXPECT_EQ(stats.mean, 2.5);
  EXPECT_EQ(stats.median, 2.5);
  EXPECT_EQ(stats.min, 1);
  EXPECT_EQ(stats.max, 4);
  EXPECT_DOUBLE_EQ(stats.deviation, std::sqrt(1.25));
  const std::vector<double> odd = {9, 1, 2};
  EXPECT_EQ(Describe(odd)->median, 2);
  const std::vector<double> one = {7};
  EXPECT_EQ(Describe(one).value(), (SampleStats{1, 7, 7, 7, 7, 0}));
}

// ---- the beta function
// ---------------------------------------------------------------------------

// For whole a and b, I_x(a, b) is the chance of at least a successes in a + b - 1 throws.
double BinomialTail(double x, int a, int b) {
  const int n = a + b - 1;
  double sum = 0;
  for (int k = a; k <= n; ++k) {
    sum += std::exp(std::lgamma(n + 1) - std::lgamma(k + 1) - std::lgamma(n - k + 1)) *
           std::pow(x, k) * std::pow(1 - x, n - k);
  }
  return sum;
}

TEST(RegularizedBeta, IsTheBinomialTailForWholeArguments) {
  for (const int a : {1, 2, 7, 40}) {
    for (const int b : {1, 3, 12, 55}) {
      for (const double x : {1e-3, 0.1, 0.35, 0.5, 0.8, 0.999}) {
        const double expected = BinomialTail(x, a, b);
        EXPECT_NEAR(RegularizedBeta(x, a, b), expected, 1e-11 * expected + 1e-14)
            << x << " " << a << " " << b;
      }
    }
  }
}

TEST(RegularizedBeta, HasItsEndsAndClosedForms) {
  EXPECT_EQ(RegularizedBeta(0, 2, 3), 0);
  EXPECT_EQ(RegularizedBeta(1, 2, 3), 1);
  // I_x(1/2, 1/2) = 2/pi asin(sqrt(x)).
  for (const double x : {0.01, 0.25, 0.5, 0.9}) {
    EXPECT_NEAR(RegularizedBeta(x, 0.5, 0.5), 2 / M_PI * std::asin(std::sqrt(x)), 1e-14);
  }
  EXPECT_NEAR(RegularizedBeta(0.5, 5000, 5000), 0.5, 1e-10);
}

RC_GTEST_PROP(RegularizedBetaProperty, RisesFromZeroToOneAndMirrors, ()) {
  const double a = *rc::gen::inRange(1, 4000) / 16.0;
  const double b = *rc::gen::inRange(1, 4000) / 16.0;
  const double x = *rc::gen::inRange(0, 1001) / 1000.0;
  const double value = RegularizedBeta(x, a, b);
  RC_ASSERT(value >= 0 && value <= 1);
  RC_ASSERT(std::abs(value - (1 - RegularizedBeta(1 - x, b, a))) < 1e-9);
  RC_ASSERT(RegularizedBeta(std::min(1.0, x + 0.01), a, b) >= value - 1e-12);
}

// ---- Student and Welch
// ---------------------------------------------------------------------------

TEST(StudentTwoSidedP, HasItsClosedForms) {
  for (const double t : {0.0, 0.1, 1.0, 2.5, 12.0, 400.0}) {
    EXPECT_NEAR(StudentTwoSidedP(t, 1), 1 - 2 / M_PI * std::atan(t), 1e-13) << t;
    const double two = 1 - t / std::sqrt(2 + t * t);
    EXPECT_NEAR(StudentTwoSidedP(t, 2), two, 1e-13) << t;
    EXPECT_EQ(StudentTwoSidedP(t, 7), StudentTwoSidedP(-t, 7)) << t;
  }
  // Values of the tables.
  EXPECT_NEAR(StudentTwoSidedP(2.228138852, 10), 0.05, 1e-10);
  EXPECT_NEAR(StudentTwoSidedP(2.7500, 30), 0.01, 2e-6);
  EXPECT_NEAR(StudentTwoSidedP(1.959963984540054, 1e9), 0.05, 1e-6);
  EXPECT_EQ(StudentTwoSidedP(0, 5), 1);
  EXPECT_EQ(StudentTwoSidedP(std::numeric_limits<double>::infinity(), 5), 0);
}

TEST(StudentTwoSidedP, KeepsSmallChancesExact) {
  // Four degrees: 1 - sin(theta) (1 + cos(theta)^2 / 2) with theta = atan(t / 2), for large t
  // 12/t^4.
  EXPECT_NEAR(StudentTwoSidedP(1e6, 4) / 6e-24, 1, 1e-9);
}

TEST(WelchTTest, GivesThePublishedExample) {
  const std::vector<double> a = {27.5, 21.0, 19.0, 23.6, 17.0, 17.9, 16.9, 20.1,
                                 21.9, 22.6, 23.1, 19.6, 19.0, 21.7, 21.4};
  const std::vector<double> b = {27.1, 22.0, 20.8, 23.4, 23.4, 23.5, 25.8, 22.0,
                                 24.8, 20.2, 21.9, 22.1, 22.9, 20.5, 24.4};
  const WelchTest test = WelchTTest(a, b).value();
  EXPECT_NEAR(test.t, 2.46, 0.005);
  EXPECT_NEAR(test.degrees, 25.0, 0.05);
  EXPECT_NEAR(test.p, 0.021, 0.0005);
  const WelchTest mirrored = WelchTTest(b, a).value();
  EXPECT_DOUBLE_EQ(mirrored.t, -test.t);
  EXPECT_DOUBLE_EQ(mirrored.p, test.p);
}

TEST(WelchTTest, SaysWhatItCannotTest) {
  const std::vector<double> one = {1};
  const std::vector<double> flat = {2, 2, 2};
  const std::vector<double> spread = {1, 2, 4};
  ExpectError(WelchTTest(one, spread), Code::kFailedPrecondition, "", "got 1 and 3");
  ExpectError(WelchTTest(spread, {}), Code::kFailedPrecondition, "", "got 3 and 0");
  ExpectError(WelchTTest(flat, flat), Code::kFailedPrecondition, "", "no spread");
  EXPECT_TRUE(WelchTTest(flat, spread).has_value());
}

TEST(HolmAdjusted, StepsDown) {
  const std::vector<double> p = {0.03, 0.01, 0.9, 0.02};
  EXPECT_EQ(HolmAdjusted(p), (std::vector<double>{0.06, 0.04, 0.9, 0.06}));
  const std::vector<double> one = {0.004};
  EXPECT_EQ(HolmAdjusted(one), one);
  EXPECT_TRUE(HolmAdjusted({}).empty());
}

// ---- Phi
// -----------------------------------------------------------------------------------------

std::vector<ClusteredRho> Apart(const std::vector<double>& rhos) {
  std::vector<ClusteredRho> out;
  for (const double rho : rhos) out.push_back({fmt::format("T{}", out.size()), rho});
  return out;
}

// The published runs, six final rho each: Phi to the digits that were published.
TEST(EstimatePhi, GivesThePublishedPhi) {
  EXPECT_NEAR(EstimatePhi(Apart({2.51, .74, 1.31, .23, 2.78, .48}), 0.1).plain, 0.6000, 5e-5);
  EXPECT_NEAR(EstimatePhi(Apart({1.18, .11, .13, .20, .86, .13}), 0.1).plain, 0.0300, 5e-5);
  EXPECT_NEAR(EstimatePhi(Apart({11.09, .84, .90, .38, 8.10, .44}), 0.1).plain, 2.8650, 5e-5);
  EXPECT_NEAR(EstimatePhi(Apart({.29, .85, 1.5, 2.2}), 0.1).plain, 0.4250, 5e-5);
  EXPECT_NEAR(EstimatePhi(Apart({.4, 1.2, .6, 1.5, .5, .9}), 0.1).plain, 0.1167, 5e-5);
  EXPECT_NEAR(EstimatePhi(Apart({1.5, 2, 1.8, 2.3, 1.9, 2.1}), 0.1).plain, 0.9333, 5e-5);
  EXPECT_NEAR(EstimatePhi(Apart({.7, 1.8, .29}), 0.1).plain, 0.2667, 5e-5);
  EXPECT_EQ(EstimatePhi(Apart({.3, .5, .7, .4, .6, .8}), 0.1).plain, 0);
  EXPECT_EQ(EstimatePhi(Apart({5}), 0.1).plain, 4);
  EXPECT_EQ(EstimatePhi(Apart({5}), 0.1).winsorised, 3);
}

TEST(EstimatePhi, SixConversationsRankNobody) {
  const PhiEstimate fragile = EstimatePhi(Apart({11.09, .84, .90, .38, 8.10, .44}), 0.1);
  EXPECT_EQ(fragile.verdict, PhiVerdict::kNotEnoughData);
  EXPECT_EQ(fragile.interval->low, 0);
  EXPECT_GT(fragile.interval->high, 1);
  EXPECT_GT(fragile.needed, 1000u);
  const PhiEstimate robust = EstimatePhi(Apart({.3, .5, .7, .4, .6, .8}), 0.1);
  EXPECT_EQ(robust.verdict, PhiVerdict::kNotEnoughData);
  EXPECT_EQ(robust.interval->high, 0);
  EXPECT_GT(robust.unseen_high, 1);
  EXPECT_EQ(robust.needed, 109u);
}

TEST(EstimatePhi, PassesAndFailsOnceTheDataSuffice) {
  EXPECT_EQ(EstimatePhi(Apart(std::vector<double>(120, 0.5)), 0.1).verdict, PhiVerdict::kPass);
  EXPECT_EQ(EstimatePhi(Apart(std::vector<double>(100, 0.5)), 0.1).verdict,
            PhiVerdict::kNotEnoughData);
  EXPECT_EQ(EstimatePhi(Apart({1.5, 2, 1.8, 2.3, 1.9, 2.1}), 0.1).verdict, PhiVerdict::kFail);
  EXPECT_EQ(EstimatePhi(Apart({1.5, 2, 1.8, 2.3}), 0.1).verdict, PhiVerdict::kNotEnoughData)
      << "four clusters";
  EXPECT_EQ(PhiVerdictName(PhiVerdict::kNotEnoughData), "NOT ENOUGH DATA");
}

TEST(EstimatePhi, RunsOfOneTestAreOneCluster) {
  std::vector<ClusteredRho> runs;
  for (int i = 0; i < 600; ++i) runs.push_back({fmt::format("T{}", i % 3), 0.5});
  const PhiEstimate phi = EstimatePhi(runs, 0.1);
  EXPECT_EQ(phi.conversations, 600u);
  EXPECT_EQ(phi.clusters, 3u);
  EXPECT_EQ(phi.verdict, PhiVerdict::kNotEnoughData);
  EXPECT_EQ(phi.needed, 109u * 200u);
  const std::vector<ClusteredRho> one(50, {"T1", 2});
  EXPECT_FALSE(EstimatePhi(one, 0.1).interval.has_value());
  EXPECT_EQ(EstimatePhi({}, 0.1).verdict, PhiVerdict::kNotEnoughData);
}

TEST(EstimatePhi, IsTheSameOnEveryRun) {
  const auto rhos = Apart({.5, 1.5, 2.5, .7, 1.1, .2, 3.5});
  const PhiEstimate a = EstimatePhi(rhos, 0.1);
  const PhiEstimate b = EstimatePhi(rhos, 0.1);
  EXPECT_EQ(Bits(a.interval->low), Bits(b.interval->low));
  EXPECT_EQ(Bits(a.interval->high), Bits(b.interval->high));
  EXPECT_LT(a.interval->low, a.winsorised);
  EXPECT_GT(a.interval->high, a.winsorised);
}

// Means of samples of an exponential distribution: the interval should hold the true mean in about
// 95 of 100 cases.
TEST(EstimatePhi, CoversTheTruth) {
  std::mt19937_64 generator(7);
  const double cut = 1 - std::exp(-kHingeMax);  // the mean of min(Exp(1), kHingeMax)
  int covered = 0;
  for (int trial = 0; trial < 200; ++trial) {
    std::vector<double> rhos(60);
    for (double& rho : rhos) {
      rho = 1 - std::log((static_cast<double>(generator() >> 11) + 0.5) / 9007199254740992.0);
    }
    const PhiEstimate phi = EstimatePhi(Apart(rhos), 0.1);
    covered += phi.interval->low <= cut && cut <= phi.interval->high;
  }
  EXPECT_GE(covered, 180);
  EXPECT_LE(covered, 199);
}

}  // namespace
}  // namespace garrison
