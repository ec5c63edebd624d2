#include "guard/projection.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "base/check.h"
#include "base/hash.h"
#include "base/mapped_file.h"
#include "core/json.h"
#include "guard/file_fields.h"
#include "guard/text_scan.h"

namespace garrison {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

constexpr std::string_view kFormat = "garrison-projection";
constexpr int kVersion = 1;
constexpr std::size_t kDepthMax = 8;
// Any float fits below; what lies outside was never an embedding and would overflow later.
constexpr double kMeanMax = 1e39;
constexpr double kScaleMin = 1e-30;
constexpr double kScaleMax = 1e39;
constexpr double kVarianceMax = 1e100;
constexpr double kOrthonormalTolerance = 1e-6;

// ---- checks
// ----------------------------------------------------------------------------------------

Result<> CheckOrthonormal(const ProjectionData& data) {
  const auto row = [&](std::size_t i) {
    return std::span(data.components).subspan(i * data.dimension, data.dimension);
  };
  for (std::size_t i = 0; i < data.k(); ++i) {
    for (std::size_t j = 0; j <= i; ++j) {
      double dot = 0;
      for (std::size_t d = 0; d < data.dimension; ++d) dot += row(i)[d] * row(j)[d];
      if (std::abs(dot - (i == j ? 1.0 : 0.0)) > kOrthonormalTolerance) {
        return BadFile(
            fmt::format("components[{}]", i),
            "expected components of length 1 at right angles, got the product {} with {}", dot, j);
      }
    }
  }
  return {};
}

Result<> CheckNames(const ProjectionData& data) {
  RETURN_IF_ERROR(CheckFileName(data.model_id, "model.id"));
  RETURN_IF_ERROR(CheckFileName(data.model_revision, "model.revision"));
  return CheckFileSha256(data.texts_sha256, "training.sha256");
}

Result<> CheckSizes(const ProjectionData& data) {
  if (data.dimension < 1 || data.dimension > kProjectionDimensionMax) {
    return BadFile("model.dimension", "expected 1 to {}, got {}", kProjectionDimensionMax,
                   data.dimension);
  }
  const std::size_t k_max = std::min(data.dimension, kProjectionComponentsMax);
  if (data.k() < 1 || data.k() > k_max) {
    return BadFile("components", "expected 1 to {} components, got {}", k_max, data.k());
  }
  return {};
}

Result<> CheckData(const ProjectionData& data) {
  RETURN_IF_ERROR(CheckNames(data));
  RETURN_IF_ERROR(CheckSizes(data));
  RETURN_IF_ERROR(CheckFileNumbers(data.mean, data.dimension, -kMeanMax, kMeanMax, "mean"));
  if (!data.scale.empty()) {
    RETURN_IF_ERROR(CheckFileNumbers(data.scale, data.dimension, kScaleMin, kScaleMax, "scale"));
  }
  const double largest = 1 + kOrthonormalTolerance;
  RETURN_IF_ERROR(CheckFileNumbers(data.components, data.k() * data.dimension, -largest, largest,
                                   "components"));
  RETURN_IF_ERROR(CheckOrthonormal(data));
  RETURN_IF_ERROR(
      CheckFileNumbers(data.explained_variance, data.k(), 0, kVarianceMax, "explained_variance"));
  if (!std::is_sorted(data.explained_variance.rbegin(), data.explained_variance.rend())) {
    return BadFile("explained_variance", "expected the largest first");
  }
  return CheckFileNumbers(data.explained_variance_ratio, data.k(), 0, 1 + 1e-9,
                          "explained_variance_ratio");
}

// ---- reading
// ---------------------------------------------------------------------------------------

Result<> ReadFormat(FileFields& root) {
  ASSIGN_OR_RETURN(const std::string format, root.Text("format"));
  if (format != kFormat) {
    return BadFile("format", "expected \"{}\", got \"{}\"", kFormat, Excerpt(format));
  }
  ASSIGN_OR_RETURN(const std::size_t version, root.Count("version", 1'000'000));
  if (version != kVersion) return BadFile("version", "expected {}, got {}", kVersion, version);
  return {};
}

Result<> ReadModelAndTraining(FileFields& root, ProjectionData& data) {
  ASSIGN_OR_RETURN(const json* model_value, root.Get("model"));
  ASSIGN_OR_RETURN(FileFields model, FileFields::Of(*model_value, "model"));
  ASSIGN_OR_RETURN(data.model_id, model.Text("id"));
  ASSIGN_OR_RETURN(data.model_revision, model.Text("revision"));
  ASSIGN_OR_RETURN(data.dimension, model.Count("dimension", kProjectionDimensionMax));
  RETURN_IF_ERROR(model.CheckNoOthers({"id", "revision", "dimension"}));
  ASSIGN_OR_RETURN(const json* training_value, root.Get("training"));
  ASSIGN_OR_RETURN(FileFields training, FileFields::Of(*training_value, "training"));
  ASSIGN_OR_RETURN(data.texts, training.Count("texts", 1'000'000'000));
  ASSIGN_OR_RETURN(data.texts_sha256, training.Text("sha256"));
  return training.CheckNoOthers({"texts", "sha256"});
}

Result<> ReadComponents(FileFields& root, ProjectionData& data) {
  ASSIGN_OR_RETURN(const json* rows, root.Get("components"));
  if (!rows->is_array())
    return BadFile("components", "expected a list of lists, got {}", JsonTypeName(*rows));
  if (rows->size() > kProjectionComponentsMax) {
    return BadFile("components", "expected at most {} components, got {}", kProjectionComponentsMax,
                   rows->size());
  }
  for (std::size_t i = 0; i < rows->size(); ++i) {
    const std::string where = fmt::format("components[{}]", i);
    ASSIGN_OR_RETURN(const auto row, FileFields::NumbersOf((*rows)[i], where, data.dimension));
    if (row.size() != data.dimension) {
      return BadFile(where, "expected {} numbers, got {}", data.dimension, row.size());
    }
    data.components.insert(data.components.end(), row.begin(), row.end());
  }
  return {};
}

template <typename T>
std::vector<double> ApplyTo(const ProjectionData& data, std::span<const T> x) {
  CHECK(x.size() == data.dimension);
  std::vector<double> out(data.k());
  for (std::size_t i = 0; i < out.size(); ++i) {
    const double* component = &data.components[i * data.dimension];
    double sum = 0;
    for (std::size_t d = 0; d < x.size(); ++d) {
      double centred = static_cast<double>(x[d]) - data.mean[d];
      if (!data.scale.empty()) centred /= data.scale[d];
      sum += centred * component[d];
    }
    out[i] = sum;
  }
  return out;
}

}  // namespace

Projection::Projection(ProjectionData data) : data_(std::move(data)) {
  hash_ = Sha256Hex(ToJson());
}

Result<Projection> Projection::Create(ProjectionData data) {
  RETURN_IF_ERROR(CheckData(data));
  return Projection(std::move(data));
}

Result<Projection> Projection::Parse(std::string_view text) {
  ASSIGN_OR_RETURN(const json value, ParseJson(WithoutBom(text), kDepthMax));
  ASSIGN_OR_RETURN(FileFields root, FileFields::Of(value, ""));
  RETURN_IF_ERROR(ReadFormat(root));
  ProjectionData data;
  RETURN_IF_ERROR(ReadModelAndTraining(root, data));
  ASSIGN_OR_RETURN(data.mean, root.Numbers("mean", data.dimension));
  if (root.Has("scale")) {
    ASSIGN_OR_RETURN(data.scale, root.Numbers("scale", data.dimension));
    if (data.scale.empty()) return BadFile("scale", "expected {} numbers, got 0", data.dimension);
  }
  RETURN_IF_ERROR(ReadComponents(root, data));
  ASSIGN_OR_RETURN(data.explained_variance, root.Numbers("explained_variance", data.dimension));
  ASSIGN_OR_RETURN(data.explained_variance_ratio,
                   root.Numbers("explained_variance_ratio", data.dimension));
  RETURN_IF_ERROR(
      root.CheckNoOthers({"format", "version", "model", "training", "mean", "scale", "components",
                          "explained_variance", "explained_variance_ratio"}));
  return Create(std::move(data));
}

std::string Projection::ToJson() const {
  ordered_json root = {{"format", kFormat},
                       {"version", kVersion},
                       {"model",
                        {{"id", data_.model_id},
                         {"revision", data_.model_revision},
                         {"dimension", data_.dimension}}},
                       {"training", {{"texts", data_.texts}, {"sha256", data_.texts_sha256}}},
                       {"mean", data_.mean}};
  if (!data_.scale.empty()) root["scale"] = data_.scale;
  ordered_json rows = ordered_json::array();
  for (std::size_t i = 0; i < data_.k(); ++i) {
    const auto first = data_.components.begin() + static_cast<std::ptrdiff_t>(i * data_.dimension);
    rows.push_back(
        std::vector<double>(first, first + static_cast<std::ptrdiff_t>(data_.dimension)));
  }
  root["components"] = std::move(rows);
  root["explained_variance"] = data_.explained_variance;
  root["explained_variance_ratio"] = data_.explained_variance_ratio;
  return DumpJson(root) + "\n";
}

Result<> Projection::CheckModel(const ModelInfo& model) const {
  const auto refuse = [&](std::string_view what, const auto& trained, const auto& running) {
    return FailAt("guard.projection", Code::kFailedPrecondition,
                  "the projection was trained on {} {}, but the running model has {}; retrain with "
                  "garrison guard train --model {}",
                  what, trained, running, model.id);
  };
  if (data_.model_id != model.id) return refuse("the model", data_.model_id, model.id);
  if (data_.dimension != model.dimension)
    return refuse("dimension", data_.dimension, model.dimension);
  if (data_.model_revision != model.revision) {
    return refuse("revision", data_.model_revision, model.revision);
  }
  return {};
}

std::vector<double> Projection::Apply(std::span<const float> x) const { return ApplyTo(data_, x); }
std::vector<double> Projection::Apply(std::span<const double> x) const { return ApplyTo(data_, x); }

Result<std::optional<Projection>> LoadProjection(const std::string& path, std::uint64_t max_bytes) {
  if (path.empty()) return std::nullopt;
  ASSIGN_OR_RETURN(const std::string text, ReadTextFile(path, max_bytes));
  Result<Projection> projection = Projection::Parse(text);
  if (!projection) return tl::unexpected(At(path, std::move(projection).error()));
  return std::optional<Projection>(*std::move(projection));
}

}  // namespace garrison
