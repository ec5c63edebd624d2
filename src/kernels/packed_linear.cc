#include "kernels/packed_linear.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <new>
#include <numeric>

#include "kernels/kernels.h"

namespace garrison {
namespace {

constexpr std::size_t kCacheLine = 64;
// Sums of codes and their correction for the zero point, each up to 255 * 127 * inputs, must stay
// below 2^31 together.
constexpr std::size_t kMostInt8Inputs = 32'000;

bool HasCodes(ComputeType type) {
  return type == ComputeType::kInt8 || type == ComputeType::kInt8Fine;
}

std::size_t RoundUp(std::size_t value, std::size_t step) {
  return (value + step - 1) / step * step;
}

std::size_t BytesPerPanel(ComputeType type, std::size_t inputs, const PanelLayout& layout) {
  switch (type) {
    case ComputeType::kF32:
      return inputs * layout.columns * sizeof(float);
    case ComputeType::kBf16:
      return RoundUp(inputs, layout.bf16_depth) * layout.columns * sizeof(std::uint16_t);
    case ComputeType::kInt8:
    case ComputeType::kInt8Fine:
      return RoundUp(inputs, layout.int8_depth) * layout.columns;
  }
  return 0;
}

// `column` is one output column's weights, `slot` its place in the panel.
void PackColumn(ComputeType type, std::span<const float> column, std::span<const std::int8_t> codes,
                std::size_t slot, const PanelLayout& layout, std::byte* panel) {
  switch (type) {
    case ComputeType::kF32: {
      auto* to = reinterpret_cast<float*>(panel);
      for (std::size_t k = 0; k < column.size(); ++k) to[k * layout.columns + slot] = column[k];
      return;
    }
    case ComputeType::kBf16: {
      auto* to = reinterpret_cast<std::uint16_t*>(panel);
      if (layout.bf16_depth > 1) {
        for (std::size_t k = 0; k < column.size(); ++k) {
          to[(k / 2 * layout.columns + slot) * 2 + k % 2] = ToBf16(column[k]);
        }
        return;
      }
      const std::size_t half = layout.columns / 2;
      const std::size_t place = slot < half ? 2 * slot : 2 * (slot - half) + 1;
      for (std::size_t k = 0; k < column.size(); ++k) {
        to[k * layout.columns + place] = ToBf16(column[k]);
      }
      return;
    }
    case ComputeType::kInt8:
    case ComputeType::kInt8Fine: {
      auto* to = reinterpret_cast<std::int8_t*>(panel);
      for (std::size_t k = 0; k < codes.size(); ++k) {
        to[(k / 4 * layout.columns + slot) * 4 + k % 4] = codes[k];
      }
      return;
    }
  }
}

}  // namespace

std::string_view ComputeTypeName(ComputeType type) {
  switch (type) {
    case ComputeType::kF32:
      return "f32";
    case ComputeType::kBf16:
      return "bf16";
    case ComputeType::kInt8:
      return "int8";
    case ComputeType::kInt8Fine:
      return "int8-fine";
  }
  return "unknown";
}

std::uint16_t ToBf16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  return static_cast<std::uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

float FromBf16(std::uint16_t value) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(value) << 16);
}

