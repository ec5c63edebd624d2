#include "engine/encoder.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdlib>

namespace garrison {
namespace {

// Rows that pass through all columns of a layer together: their inputs stay in the second-level
// cache while the weights stream by once.
constexpr std::size_t kBlockRows = 96;
constexpr std::size_t kMpnetBuckets = 32;  // fixed in the model's code, whatever the table's size

std::size_t CeilDiv(std::size_t a, std::size_t b) { return (a + b - 1) / b; }

// Heads of sequences are shared out into so many pieces, each with a scratch area.
std::size_t AttentionShares(std::size_t threads) { return threads == 1 ? 1 : 2 * threads; }

void RunTasks(WorkerTeam* team, std::size_t count, FunctionRef<void(std::size_t)> task) {
  if (team != nullptr) {
    team->Run(count, task);
  } else {
    for (std::size_t i = 0; i < count; ++i) task(i);
  }
}

}  // namespace

void TokenBatch::Add(std::span<const std::int32_t> sequence, std::span<const std::int32_t> types) {
  ids.insert(ids.end(), sequence.begin(), sequence.end());
  if (types.empty()) {
    type_ids.resize(ids.size(), 0);
  } else {
    type_ids.insert(type_ids.end(), types.begin(), types.end());
  }
  starts.push_back(ids.size());
}

void TokenBatch::Clear() {
  ids.clear();
  type_ids.clear();
  starts.assign(1, 0);
}

std::size_t EncoderWorkspace::bytes() const {
  return row.bytes() + hidden.bytes() + qkv.bytes() + mixed.bytes() + inner.bytes() +
         projected.bytes() + scratch.bytes() + reduced.bytes();
}

std::string LayerLabel(std::size_t index, const char* part) {
  return fmt::format("layer.{}.{}", index, part);
}

std::size_t RelativeBucket(std::ptrdiff_t distance, std::size_t buckets) {
  const std::size_t half = buckets / 2;
  const std::size_t exact = half / 2;
  const std::size_t side = distance > 0 ? half : 0;
  const auto n = static_cast<std::size_t>(std::abs(distance));
  if (n < exact) return side + n;
  // exact + floor(log(n / exact) / log(16) * exact), in whole numbers: the t-th step is reached at
  // (n / exact)^exact >= 16^t.
  std::size_t step = 0;
  const double ratio = static_cast<double>(n) / static_cast<double>(exact);
  while (exact + step + 1 < half && std::pow(ratio, static_cast<double>(exact)) >=
                                        std::pow(16.0, static_cast<double>(step + 1))) {
    ++step;
  }
  return side + exact + step;
}

// ---------------------------------------------------------------- loading

Result<std::unique_ptr<Encoder>> Encoder::Load(const SafeTensors& weights, EncoderSpec spec,
                                               const ComputeOptions& options,
                                               PackedLayers* packed) {
  const bool prefixed = weights.Find(spec.prefix + "embeddings.word_embeddings.weight") != nullptr;
  const Checkpoint checkpoint(weights, prefixed ? spec.prefix : "", packed);
  std::unique_ptr<Encoder> encoder(new Encoder(weights, std::move(spec), KernelsFor(options.isa)));
  RETURN_IF_ERROR(encoder->LoadEmbeddings(checkpoint));
  for (std::size_t i = 0; i < encoder->spec_.layers; ++i) {
    RETURN_IF_ERROR(encoder->LoadLayer(checkpoint, i, options));
  }
  if (encoder->spec_.relative_buckets > 0) RETURN_IF_ERROR(encoder->LoadRelativeBias(checkpoint));
  return encoder;
}

Result<> Encoder::LoadEmbeddings(const Checkpoint& checkpoint) {
  const std::string at = "embeddings.";
  ASSIGN_OR_RETURN(
      words_, checkpoint.Require(at + "word_embeddings.weight", {spec_.vocabulary, spec_.hidden}));
  ASSIGN_OR_RETURN(positions_, checkpoint.Require(at + "position_embeddings.weight",
                                                  {spec_.position_rows, spec_.hidden}));
  if (spec_.token_types > 0) {
    ASSIGN_OR_RETURN(types_, checkpoint.Require(at + "token_type_embeddings.weight",
                                                {spec_.token_types, spec_.hidden}));
  }
  ASSIGN_OR_RETURN(embedding_norm_, checkpoint.ReadNorm(at + "LayerNorm", spec_.hidden));
  return {};
}

Result<> Encoder::LoadLayer(const Checkpoint& checkpoint, std::size_t index,
                            const ComputeOptions& options) {
  const EncoderTensorNames& names = spec_.names;
  const std::string at = fmt::format(fmt::runtime(names.layer), index);
  const std::size_t hidden = spec_.hidden;
  // A row for each sequence costs little in bf16, and has no neighbours to average out the errors
  // of int8.
  ComputeOptions after_attention = options;
  if (spec_.first_token_only && index + 1 == spec_.layers && options.type == ComputeType::kInt8) {
    after_attention.type = ComputeType::kBf16;
  }
  // Their outputs are added to what all later layers read: where int8 gives up bits to make room
  // for sums in 16, these layers do not.
  ComputeOptions residual = after_attention;
  if (residual.type == ComputeType::kInt8 && kernels_->quantize_rows_fine != nullptr) {
    residual.type = ComputeType::kInt8Fine;
  }
  Layer layer;
  ASSIGN_OR_RETURN(
      layer.qkv, checkpoint.ReadLinear({at + names.query, at + names.key, at + names.value}, hidden,
                                       hidden, true, LayerLabel(index, "qkv"), options));
  ASSIGN_OR_RETURN(layer.attention_output,
                   checkpoint.ReadLinear({at + names.attention_output}, hidden, hidden, true,
                                         LayerLabel(index, "attention_output"), residual));
  ASSIGN_OR_RETURN(layer.up, checkpoint.ReadLinear({at + names.up}, spec_.feed_forward, hidden,
                                                   true, LayerLabel(index, "up"), after_attention));
  ASSIGN_OR_RETURN(layer.down, checkpoint.ReadLinear({at + names.down}, hidden, spec_.feed_forward,
                                                     true, LayerLabel(index, "down"), residual));
  ASSIGN_OR_RETURN(layer.attention_norm, checkpoint.ReadNorm(at + names.attention_norm, hidden));
  ASSIGN_OR_RETURN(layer.output_norm, checkpoint.ReadNorm(at + names.output_norm, hidden));
  layers_.push_back(std::move(layer));
  return {};
}

Result<> Encoder::LoadRelativeBias(const Checkpoint& checkpoint) {
  ASSIGN_OR_RETURN(const std::vector<float> table,
                   checkpoint.Read("encoder.relative_attention_bias.weight",
                                   {spec_.relative_buckets, spec_.heads}));
  if (spec_.relative_buckets < kMpnetBuckets) {
    return FailAt("encoder.relative_attention_bias.weight", Code::kInvalidArgument,
                  "expected {} buckets or more, got {}", kMpnetBuckets, spec_.relative_buckets);
  }
  const auto longest = static_cast<std::ptrdiff_t>(spec_.max_tokens());
  for (std::size_t head = 0; head < spec_.heads; ++head) {
    for (std::ptrdiff_t distance = 1 - longest; distance < longest; ++distance) {
      relative_bias_.push_back(table[RelativeBucket(distance, kMpnetBuckets) * spec_.heads + head]);
    }
  }
  return {};
}

std::vector<std::pair<std::string, ComputeType>> Encoder::LinearTypes() const {
  std::vector<std::pair<std::string, ComputeType>> types;
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    types.emplace_back(LayerLabel(i, "qkv"), layers_[i].qkv.type());
    types.emplace_back(LayerLabel(i, "attention_output"), layers_[i].attention_output.type());
    types.emplace_back(LayerLabel(i, "up"), layers_[i].up.type());
    types.emplace_back(LayerLabel(i, "down"), layers_[i].down.type());
  }
  return types;
}

