#include "guard/whitening.h"

#include <Eigen/Eigenvalues>
#include <algorithm>
#include <cmath>

namespace garrison {

Result<Whitening> FitWhitening(const Eigen::Ref<const RowMatrixD>& x) {
  const Eigen::Index d = x.cols();
  const auto n = static_cast<double>(x.rows());
  if (x.rows() < 2) {
    return Fail(Code::kInvalidArgument, "expected at least 2 vectors to whiten, got {}", x.rows());
  }
  const Eigen::RowVectorXd mean = x.colwise().mean();
  const RowMatrixD centred = x.rowwise() - mean;
  Eigen::MatrixXd s = Eigen::MatrixXd::Zero(d, d);
  s.selfadjointView<Eigen::Lower>().rankUpdate(centred.transpose(), 1 / n);
  s.triangularView<Eigen::StrictlyUpper>() = s.transpose();
  const double mu = s.trace() / static_cast<double>(d);
  if (!(mu > 0)) {
    return Fail(Code::kInvalidArgument, "expected vectors that differ, got {} times the same",
                x.rows());
  }
  // beta: how far single outer products lie from their mean; delta: how far S lies from mu I.
  const double fourth = centred.rowwise().squaredNorm().array().square().sum() / n;
  const double squares = s.squaredNorm();
  const double delta = squares - static_cast<double>(d) * mu * mu;
  const double beta = std::min((fourth - squares) / n, delta);
  Whitening out;
  out.deviation = std::sqrt(mu);
  out.shrinkage = beta > 0 ? beta / delta : 0;
  s *= 1 - out.shrinkage;
  s.diagonal().array() += out.shrinkage * mu;
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> eigen(s);
  // Vectors that leave a direction unused (n < d without shrinkage) must not blow it up.
  const Eigen::VectorXd values = eigen.eigenvalues().cwiseMax(mu * 1e-6);
  const Eigen::MatrixXd root = eigen.eigenvectors() *
                               values.cwiseSqrt().cwiseInverse().asDiagonal() *
                               eigen.eigenvectors().transpose();
  out.matrix = root.cast<float>();
  out.mean = mean.transpose().cast<float>();
  return out;
}

}  // namespace garrison
