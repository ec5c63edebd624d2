#include "engine/layer_errors.h"

#include <algorithm>
#include <cmath>
#include <map>

namespace garrison {
namespace {

constexpr std::size_t kMostTokens = 4096;
constexpr double kLargeError = 0.05;
constexpr double kTimesMedian = 4;

struct Sums {
  double error = 0;
  double total = 0;
};

// The candidate's layer on the exact model's input.
std::vector<float> Compute(const Encoder& encoder, const PackedLinear& layer, Activation activation,
                           const float* input, std::size_t input_stride, std::size_t rows) {
  const Kernels& kernels = encoder.kernels();
  const std::size_t stride = RowStride(layer.columns());
  std::vector<float> output(rows * stride);
  LinearArgs args{.weights = &layer,
                  .input = input,
                  .input_stride = input_stride,
                  .rows = rows,
                  .panel_end = layer.panels(),
                  .activation = activation,
                  .output = output.data(),
                  .output_stride = stride};
  ReducedInput reduced;
  if (reduced.Attach(kernels, args)) reduced.Fill(kernels, args, 0, rows);
  kernels.linear(args);
  return output;
}

}  // namespace

Result<std::vector<LayerError>> MeasureLayerErrors(const SequenceModel& exact,
                                                   const SequenceModel& candidate,
                                                   std::span<const SequenceInput> inputs) {
  ASSIGN_OR_RETURN(const PreparedInputs prepared,
                   exact.Prepare(inputs, "", {.policy = LongInput::Policy::kTruncate}));
  const Encoder& encoder = candidate.encoder();
  std::map<std::string, Sums> sums;
  const LinearObserver observe = [&](const std::string& label, const float* input,
                                     std::size_t input_stride, std::size_t rows,
                                     const float* output, std::size_t output_stride) {
    const PackedLinear& layer = *encoder.FindLinear(label);
    const Activation activation =
        label.ends_with(".up") ? encoder.spec().activation : Activation::kNone;
    const std::vector<float> got = Compute(encoder, layer, activation, input, input_stride, rows);
    Sums& sum = sums[label];
    for (std::size_t r = 0; r < rows; ++r) {
      for (std::size_t c = 0; c < layer.columns(); ++c) {
        const double value = output[r * output_stride + c];
        const double error = got[r * RowStride(layer.columns()) + c] - value;
        sum.error += error * error;
        sum.total += value * value;
      }
    }
  };
  EncoderWorkspace workspace;
  std::size_t used = 0;
  for (const Sequence& sequence : prepared.sequences) {
    if (used > 0 && used + sequence.ids.size() > kMostTokens) break;
    used += sequence.ids.size();
    TokenBatch batch;
    batch.Add(sequence.ids, sequence.type_ids);
    RETURN_IF_ERROR(exact.encoder().Forward(batch, workspace, nullptr, &observe));
  }
  std::vector<LayerError> errors;
  for (const auto& [label, type] : encoder.LinearTypes()) {
    const Sums& sum = sums[label];
    errors.push_back({label, type, sum.total > 0 ? std::sqrt(sum.error / sum.total) : 0});
  }
  return errors;
}

std::vector<std::string> LayersToKeepInBf16(std::vector<LayerError> errors) {
  std::erase_if(errors, [](const LayerError& e) {
    return e.type != ComputeType::kInt8 && e.type != ComputeType::kInt8Fine;
  });
  if (errors.empty()) return {};
  std::stable_sort(errors.begin(), errors.end(), [](const LayerError& a, const LayerError& b) {
    return a.relative > b.relative;
  });
  const double median = errors[errors.size() / 2].relative;
  std::vector<std::string> keep;
  for (const LayerError& e : errors) {
    if (e.relative > kLargeError || e.relative > kTimesMedian * median) keep.push_back(e.layer);
  }
  for (std::size_t i = 0; keep.empty() && i <= errors.size() / 8; ++i) {
    keep.push_back(errors[i].layer);
  }
  return keep;
}

}  // namespace garrison
