#include "guard/logistic.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace garrison {
namespace {

Result<> CheckLabels(std::size_t rows, std::span<const char> labels) {
  const auto positives = static_cast<std::size_t>(
      std::count_if(labels.begin(), labels.end(), [](char label) { return label != 0; }));
  if (labels.size() != rows || positives == 0 || positives == labels.size()) {
    return Fail(Code::kInvalidArgument,
                "expected a label for each of {} rows and both classes among them, got {} labels, "
                "{} of them positive",
                rows, labels.size(), positives);
  }
  return {};
}

// The objective over the weights and, last, the bias; targets in [0, 1].
class Objective {
 public:
  Objective(const Design& design, Eigen::VectorXd targets, Eigen::VectorXd costs, double l2)
      : design_(design), targets_(std::move(targets)), costs_(std::move(costs)), l2_(l2) {}

  Eigen::Index size() const {
    return design_.dense.cols() + static_cast<Eigen::Index>(design_.sparse_size) + 1;
  }

  // Of all examples, at the weights and bias `at`.
  Eigen::VectorXd Scores(const Eigen::VectorXd& at) const {
    const Eigen::Index d = design_.dense.cols();
    Eigen::VectorXd scores = (design_.dense * at.head(d)).array() + at[size() - 1];
    for (std::size_t i = 0; i < design_.sparse.size(); ++i) {
      double sum = 0;
      for (const SparseValue& entry : design_.sparse[i]) sum += at[d + entry.index] * entry.value;
      scores[static_cast<Eigen::Index>(i)] += sum;
    }
    return scores;
  }

  double Value(const Eigen::VectorXd& at, const Eigen::VectorXd& scores) const {
    double sum = l2_ / 2 * at.head(size() - 1).squaredNorm();
    for (Eigen::Index i = 0; i < scores.size(); ++i) {
      sum += costs_[i] * (SoftPlus(scores[i]) - targets_[i] * scores[i]);
    }
    return sum;
  }

  // The derivative by the scores, and the second one.
  void Differentiate(const Eigen::VectorXd& scores, Eigen::VectorXd& first,
                     Eigen::VectorXd& second) const {
    first.resize(scores.size());
    second.resize(scores.size());
    for (Eigen::Index i = 0; i < scores.size(); ++i) {
      const double p = Sigmoid(scores[i]);
      first[i] = costs_[i] * (p - targets_[i]);
      second[i] = costs_[i] * p * (1 - p);
    }
  }

  // Back from the scores to weights and bias, with the penalty at `at`.
  Eigen::VectorXd Gradient(const Eigen::VectorXd& at, const Eigen::VectorXd& by_score) const {
    const Eigen::Index d = design_.dense.cols();
    Eigen::VectorXd out = l2_ * at;
    out.head(d) += design_.dense.transpose() * by_score;
    for (std::size_t i = 0; i < design_.sparse.size(); ++i) {
      const double share = by_score[static_cast<Eigen::Index>(i)];
      for (const SparseValue& entry : design_.sparse[i])
        out[d + entry.index] += share * entry.value;
    }
    out[size() - 1] = by_score.sum();
    return out;
  }

  // The diagonal of the matrix that Product multiplies by.
  Eigen::VectorXd Diagonal(const Eigen::VectorXd& second) const {
    const Eigen::Index d = design_.dense.cols();
    Eigen::VectorXd out = Eigen::VectorXd::Constant(size(), l2_);
    out.head(d) += design_.dense.array().square().matrix().transpose() * second;
    for (std::size_t i = 0; i < design_.sparse.size(); ++i) {
      const double share = second[static_cast<Eigen::Index>(i)];
      for (const SparseValue& entry : design_.sparse[i]) {
        out[d + entry.index] += share * entry.value * entry.value;
      }
    }
    out[size() - 1] = second.sum() + kTiny;
    return out;
  }

  // The second derivative at examples weighing `second`, times `direction`.
  Eigen::VectorXd Product(const Eigen::VectorXd& second, const Eigen::VectorXd& direction) const {
    Eigen::VectorXd out = Gradient(direction, second.cwiseProduct(Scores(direction)));
    out[size() - 1] += kTiny * direction[size() - 1];
    return out;
  }

 private:
  // Keeps the system solvable where every example is certain; too small to be seen elsewhere.
  static constexpr double kTiny = 1e-12;

