// Kernels that work row by row: layer norm and quantisation. Included once per Highway target.
#if defined(GARRISON_KERNELS_ROWS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef GARRISON_KERNELS_ROWS_INL_H_
#undef GARRISON_KERNELS_ROWS_INL_H_
#else
#define GARRISON_KERNELS_ROWS_INL_H_
#endif

#include "kernels/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace garrison {
namespace HWY_NAMESPACE {

// Zero in the lanes at and after `columns`.
HWY_INLINE Float KeepColumns(Float x, std::size_t column, std::size_t columns) {
  const FloatTag d;
  if (column + kLanes <= columns) return x;
  return hn::IfThenElseZero(hn::FirstN(d, columns - column), x);
}

HWY_INLINE void NormRow(float* HWY_RESTRICT x, std::size_t columns,
                        const float* HWY_RESTRICT residual, const float* HWY_RESTRICT gamma,
                        const float* HWY_RESTRICT beta, float epsilon) {
  const FloatTag d;
  const float count = static_cast<float>(columns);
  Float sum = hn::Zero(d);
  for (std::size_t c = 0; c < columns; c += kLanes) {
    Float value = hn::LoadU(d, x + c);
    if (residual != nullptr) value = hn::Add(value, hn::LoadU(d, residual + c));
    hn::StoreU(value, d, x + c);
    sum = hn::Add(sum, KeepColumns(value, c, columns));
  }
  const float mean = hn::GetLane(hn::SumOfLanes(d, sum)) / count;
  const Float means = hn::Set(d, mean);
  Float squares = hn::Zero(d);
  for (std::size_t c = 0; c < columns; c += kLanes) {
    const Float centred = KeepColumns(hn::Sub(hn::LoadU(d, x + c), means), c, columns);
    squares = hn::MulAdd(centred, centred, squares);
  }
  const float variance = hn::GetLane(hn::SumOfLanes(d, squares)) / count;
  const Float scale = hn::Div(hn::Set(d, 1.0F), hn::Sqrt(hn::Set(d, variance + epsilon)));
  for (std::size_t c = 0; c < columns; c += kLanes) {
    const Float unit = hn::Mul(hn::Sub(hn::LoadU(d, x + c), means), scale);
    const Float value = hn::MulAdd(unit, hn::LoadU(d, gamma + c), hn::LoadU(d, beta + c));
    hn::StoreU(KeepColumns(value, c, columns), d, x + c);
  }
}

void LayerNorm(float* x, std::size_t stride, std::size_t rows, std::size_t columns,
               const float* residual, std::size_t residual_stride, const float* gamma,
               const float* beta, float epsilon) {
  for (std::size_t r = 0; r < rows; ++r) {
    NormRow(x + r * stride, columns, residual == nullptr ? nullptr : residual + r * residual_stride,
            gamma, beta, epsilon);
  }
}

template <int kSteps>
HWY_INLINE void QuantizeRow(const float* HWY_RESTRICT x, std::size_t columns,
                            std::uint8_t* HWY_RESTRICT codes, float& scale, std::int32_t& zero) {
  const FloatTag d;
  const IntTag di;
  const hn::Rebind<std::uint8_t, FloatTag> d8;
  Float low = hn::Zero(d);
  Float high = hn::Zero(d);
  for (std::size_t c = 0; c < columns; c += kLanes) {
    const Float value = KeepColumns(hn::LoadU(d, x + c), c, columns);
    low = hn::Min(low, value);
    high = hn::Max(high, value);
  }
  const float lowest = hn::GetLane(hn::MinOfLanes(d, low));
  const float highest = hn::GetLane(hn::MaxOfLanes(d, high));
  scale = (highest - lowest) / static_cast<float>(kSteps);
  const Float inverse = hn::Set(d, scale > 1e-35F ? 1.0F / scale : 0.0F);
  // The code of x is round(x / scale) + zero, so that 0 is exact.
  const Int zeros = hn::NearestInt(hn::Mul(hn::Set(d, -lowest), inverse));
  zero = hn::GetLane(zeros);
  const Int most = hn::Set(di, kSteps);
  for (std::size_t c = 0; c < QuantizedStride(columns); c += kLanes) {
    if (c >= columns) {
      hn::StoreU(hn::Zero(d8), d8, codes + c);
      continue;
    }
    const Float value = KeepColumns(hn::LoadU(d, x + c), c, columns);
    Int code = hn::Add(hn::NearestInt(hn::Mul(value, inverse)), zeros);
    code = hn::Min(hn::Max(code, hn::Zero(di)), most);
    if (c + kLanes > columns) code = hn::IfThenElseZero(hn::FirstN(di, columns - c), code);
    hn::StoreU(hn::DemoteTo(d8, code), d8, codes + c);
  }
}

template <int kSteps>
void QuantizeRows(const float* input, std::size_t input_stride, std::size_t rows,
                  std::size_t columns, std::uint8_t* codes, float* scales, std::int32_t* zeros) {
  const std::size_t stride = QuantizedStride(columns);
  for (std::size_t r = 0; r < rows; ++r) {
    QuantizeRow<kSteps>(input + r * input_stride, columns, codes + r * stride, scales[r], zeros[r]);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace garrison
HWY_AFTER_NAMESPACE();

#endif
