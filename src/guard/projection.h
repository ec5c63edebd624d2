// A trained linear map from a model's vectors to a few components, and its file
// (docs/formats/projection.md).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "core/embedder.h"

namespace garrison {

inline constexpr std::size_t kProjectionDimensionMax = 65'536;
inline constexpr std::size_t kProjectionComponentsMax = 32;

// The content of a projection file.
struct ProjectionData {
  std::string model_id;
  std::string model_revision;
  std::size_t dimension = 0;
  std::size_t texts = 0;                         // size of the training set
  std::string texts_sha256;                      // its hash, 64 lower-case hexadecimal digits
  std::vector<double> mean;                      // [dimension]
  std::vector<double> scale;                     // [dimension], or empty: no scaler
  std::vector<double> components;                // [k, dimension], row-major, orthonormal rows
  std::vector<double> explained_variance;        // [k], not increasing
  std::vector<double> explained_variance_ratio;  // [k]

  std::size_t k() const { return explained_variance.size(); }

  bool operator==(const ProjectionData&) const = default;
};

// Immutable; safe to share between threads.
class Projection {
 public:
  // Checks everything that the type promises. INVALID_ARGUMENT, `where` the field of the file.
  static Result<Projection> Create(ProjectionData data);

  // Reads a projection file; trusts nothing in it. Errors as Create.
  static Result<Projection> Parse(std::string_view json);

  // The file's content; Parse reads it back to the same numbers, bit for bit.
  std::string ToJson() const;

  // FAILED_PRECONDITION unless `model` is the one that the projection was trained on: same id,
  // revision and dimension.
  Result<> CheckModel(const ModelInfo& model) const;

  // ((x - mean) / scale) . componentsT: k numbers. `x` must have data().dimension components.
  std::vector<double> Apply(std::span<const float> x) const;
  std::vector<double> Apply(std::span<const double> x) const;

  const ProjectionData& data() const { return data_; }
  // SHA-256 of ToJson(): names this projection in every result.
  const std::string& hash() const { return hash_; }

 private:
  explicit Projection(ProjectionData data);

  ProjectionData data_;
  std::string hash_;
};

// The projection of the setting guard.projection: nullopt if `path` is empty. Errors of
// ReadTextFile, and of Parse with the path in front.
Result<std::optional<Projection>> LoadProjection(const std::string& path, std::uint64_t max_bytes);

}  // namespace garrison
