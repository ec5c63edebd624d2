#include "engine/checkpoint.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace garrison {
namespace {

Result<> CheckFinite(const std::string& name, std::span<const float> values) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (std::isfinite(values[i])) continue;
    return FailAt(name, Code::kInvalidArgument,
                  "expected finite weights, got {} at element {}; the checkpoint is damaged",
                  values[i], i);
  }
  return {};
}

bool IsFloat(TensorType type) {
  return type == TensorType::kF32 || type == TensorType::kF16 || type == TensorType::kBf16;
}

}  // namespace

double Int8WeightError(std::span<const float> weights, std::size_t columns, std::size_t inputs,
                       const SumRule& rule) {
  std::vector<std::int8_t> codes(inputs);
  double error = 0;
  double total = 0;
  for (std::size_t c = 0; c < columns; ++c) {
    const auto column = weights.subspan(c * inputs, inputs);
    const float scale = QuantizeColumn(column, rule, codes);
    for (std::size_t k = 0; k < inputs; ++k) {
      const double difference = column[k] - static_cast<double>(codes[k]) * scale;
      error += difference * difference;
      total += static_cast<double>(column[k]) * column[k];
    }
  }
  return total > 0 ? std::sqrt(error / total) : 0;
}

Result<const Tensor*> Checkpoint::Require(const std::string& name,
                                          const std::vector<std::uint64_t>& shape) const {
  const std::string full = prefix_ + name;
  const Tensor* tensor = weights_.Find(full);
  if (tensor == nullptr) {
    return FailAt(full, Code::kInvalidArgument,
                  "config.json asks for this tensor with shape [{}], the weights do not have it",
                  fmt::join(shape, ", "));
  }
  if (tensor->shape != shape) {
    return FailAt(full, Code::kInvalidArgument,
                  "config.json asks for shape [{}], the weights have {}; do the files belong "
                  "together?",
                  fmt::join(shape, ", "), tensor->ShapeText());
  }
  if (!IsFloat(tensor->type)) {
    return FailAt(full, Code::kUnimplemented, "expected F32, F16 or BF16 weights, got {}",
                  TensorTypeName(tensor->type));
  }
  return tensor;
}

Result<std::vector<float>> Checkpoint::Read(const std::string& name,
                                            const std::vector<std::uint64_t>& shape) const {
  ASSIGN_OR_RETURN(const Tensor* tensor, Require(name, shape));
  std::vector<float> values(tensor->elements());
  ReadFloats(*tensor, 0, values);
  RETURN_IF_ERROR(CheckFinite(prefix_ + name, values));
  return values;
}

Result<Norm> Checkpoint::ReadNorm(const std::string& name, std::size_t size) const {
  const bool old_names = !Has(name + ".weight") && Has(name + ".gamma");
  Norm norm;
  ASSIGN_OR_RETURN(norm.gamma, Read(name + (old_names ? ".gamma" : ".weight"), {size}));
  ASSIGN_OR_RETURN(norm.beta, Read(name + (old_names ? ".beta" : ".bias"), {size}));
  norm.gamma.resize(RowStride(size));
  norm.beta.resize(RowStride(size));
  return norm;
}

Result<PackedLinear> Checkpoint::ReadLinear(const std::vector<std::string>& names,
                                            std::size_t columns, std::size_t inputs, bool bias,
                                            const std::string& label,
                                            const ComputeOptions& options) const {
  const std::size_t all = columns * names.size();
  if (packed_ != nullptr) {
    const auto found = packed_->find(label);
    if (found != packed_->end() && found->second.columns() == all &&
        found->second.inputs() == inputs) {
      return found->second;
    }
  }
  std::vector<float> weights, biases;
  for (const std::string& name : names) {
    ASSIGN_OR_RETURN(const std::vector<float> part, Read(name + ".weight", {columns, inputs}));
    weights.insert(weights.end(), part.begin(), part.end());
    if (!bias) continue;
    ASSIGN_OR_RETURN(const std::vector<float> part_bias, Read(name + ".bias", {columns}));
    biases.insert(biases.end(), part_bias.begin(), part_bias.end());
  }
  ComputeType type = inputs < kFewestReducedInputs ? ComputeType::kF32 : options.type;
  if (type == ComputeType::kInt8 || type == ComputeType::kInt8Fine) {
    const bool kept = std::find(options.bf16_layers.begin(), options.bf16_layers.end(), label) !=
                      options.bf16_layers.end();
    const SumRule rule = SumRuleOf(KernelsFor(options.isa), type);
    if (kept || Int8WeightError(weights, all, inputs, rule) > kInt8LayerError) {
      type = ComputeType::kBf16;
    }
  }
  Result<PackedLinear> packed =
      PackedLinear::Pack(KernelsFor(options.isa), type, weights, biases, all, inputs);
  if (!packed) return tl::unexpected(At(prefix_ + names.front(), std::move(packed).error()));
  if (packed_ != nullptr) packed_->insert_or_assign(label, *packed);
  return packed;
}

}  // namespace garrison