const PackedLinear* Encoder::FindLinear(const std::string& label) const {
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    if (label == LayerLabel(i, "qkv")) return &layers_[i].qkv;
    if (label == LayerLabel(i, "attention_output")) return &layers_[i].attention_output;
    if (label == LayerLabel(i, "up")) return &layers_[i].up;
    if (label == LayerLabel(i, "down")) return &layers_[i].down;
  }
  return nullptr;
}

std::size_t Encoder::WorkspaceBytes(std::size_t tokens, std::size_t longest,
                                    std::size_t threads) const {
  const std::size_t floats =
      spec_.hidden +
      tokens * (3 * stride() + RowStride(3 * spec_.hidden) + RowStride(spec_.feed_forward)) +
      AttentionShares(threads) * kernels_->attention_scratch(longest, spec_.head_size());
  std::size_t reduced = 0;
  for (const Layer& layer : layers_) {
    for (const PackedLinear* linear :
         {&layer.qkv, &layer.attention_output, &layer.up, &layer.down}) {
      reduced = std::max(reduced, ReducedInput::BytesFor(*kernels_, *linear, tokens));
    }
  }
  return floats * sizeof(float) + reduced;
}

Result<> Encoder::CheckIds(std::span<const std::int32_t> ids,
                           std::span<const std::int32_t> type_ids) const {
  if (ids.empty() || ids.size() > spec_.max_tokens()) {
    return Fail(Code::kInvalidArgument, "expected 1 to {} token ids, got {}", spec_.max_tokens(),
                ids.size());
  }
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] < 0 || static_cast<std::size_t>(ids[i]) >= spec_.vocabulary) {
      return FailAt(fmt::format("ids[{}]", i), Code::kInvalidArgument,
                    "expected an id from 0 to {}, got {}", spec_.vocabulary - 1, ids[i]);
    }
  }
  if (type_ids.empty()) return {};
  if (type_ids.size() != ids.size()) {
    return FailAt("type_ids", Code::kInvalidArgument, "expected {} type ids, one per id, got {}",
                  ids.size(), type_ids.size());
  }
  // A model without token types ignores them, as the reference does.
  const std::size_t types = std::max<std::size_t>(spec_.token_types, 1);
  for (std::size_t i = 0; i < type_ids.size() && spec_.token_types > 0; ++i) {
    if (type_ids[i] < 0 || static_cast<std::size_t>(type_ids[i]) >= types) {
      return FailAt(fmt::format("type_ids[{}]", i), Code::kInvalidArgument,
                    "expected a type from 0 to {}, got {}", types - 1, type_ids[i]);
    }
  }
  return {};
}

