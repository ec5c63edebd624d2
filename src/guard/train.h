// Makes a projection from the vectors of a training set: optional StandardScaler, then PCA by SVD.
//
// Agrees with scikit-learn (StandardScaler, PCA(svd_solver="full")) to 1e-9, signs included: each
// component is turned so that the training row with the largest score on it scores positive.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "core/embedder.h"
#include "guard/projection.h"

namespace garrison {

inline constexpr std::size_t kTrainingTextsMin = 10;
inline constexpr std::size_t kTrainingTextsMax = 100'000;

struct TrainOptions {
  bool scaler = false;
  std::size_t components = 2;
};

struct TrainedProjection {
  Projection projection;
  double explained = 0;               // sum of the explained variance ratios, 0 to 1
  std::vector<std::string> warnings;  // sentences for people: too little variance kept
};

// `rows` is [n, model.dimension], row-major, in the order of the texts; `texts_sha256` names the
// texts. INVALID_ARGUMENT: fewer than kTrainingTextsMin rows or more than kTrainingTextsMax, a
// value that is not finite, more components than rows, dimensions or kProjectionComponentsMax
// allow, or rows that do not vary in so many directions.
Result<TrainedProjection> TrainProjection(std::span<const float> rows, const ModelInfo& model,
                                          std::string_view texts_sha256,
                                          const TrainOptions& options);
Result<TrainedProjection> TrainProjection(std::span<const double> rows, const ModelInfo& model,
                                          std::string_view texts_sha256,
                                          const TrainOptions& options);

}  // namespace garrison
