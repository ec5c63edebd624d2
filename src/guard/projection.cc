#include "guard/projection.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "base/check.h"
#include "base/hash.h"
#include "base/mapped_file.h"
#include "core/json.h"
#include "guard/text_scan.h"

namespace garrison {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

constexpr std::string_view kFormat = "garrison-projection";
constexpr int kVersion = 1;
constexpr std::size_t kDepthMax = 8;
constexpr std::size_t kNameBytesMax = 512;
// Any float fits below; what lies outside was never an embedding and would overflow later.
constexpr double kMeanMax = 1e39;
constexpr double kScaleMin = 1e-30;
constexpr double kScaleMax = 1e39;
constexpr double kVarianceMax = 1e100;
constexpr double kOrthonormalTolerance = 1e-6;

// ---- checks
// ----------------------------------------------------------------------------------------

template <typename... Args>
tl::unexpected<Error> Bad(std::string where, fmt::format_string<Args...> format, Args&&... args) {
  return FailAt(std::move(where), Code::kInvalidArgument, "{}; retrain with garrison guard train",
                fmt::format(format, std::forward<Args>(args)...));
}

Result<> CheckNumbers(const std::vector<double>& values, std::size_t size, double min, double max,
                      std::string_view name) {
  if (values.size() != size) {
    return Bad(std::string(name), "expected {} numbers, got {}", size, values.size());
  }
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (!(values[i] >= min && values[i] <= max)) {
      return Bad(fmt::format("{}[{}]", name, i), "expected a number from {} to {}, got {}", min,
                 max, values[i]);
    }
  }
  return {};
}

Result<> CheckOrthonormal(const ProjectionData& data) {
  const auto row = [&](std::size_t i) {
    return std::span(data.components).subspan(i * data.dimension, data.dimension);
  };
  for (std::size_t i = 0; i < data.k(); ++i) {
    for (std::size_t j = 0; j <= i; ++j) {
      double dot = 0;
      for (std::size_t d = 0; d < data.dimension; ++d) dot += row(i)[d] * row(j)[d];
      if (std::abs(dot - (i == j ? 1.0 : 0.0)) > kOrthonormalTolerance) {
        return Bad(fmt::format("components[{}]", i),
                   "expected components of length 1 at right angles, got the product {} with {}",
                   dot, j);
      }
    }
  }
  return {};
}

Result<> CheckNames(const ProjectionData& data) {
  const auto bad = [](std::string_view text) {
    return text.empty() || text.size() > kNameBytesMax ||
           std::any_of(text.begin(), text.end(), [](char c) { return c >= 0 && c < ' '; });
  };
  if (bad(data.model_id)) return Bad("model.id", "expected a name of 1 to {} bytes", kNameBytesMax);
  if (bad(data.model_revision)) {
    return Bad("model.revision", "expected a name of 1 to {} bytes", kNameBytesMax);
  }
  const auto hex = [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); };
  if (data.texts_sha256.size() != 64 ||
      !std::all_of(data.texts_sha256.begin(), data.texts_sha256.end(), hex)) {
    return Bad("training.sha256", "expected 64 lower-case hexadecimal digits");
  }
  return {};
}

Result<> CheckSizes(const ProjectionData& data) {
  if (data.dimension < 1 || data.dimension > kProjectionDimensionMax) {
    return Bad("model.dimension", "expected 1 to {}, got {}", kProjectionDimensionMax,
               data.dimension);
  }
  const std::size_t k_max = std::min(data.dimension, kProjectionComponentsMax);
  if (data.k() < 1 || data.k() > k_max) {
    return Bad("components", "expected 1 to {} components, got {}", k_max, data.k());
  }
  return {};
}

Result<> CheckData(const ProjectionData& data) {
  RETURN_IF_ERROR(CheckNames(data));
  RETURN_IF_ERROR(CheckSizes(data));
  RETURN_IF_ERROR(CheckNumbers(data.mean, data.dimension, -kMeanMax, kMeanMax, "mean"));
  if (!data.scale.empty()) {
    RETURN_IF_ERROR(CheckNumbers(data.scale, data.dimension, kScaleMin, kScaleMax, "scale"));
  }
  const double largest = 1 + kOrthonormalTolerance;
  RETURN_IF_ERROR(
      CheckNumbers(data.components, data.k() * data.dimension, -largest, largest, "components"));
  RETURN_IF_ERROR(CheckOrthonormal(data));
  RETURN_IF_ERROR(
      CheckNumbers(data.explained_variance, data.k(), 0, kVarianceMax, "explained_variance"));
  if (!std::is_sorted(data.explained_variance.rbegin(), data.explained_variance.rend())) {
    return Bad("explained_variance", "expected the largest first");
  }
  return CheckNumbers(data.explained_variance_ratio, data.k(), 0, 1 + 1e-9,
                      "explained_variance_ratio");
}

// ---- reading
// ---------------------------------------------------------------------------------------

// An object whose fields are all taken, each with its type checked.
class Fields {
 public:
  static Result<Fields> Of(const json& value, std::string path) {
    if (!value.is_object()) return Bad(path, "expected an object, got {}", JsonTypeName(value));
    return Fields(value, std::move(path));
  }

  std::string At(std::string_view key) const {
    return path_.empty() ? std::string(key) : fmt::format("{}.{}", path_, key);
  }

