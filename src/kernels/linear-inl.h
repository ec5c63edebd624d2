// Linear layers in f32, bf16 and int8. Included once per Highway target.
#if defined(GARRISON_KERNELS_LINEAR_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef GARRISON_KERNELS_LINEAR_INL_H_
#undef GARRISON_KERNELS_LINEAR_INL_H_
#else
#define GARRISON_KERNELS_LINEAR_INL_H_
#endif

#include "kernels/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace garrison {
namespace HWY_NAMESPACE {

// Weights are widened to f32 in registers; inputs and sums stay f32.
template <std::size_t kRows>
HWY_INLINE void MultiplyBf16(const float* HWY_RESTRICT input, std::size_t stride,
                             const std::uint32_t* HWY_RESTRICT panel, std::size_t depth,
                             Float (&acc)[kRows][2]) {
  const FloatTag d;
  const hn::RebindToUnsigned<FloatTag> du;
  const auto high = hn::Set(du, 0xffff0000u);
  for (std::size_t k = 0; k < depth; ++k) {
    const auto both = hn::Load(du, panel + k * kLanes);
    const Float b0 = hn::BitCast(d, hn::ShiftLeft<16>(both));
    const Float b1 = hn::BitCast(d, hn::And(both, high));
#pragma GCC unroll 12
    for (std::size_t r = 0; r < kRows; ++r) {
      const Float a = hn::Set(d, input[r * stride + k]);
      acc[r][0] = hn::MulAdd(a, b0, acc[r][0]);
      acc[r][1] = hn::MulAdd(a, b1, acc[r][1]);
    }
  }
}

// acc + the products of the two 16-bit halves of each 32-bit lane.
HWY_INLINE Int MulAddPairs(Int a, Int b, Int acc) {
  const IntTag d;
#if HWY_ARCH_X86
  const hn::Repartition<std::int16_t, IntTag> d16;
  Int unused = hn::Zero(d);
  return hn::ReorderWidenMulAccumulate(d, hn::BitCast(d16, a), hn::BitCast(d16, b), acc, unused);
#else
  const Int low =
      hn::Mul(hn::ShiftRight<16>(hn::ShiftLeft<16>(a)), hn::ShiftRight<16>(hn::ShiftLeft<16>(b)));
  const Int high = hn::Mul(hn::ShiftRight<16>(a), hn::ShiftRight<16>(b));
  return hn::Add(acc, hn::Add(low, high));
#endif
}

// Pins the computation of `value` to this place. Without it GCC multiplies for all rows first and
// adds after, which takes twice the registers there are: half the speed, measured.
HWY_INLINE void FinishHere(Int& value) {
#if HWY_ARCH_X86 && HWY_TARGET == HWY_AVX3
  asm volatile("" : "+v"(value.raw));
#elif HWY_ARCH_X86
  asm volatile("" : "+x"(value.raw));
#else
  static_cast<void>(value);
#endif
}

// `pairs` is half the padded depth. 16-bit products of exact 8-bit codes: the AVX2 instruction for
// 8-bit products saturates, and at two multiplications per pair of sums it is no faster.
template <std::size_t kRows>
HWY_INLINE void MultiplyInt8(const std::int16_t* HWY_RESTRICT input, std::size_t stride,
                             const std::int8_t* HWY_RESTRICT panel, std::size_t pairs,
                             Int (&acc)[kRows][2]) {
  const IntTag d;
  const hn::Repartition<std::int16_t, IntTag> d16;
  const hn::Rebind<std::int8_t, decltype(d16)> d8;
  for (std::size_t p = 0; p < pairs; ++p) {
    const std::int8_t* at = panel + p * 2 * kPanelColumns;
    const Int b0 = hn::BitCast(d, hn::PromoteTo(d16, hn::Load(d8, at)));
    const Int b1 = hn::BitCast(d, hn::PromoteTo(d16, hn::Load(d8, at + 2 * kLanes)));
#pragma GCC unroll 12
    for (std::size_t r = 0; r < kRows; ++r) {
      std::int32_t both;
      hwy::CopyBytes<4>(input + r * stride + 2 * p, &both);
      const Int a = hn::Set(d, both);
      acc[r][0] = MulAddPairs(a, b0, acc[r][0]);
      acc[r][1] = MulAddPairs(a, b1, acc[r][1]);
      FinishHere(acc[r][0]);
      FinishHere(acc[r][1]);
    }
  }
}

// The columns of a panel that lie inside the padded output row, and zeros up to its end where the
// last panel is narrower than the padding.
HWY_INLINE void StoreColumns(Float v0, Float v1, float* row, std::size_t column,
                             const LinearArgs& args) {
  const FloatTag d;
  hn::StoreU(v0, d, row + column);
  if (column + kLanes < args.output_stride) hn::StoreU(v1, d, row + column + kLanes);
  if constexpr (kPanelColumns < kRowAlign) {
    const std::size_t end = column + kPanelColumns;
    if (end < args.weights->columns()) return;
    for (std::size_t c = end; c < RowStride(end); c += kLanes) {
      hn::StoreU(hn::Zero(d), d, row + c);
    }
  }
}

template <Activation kActivation, std::size_t kRows>
HWY_INLINE void FloatTile(const LinearArgs& args, std::size_t panel, std::size_t row) {
  const FloatTag d;
  const PackedLinear& w = *args.weights;
  const std::size_t column = panel * kPanelColumns;
  Float acc[kRows][2];
#pragma GCC unroll 12
  for (std::size_t r = 0; r < kRows; ++r) {
    acc[r][0] = hn::Zero(d);
    acc[r][1] = hn::Zero(d);
  }
  const float* input = args.input + row * args.input_stride;
  if (w.type() == ComputeType::kF32) {
    MultiplyF32<kRows>(input, args.input_stride, reinterpret_cast<const float*>(w.panel(panel)),
                       w.inputs(), acc);
  } else {
    MultiplyBf16<kRows>(input, args.input_stride,
                        reinterpret_cast<const std::uint32_t*>(w.panel(panel)), w.inputs(), acc);
  }
  const Float bias0 = hn::LoadU(d, w.bias() + column);
  const Float bias1 = hn::LoadU(d, w.bias() + column + kLanes);
#pragma GCC unroll 12
  for (std::size_t r = 0; r < kRows; ++r) {
    StoreColumns(Apply<kActivation>(hn::Add(acc[r][0], bias0)),
                 Apply<kActivation>(hn::Add(acc[r][1], bias1)),
                 args.output + (row + r) * args.output_stride, column, args);
  }
}

template <Activation kActivation, std::size_t kRows>
HWY_INLINE void Int8Tile(const LinearArgs& args, std::size_t panel, std::size_t row) {
  const FloatTag d;
  const IntTag di;
  const PackedLinear& w = *args.weights;
  const std::size_t column = panel * kPanelColumns;
  Int acc[kRows][2];
#pragma GCC unroll 12
  for (std::size_t r = 0; r < kRows; ++r) {
    acc[r][0] = hn::Zero(di);
    acc[r][1] = hn::Zero(di);
  }
  MultiplyInt8<kRows>(args.quantized.values + row * args.quantized.stride, args.quantized.stride,
                      reinterpret_cast<const std::int8_t*>(w.panel(panel)), (w.inputs() + 1) / 2,
                      acc);
  const Float scale0 = hn::LoadU(d, w.scales() + column);
  const Float scale1 = hn::LoadU(d, w.scales() + column + kLanes);
  const Float bias0 = hn::LoadU(d, w.bias() + column);
  const Float bias1 = hn::LoadU(d, w.bias() + column + kLanes);
#pragma GCC unroll 12
  for (std::size_t r = 0; r < kRows; ++r) {
    const Float scale = hn::Set(d, args.quantized.scales[row + r]);
    const Float v0 = hn::Mul(hn::Mul(hn::ConvertTo(d, acc[r][0]), scale), scale0);
    const Float v1 = hn::Mul(hn::Mul(hn::ConvertTo(d, acc[r][1]), scale), scale1);
    StoreColumns(Apply<kActivation>(hn::Add(v0, bias0)), Apply<kActivation>(hn::Add(v1, bias1)),
                 args.output + (row + r) * args.output_stride, column, args);
  }
}

template <Activation kActivation>
struct LinearTile {
  const LinearArgs& args;
  std::size_t panel;

  template <std::size_t kRows>
  HWY_INLINE void operator()(std::size_t row) const {
    if (args.weights->type() == ComputeType::kInt8) {
      Int8Tile<kActivation, kRows>(args, panel, row);
    } else {
      FloatTile<kActivation, kRows>(args, panel, row);
    }
  }
};

struct LinearVisitor {
  const LinearArgs& args;

  template <Activation kActivation>
  HWY_INLINE void operator()() const {
    for (std::size_t panel = args.panel_begin; panel < args.panel_end; ++panel) {
      ForEachTile(args.rows, LinearTile<kActivation>{args, panel});
    }
  }
};

void Linear(const LinearArgs& args) { WithActivation(args.activation, LinearVisitor{args}); }

}  // namespace HWY_NAMESPACE
}  // namespace garrison
HWY_AFTER_NAMESPACE();

#endif
