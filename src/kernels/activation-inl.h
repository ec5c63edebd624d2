// Activations. Included once per Highway target.
#if defined(GARRISON_KERNELS_ACTIVATION_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef GARRISON_KERNELS_ACTIVATION_INL_H_
#undef GARRISON_KERNELS_ACTIVATION_INL_H_
#else
#define GARRISON_KERNELS_ACTIVATION_INL_H_
#endif

#include <cstring>

#include "kernels/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace garrison {
namespace HWY_NAMESPACE {

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

// The erf GELU within 4e-5: max(x, 0) - h(|x|) with h(t) = t (1 - Phi(t)), a minimax fit up to 4.3
// and constant from there. For values that 8-bit codes replace, whose steps are 0.005 and more
// apart.
HWY_INLINE Float GeluForCodes(Float x) {
  static constexpr float kBump[] = {-1.513128336e-05F, 2.688158020e-05F,  2.755925816e-04F,
                                    -8.051822660e-04F, -1.184184221e-03F, 8.323155344e-03F,
                                    -1.174515486e-02F, -8.946009912e-03F, 5.194969475e-02F,
                                    -6.923135370e-02F, 3.391611576e-02F};
  const FloatTag d;
  const Float size = hn::Min(hn::Set(d, 4.3F), hn::Abs(x));
  return hn::Sub(hn::Max(hn::Zero(d), x), Polynomial(kBump, hn::Sub(size, hn::Set(d, 2.15F))));
}

template <Activation kActivation, bool kForCodes>
HWY_INLINE Float Apply(Float x) {
  const FloatTag d;
  if constexpr (kActivation == Activation::kRelu) {
    return hn::Max(x, hn::Zero(d));
  } else if constexpr (kActivation == Activation::kGelu && kForCodes) {
    return GeluForCodes(x);
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

template <Activation kActivation, bool kForCodes = false>
HWY_INLINE void ActivateAll(float* x, std::size_t stride, std::size_t rows, std::size_t columns) {
  const FloatTag d;
  for (std::size_t r = 0; r < rows; ++r, x += stride) {
    std::size_t c = 0;
    for (; c + kLanes <= columns; c += kLanes) {
      hn::StoreU(Apply<kActivation, kForCodes>(hn::LoadU(d, x + c)), d, x + c);
    }
    if (c == columns) continue;
    alignas(64) float rest[kRowAlign] = {};
    std::memcpy(rest, x + c, (columns - c) * sizeof(float));
    hn::Store(Apply<kActivation, kForCodes>(hn::Load(d, rest)), d, rest);
    std::memcpy(x + c, rest, (columns - c) * sizeof(float));
  }
}

// x [rows, stride], the first `columns` of each row, in place; `for_codes` where 8-bit codes will
// replace them.
void ActivateRows(float* x, std::size_t stride, std::size_t rows, std::size_t columns,
                  Activation activation, bool for_codes) {
  switch (activation) {
    case Activation::kNone:
      return;
    case Activation::kRelu:
      return ActivateAll<Activation::kRelu>(x, stride, rows, columns);
    case Activation::kGelu:
      return for_codes ? ActivateAll<Activation::kGelu, true>(x, stride, rows, columns)
                       : ActivateAll<Activation::kGelu>(x, stride, rows, columns);
    case Activation::kGeluTanh:
      return ActivateAll<Activation::kGeluTanh>(x, stride, rows, columns);
    case Activation::kTanh:
      return ActivateAll<Activation::kTanh>(x, stride, rows, columns);
  }
}

void Activate(float* x, std::size_t count, Activation activation) {
  ActivateRows(x, count, 1, count, activation, false);
}

}  // namespace HWY_NAMESPACE
}  // namespace garrison
HWY_AFTER_NAMESPACE();

#endif
