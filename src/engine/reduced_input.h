// The input of a linear layer in the form that the layer's type reads. Private to engine/.
#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/float_rows.h"
#include "kernels/kernels.h"

namespace garrison {

// Buffers that grow to the largest input and are used again. One per thread.
class ReducedInput {
 public:
  // Points `args` at the buffers, large enough for args.rows rows of args.weights' inputs, and
  // returns whether they need to be filled: int8 layers read codes, bf16 layers may read bf16,
  // others read the floats as they are.
  bool Attach(const Kernels& kernels, LinearArgs& args);

  // Fills the rows [first, first + count) from args.input. Several threads may fill other rows.
  void Fill(const Kernels& kernels, const LinearArgs& args, std::size_t first, std::size_t count);

  std::size_t bytes() const;
  // The most that Attach() takes for so many rows, int8 and bf16 layers together.
  static std::size_t BytesFor(const Kernels& kernels, const PackedLinear& layer, std::size_t rows);

 private:
  AlignedBuffer<std::uint8_t> codes_;
  AlignedBuffer<std::uint16_t> rounded_;
  AlignedBuffer<std::int32_t> zeros_;
  AlignedBuffer<float> scales_;
};

}  // namespace garrison
