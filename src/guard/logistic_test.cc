#include "guard/logistic.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace garrison {
namespace {

struct Example {
  Design design;
  std::vector<char> labels;
};

// Two dense features and three sparse ones.
Example Waves() {
  Example out;
  out.design.dense.resize(20, 2);
  out.design.sparse_size = 3;
  for (int i = 0; i < 20; ++i) {
    out.design.dense(i, 0) = std::sin(1 + 3 * i);
    out.design.dense(i, 1) = std::cos(2 * i);
    const auto first = static_cast<std::uint32_t>(i % 3);
    const auto second = static_cast<std::uint32_t>(i * i % 3);
    out.design.sparse.push_back({{first, 0.5F}, {second, 0.25F}});
    const double truth = std::sin(1 + 3 * i) + 0.6 * std::cos(5 * i) + (i % 3 == 0 ? 0.4 : 0);
    out.labels.push_back(truth > 0.1 ? 1 : 0);
  }
  return out;
}

// The expected weights are of plain Newton steps in numpy on the same data.
TEST(Logistic, AgreesWithTheReference) {
  const Example example = Waves();
  const double expected[2][6] = {
      {2.128932, 0.18376734, -0.11244756, -0.03696263, 0.1494102, 0.50652413},
      {2.1640811, 0.1928921, -0.08555908, -0.06147374, 0.14703282, 0.18858846}};
  for (const bool balanced : {false, true}) {
    const auto fitted = FitLogistic(example.design, example.labels, 0.7, balanced);
    ASSERT_TRUE(fitted) << fitted.error().ToString();
    const double* want = expected[balanced ? 1 : 0];
    for (int i = 0; i < 5; ++i) EXPECT_NEAR(fitted->weights[i], want[i], 2e-5) << balanced << i;
    EXPECT_NEAR(fitted->bias, want[5], 2e-5);
  }
}

TEST(Logistic, GivesTheSameBitsTwice) {
  const Example example = Waves();
  const auto once = FitLogistic(example.design, example.labels, 0.1, true);
  const auto again = FitLogistic(example.design, example.labels, 0.1, true);
  ASSERT_TRUE(once && again);
  EXPECT_EQ(once->weights, again->weights);
  EXPECT_EQ(once->bias, again->bias);
}

TEST(Logistic, StaysFiniteWhereTheClassesAreApart) {
  Example example = Waves();
  for (int i = 0; i < 20; ++i)
    example.design.dense(i, 0) = example.labels[static_cast<std::size_t>(i)] != 0 ? 1e4 : -1e4;
  const auto fitted = FitLogistic(example.design, example.labels, 1e-3, false);
  ASSERT_TRUE(fitted);
  EXPECT_TRUE(fitted->weights.allFinite());
  EXPECT_GT(fitted->weights[0], 0);
}

TEST(Logistic, RefusesWhatCannotBeLearned) {
  Example example = Waves();
  EXPECT_FALSE(FitLogistic(example.design, example.labels, 0, false));
  EXPECT_FALSE(FitLogistic(example.design, std::vector<char>(20, 1), 1, false));
  EXPECT_FALSE(FitLogistic(example.design, std::vector<char>(19, 1), 1, false));
  example.design.dense(3, 1) = std::numeric_limits<double>::quiet_NaN();
  EXPECT_FALSE(FitLogistic(example.design, example.labels, 1, false));
}

TEST(Platt, AgreesWithTheReference) {
  const Example example = Waves();
  std::vector<double> scores;
  for (int i = 0; i < 20; ++i) scores.push_back(std::sin(1 + 3 * i) * 2 + 1);
  const auto fitted = FitPlatt(scores, example.labels);
  ASSERT_TRUE(fitted);
  EXPECT_NEAR(fitted->slope, 1.38703613, 1e-5);
  EXPECT_NEAR(fitted->offset, -0.82954158, 1e-5);
  EXPECT_DOUBLE_EQ(fitted->prior, 0.6);
}

TEST(Platt, NeverTurnsTheOrderRound) {
  const std::vector<double> scores = {1, 2, 3, 4};
  const auto fitted = FitPlatt(scores, std::vector<char>{1, 1, 0, 0});
  ASSERT_TRUE(fitted);
  EXPECT_EQ(fitted->slope, 0);
  EXPECT_NEAR(Sigmoid(fitted->LogOdds(100)), 0.5, 1e-9);
}

TEST(Calibration, EvidenceIsWhatTheScoreSaysBesideThePrior) {
  const Calibration calibration{.slope = 2, .offset = -1, .prior = 0.2};
  EXPECT_DOUBLE_EQ(calibration.LogOdds(1.5), 2);
  EXPECT_DOUBLE_EQ(calibration.LogLikelihoodRatio(1.5), 2 + std::log(4));
}

TEST(Sigmoid, HoldsAtTheEnds) {
  EXPECT_EQ(Sigmoid(1000), 1);
  EXPECT_EQ(Sigmoid(-1000), 0);
  EXPECT_EQ(Sigmoid(0), 0.5);
  EXPECT_NEAR(Logit(Sigmoid(3.25)), 3.25, 1e-12);
}

}  // namespace
}  // namespace garrison
