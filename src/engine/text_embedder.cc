#include "engine/text_embedder.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

namespace garrison {
namespace {

// Chunks of one input: the mean of their vectors, each weighted by its tokens.
void AddWeighted(std::span<const float> chunk, double weight, std::span<double> sum) {
  for (std::size_t c = 0; c < sum.size(); ++c) sum[c] += weight * chunk[c];
}

Result<> CheckFinite(std::span<const float> values, std::size_t input) {
  if (std::all_of(values.begin(), values.end(), [](float v) { return std::isfinite(v); })) {
    return {};
  }
  return FailAt(fmt::format("input[{}]", input), Code::kDataLoss,
                "the model's output is not finite; its weights overflow on this input");
}

}  // namespace

Result<std::shared_ptr<const TextEmbedder>> TextEmbedder::Load(
    std::shared_ptr<const SequenceModel> model) {
  std::shared_ptr<TextEmbedder> embedder(new TextEmbedder(std::move(model)));
  const ModelFolder& folder = embedder->model_->folder();
  std::size_t width = folder.encoder.hidden * folder.pooling.modes.size();
  ComputeOptions exact = embedder->model_->compute();
  exact.type = ComputeType::kF32;  // one row a text: speed is elsewhere
  for (const DenseSpec& spec : folder.dense) {
    if (spec.inputs != width) {
      return FailAt((spec.folder / "config.json").string(), Code::kInvalidArgument,
                    "in_features: expected {}, as many as the module before gives, got {}", width,
                    spec.inputs);
    }
    ASSIGN_OR_RETURN(const SafeTensors weights, SafeTensors::Open(spec.folder));
    const Checkpoint checkpoint(weights, "");
    ASSIGN_OR_RETURN(
        PackedLinear layer,
        checkpoint.ReadLinear({"linear"}, spec.outputs, spec.inputs, spec.bias, "dense", exact));
    embedder->dense_.push_back(std::move(layer));
    width = spec.outputs;
  }
  embedder->info_ = embedder->model_->Info();
  embedder->info_.dimension = width;
  embedder->info_.description = fmt::format("{} encoder, {} layers, {} dimensions",
                                            folder.encoder.family, folder.encoder.layers, width);
  return std::shared_ptr<const TextEmbedder>(std::move(embedder));
}

Result<> TextEmbedder::Finish(const Sequence& sequence, const float* rows, std::size_t stride,
                              std::size_t tokens, bool normalize, std::span<float> out) const {
  const ModelFolder& folder = model_->folder();
  const std::size_t hidden = folder.encoder.hidden;
  std::vector<float> vector(RowStride(hidden * folder.pooling.modes.size()));
  Pool(folder.pooling, rows, stride, tokens, hidden, sequence.prompt_tokens, vector);
  for (std::size_t i = 0; i < dense_.size(); ++i) {
    std::vector<float> next(RowStride(dense_[i].columns()));
    model_->encoder().kernels().linear({.weights = &dense_[i],
                                        .input = vector.data(),
                                        .input_stride = vector.size(),
                                        .rows = 1,
                                        .panel_end = dense_[i].panels(),
                                        .activation = folder.dense[i].activation,
                                        .output = next.data(),
                                        .output_stride = next.size()});
    vector = std::move(next);
  }
  vector.resize(info_.dimension);
  if (normalize) NormalizeVector(vector);
  RETURN_IF_ERROR(CheckFinite(vector, sequence.input));
  std::copy(vector.begin(), vector.end(), out.begin());
  return {};
}

Result<PreparedInputs> TextEmbedder::Prepare(const EmbedRequest& request) const {
  ASSIGN_OR_RETURN(const std::string prompt, model_->folder().FindPrompt(request.prompt));
  std::vector<SequenceInput> inputs;
  inputs.reserve(request.inputs.size());
  for (const EmbedInput& input : request.inputs) {
    std::visit([&](const auto& value) { inputs.emplace_back(value); }, input);
  }
  return model_->Prepare(inputs, prompt, request.long_input);
}

Result<TokenVectors> TextEmbedder::EmbedTokens(const EmbedRequest& request,
                                               const RequestContext& context) const {
  ASSIGN_OR_RETURN(PreparedInputs prepared, Prepare(request));
  TokenVectors out;
  out.dimension = model_->folder().encoder.hidden;
  std::vector<std::size_t> starts;
  std::size_t total = 0;
  out.tokens.assign(request.inputs.size(), 0);
  for (const Sequence& sequence : prepared.sequences) {
    starts.push_back(total);
    total += sequence.ids.size();
    out.tokens[sequence.input] += sequence.ids.size();
  }
  out.values.resize(total * out.dimension);
  const auto take = [&](std::size_t s, const float* rows, std::size_t stride,
                        std::size_t tokens) -> Result<> {
    for (std::size_t t = 0; t < tokens; ++t) {
      const std::span<const float> row(rows + t * stride, out.dimension);
      RETURN_IF_ERROR(CheckFinite(row, prepared.sequences[s].input));
      std::copy(row.begin(), row.end(), out.values.data() + (starts[s] + t) * out.dimension);
    }
    return {};
  };
  ASSIGN_OR_RETURN(out.times, model_->Run(prepared, context, SequenceModel::States::kAll, take));
  out.total_tokens = std::move(prepared.total_tokens);
  return out;
}

Result<Embeddings> TextEmbedder::Embed(const EmbedRequest& request,
                                       const RequestContext& context) const {
  const std::size_t kept = request.dimensions.value_or(info_.dimension);
  if (kept < 1 || kept > info_.dimension) {
    return FailAt("dimensions", Code::kInvalidArgument, "expected 1-{} for {}, got {}",
                  info_.dimension, info_.id, kept);
  }
  const bool normalize = request.normalize.value_or(model_->folder().normalize);
  ASSIGN_OR_RETURN(PreparedInputs prepared, Prepare(request));
  const auto& sequences = prepared.sequences;
  const std::size_t width = info_.dimension;
  std::vector<float> vectors(sequences.size() * width);
  Embeddings out;
  ASSIGN_OR_RETURN(
      out.times,
      model_->Run(prepared, context, SequenceModel::States::kRead,
                  [&](std::size_t s, const float* rows, std::size_t stride, std::size_t tokens) {
                    return Finish(sequences[s], rows, stride, tokens, normalize,
                                  std::span(vectors).subspan(s * width, width));
                  }));
  out.dimension = kept;
  out.tokens = std::move(prepared.tokens);
  out.total_tokens = std::move(prepared.total_tokens);
  out.values.reserve(request.inputs.size() * kept);
  const bool again = request.normalize.value_or(model_->folder().normalize || request.dimensions);
  for (std::size_t s = 0; s < sequences.size();) {
    const std::size_t first = s;
    std::vector<float> row(vectors.begin() + static_cast<std::ptrdiff_t>(s * width),
                           vectors.begin() + static_cast<std::ptrdiff_t>((s + 1) * width));
    while (++s < sequences.size() && sequences[s].input == sequences[first].input) {
    }
    if (s - first > 1) {
      std::vector<double> sum(width, 0.0);
      double weights = 0;
      for (std::size_t chunk = first; chunk < s; ++chunk) {
        const auto weight = static_cast<double>(sequences[chunk].ids.size());
        AddWeighted(std::span(vectors).subspan(chunk * width, width), weight, sum);
        weights += weight;
      }
      for (std::size_t c = 0; c < width; ++c) row[c] = static_cast<float>(sum[c] / weights);
    }
    row.resize(kept);
    if (again && (s - first > 1 || kept < width || !normalize)) NormalizeVector(row);
    out.values.insert(out.values.end(), row.begin(), row.end());
  }
  return out;
}

Result<std::string> TextEmbedder::Content() const {
  std::call_once(content_once_, [this] { content_ = model_->Content(); });
  return content_;
}

}  // namespace garrison
