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
    case ComputeType::kInt8: {
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

float QuantizeColumn(std::span<const float> weights, int pair_limit, std::span<std::int8_t> codes) {
  float largest = 0;
  float largest_pair = 0;
  for (std::size_t k = 0; k < weights.size(); k += 2) {
    const float a = weights[k];
    const float b = k + 1 < weights.size() ? weights[k + 1] : 0.0F;
    largest = std::max({largest, std::fabs(a), std::fabs(b)});
    largest_pair = std::max({largest_pair, std::max(a, 0.0F) + std::max(b, 0.0F),
                             std::max(-a, 0.0F) + std::max(-b, 0.0F)});
  }
  // Less one: rounding may add a half to each.
  const float scale = std::max(largest / 127.0F, largest_pair / static_cast<float>(pair_limit - 1));
  // A column of denormals has no usable scale; it contributes nothing.
  const float inverse = scale > 1e-35F ? 1.0F / scale : 0.0F;
  for (std::size_t k = 0; k < weights.size(); ++k) {
    const float code = std::clamp(std::nearbyint(weights[k] * inverse), -127.0F, 127.0F);
    codes[k] = static_cast<std::int8_t>(code);
  }
  return scale;
}

void PackedLinear::Free::operator()(std::byte* data) const {
  ::operator delete(data, std::align_val_t{kCacheLine});
}

std::size_t PackedLinear::bytes() const {
  return panels_ * panel_bytes_ + (bias_.size() + scales_.size()) * sizeof(float);
}

Result<PackedLinear> PackedLinear::Pack(const Kernels& kernels, ComputeType type,
                                        std::span<const float> weights, std::span<const float> bias,
                                        std::size_t columns, std::size_t inputs) {
  if (type == ComputeType::kInt8 && inputs > kMostInt8Inputs) {
    return Fail(Code::kOutOfRange, "int8 sums hold at most {} inputs, the layer has {}; use bf16",
                kMostInt8Inputs, inputs);
  }
  PackedLinear packed;
  packed.type_ = type;
  packed.columns_ = columns;
  packed.inputs_ = inputs;
  const std::size_t width = kernels.panel.columns;
  packed.panels_ = (columns + width - 1) / width;
  packed.panel_bytes_ = RoundUp(BytesPerPanel(type, inputs, kernels.panel), kCacheLine);
  const std::size_t total = std::max(packed.panels_ * packed.panel_bytes_, kCacheLine);
  packed.data_.reset(static_cast<std::byte*>(::operator new(total, std::align_val_t{kCacheLine})));
  std::memset(packed.data_.get(), 0, total);
  packed.bias_.assign(packed.panels_ * width, 0.0F);
  std::copy(bias.begin(), bias.end(), packed.bias_.begin());
  packed.scales_.assign(type == ComputeType::kInt8 ? packed.panels_ * width : 0, 0.0F);
  packed.code_sums_.assign(packed.scales_.size(), 0);
  for (std::size_t i = 0; i < bias.size(); ++i) {
    if (!std::isfinite(bias[i])) {
      return Fail(Code::kInvalidArgument, "expected finite biases, got {} at [{}]", bias[i], i);
    }
  }

  std::vector<std::int8_t> codes(type == ComputeType::kInt8 ? inputs : 0);
  for (std::size_t c = 0; c < columns; ++c) {
    const auto column = weights.subspan(c * inputs, inputs);
    for (std::size_t k = 0; k < inputs; ++k) {
      if (!std::isfinite(column[k])) {
        return Fail(Code::kInvalidArgument, "expected finite weights, got {} at [{}, {}]",
                    column[k], c, k);
      }
    }
    if (type == ComputeType::kInt8) {
      packed.scales_[c] = QuantizeColumn(column, kernels.int8_pair_limit, codes);
      packed.code_sums_[c] = std::accumulate(codes.begin(), codes.end(), 0);
    }
    PackColumn(type, column, codes, c % width, kernels.panel,
               packed.data_.get() + c / width * packed.panel_bytes_);
  }
  return packed;
}

}  // namespace garrison
