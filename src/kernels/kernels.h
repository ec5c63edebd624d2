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

struct Kernels {
  Isa isa = Isa::kBaseline;
  PanelLayout panel;
  // The most that two neighbouring int8 weights of one sign may add up to: 254, or 128 where the
  // machine adds two 8-bit products in 16 bits, which then cannot overflow (255 * 128 < 2^15).
  int int8_pair_limit = 0;

  void (*linear)(const LinearArgs& args);
  // Asymmetric 8-bit codes per row: the range [min(0, lowest), max(0, highest)] in 255 steps.
  // codes [rows, QuantizedStride(columns)], zero beyond `columns`; zeros lie in [0, 255].
  void (*quantize_rows)(const float* input, std::size_t input_stride, std::size_t rows,
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

// The table for a level; levels without kernels of their own share those of the next lower one.
// `isa` must be available on this machine.
const Kernels& KernelsFor(Isa isa);

// Levels with a table of their own that this machine can run, lowest first; for tests.
std::span<const Isa> KernelIsas();

}  // namespace garrison