  const Design& design_;
  const Eigen::VectorXd targets_;
  const Eigen::VectorXd costs_;
  const double l2_;
};

// Conjugate gradients with the diagonal as preconditioner, until the residual is `tolerance`.
Eigen::VectorXd Solve(const Objective& objective, const Eigen::VectorXd& second,
                      const Eigen::VectorXd& right, double tolerance) {
  constexpr int kStepsMax = 500;
  const Eigen::VectorXd diagonal = objective.Diagonal(second);
  Eigen::VectorXd solution = Eigen::VectorXd::Zero(right.size());
  Eigen::VectorXd residual = right;
  Eigen::VectorXd scaled = residual.cwiseQuotient(diagonal);
  Eigen::VectorXd direction = scaled;
  double product = residual.dot(scaled);
  for (int step = 0; step < kStepsMax && residual.norm() > tolerance; ++step) {
    const Eigen::VectorXd image = objective.Product(second, direction);
    const double length = product / direction.dot(image);
    solution += length * direction;
    residual -= length * image;
    scaled = residual.cwiseQuotient(diagonal);
    const double next = residual.dot(scaled);
    direction = scaled + next / product * direction;
    product = next;
  }
  return solution;
}

Logistic Minimise(const Objective& objective, double bias) {
  constexpr int kIterationsMax = 100;
  constexpr double kGradientShare = 1e-6;
  Eigen::VectorXd at = Eigen::VectorXd::Zero(objective.size());
  at[at.size() - 1] = bias;
  Eigen::VectorXd scores = objective.Scores(at);
  double value = objective.Value(at, scores);
  Eigen::VectorXd first;
  Eigen::VectorXd second;
  double steepest = 0;
  int iteration = 0;
  for (; iteration < kIterationsMax; ++iteration) {
    objective.Differentiate(scores, first, second);
    const Eigen::VectorXd gradient = objective.Gradient(at, first);
    const double steepness = gradient.norm();
    if (iteration == 0) steepest = steepness;
    if (!(steepness > kGradientShare * steepest)) break;
    // The closer to the end, the exacter: converges faster than linearly at little cost before.
    const double tolerance = std::min(0.1, std::sqrt(steepness / steepest) * 0.1) * steepness;
    const Eigen::VectorXd step = Solve(objective, second, gradient, tolerance);
    // A full step may go too far while the examples are far from their targets.
    double share = 1;
    while (true) {
      const Eigen::VectorXd next = at - share * step;
      scores = objective.Scores(next);
      const double next_value = objective.Value(next, scores);
      if (next_value <= value) {
        at = next;
        value = next_value;
        break;
      }
      share /= 2;
      if (share < 1e-10) break;  // rounding is all that is left
    }
    if (share < 1e-10) break;
  }
  return {at.head(at.size() - 1), at[at.size() - 1], iteration};
}

}  // namespace

double Sigmoid(double x) {
  if (x >= 0) return 1 / (1 + std::exp(-x));
  const double e = std::exp(x);
  return e / (1 + e);
}

double Logit(double p) { return std::log(p) - std::log1p(-p); }

double SoftPlus(double x) { return x > 0 ? x + std::log1p(std::exp(-x)) : std::log1p(std::exp(x)); }

Result<Logistic> FitLogistic(const Design& design, std::span<const char> labels, double l2,
                             bool balanced) {
  const RowMatrixD& x = design.dense;
  RETURN_IF_ERROR(CheckLabels(static_cast<std::size_t>(x.rows()), labels));
  if (!(l2 > 0) || !std::isfinite(l2)) {
    return FailAt("l2", Code::kInvalidArgument, "expected a positive number, got {}", l2);
  }
  if (!x.allFinite()) {
    return Fail(Code::kInvalidArgument, "expected finite features, got NaN or infinity");
  }
  Eigen::VectorXd targets(x.rows());
  for (Eigen::Index i = 0; i < x.rows(); ++i) {
    targets[i] = labels[static_cast<std::size_t>(i)] != 0 ? 1 : 0;
  }
  const double share = targets.mean();
  Eigen::VectorXd costs = Eigen::VectorXd::Ones(x.rows());
  if (balanced) {
    costs = targets.array() * (0.5 / share) + (1 - targets.array()) * (0.5 / (1 - share));
  }
  const double bias = balanced ? 0 : Logit(share);
  return Minimise(Objective(design, std::move(targets), std::move(costs), l2), bias);
}

Result<Calibration> FitPlatt(std::span<const double> scores, std::span<const char> labels) {
  RETURN_IF_ERROR(CheckLabels(scores.size(), labels));
  Design design;
  design.dense =
      Eigen::Map<const RowMatrixD>(scores.data(), static_cast<Eigen::Index>(scores.size()), 1);
  if (!design.dense.allFinite()) {
    return Fail(Code::kInvalidArgument, "expected finite scores, got NaN or infinity");
  }
  const auto n = static_cast<double>(scores.size());
  const auto positives = static_cast<double>(
      std::count_if(labels.begin(), labels.end(), [](char label) { return label != 0; }));
  const double high = (positives + 1) / (positives + 2);
  const double low = 1 / (n - positives + 2);
  const auto rows = static_cast<Eigen::Index>(scores.size());
  Eigen::VectorXd targets(rows);
  for (Eigen::Index i = 0; i < rows; ++i) {
    targets[i] = labels[static_cast<std::size_t>(i)] != 0 ? high : low;
  }
  Calibration out;
  out.prior = positives / n;
  // The targets bound the slope; the penalty only keeps the system solvable for equal scores.
  constexpr double kTiny = 1e-9;
  const Logistic fitted = Minimise(
      Objective(design, std::move(targets), Eigen::VectorXd::Ones(rows), kTiny), Logit(out.prior));
  out.slope = fitted.weights[0];
  out.offset = fitted.bias;
  if (out.slope < 0) {
    out.slope = 0;
    out.offset = Logit(out.prior);
  }
  return out;
}

}  // namespace garrison