// ---------------------------------------------------------------- computing

struct Encoder::Pass {
  const Encoder& encoder;
  const TokenBatch& batch;
  EncoderWorkspace& workspace;
  WorkerTeam* team;
  const LinearObserver* observer;
  const bool first_token_only;

  const EncoderSpec& spec = encoder.spec_;
  const Kernels& kernels = *encoder.kernels_;
  const std::size_t tokens = batch.tokens();
  const std::size_t threads = team == nullptr ? 1 : team->threads();

  Result<> Embed(float* hidden);
  void Linear(const PackedLinear& layer, std::size_t rows, const float* input,
              std::size_t input_stride, Activation activation, float* output,
              std::size_t output_stride);
  void Normalize(const Norm& norm, std::size_t rows, const float* residual, float* hidden);
  // With `first_only` the result has one row for each sequence.
  void Attention(bool in_bf16, const float* qkv, std::size_t stride, bool first_only, float* mixed);
  void KeepFirstTokens(float* hidden);
  void RunLayer(std::size_t index, const Layer& layer, float* hidden);
  void Observe(std::size_t index, const char* part, std::size_t rows, const float* input,
               std::size_t input_stride, const float* output, std::size_t output_stride);
};

// words[id] + positions[p] (+ types[t]), then the norm.
Result<> Encoder::Pass::Embed(float* hidden) {
  const std::size_t stride = encoder.stride();
  float* const row = workspace.row.Reserve(spec.hidden);
  const auto add = [&](const Tensor& table, std::size_t index, float* to) {
    ReadFloats(table, index * spec.hidden, {row, spec.hidden});
    for (std::size_t c = 0; c < spec.hidden; ++c) to[c] += row[c];
  };
  for (std::size_t s = 0; s < batch.sequences(); ++s) {
    std::size_t counted = 0;
    for (std::size_t t = batch.starts[s]; t < batch.starts[s + 1]; ++t) {
      const auto id = static_cast<std::size_t>(batch.ids[t]);
      float* to = hidden + t * stride;
      std::fill_n(to, stride, 0.0F);
      RETURN_IF_ERROR(
          encoder.weights_.ReadRow(*encoder.words_, id * spec.hidden, {to, spec.hidden}));
      std::size_t position = t - batch.starts[s];
      if (spec.positions == PositionScheme::kAfterPad) {
        const auto pad = static_cast<std::size_t>(spec.pad_id);
        position = id == pad ? pad : pad + ++counted;
      }
      add(*encoder.positions_, position, to);
      if (encoder.types_ != nullptr) {
        add(*encoder.types_, static_cast<std::size_t>(batch.type_ids[t]), to);
      }
      std::uint32_t largest = 0;
      for (std::size_t c = 0; c < spec.hidden; ++c) {
        largest = std::max(largest, std::bit_cast<std::uint32_t>(to[c]) & 0x7fffffffu);
      }
      if (largest >= 0x7f800000u) {  // an infinity or not a number
        return FailAt(encoder.words_->name, Code::kDataLoss,
                      "the embedding of token {} at position {} is not finite; the checkpoint is "
                      "damaged",
                      id, position);
      }
    }
  }
  Normalize(encoder.embedding_norm_, tokens, nullptr, hidden);
  return {};
}