namespace {

constexpr std::size_t kSumBlock = 8;

// Which sum of its block an input goes into.
std::size_t SumOf(const SumRule& rule, std::size_t input) {
  return rule.inputs == 4 ? input / 2 % 2 : input / 2 % 4;
}

// The largest sum of the weights of one sign.
float LargestSum(std::span<const float> weights, const SumRule& rule) {
  float largest = 0;
  for (std::size_t first = 0; first < weights.size(); first += kSumBlock) {
    float positive[4] = {};
    float negative[4] = {};
    const std::size_t end = std::min(first + kSumBlock, weights.size());
    for (std::size_t k = first; k < end; ++k) {
      const std::size_t sum = SumOf(rule, k - first);
      positive[sum] += std::max(weights[k], 0.0F);
      negative[sum] += std::max(-weights[k], 0.0F);
    }
    for (std::size_t sum = 0; sum < 4; ++sum) {
      largest = std::max({largest, positive[sum], negative[sum]});
    }
  }
  return largest;
}

// Lowers the codes of `sign` in one block until each of its sums is within the limit: one step at
// a time, that which adds the least error.
void KeepToLimit(std::span<const float> weights, float inverse, int sign, const SumRule& rule,
                 std::span<std::int8_t> codes) {
  for (std::size_t sum = 0; sum < kSumBlock / rule.inputs; ++sum) {
    int total = 0;
    for (std::size_t k = 0; k < codes.size(); ++k) {
      if (SumOf(rule, k) == sum) total += std::max(sign * codes[k], 0);
    }
    for (; total > rule.limit; --total) {
      std::size_t most = codes.size();
      float excess = 0;
      for (std::size_t k = 0; k < codes.size(); ++k) {
        if (SumOf(rule, k) != sum || sign * codes[k] <= 0) continue;
        const float over =
            static_cast<float>(sign) * (static_cast<float>(codes[k]) - weights[k] * inverse);
        if (most == codes.size() || over > excess) {
          most = k;
          excess = over;
        }
      }
      codes[most] = static_cast<std::int8_t>(codes[most] - sign);
    }
  }
}

// Codes for one scale; returns the squared error.
double RoundColumn(std::span<const float> weights, float scale, const SumRule& rule,
                   std::span<std::int8_t> codes) {
  // A column of denormals has no usable scale; it contributes nothing.
  const float inverse = scale > 1e-35F ? 1.0F / scale : 0.0F;
  for (std::size_t k = 0; k < weights.size(); ++k) {
    codes[k] =
        static_cast<std::int8_t>(std::clamp(std::nearbyint(weights[k] * inverse), -127.0F, 127.0F));
  }
  if (rule.limit < kNoSumLimit) {
    for (std::size_t first = 0; first < weights.size(); first += kSumBlock) {
      const std::size_t count = std::min(kSumBlock, weights.size() - first);
      for (const int sign : {1, -1}) {
        KeepToLimit(weights.subspan(first, count), inverse, sign, rule,
                    codes.subspan(first, count));
      }
    }
  }
  double error = 0;
  for (std::size_t k = 0; k < weights.size(); ++k) {
    const float difference = weights[k] - static_cast<float>(codes[k]) * scale;
    error += static_cast<double>(difference) * difference;
  }
  return error;
}

}  // namespace

float QuantizeColumn(std::span<const float> weights, const SumRule& rule,
                     std::span<std::int8_t> codes) {
  float largest = 0;
  for (const float weight : weights) largest = std::max(largest, std::fabs(weight));
  const float finest = largest / 127.0F;
  const float safe =
      rule.limit < kNoSumLimit
          ? std::max(finest, LargestSum(weights, rule) / static_cast<float>(rule.limit))
          : finest;
  // A scale at which no sum is too large makes all steps coarse for the sake of a few sums; a finer
  // one lowers the codes of these.
  constexpr float kStep = 0.95F;
  float best_scale = safe;
  double best_error = RoundColumn(weights, safe, rule, codes);
  for (float scale = safe * kStep; scale >= finest; scale *= kStep) {
    const double error = RoundColumn(weights, scale, rule, codes);
    if (error > 1.2 * best_error) break;  // past the minimum
    if (error >= best_error) continue;
    best_error = error;
    best_scale = scale;
  }
  RoundColumn(weights, best_scale, rule, codes);
  return best_scale;
}

SumRule SumRuleOf(const Kernels& kernels, ComputeType type) {
  if (type == ComputeType::kInt8Fine) return {.limit = kFineSumLimit, .inputs = 2};
  return {.limit = kernels.int8_sum_limit, .inputs = 4};
}

PackedLinear PackedLinear::Shaped(const PanelLayout& layout, ComputeType type, std::size_t columns,
                                  std::size_t inputs) {
  PackedLinear packed;
  packed.type_ = type;
  packed.columns_ = columns;
  packed.inputs_ = inputs;
  packed.panels_ = (columns + layout.columns - 1) / layout.columns;
  packed.panel_bytes_ = RoundUp(BytesPerPanel(type, inputs, layout), kCacheLine);
  packed.column_bytes_ = RoundUp(packed.panels_ * layout.columns * sizeof(float), kCacheLine);
  return packed;
}

