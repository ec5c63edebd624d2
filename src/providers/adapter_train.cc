// How adapters are trained and measured.
#include <Eigen/Cholesky>
#include <Eigen/SVD>
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <utility>

#include "providers/adapter.h"

namespace garrison {
namespace {

using Matrix = Eigen::MatrixXd;
using RowVector = Eigen::RowVectorXd;
using Eigen::Index;

constexpr Index kFold = 5;  // every fifth text is held out

// Penalties as a share of the mean variance of a component.
constexpr std::array kLambdas = {1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0};

struct Pairs {
  Matrix x;
  Matrix y;
};

struct Split {
  Pairs train;
  Pairs test;
};

Split SplitPairs(const Pairs& all) {
  const Index n = all.x.rows();
  const Index held = n / kFold;
  Split split{{Matrix(n - held, all.x.cols()), Matrix(n - held, all.y.cols())},
              {Matrix(held, all.x.cols()), Matrix(held, all.y.cols())}};
  Index train = 0, test = 0;
  for (Index i = 0; i < n; ++i) {
    if (i % kFold == kFold - 1) {
      split.test.x.row(test) = all.x.row(i);
      split.test.y.row(test++) = all.y.row(i);
    } else {
      split.train.x.row(train) = all.x.row(i);
      split.train.y.row(train++) = all.y.row(i);
    }
  }
  return split;
}

struct Map {
  RowVector mean_x;
  RowVector mean_y;
  Matrix w;  // [x, y]

