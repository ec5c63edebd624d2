// The definition of every kernel in plain loops and double precision: what the fast ones are tested
// against. Not for use by the engine.
#pragma once

#include "kernels/kernels.h"

namespace garrison::reference {

// output[r, c] = activation(sum_k input[r, k] weights[c, k] + bias[c]); `weights` [columns,
// inputs].
void Linear(std::span<const float> input, std::size_t input_stride, std::size_t rows,
            std::span<const float> weights, std::span<const float> bias, std::size_t columns,
            std::size_t inputs, Activation activation, float* output, std::size_t output_stride);

// As Kernels::quantize_rows.
void QuantizeRows(const float* input, std::size_t input_stride, std::size_t rows,
                  std::size_t columns, int steps, std::uint8_t* codes, float* scales,
                  std::int32_t* zeros);

// As Kernels::layer_norm.
void LayerNorm(float* x, std::size_t stride, std::size_t rows, std::size_t columns,
               const float* residual, std::size_t residual_stride, const float* gamma,
               const float* beta, float epsilon);

// As Kernels::attention; uses no scratch.
void Attention(const AttentionArgs& args);

double Activate(double x, Activation activation);

}  // namespace garrison::reference
