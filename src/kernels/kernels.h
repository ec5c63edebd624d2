// The arithmetic of the engine, one table of functions per instruction set.
//
// Matrices are row-major float rows whose stride is a multiple of kRowAlign, so that whole vectors
// may be read and written past the last column; those columns hold zeros. Every output row depends
// on its own input row only, computed in an order that neither the number of rows nor their
// position changes: this is what makes results the same in any batch. All functions are
// single-threaded and touch nothing but their arguments.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "base/cpu_features.h"
#include "kernels/packed_linear.h"

namespace garrison {

inline constexpr std::size_t kRowAlign = 16;  // floats

constexpr std::size_t RowStride(std::size_t columns) {
  return (columns + kRowAlign - 1) / kRowAlign * kRowAlign;
}

enum class Activation : std::uint8_t { kNone, kRelu, kGelu, kGeluTanh, kTanh };

// Rows of activations as int8 layers read them: value = scale * (code - zero).
struct QuantizedRows {
  const std::uint8_t* codes = nullptr;  // [rows, stride]
  const float* scales = nullptr;        // [rows]
  const std::int32_t* zeros = nullptr;  // [rows]
  std::size_t stride = 0;               // QuantizedStride(columns)
};

// Rows of activations as bf16, where bf16 layers read them so.
struct RoundedRows {
  const std::uint16_t* values = nullptr;  // [rows, stride]
  std::size_t stride = 0;                 // QuantizedStride(columns)
};

constexpr std::size_t QuantizedStride(std::size_t columns) { return (columns + 63) / 64 * 64; }

// Quantised and rounded rows may be read, whatever they hold, up to this many.
constexpr std::size_t ReadableRows(std::size_t rows) { return (rows + 15) / 16 * 16; }

// output[r, c] = activation(sum_k input[r, k] weights[c, k] + bias[c]) for the columns of panels
// [panel_begin, panel_end).
struct LinearArgs {
  const PackedLinear* weights = nullptr;
  const float* input = nullptr;  // [rows, input_stride]; f32 weights, bf16 without round_rows
  std::size_t input_stride = 0;
  RoundedRows rounded;      // bf16 weights with Kernels::round_rows
  QuantizedRows quantized;  // int8 weights
  std::size_t rows = 0;
  std::size_t panel_begin = 0;
  std::size_t panel_end = 0;
  Activation activation = Activation::kNone;
  float* output = nullptr;  // [rows, output_stride], output_stride a multiple of kRowAlign
  std::size_t output_stride = 0;
};

// One head over one sequence: softmax(q kT * scale + bias) v.
struct AttentionArgs {
  const float* query = nullptr;  // [queries, stride], the head's columns
  const float* key = nullptr;    // [tokens, stride]
  const float* value = nullptr;
  std::size_t stride = 0;
  std::size_t tokens = 0;
  std::size_t queries = 0;  // leading tokens whose output is wanted
  std::size_t head_size = 0;
  float scale = 1;
  // bias[j - i] is added to the score of query i and key j, j - i in (-tokens, tokens); may be
  // null.
  const float* bias = nullptr;
  float* scratch = nullptr;  // Kernels::attention_scratch floats
  float* output = nullptr;   // [queries, output_stride], the head's columns
  std::size_t output_stride = 0;
};

// int8-fine layers add up two products in 16 bits: 255 * 128 < 2^15.
inline constexpr int kFineSteps = 255;
inline constexpr int kFineSumLimit = 128;

struct Kernels {
  Isa isa = Isa::kBaseline;
  PanelLayout panel;
  // Activations have codes from 0 to int8_steps, weights keep to int8_sum_limit over four inputs.
  // Where the machine adds up four products in 16 bits, neither takes all of its 8 bits, so that
  // these sums cannot overflow: 192 * 170 < 2^15. Of all such pairs this one loses least: weights
  // and activations that are normally distributed are rounded by 0.96 and 0.91 % (all 8 bits: 0.71
  // and 0.68 %, but a sixth more instructions).
  int int8_steps = 0;
  int int8_sum_limit = 0;

  void (*linear)(const LinearArgs& args);
  // Asymmetric codes per row: the range [min(0, lowest), max(0, highest)] in int8_steps steps.
  // codes [rows, QuantizedStride(columns)], zero beyond `columns`; zeros lie in [0, int8_steps].
  void (*quantize_rows)(const float* input, std::size_t input_stride, std::size_t rows,
                        std::size_t columns, std::uint8_t* codes, float* scales,
                        std::int32_t* zeros);
  // The same in kFineSteps steps, for int8-fine layers; null where int8 has all its bits, and such
  // layers no use.
  void (*quantize_rows_fine)(const float* input, std::size_t input_stride, std::size_t rows,
                             std::size_t columns, std::uint8_t* codes, float* scales,
                             std::int32_t* zeros);
  // To bf16, to nearest even, zero beyond `columns`; null where bf16 layers read floats.
  void (*round_rows)(const float* input, std::size_t input_stride, std::size_t rows,
                     std::size_t columns, std::uint16_t* rounded);
  // x = LayerNorm(x + residual); `residual` may be null. Means in two passes, as the definition.
  void (*layer_norm)(float* x, std::size_t stride, std::size_t rows, std::size_t columns,
                     const float* residual, std::size_t residual_stride, const float* gamma,
                     const float* beta, float epsilon);
  void (*attention)(const AttentionArgs& args);
  // The same with queries, keys, values and probabilities rounded to bf16 where that is faster.
  void (*attention_bf16)(const AttentionArgs& args);
  // Of either, in floats.
  std::size_t (*attention_scratch)(std::size_t tokens, std::size_t head_size);
  void (*activate)(float* x, std::size_t count, Activation activation);  // any count, in place

  // What the machine could do at best, for benches to compare with. The first repeats `rounds`
  // times the products that layers of `type` are made of, on registers alone, and returns the
  // number of multiplications and additions. The second reads all of `bytes`.
  std::size_t (*multiply_registers)(ComputeType type, std::size_t rounds);
  void (*read_memory)(std::span<const float> values);
};

// What the weights of layers of `type` keep to.
SumRule SumRuleOf(const Kernels& kernels, ComputeType type);

// The table for a level; levels without kernels of their own share those of the next lower one.
// `isa` must be available on this machine.
const Kernels& KernelsFor(Isa isa);

// Levels with a table of their own that this machine can run, lowest first; for tests.
std::span<const Isa> KernelIsas();

}  // namespace garrison