void Encoder::Pass::Linear(const PackedLinear& layer, std::size_t rows, const float* input,
                           std::size_t input_stride, Activation activation, float* output,
                           std::size_t output_stride) {
  const std::size_t blocks = CeilDiv(rows, kBlockRows);
  LinearArgs args{.weights = &layer,
                  .input = input,
                  .input_stride = input_stride,
                  .rows = rows,
                  .panel_end = layer.panels(),
                  .activation = activation,
                  .output = output,
                  .output_stride = output_stride};
  if (workspace.reduced.Attach(kernels, args)) {
    RunTasks(team, CeilDiv(rows, 16), [&](std::size_t i) {
      workspace.reduced.Fill(kernels, args, 16 * i, std::min<std::size_t>(16, rows - 16 * i));
    });
  }
  // Enough pieces to share out evenly, by rows first and then by columns.
  const std::size_t chunks =
      std::min(layer.panels(), CeilDiv(threads == 1 ? 1 : 4 * threads, blocks));
  const std::size_t panels = CeilDiv(layer.panels(), chunks);
  RunTasks(team, blocks * chunks, [&](std::size_t i) {
    LinearArgs part = args;
    const std::size_t first = i / chunks * kBlockRows;
    part.input += first * input_stride;
    part.output += first * output_stride;
    part.rounded.values += first * part.rounded.stride;
    part.quantized.codes += first * part.quantized.stride;
    part.quantized.zeros += first;
    part.quantized.scales += first;
    part.rows = std::min(kBlockRows, rows - first);
    part.panel_begin = std::min(i % chunks * panels, layer.panels());
    part.panel_end = std::min(part.panel_begin + panels, layer.panels());
    if (part.panel_begin < part.panel_end) kernels.linear(part);
  });
}

void Encoder::Pass::Normalize(const Norm& norm, std::size_t rows, const float* residual,
                              float* hidden) {
  const std::size_t stride = encoder.stride();
  RunTasks(team, CeilDiv(rows, 32), [&](std::size_t i) {
    const std::size_t first = i * 32;
    kernels.layer_norm(hidden + first * stride, stride, std::min<std::size_t>(32, rows - first),
                       spec.hidden, residual == nullptr ? nullptr : residual + first * stride,
                       stride, norm.gamma.data(), norm.beta.data(), spec.epsilon);
  });
}

