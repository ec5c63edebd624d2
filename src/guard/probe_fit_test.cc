#include "guard/probe_fit.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

namespace garrison {
namespace {

constexpr int kDimension = 4;
constexpr std::size_t kCount = 240;

// Numbers between -1 and 1, the same in every run.
class Numbers {
 public:
  float Next() {
    state_ = state_ * 6364136223846793005ULL + 1442695040888963407ULL;
    return static_cast<float>(state_ >> 40) * 0x1p-23F - 1;
  }

 private:
  std::uint64_t state_ = 11;
};

// Centred vectors of which the last component is small and says everything, and words that say
// nothing.
struct World {
  RowMatrixF u = RowMatrixF(kCount, kDimension);
  RowMatrixF r = RowMatrixF(kCount, kDimension);
  std::vector<std::vector<SparseValue>> words;
  std::vector<char> labels;
  Whitening whitening;

  World() {
    Numbers numbers;
    for (Eigen::Index i = 0; i < u.size(); ++i) {
      u.data()[i] = numbers.Next();
      r.data()[i] = numbers.Next();
    }
    u.col(3) *= 0.15F;
    r.col(3) *= 0.15F;
    u.col(0) += 2 * u.col(1);
    u.rowwise() -= u.colwise().mean().eval();
    for (std::size_t i = 0; i < kCount; ++i) {
      words.push_back({{static_cast<std::uint32_t>(i % 5), 0.5F},
                       {static_cast<std::uint32_t>(7 + i % 3), 0.25F}});
      labels.push_back(u(static_cast<Eigen::Index>(i), 3) > 0 ? 1 : 0);
    }
    whitening = FitWhitening(u.cast<double>()).value();
  }

