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
  return panels_ * panel_bytes_ + (type_ == ComputeType::kInt8 ? 3 : 1) * column_bytes_;
}

void PackedLinear::SetBlock(std::span<const std::byte> block, std::shared_ptr<const void> owner) {
  block_ = block;
  owner_ = std::move(owner);
  const std::byte* columns = block.data() + panels_ * panel_bytes_;
  bias_ = reinterpret_cast<const float*>(columns);
  if (type_ != ComputeType::kInt8) return;
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
  if (type == ComputeType::kInt8 && inputs > kMostInt8Inputs) {
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
      auto* const scales = reinterpret_cast<float*>(per_column + packed.column_bytes_);
      auto* const sums = reinterpret_cast<std::int32_t*>(per_column + 2 * packed.column_bytes_);
      scales[c] = QuantizeColumn(column, kernels.int8_pair_limit, codes);
      sums[c] = std::accumulate(codes.begin(), codes.end(), 0);
    }
    PackColumn(type, column, codes, c % width, kernels.panel,
               data.get() + c / width * packed.panel_bytes_);
  }
  return packed;
}

}  // namespace garrison