void Encoder::Pass::Attention(bool in_bf16, const float* qkv, std::size_t stride, bool first_only,
                              float* mixed) {
  const auto attention = in_bf16 ? kernels.attention_bf16 : kernels.attention;
  std::size_t longest = 0;
  for (std::size_t s = 0; s < batch.sequences(); ++s) {
    longest = std::max(longest, batch.starts[s + 1] - batch.starts[s]);
  }
  const std::size_t head_size = spec.head_size();
  const std::size_t scratch_floats = kernels.attention_scratch(longest, head_size);
  const std::size_t tasks = batch.sequences() * spec.heads;
  // One scratch area per share of the work, not per task.
  const std::size_t shares = std::min(tasks, AttentionShares(threads));
  float* scratch = workspace.scratch.Reserve(shares * scratch_floats);
  RunTasks(team, shares, [&](std::size_t share) {
    for (std::size_t task = share; task < tasks; task += shares) {
      const std::size_t s = task / spec.heads;
      const std::size_t head = task % spec.heads;
      const std::size_t first = batch.starts[s];
      const float* query = qkv + first * stride + head * head_size;
      const float* bias = nullptr;
      if (!encoder.relative_bias_.empty()) {
        bias = encoder.relative_bias_.data() + head * (2 * spec.max_tokens() - 1) +
               spec.max_tokens() - 1;
      }
      attention({.query = query,
                 .key = query + spec.hidden,
                 .value = query + 2 * spec.hidden,
                 .stride = stride,
                 .tokens = batch.starts[s + 1] - first,
                 .queries = first_only ? 1 : batch.starts[s + 1] - first,
                 .head_size = head_size,
                 .scale = 1.0F / std::sqrt(static_cast<float>(head_size)),
                 .bias = bias,
                 .scratch = scratch + share * scratch_floats,
                 .output = mixed + (first_only ? s : first) * encoder.stride() + head * head_size,
                 .output_stride = encoder.stride()});
    }
  });
}

void Encoder::Pass::KeepFirstTokens(float* hidden) {
  const std::size_t stride = encoder.stride();
  for (std::size_t s = 1; s < batch.sequences(); ++s) {
    if (batch.starts[s] == s) continue;
    std::copy_n(hidden + batch.starts[s] * stride, stride, hidden + s * stride);
  }
}

void Encoder::Pass::Observe(std::size_t index, const char* part, std::size_t rows,
                            const float* input, std::size_t input_stride, const float* output,
                            std::size_t output_stride) {
  if (observer == nullptr) return;
  (*observer)(LayerLabel(index, part), input, input_stride, rows, output, output_stride);
}

void Encoder::Pass::RunLayer(std::size_t index, const Layer& layer, float* hidden) {
  const std::size_t stride = encoder.stride();
  const std::size_t qkv_stride = RowStride(3 * spec.hidden);
  const std::size_t inner_stride = RowStride(spec.feed_forward);
  float* qkv = workspace.qkv.Reserve(tokens * qkv_stride);
  float* mixed = workspace.mixed.Reserve(tokens * stride);
  float* projected = workspace.projected.Reserve(tokens * stride);
  float* inner = workspace.inner.Reserve(tokens * inner_stride);

  Linear(layer.qkv, tokens, hidden, stride, Activation::kNone, qkv, qkv_stride);
  Observe(index, "qkv", tokens, hidden, stride, qkv, qkv_stride);
  const bool first_only = first_token_only && index + 1 == spec.layers;
  const std::size_t rows = first_only ? batch.sequences() : tokens;
  Attention(layer.qkv.type() != ComputeType::kF32, qkv, qkv_stride, first_only, mixed);
  if (first_only) KeepFirstTokens(hidden);
  Linear(layer.attention_output, rows, mixed, stride, Activation::kNone, projected, stride);
  Observe(index, "attention_output", rows, mixed, stride, projected, stride);
  Normalize(layer.attention_norm, rows, projected, hidden);
  Linear(layer.up, rows, hidden, stride, spec.activation, inner, inner_stride);
  Observe(index, "up", rows, hidden, stride, inner, inner_stride);
  Linear(layer.down, rows, inner, inner_stride, Activation::kNone, projected, stride);
  Observe(index, "down", rows, inner, inner_stride, projected, stride);
  Normalize(layer.output_norm, rows, projected, hidden);
}

Result<> Encoder::Forward(const TokenBatch& batch, EncoderWorkspace& workspace, WorkerTeam* team,
                          const LinearObserver* observer, bool all_tokens) const {
  Pass pass{*this, batch, workspace, team, observer, spec_.first_token_only && !all_tokens};
  float* hidden = workspace.hidden.Reserve(batch.tokens() * stride());
  RETURN_IF_ERROR(pass.Embed(hidden));
  for (std::size_t i = 0; i < layers_.size(); ++i) pass.RunLayer(i, layers_[i], hidden);
  return {};
}

}  // namespace garrison
