// The weights of y = x W^T + b, laid out for one instruction set's kernels.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace garrison {

struct Kernels;

// kInt8Fine: int8 with finer codes than kInt8 has on machines that sum products in 16 bits, slower.
enum class ComputeType : std::uint8_t { kF32, kBf16, kInt8, kInt8Fine };

// "f32", "bf16", "int8", "int8-fine".
std::string_view ComputeTypeName(ComputeType type);

// How an instruction set wants panels of weights.
struct PanelLayout {
  std::size_t columns = 0;     // output columns of a panel
  std::size_t int8_depth = 8;  // the inputs of int8 panels are padded to a multiple of this
  // Of bf16 panels. 1: a 32-bit lane holds two columns; otherwise two inputs.
  std::size_t bf16_depth = 1;

  bool operator==(const PanelLayout&) const = default;
};

// Panels of `layout.columns` output columns, each [k][columns] so that a kernel reads them front to
// back; what pads columns and inputs is zero.
//   f32   float
//   bf16  the upper halves of floats, rounded to nearest even; 32-bit lane l of a row holds column
//         l in its low and column l + columns / 2 in its high half, or, with a depth above 1,
//         [k / 2][columns][2]
//   int8, int8-fine  [k / 4][columns][4] codes; weight = code * scale[column], symmetric per output
//         column
// Immutable after construction.
class PackedLinear {
 public:
  PackedLinear() = default;

  // `weights` [columns, inputs] row-major, `bias` [columns] or empty. INVALID_ARGUMENT for a weight
  // that is not finite, OUT_OF_RANGE for more inputs than 32-bit sums can hold.
  static Result<PackedLinear> Pack(const Kernels& kernels, ComputeType type,
                                   std::span<const float> weights, std::span<const float> bias,
                                   std::size_t columns, std::size_t inputs);

  // What block() of an equal layer held, kept alive by `owner`. INVALID_ARGUMENT unless it has the
  // size that the shape asks for and begins on a 64-byte boundary.
  static Result<PackedLinear> View(const PanelLayout& layout, ComputeType type, std::size_t columns,
                                   std::size_t inputs, std::span<const std::byte> block,
                                   std::shared_ptr<const void> owner);

  ComputeType type() const { return type_; }
  std::size_t columns() const { return columns_; }
  std::size_t inputs() const { return inputs_; }
  std::size_t panels() const { return panels_; }
  const std::byte* panel(std::size_t i) const { return block_.data() + i * panel_bytes_; }
  // Padded with zeros to whole panels.
  const float* bias() const { return bias_; }
  const float* scales() const { return scales_; }               // null for f32, bf16
  const std::int32_t* code_sums() const { return code_sums_; }  // of each column's codes
  // All of it: panels, bias, and for both int8 scales and sums, each on a 64-byte boundary.
  std::span<const std::byte> block() const { return block_; }

 private:
  // A shape whose block has yet to be set.
  static PackedLinear Shaped(const PanelLayout& layout, ComputeType type, std::size_t columns,
                             std::size_t inputs);
  std::size_t block_bytes() const;
  void SetBlock(std::span<const std::byte> block, std::shared_ptr<const void> owner);

  ComputeType type_ = ComputeType::kF32;
  std::size_t columns_ = 0;
  std::size_t inputs_ = 0;
  std::size_t panels_ = 0;
  std::size_t panel_bytes_ = 0;
  std::size_t column_bytes_ = 0;  // of four bytes for every column
  std::span<const std::byte> block_;
  const float* bias_ = nullptr;
  const float* scales_ = nullptr;
  const std::int32_t* code_sums_ = nullptr;
  std::shared_ptr<const void> owner_;
};

// No four codes add up to more.
inline constexpr int kNoSumLimit = 4 * 127;

// Codes of one sign may add up to no more than `limit` over `inputs` inputs: two neighbours, or
// four, which are 8i + {0, 1, 4, 5} and 8i + {2, 3, 6, 7}.
struct SumRule {
  int limit = kNoSumLimit;
  std::size_t inputs = 4;
};

// The code of each weight of one output column, in [-127, 127]; returns the scale, chosen for the
// least squared error.
float QuantizeColumn(std::span<const float> weights, const SumRule& rule,
                     std::span<std::int8_t> codes);

// Rounded to nearest even, as the upper half of the float.
std::uint16_t ToBf16(float value);
float FromBf16(std::uint16_t value);

}  // namespace garrison
