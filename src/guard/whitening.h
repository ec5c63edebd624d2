// Ledoit-Wolf whitening of a model's vectors: centred, and scaled so that no direction counts for
// more than another because the model happens to use it more. Training alone needs it: what a probe
// learns from whitened vectors is folded into weights of centred ones.
//
// Sigma = (1 - s) S + s (trace(S) / d) I, where S is the covariance with divisor n and s the
// shrinkage of Ledoit and Wolf (2004), as scikit-learn's LedoitWolf computes it. W = Sigma^-1/2,
// the symmetric root, whose result stays as close to the vectors as whitening can.
#pragma once

#include <Eigen/Core>

#include "base/result.h"

namespace garrison {

using RowMatrixF = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using RowMatrixD = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

struct Whitening {
  Eigen::VectorXf mean;  // [d]
  RowMatrixF matrix;     // [d, d], symmetric
  double shrinkage = 0;  // 0 to 1
  double deviation = 0;  // root mean square of a component of centred vectors
};

// `x` is [n, d]. INVALID_ARGUMENT: fewer than 2 rows, or all rows are the same. Deterministic.
Result<Whitening> FitWhitening(const Eigen::Ref<const RowMatrixD>& x);

}  // namespace garrison
