// Logistic regression with an L2 penalty, by iteratively reweighted least squares (Newton's
// method), and Platt's calibration, which is the same with one feature.
#pragma once

#include <Eigen/Core>
#include <cstddef>
#include <span>
#include <vector>

#include "base/result.h"
#include "guard/whitening.h"
#include "guard/word_features.h"

namespace garrison {

struct Logistic {
  Eigen::VectorXd weights;  // of the dense features, then of the sparse ones
  double bias = 0;
  int iterations = 0;
};

// 1 / (1 + exp(-x)), and its inverse. Logit of 0 and 1 is infinite.
double Sigmoid(double x);
double Logit(double p);
// log(1 + exp(x)) without overflow.
double SoftPlus(double x);

// n examples: dense features [n, d], and sparse ones of `sparse_size` numbers beside them.
struct Design {
  RowMatrixD dense;
  std::vector<std::vector<SparseValue>> sparse;  // n rows, or empty: none
  std::size_t sparse_size = 0;
};

// Minimises sum_i c_i log(1 + exp(-y_i s_i)) + l2/2 |w|^2 over w and an unpenalised bias, where
// y_i = +1 for labels[i] != 0 and c_i makes both classes weigh the same in sum if `balanced`, else
// 1. The reweighted system of each iteration is solved by conjugate gradients. Deterministic; stops
// when the gradient is 1e-6 of what it was, after 100 iterations at the latest.
// INVALID_ARGUMENT: one of the classes is missing, l2 is not positive, a value is not finite.
Result<Logistic> FitLogistic(const Design& design, std::span<const char> labels, double l2,
                             bool balanced);

// From a score to log-odds (Platt): slope * score + offset.
struct Calibration {
  double slope = 1;
  double offset = 0;
  // Share of positives among what it was fitted on, of which log-odds speak.
  double prior = 0.5;

  double LogOdds(double score) const { return slope * score + offset; }
  // What the score says beside the prior: log P(score | positive) / P(score | negative).
  double LogLikelihoodRatio(double score) const { return LogOdds(score) - Logit(prior); }
};

// Platt (1999) with the targets (n+ + 1)/(n+ + 2) and 1/(n- + 2), fitted by Newton's method as Lin,
// Lin and Weng (2007). A slope that would turn the order round is 0. Errors as FitLogistic.
Result<Calibration> FitPlatt(std::span<const double> scores, std::span<const char> labels);

}  // namespace garrison
