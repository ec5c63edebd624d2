// Vector functions that the kernels share. Included once per Highway target.
#if defined(GARRISON_KERNELS_SIMD_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef GARRISON_KERNELS_SIMD_INL_H_
#undef GARRISON_KERNELS_SIMD_INL_H_
#else
#define GARRISON_KERNELS_SIMD_INL_H_
#endif

#include <hwy/contrib/math/math-inl.h>
#include <hwy/highway.h>

#include "kernels/kernels.h"

HWY_BEFORE_NAMESPACE();
namespace garrison {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// At most 16 lanes; capped so that rows padded to kRowAlign are always whole vectors.
using FloatTag = hn::CappedTag<float, kRowAlign>;
using IntTag = hn::RebindToSigned<FloatTag>;
using Float = hn::Vec<FloatTag>;
using Int = hn::Vec<IntTag>;

inline constexpr std::size_t kLanes = hn::MaxLanes(FloatTag());
// A micro-tile is kTileRows rows by two vectors of columns: as many accumulators as fit beside two
// vectors of weights and one of input.
inline constexpr std::size_t kPanelColumns = 2 * kLanes;
inline constexpr std::size_t kTileRows = HWY_TARGET == HWY_AVX3 ? 12 : 6;

template <std::size_t kTerms>
HWY_INLINE Float Polynomial(const float (&coefficients)[kTerms], Float x) {
  const FloatTag d;
  Float sum = hn::Set(d, coefficients[0]);
#pragma GCC unroll 16
  for (std::size_t i = 1; i < kTerms; ++i) {
    sum = hn::MulAdd(sum, x, hn::Set(d, coefficients[i]));
  }
  return sum;
}

// erf, absolute error below 1.2e-7 (one unit in the last place of 1). Below 1, x + x S(x^2); above,
// 1 - T(x - 2.5); both polynomials are minimax fits, highest power first. From 3.95 on erf is 1 in
// single precision.
HWY_INLINE Float Erf(Float x) {
  static constexpr float kSmall[] = {7.889119475e-05F,  -8.020841232e-04F, 5.189535314e-03F,
                                     -2.685444449e-02F, 1.128360015e-01F,  -3.761262708e-01F,
                                     1.283791655e-01F};
  static constexpr float kLarge[] = {
      9.002056524e-06F,  -2.109864364e-05F, -6.117913235e-05F, 2.791968454e-04F, -2.880293595e-04F,
      -5.709140525e-04F, 2.819667779e-03F,  -6.102817267e-03F, 8.614665018e-03F, -8.353371629e-03F,
      5.446755269e-03F,  -2.178068603e-03F, 4.069290692e-04F};
  const FloatTag d;
  const Float one = hn::Set(d, 1.0F);
  const Float size = hn::Min(hn::Abs(x), hn::Set(d, 3.95F));
  const Float small = hn::MulAdd(x, Polynomial(kSmall, hn::Mul(size, size)), x);
  const Float large = hn::Sub(one, Polynomial(kLarge, hn::Sub(size, hn::Set(d, 2.5F))));
  return hn::IfThenElse(hn::Lt(size, one), small, hn::CopySign(large, x));
}

// A template parameter: the choice is made once per tile, not once per vector.
template <Activation kActivation>
HWY_INLINE Float Apply(Float x) {
  const FloatTag d;
  if constexpr (kActivation == Activation::kRelu) {
    return hn::Max(x, hn::Zero(d));
  } else if constexpr (kActivation == Activation::kGelu) {
    const Float half = hn::Mul(x, hn::Set(d, 0.5F));
    return hn::MulAdd(half, Erf(hn::Mul(x, hn::Set(d, 0.70710678F))), half);
  } else if constexpr (kActivation == Activation::kGeluTanh) {
    const Float cube = hn::Mul(hn::Mul(x, x), x);
    const Float inner =
        hn::Mul(hn::Set(d, 0.79788456F), hn::MulAdd(cube, hn::Set(d, 0.044715F), x));
    const Float half = hn::Mul(x, hn::Set(d, 0.5F));
    return hn::MulAdd(half, hn::Tanh(d, inner), half);
  } else if constexpr (kActivation == Activation::kTanh) {
    return hn::Tanh(d, x);
  } else {
    return x;
  }
}

// Calls visit.operator()<A>() for the activation.
template <typename Visit>
HWY_INLINE void WithActivation(Activation activation, const Visit& visit) {
  switch (activation) {
    case Activation::kNone:
      return visit.template operator()<Activation::kNone>();
    case Activation::kRelu:
      return visit.template operator()<Activation::kRelu>();
    case Activation::kGelu:
      return visit.template operator()<Activation::kGelu>();
    case Activation::kGeluTanh:
      return visit.template operator()<Activation::kGeluTanh>();
    case Activation::kTanh:
      return visit.template operator()<Activation::kTanh>();
  }
}

template <std::size_t kRows>
HWY_INLINE void Clear(Float (&acc)[kRows][2]) {
#pragma GCC unroll 12
  for (std::size_t r = 0; r < kRows; ++r) {
    acc[r][0] = hn::Zero(FloatTag());
    acc[r][1] = hn::Zero(FloatTag());
  }
}

// acc[r][0..1] += sum_k input[r * stride + k] panel[k][0..1]
template <std::size_t kRows>
HWY_INLINE void MultiplyF32(const float* HWY_RESTRICT input, std::size_t stride,
                            const float* HWY_RESTRICT panel, std::size_t depth,
                            Float (&acc)[kRows][2]) {
  const FloatTag d;
  for (std::size_t k = 0; k < depth; ++k) {
    const Float b0 = hn::Load(d, panel + k * kPanelColumns);
    const Float b1 = hn::Load(d, panel + k * kPanelColumns + kLanes);
#pragma GCC unroll 12
    for (std::size_t r = 0; r < kRows; ++r) {
      const Float a = hn::Set(d, input[r * stride + k]);
      acc[r][0] = hn::MulAdd(a, b0, acc[r][0]);
      acc[r][1] = hn::MulAdd(a, b1, acc[r][1]);
    }
  }
}

// Runs tile.operator()<R>(row) over `rows` rows in tiles of kTileRows and one smaller tile.
template <typename Tile, std::size_t kRows = kTileRows - 1>
HWY_INLINE void LastTile(std::size_t row, std::size_t rows, const Tile& tile) {
  if constexpr (kRows > 0) {
    if (rows == kRows) return tile.template operator()<kRows>(row);
    LastTile<Tile, kRows - 1>(row, rows, tile);
  }
}

template <typename Tile>
HWY_INLINE void ForEachTile(std::size_t rows, const Tile& tile) {
  std::size_t row = 0;
  for (; row + kTileRows <= rows; row += kTileRows) tile.template operator()<kTileRows>(row);
  if (row < rows) LastTile(row, rows - row, tile);
}

}  // namespace HWY_NAMESPACE
}  // namespace garrison
HWY_AFTER_NAMESPACE();

#endif
