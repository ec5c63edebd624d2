#include "providers/adapter.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <utility>

#include "base/base64.h"
#include "base/mapped_file.h"
#include "core/json.h"
#include "providers/remote_embedder.h"

namespace garrison {
namespace {

using Json = nlohmann::json;
using OrderedJson = nlohmann::ordered_json;

constexpr std::uint64_t kFileBytesMax = std::uint64_t{512} << 20;
constexpr std::size_t kDimensionMax = 16'384;
constexpr std::string_view kFormat = "garrison-adapter";
constexpr std::size_t kNameMax = 512;

std::string_view MethodName(AdapterMethod method) {
  return method == AdapterMethod::kRidge ? "ridge" : "procrustes";
}

OrderedJson SpaceJson(const AdapterSpace& space) {
  return {{"id", space.id}, {"revision", space.revision}, {"dimension", space.dimension}};
}

std::string Packed(const std::vector<float>& values) {
  static_assert(std::endian::native == std::endian::little, "the file is little-endian");
  return EncodeBase64(std::as_bytes(std::span(values)));
}

tl::unexpected<Error> Expected(std::string where, std::string_view what) {
  return FailAt(std::move(where), Code::kInvalidArgument, "expected {}", what);
}

// One field after the other, the first error kept.
class Reader {
 public:
  explicit Reader(const Json& json) : json_(json) {}

  void Text(const char* at, std::string& value) {
    const Json* field = Find(at);
    if (field == nullptr || !field->is_string() ||
        field->get_ref<const std::string&>().size() > kNameMax) {
      return Fault(at, "a text");
    }
    value = field->get<std::string>();
  }
  void Count(const char* at, std::size_t max, std::size_t& value) {
    const Json* field = Find(at);
    if (field == nullptr || !field->is_number_unsigned() || field->get<std::uint64_t>() > max) {
      return Fault(at, "a whole number that is not too large");
    }
    value = field->get<std::size_t>();
  }
  void Number(const char* at, double& value) {
    const Json* field = Find(at);
    if (field == nullptr || !field->is_number()) return Fault(at, "a number");
    value = field->get<double>();
  }
  void Flag(const char* at, bool& value) {
    const Json* field = Find(at);
    if (field == nullptr || !field->is_boolean()) return Fault(at, "true or false");
    value = field->get<bool>();
  }
  void Floats(const char* at, std::vector<float>& values) {
    const Json* field = Find(at);
    const auto bytes = field != nullptr && field->is_string()
                           ? DecodeBase64(field->get_ref<const std::string&>())
                           : std::nullopt;
    if (!bytes || bytes->size() % sizeof(float) != 0) return Fault(at, "base64 of float32");
    values.resize(bytes->size() / sizeof(float));
    if (!bytes->empty()) std::memcpy(values.data(), bytes->data(), bytes->size());
  }
  void Space(const std::string& at, AdapterSpace& space) {
    Text((at + "/id").c_str(), space.id);
    Text((at + "/revision").c_str(), space.revision);
    Count((at + "/dimension").c_str(), kDimensionMax, space.dimension);
  }
  Result<> Done() {
    if (!error_) return {};
    return tl::unexpected(*error_);
  }

 private:
  const Json* Find(const char* at) const {
    const Json::json_pointer pointer(std::string("/") + at);
    return json_.contains(pointer) ? &json_.at(pointer) : nullptr;
  }
  void Fault(const char* at, std::string_view what) {
    if (!error_) error_ = Expected(at, what).value();
  }