  bool Has(const char* key) const { return value_->contains(key); }

  Result<const json*> Get(const char* key) {
    if (!Has(key)) return Bad(At(key), "expected this field, got none");
    ++taken_;
    return &(*value_)[key];
  }

  Result<std::string> Text(const char* key) {
    ASSIGN_OR_RETURN(const json* value, Get(key));
    if (!value->is_string()) return Bad(At(key), "expected a string, got {}", JsonTypeName(*value));
    return value->get<std::string>();
  }

  Result<std::size_t> Count(const char* key, std::size_t max) {
    ASSIGN_OR_RETURN(const json* value, Get(key));
    if (!value->is_number_unsigned() || value->get<std::uint64_t>() > max) {
      return Bad(At(key), "expected a whole number from 0 to {}, got {}", max,
                 Excerpt(value->dump()));
    }
    return value->get<std::size_t>();
  }

  Result<std::vector<double>> Numbers(const char* key, std::size_t max) {
    ASSIGN_OR_RETURN(const json* value, Get(key));
    return NumbersOf(*value, At(key), max);
  }

  static Result<std::vector<double>> NumbersOf(const json& value, const std::string& where,
                                               std::size_t max) {
    if (!value.is_array())
      return Bad(where, "expected a list of numbers, got {}", JsonTypeName(value));
    if (value.size() > max)
      return Bad(where, "expected at most {} numbers, got {}", max, value.size());
    std::vector<double> numbers;
    numbers.reserve(value.size());
    for (const json& number : value) {
      if (!number.is_number()) {
        return Bad(fmt::format("{}[{}]", where, numbers.size()), "expected a number, got {}",
                   JsonTypeName(number));
      }
      numbers.push_back(number.get<double>());
    }
    return numbers;
  }

  // Call last: a field that nobody asked for is a mistake or a newer format.
  Result<> CheckNoOthers(std::initializer_list<std::string_view> known) const {
    if (value_->size() == taken_) return {};
    for (const auto& [key, value] : value_->items()) {
      if (std::find(known.begin(), known.end(), key) == known.end()) {
        return Bad(At(Excerpt(key)), "this field is unknown");
      }
    }
    return {};
  }

 private:
  Fields(const json& value, std::string path) : value_(&value), path_(std::move(path)) {}

  const json* value_;
  std::string path_;
  std::size_t taken_ = 0;
};

Result<> ReadFormat(Fields& root) {
  ASSIGN_OR_RETURN(const std::string format, root.Text("format"));
  if (format != kFormat) {
    return Bad("format", "expected \"{}\", got \"{}\"", kFormat, Excerpt(format));
  }
  ASSIGN_OR_RETURN(const std::size_t version, root.Count("version", 1'000'000));
  if (version != kVersion) return Bad("version", "expected {}, got {}", kVersion, version);
  return {};
}

Result<> ReadModelAndTraining(Fields& root, ProjectionData& data) {
  ASSIGN_OR_RETURN(const json* model_value, root.Get("model"));
  ASSIGN_OR_RETURN(Fields model, Fields::Of(*model_value, "model"));
  ASSIGN_OR_RETURN(data.model_id, model.Text("id"));
  ASSIGN_OR_RETURN(data.model_revision, model.Text("revision"));
  ASSIGN_OR_RETURN(data.dimension, model.Count("dimension", kProjectionDimensionMax));
  RETURN_IF_ERROR(model.CheckNoOthers({"id", "revision", "dimension"}));
  ASSIGN_OR_RETURN(const json* training_value, root.Get("training"));
  ASSIGN_OR_RETURN(Fields training, Fields::Of(*training_value, "training"));
  ASSIGN_OR_RETURN(data.texts, training.Count("texts", 1'000'000'000));
  ASSIGN_OR_RETURN(data.texts_sha256, training.Text("sha256"));
  return training.CheckNoOthers({"texts", "sha256"});
}

Result<> ReadComponents(Fields& root, ProjectionData& data) {
  ASSIGN_OR_RETURN(const json* rows, root.Get("components"));
  if (!rows->is_array())
    return Bad("components", "expected a list of lists, got {}", JsonTypeName(*rows));
  if (rows->size() > kProjectionComponentsMax) {
    return Bad("components", "expected at most {} components, got {}", kProjectionComponentsMax,
               rows->size());
  }
  for (std::size_t i = 0; i < rows->size(); ++i) {
    const std::string where = fmt::format("components[{}]", i);
    ASSIGN_OR_RETURN(const auto row, Fields::NumbersOf((*rows)[i], where, data.dimension));
    if (row.size() != data.dimension) {
      return Bad(where, "expected {} numbers, got {}", data.dimension, row.size());
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
  ASSIGN_OR_RETURN(Fields root, Fields::Of(value, ""));
  RETURN_IF_ERROR(ReadFormat(root));
  ProjectionData data;
  RETURN_IF_ERROR(ReadModelAndTraining(root, data));
  ASSIGN_OR_RETURN(data.mean, root.Numbers("mean", data.dimension));
  if (root.Has("scale")) {
    ASSIGN_OR_RETURN(data.scale, root.Numbers("scale", data.dimension));
    if (data.scale.empty()) return Bad("scale", "expected {} numbers, got 0", data.dimension);
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
