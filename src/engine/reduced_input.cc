#include "engine/reduced_input.h"

namespace garrison {

bool ReducedInput::Attach(const Kernels& kernels, LinearArgs& args) {
  const std::size_t stride = QuantizedStride(args.weights->inputs());
  switch (args.weights->type()) {
    case ComputeType::kF32:
      return false;
    case ComputeType::kBf16:
      if (kernels.round_rows == nullptr) return false;
      args.rounded = {rounded_.Reserve(ReadableRows(args.rows) * stride), stride};
      return true;
    case ComputeType::kInt8:
    case ComputeType::kInt8Fine:
      args.quantized = {codes_.Reserve(ReadableRows(args.rows) * stride),
                        scales_.Reserve(args.rows), zeros_.Reserve(args.rows), stride};
      return true;
  }
  return false;
}

void ReducedInput::Fill(const Kernels& kernels, const LinearArgs& args, std::size_t first,
                        std::size_t count) {
  const std::size_t inputs = args.weights->inputs();
  const std::size_t at = first * QuantizedStride(inputs);
  const float* from = args.input + first * args.input_stride;
  if (args.weights->type() == ComputeType::kBf16) {
    kernels.round_rows(from, args.input_stride, count, inputs, rounded_.data() + at);
    return;
  }
  const auto quantize = args.weights->type() == ComputeType::kInt8 ? kernels.quantize_rows
                                                                   : kernels.quantize_rows_fine;
  quantize(from, args.input_stride, count, inputs, codes_.data() + at, scales_.data() + first,
           zeros_.data() + first);
}

std::size_t ReducedInput::BytesFor(const Kernels& kernels, const PackedLinear& layer,
                                   std::size_t rows) {
  if (layer.type() == ComputeType::kF32) return 0;
  const std::size_t codes = ReadableRows(rows) * QuantizedStride(layer.inputs());
  const std::size_t rounded = kernels.round_rows == nullptr ? 0 : codes * sizeof(std::uint16_t);
  return codes + rounded + rows * (sizeof(float) + sizeof(std::int32_t));
}

std::size_t ReducedInput::bytes() const {
  return codes_.bytes() + rounded_.bytes() + zeros_.bytes() + scales_.bytes();
}

}  // namespace garrison