  const Json& json_;
  std::optional<Error> error_;
};

}  // namespace

Result<Adapter> Adapter::Create(AdapterData data) {
  for (const AdapterSpace* space : {&data.from, &data.to}) {
    if (space->id.empty() || space->dimension == 0 || space->dimension > kDimensionMax) {
      return Expected("from, to", "a model's id and its dimension");
    }
  }
  if (data.mean_from.size() != data.from.dimension) {
    return Expected("mean_from", "as many numbers as the dimension of from");
  }
  if (data.mean_to.size() != data.to.dimension) {
    return Expected("mean_to", "as many numbers as the dimension of to");
  }
  if (data.matrix.size() != data.from.dimension * data.to.dimension) {
    return Expected("matrix", "from.dimension rows of to.dimension numbers");
  }
  for (const std::vector<float>* values : {&data.mean_from, &data.mean_to, &data.matrix}) {
    if (!std::all_of(values->begin(), values->end(), [](float x) { return std::isfinite(x); })) {
      return Expected("matrix", "finite numbers");
    }
  }
  return Adapter(std::move(data));
}

Result<Adapter> Adapter::Parse(std::string_view text) {
  ASSIGN_OR_RETURN(const Json json, ParseJson(text, 8));
  if (!json.is_object() || json.value("format", Json()) != kFormat ||
      json.value("version", Json()) != 1) {
    return Expected("format", "\"garrison-adapter\", version 1");
  }
  AdapterData data;
  Reader reader(json);
  std::string method;
  reader.Text("method", method);
  reader.Space("from", data.from);
  reader.Space("to", data.to);
  reader.Count("training/texts", std::size_t{1} << 40, data.texts);
  reader.Count("training/held_out", std::size_t{1} << 40, data.held_out);
  reader.Text("training/sha256", data.texts_sha256);
  reader.Number("training/lambda", data.lambda);
  reader.Number("held_out/explained", data.quality.explained);
  reader.Number("held_out/cosine_mean", data.quality.cosine_mean);
  reader.Number("held_out/cosine_p5", data.quality.cosine_p5);
  reader.Number("held_out/recall", data.quality.recall);
  reader.Flag("normalized", data.normalized);
  reader.Floats("mean_from", data.mean_from);
  reader.Floats("mean_to", data.mean_to);
  reader.Floats("matrix", data.matrix);
  RETURN_IF_ERROR(reader.Done());
  if (method != "ridge" && method != "procrustes") {
    return Expected("method", "\"ridge\" or \"procrustes\"");
  }
  data.method = method == "ridge" ? AdapterMethod::kRidge : AdapterMethod::kProcrustes;
  return Create(std::move(data));
}

Result<Adapter> Adapter::Load(const std::string& file) {
  ASSIGN_OR_RETURN(const std::string text, ReadTextFile(file, kFileBytesMax));
  Result<Adapter> adapter = Parse(text);
  if (!adapter) return tl::unexpected(At(file, std::move(adapter).error()));
  return adapter;
}

std::string Adapter::ToJson() const {
  const OrderedJson training = {{"texts", data_.texts},
                                {"held_out", data_.held_out},
                                {"sha256", data_.texts_sha256},
                                {"lambda", data_.lambda}};
  const OrderedJson held_out = {{"explained", data_.quality.explained},
                                {"cosine_mean", data_.quality.cosine_mean},
                                {"cosine_p5", data_.quality.cosine_p5},
                                {"recall", data_.quality.recall}};
  return DumpJson({{"format", kFormat},
                   {"version", 1},
                   {"method", MethodName(data_.method)},
                   {"from", SpaceJson(data_.from)},
                   {"to", SpaceJson(data_.to)},
                   {"training", training},
                   {"held_out", held_out},
                   {"normalized", data_.normalized},
                   {"mean_from", Packed(data_.mean_from)},
                   {"mean_to", Packed(data_.mean_to)},
                   {"matrix", Packed(data_.matrix)}}) +
         "\n";
}

Result<> Adapter::CheckModels(const ModelInfo& from, const ModelInfo& to) const {
  const auto is = [](const AdapterSpace& space, const ModelInfo& info) {
    // A vendor's dimension is not known before its first answer.
    return space.id == info.id && space.revision == info.revision &&
           (info.dimension == 0 || space.dimension == info.dimension);
  };
  if (is(data_.from, from) && is(data_.to, to)) return {};
  return Fail(Code::kFailedPrecondition,
              "the adapter maps {} (revision \"{}\", {} dimensions) to {} (revision \"{}\", {} "
              "dimensions), not {} to {}; train one for these",
              data_.from.id, data_.from.revision, data_.from.dimension, data_.to.id,
              data_.to.revision, data_.to.dimension, from.id, to.id);
}

std::vector<float> Adapter::Apply(std::span<const float> rows) const {
  const std::size_t from = data_.from.dimension, to = data_.to.dimension;
  std::vector<float> out;
  std::vector<double> sums(to);
  for (std::size_t at = 0; at + from <= rows.size(); at += from) {
    std::copy(data_.mean_to.begin(), data_.mean_to.end(), sums.begin());
    for (std::size_t i = 0; i < from; ++i) {
      const double x = double{rows[at + i]} - double{data_.mean_from[i]};
      const float* weights = data_.matrix.data() + i * to;
      for (std::size_t j = 0; j < to; ++j) sums[j] += x * double{weights[j]};
    }
    for (const double sum : sums) out.push_back(static_cast<float>(sum));
  }
  if (data_.normalized) NormalizeRows(out, to);
  return out;
}

}  // namespace garrison
