// Post-norm transformer encoders over batches without padding.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/worker_team.h"
#include "engine/checkpoint.h"
#include "engine/encoder_spec.h"
#include "engine/float_rows.h"
#include "engine/reduced_input.h"

namespace garrison {

// Several sequences one after the other.
struct TokenBatch {
  std::vector<std::int32_t> ids;       // [tokens]
  std::vector<std::int32_t> type_ids;  // [tokens]
  std::vector<std::size_t> starts{0};  // [sequences + 1]; sequence s is [starts[s], starts[s + 1])

  std::size_t tokens() const { return ids.size(); }
  std::size_t sequences() const { return starts.size() - 1; }
  void Add(std::span<const std::int32_t> sequence, std::span<const std::int32_t> types);
  void Clear();
};

// Buffers of one forward pass; grow to the largest batch and are used again. One per thread.
struct EncoderWorkspace {
  TokenBatch batch;  // for the caller to fill
  AlignedBuffer<float> row, hidden, qkv, mixed, inner, projected, scratch;
  ReducedInput reduced;

  std::size_t bytes() const;
};

// Sees every linear layer's input and output; for measuring what a dtype costs.
using LinearObserver =
    std::function<void(const std::string& layer, const float* input, std::size_t input_stride,
                       std::size_t rows, const float* output, std::size_t output_stride)>;

// Immutable after loading; safe to use from any number of threads, each with its own workspace.
class Encoder {
 public:
  // `weights` must outlive the encoder: it reads its embeddings there. The checkpoint may carry
  // the family's prefix or not. `packed`: see Checkpoint. INVALID_ARGUMENT names the tensor at
  // fault.
  static Result<std::unique_ptr<Encoder>> Load(const SafeTensors& weights, EncoderSpec spec,
                                               const ComputeOptions& options,
                                               PackedLayers* packed = nullptr);

  // The last hidden state: [rows, stride()] in workspace.hidden, padding columns zero; a row for
  // each token, or with spec().first_token_only for each sequence. Rows depend on their own
  // sequence only. `team` may be null: then this thread does all the work.
  // REQUIRES: sequences of 1 to spec().max_tokens() tokens, CheckIds() passed.
  // DATA_LOSS names an embedding row that is not finite.
  // With `all_tokens` there is a row for each token whatever the spec says.
  Result<> Forward(const TokenBatch& batch, EncoderWorkspace& workspace, WorkerTeam* team,
                   const LinearObserver* observer = nullptr, bool all_tokens = false) const;

  // INVALID_ARGUMENT for an id or type outside the tables, or a length outside 1 to max_tokens().
  Result<> CheckIds(std::span<const std::int32_t> ids,
                    std::span<const std::int32_t> type_ids) const;

  const EncoderSpec& spec() const { return spec_; }
  std::size_t stride() const { return RowStride(spec_.hidden); }
  const Kernels& kernels() const { return *kernels_; }
  // Names of the linear layers ("layer.3.up") with the type each is computed in.
  std::vector<std::pair<std::string, ComputeType>> LinearTypes() const;
  const PackedLinear* FindLinear(const std::string& label) const;
  // No pass over so many tokens, in sequences of at most `longest`, on so many threads, lets its
  // workspace grow beyond this many bytes.
  std::size_t WorkspaceBytes(std::size_t tokens, std::size_t longest, std::size_t threads) const;

 private:
  struct Layer {
    PackedLinear qkv, attention_output, up, down;
    Norm attention_norm, output_norm;
  };
  struct Pass;  // one forward pass

  Encoder(const SafeTensors& weights, EncoderSpec spec, const Kernels& kernels)
      : weights_(weights), spec_(std::move(spec)), kernels_(&kernels) {}
  Result<> LoadEmbeddings(const Checkpoint& checkpoint);
  Result<> LoadLayer(const Checkpoint& checkpoint, std::size_t index,
                     const ComputeOptions& options);
  Result<> LoadRelativeBias(const Checkpoint& checkpoint);

  const SafeTensors& weights_;
  const EncoderSpec spec_;
  const Kernels* const kernels_;
  const Tensor* words_ = nullptr;
  const Tensor* positions_ = nullptr;
  const Tensor* types_ = nullptr;
  Norm embedding_norm_;
  std::vector<Layer> layers_;
  // [heads, 2 * max_tokens - 1], by key minus query; empty without relative attention.
  std::vector<float> relative_bias_;
};

// Layer `part` of `index`: "layer.3.up". The parts are qkv, attention_output, up, down.
std::string LayerLabel(std::size_t index, const char* part);

// T5's and MPNet's bucket of a distance (key minus query), bidirectional, logarithmic from
// buckets / 4 on up to `max_distance`. REQUIRES: max_distance == 16 * buckets / 4, as both have.
std::size_t RelativeBucket(std::ptrdiff_t distance, std::size_t buckets);

}  // namespace garrison
