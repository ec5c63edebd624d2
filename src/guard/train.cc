#include "guard/train.h"

#include <Eigen/QR>
#include <Eigen/SVD>
#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

namespace garrison {
namespace {

using Matrix = Eigen::MatrixXd;
using Vector = Eigen::VectorXd;
using Eigen::Index;

// What scikit-learn's StandardScaler divides by: the population deviation, and 1 for a feature that
// is constant up to rounding.
double ScaleOf(const Eigen::Ref<const Vector>& centred, double mean) {
  const auto n = static_cast<double>(centred.size());
  const double correction = centred.sum();
  const double variance = (centred.squaredNorm() - correction * correction / n) / n;
  constexpr double kEpsilon = std::numeric_limits<double>::epsilon();
  const double rounding = n * kEpsilon * variance + std::pow(n * mean * kEpsilon, 2);
  return variance <= rounding ? 1.0 : std::sqrt(variance);
}

struct Svd {
  Vector values;  // [min(n, d)], largest first
  Matrix u;       // [n, k]
  Matrix v;       // [d, k]
};

// A = Q R shrinks a tall matrix to a square one first, which costs the SVD nothing in accuracy.
Svd TallSvd(const Matrix& a, Index k) {
  const Eigen::HouseholderQR<Matrix> qr(a);
  const Matrix r = qr.matrixQR().topRows(a.cols()).triangularView<Eigen::Upper>();
  const Eigen::BDCSVD<Matrix> svd(r, Eigen::ComputeThinU | Eigen::ComputeThinV);
  Matrix u = Matrix::Zero(a.rows(), k);
  u.topRows(a.cols()) = svd.matrixU().leftCols(k);
  u.applyOnTheLeft(qr.householderQ());
  return {svd.singularValues(), std::move(u), svd.matrixV().leftCols(k)};
}

Svd LeadingSvd(const Matrix& a, Index k) {
  if (a.rows() >= a.cols()) return TallSvd(a, k);
  Svd svd = TallSvd(a.transpose(), k);
  std::swap(svd.u, svd.v);
  return svd;
}

// The u-based rule of scikit-learn 1.2 (svd_flip).
void FixSigns(Svd& svd) {
  for (Index i = 0; i < svd.u.cols(); ++i) {
    Index largest = 0;
    svd.u.col(i).cwiseAbs().maxCoeff(&largest);
    if (svd.u(largest, i) < 0) svd.v.col(i) = -svd.v.col(i);
  }
}

template <typename T>
Result<> CheckRows(std::span<const T> rows, const ModelInfo& model, const TrainOptions& options) {
  if (model.dimension == 0 || model.dimension > kProjectionDimensionMax ||
      rows.size() % model.dimension != 0) {
    return Fail(Code::kInvalidArgument, "expected rows of {} numbers, got {} numbers",
                model.dimension, rows.size());
  }
  const std::size_t n = rows.size() / model.dimension;
  if (n < kTrainingTextsMin || n > kTrainingTextsMax) {
    return Fail(Code::kInvalidArgument,
                "expected {} to {} texts to train on, got {}; some thousand varied ones are best",
                kTrainingTextsMin, kTrainingTextsMax, n);
  }
  const std::size_t k_max = std::min({n, model.dimension, kProjectionComponentsMax});
  if (options.components < 1 || options.components > k_max) {
    return FailAt("components", Code::kInvalidArgument,
                  "expected 1 to {} components for {} texts of dimension {}, got {}", k_max, n,
                  model.dimension, options.components);
  }
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (!std::isfinite(rows[i])) {
      return FailAt(fmt::format("text {}", i / model.dimension + 1), Code::kInvalidArgument,
                    "its vector holds {}; every number must be finite", rows[i]);
    }
  }
  return {};
}

// Centres (and scales) the columns of `x` in place and notes how in `data`.
void Standardise(Matrix& x, bool scaler, ProjectionData& data) {
  for (Index d = 0; d < x.cols(); ++d) {
    const double mean = x.col(d).mean();
    x.col(d).array() -= mean;
    data.mean.push_back(mean);
    if (!scaler) continue;
    const double scale = ScaleOf(x.col(d), mean);
    data.scale.push_back(scale);
    x.col(d) /= scale;
  }
}

std::vector<std::string> VarianceWarnings(double explained) {
  if (explained >= 0.7) return {};
  return {fmt::format("the components keep {:.1f} % of the variance of the training texts, {}",
                      100 * explained,
                      explained < 0.5 ? "less than half: scores in this projection say little; use "
                                        "the full space or more components"
                                      : "less than 70 %: read its scores with care")};
}

template <typename T>
Result<TrainedProjection> Train(std::span<const T> rows, const ModelInfo& model,
                                std::string_view texts_sha256, const TrainOptions& options) {
  RETURN_IF_ERROR(CheckRows(rows, model, options));
  const auto d = static_cast<Index>(model.dimension);
  const Index n = static_cast<Index>(rows.size()) / d;
  using RowMajor = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  Matrix x = Eigen::Map<const RowMajor>(rows.data(), n, d).template cast<double>();

  ProjectionData data;
  data.model_id = model.id;
  data.model_revision = model.revision;
  data.dimension = model.dimension;
  data.texts = static_cast<std::size_t>(n);
  data.texts_sha256 = texts_sha256;
  const double length = x.norm();
  Standardise(x, options.scaler, data);

  const auto k = static_cast<Index>(options.components);
  Svd svd = LeadingSvd(x, k);
  // What centring rows of this length leaves behind even if they are all the same.
  const double noise = std::max(svd.values(0), length) * std::numeric_limits<double>::epsilon() *
                       static_cast<double>(std::max(n, d));
  if (!(svd.values(k - 1) > noise)) {
    return FailAt(
        "components", Code::kInvalidArgument,
        "the texts vary in fewer than {} directions; use fewer components or more varied texts", k);
  }
  FixSigns(svd);
  const double total = svd.values.squaredNorm();
  double explained = 0;
  for (Index i = 0; i < k; ++i) {
    const double square = svd.values(i) * svd.values(i);
    data.explained_variance.push_back(square / static_cast<double>(n - 1));
    data.explained_variance_ratio.push_back(square / total);
    explained += square / total;
    const double* component = svd.v.col(i).data();
    data.components.insert(data.components.end(), component, component + d);
  }
  ASSIGN_OR_RETURN(Projection projection, Projection::Create(std::move(data)));
  return TrainedProjection{std::move(projection), explained, VarianceWarnings(explained)};
}

}  // namespace

Result<TrainedProjection> TrainProjection(std::span<const float> rows, const ModelInfo& model,
                                          std::string_view texts_sha256,
                                          const TrainOptions& options) {
  return Train(rows, model, texts_sha256, options);
}

Result<TrainedProjection> TrainProjection(std::span<const double> rows, const ModelInfo& model,
                                          std::string_view texts_sha256,
                                          const TrainOptions& options) {
  return Train(rows, model, texts_sha256, options);
}

}  // namespace garrison
