// Tensors of a checkpoint by name and shape, and the layers made of them. Private to engine/.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "kernels/kernels.h"
#include "tensor/packed_weights.h"
#include "tensor/safetensors.h"

namespace garrison {

// How the weights of a model are to be computed with.
struct ComputeOptions {
  Isa isa = Isa::kBaseline;
  ComputeType type = ComputeType::kF32;
  std::vector<std::string> bf16_layers;  // layers that int8 leaves in bf16
};

// Above this relative error (Frobenius norm of the rounding over that of the weights) int8 does not
// represent a layer: rounding normally distributed weights costs about 0.01, and the damage to the
// output is of the same order.
inline constexpr double kInt8LayerError = 0.03;

// Rounding errors average out over a layer's inputs. With fewer than these they show (int8 gave
// cosines of logits down to 0.97 at 60 inputs), and there is no time worth saving: f32.
inline constexpr std::size_t kFewestReducedInputs = 128;

struct Norm {
  std::vector<float> gamma, beta;  // padded to RowStride
};

class Checkpoint {
 public:
  // `prefix` is put before every name. Layers that `packed` holds under their label are taken from
  // there, others are packed and put there; null: nothing is kept.
  Checkpoint(const SafeTensors& weights, std::string prefix, PackedLayers* packed = nullptr)
      : weights_(weights), prefix_(std::move(prefix)), packed_(packed) {}

  // INVALID_ARGUMENT when it is missing, has another shape (both are named) or is not F32, F16 or
  // BF16.
  Result<const Tensor*> Require(const std::string& name,
                                const std::vector<std::uint64_t>& shape) const;
  // All elements; INVALID_ARGUMENT unless finite.
  Result<std::vector<float>> Read(const std::string& name,
                                  const std::vector<std::uint64_t>& shape) const;
  // `name`.weight and .bias (or the older .gamma and .beta).
  Result<Norm> ReadNorm(const std::string& name, std::size_t size) const;
  // The layers `names`, each [columns, inputs] with a bias (none where `bias` is false), as one
  // layer of names.size() * columns.
  // `label` is the layer's name in ComputeOptions::bf16_layers.
  Result<PackedLinear> ReadLinear(const std::vector<std::string>& names, std::size_t columns,
                                  std::size_t inputs, bool bias, const std::string& label,
                                  const ComputeOptions& options) const;
  bool Has(const std::string& name) const { return weights_.Find(prefix_ + name) != nullptr; }

 private:
  const SafeTensors& weights_;
  const std::string prefix_;
  PackedLayers* const packed_;
};

// Relative Frobenius error of rounding `weights` [columns, inputs] to int8.
double Int8WeightError(std::span<const float> weights, std::size_t columns, std::size_t inputs,
                       const SumRule& rule);

}  // namespace garrison