  std::vector<ProbeExample> Examples() const {
    std::vector<ProbeExample> out;
    for (std::size_t i = 0; i < kCount; ++i) {
      const auto row = static_cast<Eigen::Index>(i);
      out.push_back(
          {u.row(row), r.row(row), words[i], words[(i + 1) % kCount], labels[i] != 0, i % 3});
    }
    return out;
  }
};

// What the probe weighs, written out: the features as the penalty sees them.
std::vector<double> Features(const World& world, std::size_t row, const ProbeCandidate& candidate,
                             bool of_pair) {
  const auto i = static_cast<Eigen::Index>(row);
  const double unit = 1 / world.whitening.deviation;
  const double scale = candidate.dense_scale / std::sqrt(double{kDimension});
  std::vector<double> out;
  const auto linear = [&](const RowMatrixF& x) {
    for (int j = 0; j < kDimension; ++j) {
      double value = 0;
      for (int k = 0; k < kDimension; ++k) {
        const bool white = candidate.representation == Representation::kWhitened;
        value += x(i, k) * (white ? double{world.whitening.matrix(k, j)} : k == j ? unit : 0);
      }
      out.push_back(value * scale);
    }
  };
  linear(world.u);
  if (!of_pair) return out;
  linear(world.r);
  for (int j = 0; j < kDimension; ++j) {
    out.push_back(std::abs(double{world.u(i, j)} - world.r(i, j)) * unit * scale);
  }
  for (int j = 0; j < kDimension; ++j) {
    out.push_back(double{world.u(i, j)} * world.r(i, j) * unit * unit * scale);
  }
  return out;
}

// Whatever the representation, weights of centred vectors score as the fit did.
TEST(ProbeFit, FoldsTheRepresentationIntoTheWeights) {
  const World world;
  for (const bool of_pair : {false, true}) {
    for (const auto representation : {Representation::kCentred, Representation::kWhitened}) {
      const ProbeCandidate candidate{representation, 0.2, 0.7};
      const std::vector<ProbeExample> examples = world.Examples();
      const auto fitted = FitProbe(examples, of_pair, std::vector{candidate}, world.whitening);
      ASSERT_TRUE(fitted) << fitted.error().ToString();
      EXPECT_FALSE(fitted->held_out) << "there was nothing to choose";

      Design design;
      const Eigen::Index width = of_pair ? 4 * kDimension : kDimension;
      design.dense.resize(kCount, width);
      design.sparse_size = of_pair ? 2 * kWordBuckets : kWordBuckets;
      for (std::size_t i = 0; i < kCount; ++i) {
        const std::vector<double> features = Features(world, i, candidate, of_pair);
        for (Eigen::Index j = 0; j < width; ++j) {
          design.dense(static_cast<Eigen::Index>(i), j) = features[static_cast<std::size_t>(j)];
        }
        design.sparse.push_back(world.words[i]);
        if (!of_pair) continue;
        for (const SparseValue& word : world.words[(i + 1) % kCount]) {
          design.sparse.back().push_back({word.index + kWordBuckets, word.value});
        }
      }
      const auto expected = FitLogistic(design, world.labels, candidate.l2, true);
      ASSERT_TRUE(expected);
      for (std::size_t i = 0; i < kCount; i += 17) {
        double score = expected->bias;
        score += design.dense.row(static_cast<Eigen::Index>(i)).dot(expected->weights.head(width));
        for (const SparseValue& word : design.sparse[i]) {
          score += expected->weights[width + word.index] * word.value;
        }
        const ProbeExample& example = examples[i];
        EXPECT_NEAR(
            fitted->probe.Score({example.u, example.r, example.user_words, example.reply_words}),
            score, 1e-3 * (1 + std::abs(score)))
            << of_pair << RepresentationName(representation) << i;
      }
    }
  }
}

TEST(ProbeFit, TakesWhatDoesBetterWhereItWasNotFitted) {
  const World world;
  // A strong penalty hides the small component of centred vectors.
  const std::vector<ProbeCandidate> candidates = {{Representation::kCentred, 3, 1},
                                                  {Representation::kWhitened, 100, 1},
                                                  {Representation::kWhitened, 3, 1}};
  const auto fitted = FitProbe(world.Examples(), false, candidates, world.whitening);
  ASSERT_TRUE(fitted);
  EXPECT_EQ(fitted->chosen.representation, Representation::kWhitened);
  EXPECT_EQ(fitted->chosen.l2, 3);
  ASSERT_TRUE(fitted->held_out);
  EXPECT_GT(fitted->held_out->auroc, 0.95);
  EXPECT_LT(fitted->held_out->log_loss, std::log(2.0));
}

TEST(ProbeFit, AFoldThatLacksAClassIsPassedOver) {
  const World world;
  const std::vector<ProbeCandidate> candidates = {{Representation::kWhitened, 1, 1},
                                                  {Representation::kCentred, 1, 1}};
  std::vector<ProbeExample> examples = world.Examples();
  for (ProbeExample& example : examples) example.fold = example.positive ? 0 : 1;
  const auto blind = FitProbe(examples, false, candidates, world.whitening);
  ASSERT_TRUE(blind) << blind.error().ToString();
  EXPECT_FALSE(blind->held_out);
  EXPECT_EQ(blind->chosen.representation, Representation::kWhitened) << "the first";
  EXPECT_FALSE(FitProbe(examples, false, {}, world.whitening));
}

TEST(ProbeFit, TheGridHasBothRepresentations) {
  const std::vector<ProbeCandidate> grid = DefaultProbeCandidates();
  const auto whitened = std::count_if(grid.begin(), grid.end(), [](const ProbeCandidate& one) {
    return one.representation == Representation::kWhitened;
  });
  EXPECT_EQ(static_cast<std::size_t>(whitened) * 2, grid.size());
}

// Of an odd number of words, a side without words, and no reply.
TEST(Probe, ScoresByTheFormula) {
  Numbers numbers;
  const auto random = [&](Eigen::Index size) {
    Eigen::VectorXf out(size);
    for (float& value : out) value = numbers.Next();
    return out;
  };
  constexpr Eigen::Index kSize = 37;
  Probe probe;
  probe.user = random(kSize);
  probe.user_words = random(kWordBuckets);
  probe.bias = 0.25F;
  const Eigen::RowVectorXf u = random(kSize).transpose();
  const Eigen::RowVectorXf r = random(kSize).transpose();
  const std::vector<SparseValue> words = {{3, 0.5F}, {99, 0.25F}, {kWordBuckets - 1, 2}};
  double expected = 0.25;
  for (Eigen::Index i = 0; i < kSize; ++i) expected += double{probe.user[i]} * u[i];
  for (const SparseValue& word : words) {
    expected += double{probe.user_words[word.index]} * word.value;
  }
  EXPECT_NEAR(probe.Score({u, r, words, words}), expected, 1e-5);

  probe.reply = random(kSize);
  probe.difference = random(kSize);
  probe.product = random(kSize);
  probe.reply_words = random(kWordBuckets);
  for (Eigen::Index i = 0; i < kSize; ++i) {
    expected += double{probe.reply[i]} * r[i] +
                double{probe.difference[i]} * std::abs(double{u[i]} - r[i]) +
                double{probe.product[i]} * u[i] * r[i];
  }
  EXPECT_NEAR(probe.Score({u, r, words, {}}), expected, 1e-5);
}

}  // namespace
}  // namespace garrison
