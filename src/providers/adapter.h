// A linear map from one model's vectors to another's, trained on texts that both embedded. It comes
// close and no more: how close is measured on texts it has not seen, and stands in its file
// (docs/formats/adapter.md).
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "core/embedder.h"

namespace garrison {

enum class AdapterMethod {
  kRidge,       // least squares with a penalty, about the means
  kProcrustes,  // a rotation (with a projection where dimensions differ): keeps angles
};

struct AdapterSpace {
  std::string id;
  std::string revision;
  std::size_t dimension = 0;

  bool operator==(const AdapterSpace&) const = default;
};

struct AdapterQuality {
  double explained = 0;    // 1 - |y - y'|^2 / |y - mean y|^2 of the held-out texts
  double cosine_mean = 0;  // of y and y'
  double cosine_p5 = 0;    // one in twenty is below
  // Share of held-out texts whose y' is nearer to their own y than to any other's.
  double recall = 0;

  bool operator==(const AdapterQuality&) const = default;
};

struct AdapterData {
  AdapterMethod method = AdapterMethod::kRidge;
  AdapterSpace from;
  AdapterSpace to;
  std::size_t texts = 0;     // trained on
  std::size_t held_out = 0;  // measured on
  std::string texts_sha256;  // of all of them
  double lambda = 0;         // the penalty, as a share of the mean variance; 0 for kProcrustes
  AdapterQuality quality;
  bool normalized = false;       // vectors of `to` have length 1, so the result gets it too
  std::vector<float> mean_from;  // [from.dimension]
  std::vector<float> mean_to;    // [to.dimension]
  std::vector<float> matrix;     // [from.dimension, to.dimension], row-major

  bool operator==(const AdapterData&) const = default;
};

// Immutable; safe to share between threads.
class Adapter {
 public:
  // INVALID_ARGUMENT for data that do not fit together.
  static Result<Adapter> Create(AdapterData data);
  // Trusts nothing. INVALID_ARGUMENT naming the field.
  static Result<Adapter> Parse(std::string_view json);
  // Errors of reading and of Parse, with the file's name.
  static Result<Adapter> Load(const std::string& file);
  std::string ToJson() const;

  // FAILED_PRECONDITION unless it was trained from the one to the other.
  Result<> CheckModels(const ModelInfo& from, const ModelInfo& to) const;

  // mean_to + (x - mean_from) * matrix, normalised if vectors of `to` are.
  // `rows`: [n, from.dimension]; the result: [n, to.dimension].
  std::vector<float> Apply(std::span<const float> rows) const;

  const AdapterData& data() const { return data_; }

 private:
  explicit Adapter(AdapterData data) : data_(std::move(data)) {}
  AdapterData data_;
};

inline constexpr std::size_t kAdapterTextsMin = 100;

struct AdapterTraining {
  AdapterMethod method = AdapterMethod::kRidge;
  AdapterSpace from;
  AdapterSpace to;
  std::string texts_sha256;
  // An adapter that explains less of the held-out texts is refused.
  double explained_min = 0.5;
};

// `x`: [n, from.dimension], `y`: [n, to.dimension], of the same texts. Every fifth text is held
// out; the penalty is chosen on a fifth of the others. INVALID_ARGUMENT for fewer than
// kAdapterTextsMin texts or numbers that are not finite; FAILED_PRECONDITION, with the measure,
// when it is too poor.
Result<Adapter> TrainAdapter(std::span<const float> x, std::span<const float> y,
                             const AdapterTraining& training);

}  // namespace garrison
