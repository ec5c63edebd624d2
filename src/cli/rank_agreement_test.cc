#include "cli/rank_agreement.h"

#include <gtest/gtest.h>

#include <cmath>

namespace garrison {
namespace {

TEST(Spearman, KnownValues) {
  const auto of = [](std::vector<double> a, std::vector<double> b) { return Spearman(a, b); };
  EXPECT_DOUBLE_EQ(of({1, 2, 3, 4}, {10, 20, 30, 1000}), 1);
  EXPECT_DOUBLE_EQ(of({1, 2, 3, 4}, {4, 3, 2, 1}), -1);
  EXPECT_DOUBLE_EQ(of({1, 2, 3, 4, 5}, {2, 1, 4, 3, 5}), 0.8);
  EXPECT_NEAR(of({1, 2, 2, 3}, {1, 3, 2, 4}), 0.9486832980505138, 1e-15);  // with a tie
  EXPECT_EQ(of({1, 1}, {2, 2}), 1);
  EXPECT_EQ(of({1, 1}, {2, 3}), 0);
  EXPECT_EQ(of({1}, {2}), 1);
}

TEST(CompareVectors, EqualRowsAgreeAndTurnedOnesDoNot) {
  std::vector<float> a, b;
  for (int i = 0; i < 20; ++i) {
    const float angle = 0.05F * static_cast<float>(i);
    a.insert(a.end(), {std::cos(angle), std::sin(angle)});
    b.insert(b.end(), {std::cos(-angle * angle), std::sin(-angle * angle)});
  }
  const VectorAgreement same = CompareVectors({a, 2}, {a, 2}, 100);
  EXPECT_NEAR(same.cosine_min, 1, 1e-6);
  EXPECT_DOUBLE_EQ(same.spearman, 1);
  EXPECT_DOUBLE_EQ(same.knn_overlap, 1);
  const VectorAgreement turned = CompareVectors({a, 2}, {b, 2}, 100);
  EXPECT_NEAR(turned.cosine_min, std::cos(0.95 + 0.95 * 0.95), 1e-6);
  EXPECT_LT(turned.cosine_min, turned.cosine_mean);
  EXPECT_LT(turned.spearman, 1);
  EXPECT_LT(turned.knn_overlap, 1);
  const VectorAgreement single = CompareVectors({std::span(a).first(2), 2}, {a, 2}, 100);
  EXPECT_EQ(single.knn_overlap, 1);
}

}  // namespace
}  // namespace garrison
