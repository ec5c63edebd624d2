#include "kernels/reference.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace garrison::reference {

double Activate(double x, Activation activation) {
  switch (activation) {
    case Activation::kNone:
      return x;
    case Activation::kRelu:
      return std::max(x, 0.0);
    case Activation::kGelu:
      return 0.5 * x * (1 + std::erf(x / std::sqrt(2.0)));
    case Activation::kGeluTanh:
      return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
    case Activation::kTanh:
      return std::tanh(x);
  }
  return x;
}

void Linear(std::span<const float> input, std::size_t input_stride, std::size_t rows,
            std::span<const float> weights, std::span<const float> bias, std::size_t columns,
            std::size_t inputs, Activation activation, float* output, std::size_t output_stride) {
  for (std::size_t r = 0; r < rows; ++r) {
    for (std::size_t c = 0; c < columns; ++c) {
      double sum = bias.empty() ? 0.0 : bias[c];
      for (std::size_t k = 0; k < inputs; ++k) {
        sum += static_cast<double>(input[r * input_stride + k]) * weights[c * inputs + k];
      }
      output[r * output_stride + c] = static_cast<float>(Activate(sum, activation));
    }
  }
}

void QuantizeRows(const float* input, std::size_t input_stride, std::size_t rows,
                  std::size_t columns, int steps, std::uint8_t* codes, float* scales,
                  std::int32_t* zeros) {
  for (std::size_t r = 0; r < rows; ++r) {
    const float* x = input + r * input_stride;
    std::uint8_t* to = codes + r * QuantizedStride(columns);
    float low = 0;
    float high = 0;
    for (std::size_t c = 0; c < columns; ++c) {
      low = std::min(low, x[c]);
      high = std::max(high, x[c]);
    }
    scales[r] = (high - low) / static_cast<float>(steps);
    const float inverse = scales[r] > 1e-35F ? 1.0F / scales[r] : 0.0F;
    const float zero = std::nearbyint(-low * inverse);
    zeros[r] = static_cast<std::int32_t>(zero);
    for (std::size_t c = 0; c < QuantizedStride(columns); ++c) {
      const float code = c < columns ? std::nearbyint(x[c] * inverse) + zero : 0.0F;
      to[c] = static_cast<std::uint8_t>(std::clamp(code, 0.0F, static_cast<float>(steps)));
    }
  }
}

void LayerNorm(float* x, std::size_t stride, std::size_t rows, std::size_t columns,
               const float* residual, std::size_t residual_stride, const float* gamma,
               const float* beta, float epsilon) {
  for (std::size_t r = 0; r < rows; ++r) {
    float* row = x + r * stride;
    double mean = 0;
    for (std::size_t c = 0; c < columns; ++c) {
      if (residual != nullptr) row[c] += residual[r * residual_stride + c];
      mean += row[c];
    }
    mean /= static_cast<double>(columns);
    double variance = 0;
    for (std::size_t c = 0; c < columns; ++c) variance += (row[c] - mean) * (row[c] - mean);
    const double scale = 1 / std::sqrt(variance / static_cast<double>(columns) + epsilon);
    for (std::size_t c = 0; c < columns; ++c) {
      row[c] = static_cast<float>((row[c] - mean) * scale * gamma[c] + beta[c]);
    }
  }
}

void Attention(const AttentionArgs& args) {
  const std::size_t n = args.tokens;
  std::vector<double> scores(n);
  for (std::size_t i = 0; i < args.queries; ++i) {
    for (std::size_t j = 0; j < n; ++j) {
      double dot = 0;
      for (std::size_t k = 0; k < args.head_size; ++k) {
        dot += static_cast<double>(args.query[i * args.stride + k]) * args.key[j * args.stride + k];
      }
      const auto distance = static_cast<std::ptrdiff_t>(j) - static_cast<std::ptrdiff_t>(i);
      scores[j] = dot * args.scale + (args.bias == nullptr ? 0.0 : args.bias[distance]);
    }
    const double highest = *std::max_element(scores.begin(), scores.end());
    double sum = 0;
    for (double& score : scores) sum += score = std::exp(score - highest);
    for (std::size_t k = 0; k < args.head_size; ++k) {
      double mixed = 0;
      for (std::size_t j = 0; j < n; ++j) mixed += scores[j] * args.value[j * args.stride + k];
      args.output[i * args.output_stride + k] = static_cast<float>(mixed / sum);
    }
  }
}

}  // namespace garrison::reference