std::size_t PackedLinear::block_bytes() const {
  return panels_ * panel_bytes_ + (HasCodes(type_) ? 3 : 1) * column_bytes_;
}

void PackedLinear::SetBlock(std::span<const std::byte> block, std::shared_ptr<const void> owner) {
  block_ = block;
  owner_ = std::move(owner);
  const std::byte* columns = block.data() + panels_ * panel_bytes_;
  bias_ = reinterpret_cast<const float*>(columns);
  if (!HasCodes(type_)) return;
  scales_ = reinterpret_cast<const float*>(columns + column_bytes_);
  code_sums_ = reinterpret_cast<const std::int32_t*>(columns + 2 * column_bytes_);
}

Result<PackedLinear> PackedLinear::View(const PanelLayout& layout, ComputeType type,
                                        std::size_t columns, std::size_t inputs,
                                        std::span<const std::byte> block,
                                        std::shared_ptr<const void> owner) {
  PackedLinear packed = Shaped(layout, type, columns, inputs);
  if (block.size() != packed.block_bytes() ||
      reinterpret_cast<std::uintptr_t>(block.data()) % kCacheLine != 0) {
    return Fail(Code::kInvalidArgument, "expected {} bytes for {} x {} in {}, got {}",
                packed.block_bytes(), columns, inputs, ComputeTypeName(type), block.size());
  }
  packed.SetBlock(block, std::move(owner));
  return packed;
}

Result<PackedLinear> PackedLinear::Pack(const Kernels& kernels, ComputeType type,
                                        std::span<const float> weights, std::span<const float> bias,
                                        std::size_t columns, std::size_t inputs) {
  if (HasCodes(type) && inputs > kMostInt8Inputs) {
    return Fail(Code::kOutOfRange, "int8 sums hold at most {} inputs, the layer has {}; use bf16",
                kMostInt8Inputs, inputs);
  }
  for (std::size_t i = 0; i < bias.size(); ++i) {
    if (!std::isfinite(bias[i])) {
      return Fail(Code::kInvalidArgument, "expected finite biases, got {} at [{}]", bias[i], i);
    }
  }
  PackedLinear packed = Shaped(kernels.panel, type, columns, inputs);
  const std::size_t total = packed.block_bytes();
  const std::shared_ptr<std::byte> data(
      static_cast<std::byte*>(::operator new(total, std::align_val_t{kCacheLine})),
      [](std::byte* block) { ::operator delete(block, std::align_val_t{kCacheLine}); });
  std::memset(data.get(), 0, total);
  packed.SetBlock({data.get(), total}, data);
  std::byte* const per_column = data.get() + packed.panels_ * packed.panel_bytes_;
  auto* const biases = reinterpret_cast<float*>(per_column);
  std::copy(bias.begin(), bias.end(), biases);

  const std::size_t width = kernels.panel.columns;
  std::vector<std::int8_t> codes(HasCodes(type) ? inputs : 0);
  for (std::size_t c = 0; c < columns; ++c) {
    const auto column = weights.subspan(c * inputs, inputs);
    for (std::size_t k = 0; k < inputs; ++k) {
      if (!std::isfinite(column[k])) {
        return Fail(Code::kInvalidArgument, "expected finite weights, got {} at [{}, {}]",
                    column[k], c, k);
      }
    }
    if (HasCodes(type)) {
      auto* const scales = reinterpret_cast<float*>(per_column + packed.column_bytes_);
      auto* const sums = reinterpret_cast<std::int32_t*>(per_column + 2 * packed.column_bytes_);
      scales[c] = QuantizeColumn(column, SumRuleOf(kernels, type), codes);
      sums[c] = std::accumulate(codes.begin(), codes.end(), 0);
    }
    PackColumn(type, column, codes, c % width, kernels.panel,
               data.get() + c / width * packed.panel_bytes_);
  }
  return packed;
}

}  // namespace garrison