  Matrix Apply(const Matrix& x) const { return ((x.rowwise() - mean_x) * w).rowwise() + mean_y; }
};

// W = (X'X + lI)^-1 X'Y, or X'(XX' + lI)^-1 Y, which is the same and smaller for few texts.
Map Ridge(const Pairs& pairs, double lambda) {
  Map map{pairs.x.colwise().mean(), pairs.y.colwise().mean(), {}};
  const Matrix x = pairs.x.rowwise() - map.mean_x;
  const Matrix y = pairs.y.rowwise() - map.mean_y;
  const double penalty = std::max(lambda * x.squaredNorm() / static_cast<double>(x.cols()),
                                  std::numeric_limits<double>::min());
  if (x.rows() < x.cols()) {
    Matrix gram = x * x.transpose();
    gram.diagonal().array() += penalty;
    map.w = x.transpose() * Eigen::LDLT<Matrix>(gram).solve(y);
  } else {
    Matrix gram = x.transpose() * x;
    gram.diagonal().array() += penalty;
    map.w = Eigen::LDLT<Matrix>(gram).solve(x.transpose() * y);
  }
  return map;
}

// The orthogonal W that minimises |XW - Y|: UV' of X'Y = USV' (Schoenemann 1966). No means: a
// rotation about the origin keeps every angle.
Map Procrustes(const Pairs& pairs) {
  const Eigen::BDCSVD<Matrix> svd(pairs.x.transpose() * pairs.y,
                                  Eigen::ComputeThinU | Eigen::ComputeThinV);
  return {RowVector::Zero(pairs.x.cols()), RowVector::Zero(pairs.y.cols()),
          svd.matrixU() * svd.matrixV().transpose()};
}

double Explained(const Matrix& y, const Matrix& predicted, const RowVector& mean) {
  const double all = (y.rowwise() - mean).squaredNorm();
  return all > 0 ? 1 - (y - predicted).squaredNorm() / all : 0;
}

AdapterQuality Measure(const Pairs& test, Matrix predicted, const RowVector& mean,
                       bool normalized) {
  if (normalized) predicted.rowwise().normalize();
  AdapterQuality quality;
  quality.explained = Explained(test.y, predicted, mean);
  const Matrix unit = test.y.rowwise().normalized();
  const Matrix unit_predicted = predicted.rowwise().normalized();
  std::vector<double> cosines;
  Index hits = 0;
  for (Index i = 0; i < unit.rows(); ++i) {
    const Eigen::VectorXd near = unit * unit_predicted.row(i).transpose();
    Index best = 0;
    near.maxCoeff(&best);
    // Texts that occur twice have one vector.
    if (near[i] >= near[best] - 1e-9) ++hits;
    cosines.push_back(near[i]);
  }
  std::sort(cosines.begin(), cosines.end());
  for (const double cosine : cosines) quality.cosine_mean += cosine;
  quality.cosine_mean /= static_cast<double>(cosines.size());
  quality.cosine_p5 = cosines[cosines.size() / 20];
  quality.recall = static_cast<double>(hits) / static_cast<double>(unit.rows());
  return quality;
}

std::pair<Map, double> Fit(const Pairs& train, AdapterMethod method) {
  if (method == AdapterMethod::kProcrustes) return {Procrustes(train), 0};
  const Split inner = SplitPairs(train);
  double best = kLambdas.front(), best_explained = -std::numeric_limits<double>::infinity();
  for (const double lambda : kLambdas) {
    const Map map = Ridge(inner.train, lambda);
    const double explained = Explained(inner.test.y, map.Apply(inner.test.x), map.mean_y);
    if (explained > best_explained) {
      best = lambda;
      best_explained = explained;
    }
  }
  return {Ridge(train, best), best};
}

Result<Pairs> ReadPairs(std::span<const float> x, std::span<const float> y,
                        const AdapterTraining& training) {
  const std::size_t dx = training.from.dimension, dy = training.to.dimension;
  if (dx == 0 || dy == 0 || x.size() % dx != 0 || y.size() % dy != 0 ||
      x.size() / dx != y.size() / dy) {
    return Fail(Code::kInvalidArgument, "expected a vector of each model for every text");
  }
  const std::size_t n = x.size() / dx;
  if (n < kAdapterTextsMin) {
    return Fail(Code::kInvalidArgument,
                "expected at least {} texts to train on, got {}; some thousand like those that you "
                "embed are best",
                kAdapterTextsMin, n);
  }
  const auto finite = [](float value) { return std::isfinite(value); };
  if (!std::all_of(x.begin(), x.end(), finite) || !std::all_of(y.begin(), y.end(), finite)) {
    return Fail(Code::kInvalidArgument, "expected finite numbers in all vectors");
  }
  using RowMajor = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  const auto rows = static_cast<Index>(n);
  return Pairs{Eigen::Map<const RowMajor>(x.data(), rows, static_cast<Index>(dx)).cast<double>(),
               Eigen::Map<const RowMajor>(y.data(), rows, static_cast<Index>(dy)).cast<double>()};
}

std::vector<float> Floats(const RowVector& values) {
  std::vector<float> floats;
  for (const double value : values) floats.push_back(static_cast<float>(value));
  return floats;
}

}  // namespace

Result<Adapter> TrainAdapter(std::span<const float> x, std::span<const float> y,
                             const AdapterTraining& training) {
  ASSIGN_OR_RETURN(const Pairs pairs, ReadPairs(x, y, training));
  const Split split = SplitPairs(pairs);
  const auto [map, lambda] = Fit(split.train, training.method);

  AdapterData data;
  data.method = training.method;
  data.from = training.from;
  data.to = training.to;
  data.texts = static_cast<std::size_t>(split.train.x.rows());
  data.held_out = static_cast<std::size_t>(split.test.x.rows());
  data.texts_sha256 = training.texts_sha256;
  data.lambda = lambda;
  const Eigen::VectorXd lengths = pairs.y.rowwise().norm();
  data.normalized = (lengths.array() - 1).abs().maxCoeff() < 1e-3;
  data.quality =
      Measure(split.test, map.Apply(split.test.x), split.train.y.colwise().mean(), data.normalized);
  if (!(data.quality.explained >= training.explained_min)) {
    return Fail(Code::kFailedPrecondition,
                "the adapter is too poor: on {} texts it has not seen it explains {:.1f} % of the "
                "variance (at least {:.1f} % are needed), the mean cosine is {:.3f}, and {:.1f} % "
                "find their own vector; train it on more texts, or embed anew with the other model",
                data.held_out, 100 * data.quality.explained, 100 * training.explained_min,
                data.quality.cosine_mean, 100 * data.quality.recall);
  }
  data.mean_from = Floats(map.mean_x);
  data.mean_to = Floats(map.mean_y);
  for (Index i = 0; i < map.w.rows(); ++i) {
    for (Index j = 0; j < map.w.cols(); ++j) data.matrix.push_back(static_cast<float>(map.w(i, j)));
  }
  return Adapter::Create(std::move(data));
}

}  // namespace garrison
