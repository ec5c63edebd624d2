#include "guard/whitening.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>

namespace garrison {
namespace {

RowMatrixD Waves(int n, int d) {
  RowMatrixD x(n, d);
  for (int i = 0; i < n; ++i) {
    for (int j = 0; j < d; ++j) x(i, j) = std::sin(1 + i * d + j) * (j + 1) / 2.0;
  }
  return x;
}

// The expected numbers are of an independent program in numpy, written from the paper's sums.
TEST(Whitening, AgreesWithTheReference) {
  const auto fitted = FitWhitening(Waves(12, 4));
  ASSERT_TRUE(fitted) << fitted.error().ToString();
  EXPECT_NEAR(fitted->shrinkage, 0.13408975991373465, 1e-12);
  const RowMatrixD centred = Waves(12, 4).rowwise() - Waves(12, 4).colwise().mean();
  EXPECT_NEAR(fitted->deviation, std::sqrt(centred.squaredNorm() / 48), 1e-12);
  const double expected[4][4] = {{2.72305396, -0.18706023, 0.05259203, 0.44989539},
                                 {-0.18706023, 2.02816693, -0.75740566, 0.53569884},
                                 {0.05259203, -0.75740566, 1.45619354, -0.48136822},
                                 {0.44989539, 0.53569884, -0.48136822, 1.07669776}};
  for (int i = 0; i < 4; ++i) {
    for (int j = 0; j < 4; ++j) EXPECT_NEAR(fitted->matrix(i, j), expected[i][j], 1e-6);
  }
}

TEST(Whitening, WhatItWhitensIsCentredAndAlmostWhite) {
  RowMatrixD x(4000, 3);
  std::uint64_t state = 5;
  for (Eigen::Index i = 0; i < x.size(); ++i) {
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    x.data()[i] = static_cast<double>(state >> 40) * 0x1p-24;
  }
  x.col(1) += 3 * x.col(0);
  const auto fitted = FitWhitening(x);
  ASSERT_TRUE(fitted);
  const RowMatrixF white = (x.cast<float>().rowwise() - fitted->mean.transpose()) * fitted->matrix;
  EXPECT_LT(white.colwise().mean().cwiseAbs().maxCoeff(), 1e-4);
  const Eigen::MatrixXf covariance = white.transpose() * white / 4000;
  EXPECT_LT((covariance - Eigen::MatrixXf::Identity(3, 3)).cwiseAbs().maxCoeff(), 0.03);
}

TEST(Whitening, FewerVectorsThanDimensionsShrink) {
  const auto fitted = FitWhitening(Waves(5, 16));
  ASSERT_TRUE(fitted);
  EXPECT_GT(fitted->shrinkage, 0);
  EXPECT_TRUE(fitted->matrix.allFinite());
}

TEST(Whitening, RefusesWhatDoesNotVary) {
  EXPECT_EQ(FitWhitening(Waves(1, 4)).error().code, Code::kInvalidArgument);
  EXPECT_EQ(FitWhitening(RowMatrixD::Ones(10, 4)).error().code, Code::kInvalidArgument);
}

}  // namespace
}  // namespace garrison
