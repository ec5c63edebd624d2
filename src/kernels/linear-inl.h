// Linear layers in f32, bf16 and int8. Included once per Highway target.
#if defined(GARRISON_KERNELS_LINEAR_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef GARRISON_KERNELS_LINEAR_INL_H_
#undef GARRISON_KERNELS_LINEAR_INL_H_
#else
#define GARRISON_KERNELS_LINEAR_INL_H_
#endif

#include "kernels/activation-inl.h"
#include "kernels/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace garrison {
namespace HWY_NAMESPACE {

// Fetches a row of the panel after this one, kPanelColumns words, while this one is worked on: with
// few rows of input the weights do not come fast enough otherwise.
HWY_INLINE void PrefetchRow(const void* next) {
  for (std::size_t byte = 0; byte < kPanelColumns * 4; byte += 64) {
    __builtin_prefetch(static_cast<const std::byte*>(next) + byte);
  }
}

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
    __builtin_prefetch(panel + (k + depth) * kLanes);
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

// acc += the products of the four bytes of each 32-bit lane of a0 and b0, and of a1 and b1;
// unsigned in `a`, signed in `b`.
//
// Without VNNI four products share a 16-bit lane before they are widened, for which the weights are
// made (Kernels::int8_sum_limit). The additions are written out: left alone, GCC multiplies for all
// rows first and adds after, which takes more registers than there are.
template <bool kVnni>
HWY_INLINE void AddQuads(Int a0, Int b0, Int a1, Int b1, Int& acc) {
  const IntTag d;
#if HWY_ARCH_X86
#if HWY_TARGET == HWY_AVX3
  if constexpr (kVnni) {
    asm volatile("vpdpbusd %2, %1, %0" : "+v"(acc.raw) : "v"(a0.raw), "v"(b0.raw));
    asm volatile("vpdpbusd %2, %1, %0" : "+v"(acc.raw) : "v"(a1.raw), "v"(b1.raw));
    return;
  }
  const __m512i both =
      _mm512_add_epi16(_mm512_maddubs_epi16(a0.raw, b0.raw), _mm512_maddubs_epi16(a1.raw, b1.raw));
  const __m512i sums = _mm512_madd_epi16(both, _mm512_set1_epi16(1));
  asm volatile("vpaddd %1, %0, %0" : "+v"(acc.raw) : "v"(sums));
#elif HWY_TARGET == HWY_AVX2
  const __m256i both =
      _mm256_add_epi16(_mm256_maddubs_epi16(a0.raw, b0.raw), _mm256_maddubs_epi16(a1.raw, b1.raw));
  const __m256i sums = _mm256_madd_epi16(both, _mm256_set1_epi16(1));
  asm volatile("vpaddd %1, %0, %0" : "+x"(acc.raw) : "x"(sums));
#else
  const __m128i both =
      _mm_add_epi16(_mm_maddubs_epi16(a0.raw, b0.raw), _mm_maddubs_epi16(a1.raw, b1.raw));
  const __m128i sums = _mm_madd_epi16(both, _mm_set1_epi16(1));
  asm volatile("paddd %1, %0" : "+x"(acc.raw) : "x"(sums));
#endif
  static_cast<void>(d);
#else
  const hn::RebindToUnsigned<IntTag> du;
  const auto add = [&](Int a, Int b, auto shift) {
    const Int low =
        hn::BitCast(d, hn::And(hn::ShiftRight<shift.value>(hn::BitCast(du, a)), hn::Set(du, 255u)));
    acc = hn::Add(acc, hn::Mul(low, hn::ShiftRight<24>(hn::ShiftLeft<24 - shift.value>(b))));
  };
  const auto add_all = [&](Int a, Int b) {
    add(a, b, std::integral_constant<int, 0>());
    add(a, b, std::integral_constant<int, 8>());
    add(a, b, std::integral_constant<int, 16>());
    add(a, b, std::integral_constant<int, 24>());
  };
  add_all(a0, b0);
  add_all(a1, b1);
#endif
}

// Rows of a tile: their sums beside four vectors of weights, two of input, and what AddQuads needs.
template <bool kVnni>
inline constexpr std::size_t kInt8TileRows = HWY_TARGET != HWY_AVX3 ? 4
                                             : kVnni                ? 12
                                                                    : 10;

// `octets` is an eighth of the padded depth.
template <bool kVnni, std::size_t kRows>
HWY_INLINE void MultiplyInt8(const std::uint8_t* HWY_RESTRICT input, std::size_t stride,
                             const std::int8_t* HWY_RESTRICT panel, std::size_t octets,
                             Int (&acc)[kRows][2]) {
  const IntTag d;
  const auto* weights = reinterpret_cast<const std::int32_t*>(panel);
  for (std::size_t o = 0; o < octets; ++o, weights += 2 * kPanelColumns) {
    const Int b00 = hn::Load(d, weights);
    const Int b01 = hn::Load(d, weights + kLanes);
    const Int b10 = hn::Load(d, weights + kPanelColumns);
    const Int b11 = hn::Load(d, weights + kPanelColumns + kLanes);
    PrefetchRow(weights + 2 * octets * kPanelColumns);
    PrefetchRow(weights + (2 * octets + 1) * kPanelColumns);
#pragma GCC unroll 12
    for (std::size_t r = 0; r < kRows; ++r) {
      std::int32_t eight[2];
      hwy::CopyBytes<8>(input + r * stride + 8 * o, eight);
      const Int a0 = hn::Set(d, eight[0]);
      const Int a1 = hn::Set(d, eight[1]);
      AddQuads<kVnni>(a0, b00, a1, b10, acc[r][0]);
      AddQuads<kVnni>(a0, b01, a1, b11, acc[r][1]);
    }
  }
}

#if HWY_ARCH_X86
// acc += the products of the four bytes of each lane, of which two share a 16-bit lane.
HWY_INLINE void AddFineQuads(Int a, Int b, Int& acc) {
#if HWY_TARGET == HWY_AVX3
  const __m512i sums = _mm512_madd_epi16(_mm512_maddubs_epi16(a.raw, b.raw), _mm512_set1_epi16(1));
  asm volatile("vpaddd %1, %0, %0" : "+v"(acc.raw) : "v"(sums));
#elif HWY_TARGET == HWY_AVX2
  const __m256i sums = _mm256_madd_epi16(_mm256_maddubs_epi16(a.raw, b.raw), _mm256_set1_epi16(1));
  asm volatile("vpaddd %1, %0, %0" : "+x"(acc.raw) : "x"(sums));
#else
  const __m128i sums = _mm_madd_epi16(_mm_maddubs_epi16(a.raw, b.raw), _mm_set1_epi16(1));
  asm volatile("paddd %1, %0" : "+x"(acc.raw) : "x"(sums));
#endif
}

// `quads` is a quarter of the padded depth.
template <std::size_t kRows>
HWY_INLINE void MultiplyInt8Fine(const std::uint8_t* HWY_RESTRICT input, std::size_t stride,
                                 const std::int8_t* HWY_RESTRICT panel, std::size_t quads,
                                 Int (&acc)[kRows][2]) {
  const IntTag d;
  const auto* weights = reinterpret_cast<const std::int32_t*>(panel);
  for (std::size_t q = 0; q < quads; ++q, weights += kPanelColumns) {
    const Int b0 = hn::Load(d, weights);
    const Int b1 = hn::Load(d, weights + kLanes);
    PrefetchRow(weights + quads * kPanelColumns);
#pragma GCC unroll 12
    for (std::size_t r = 0; r < kRows; ++r) {
      std::int32_t four;
      hwy::CopyBytes<4>(input + r * stride + 4 * q, &four);
      const Int a = hn::Set(d, four);
      AddFineQuads(a, b0, acc[r][0]);
      AddFineQuads(a, b1, acc[r][1]);
    }
  }
}
#endif

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

// So many products are summed in registers before they are added to the total: rounding errors then
// grow with the length of a part, not of a row.
inline constexpr std::size_t kSumDepth = 192;

template <std::size_t kRows>
HWY_INLINE void FloatTile(const LinearArgs& args, std::size_t panel, std::size_t row) {
  const FloatTag d;
  const PackedLinear& w = *args.weights;
  const std::size_t column = panel * kPanelColumns;
  Float sums[kRows][2];
  for (std::size_t first = 0; first < w.inputs(); first += kSumDepth) {
    const float* input = args.input + row * args.input_stride + first;
    const std::size_t depth = w.inputs() - first < kSumDepth ? w.inputs() - first : kSumDepth;
    Float acc[kRows][2];
    Clear(acc);
    if (w.type() == ComputeType::kF32) {
      MultiplyF32<kRows>(input, args.input_stride,
                         reinterpret_cast<const float*>(w.panel(panel)) + first * kPanelColumns,
                         depth, acc);
    } else {
      MultiplyBf16<kRows>(input, args.input_stride,
                          reinterpret_cast<const std::uint32_t*>(w.panel(panel)) + first * kLanes,
                          depth, acc);
    }
#pragma GCC unroll 12
    for (std::size_t r = 0; r < kRows; ++r) {
      sums[r][0] = first == 0 ? acc[r][0] : hn::Add(sums[r][0], acc[r][0]);
      sums[r][1] = first == 0 ? acc[r][1] : hn::Add(sums[r][1], acc[r][1]);
    }
  }
  const Float bias0 = hn::LoadU(d, w.bias() + column);
  const Float bias1 = hn::LoadU(d, w.bias() + column + kLanes);
#pragma GCC unroll 12
  for (std::size_t r = 0; r < kRows; ++r) {
    StoreColumns(hn::Add(sums[r][0], bias0), hn::Add(sums[r][1], bias1),
                 args.output + (row + r) * args.output_stride, column, args);
  }
}

// (sum - zero * code_sums) * scale * scales: the product of the values behind the codes.
HWY_INLINE Float Dequantize(Int sum, Int zero, Int code_sums, Float scale, Float scales) {
  const Int exact = hn::Sub(sum, hn::Mul(zero, code_sums));
  return hn::Mul(hn::Mul(hn::ConvertTo(FloatTag(), exact), scale), scales);
}

template <bool kVnni, bool kFine, std::size_t kRows>
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
  const std::uint8_t* input = args.quantized.codes + row * args.quantized.stride;
  const auto* weights = reinterpret_cast<const std::int8_t*>(w.panel(panel));
  const std::size_t octets = (w.inputs() + 7) / 8;
#if HWY_ARCH_X86
  if constexpr (kFine) {
    MultiplyInt8Fine<kRows>(input, args.quantized.stride, weights, 2 * octets, acc);
  } else {
    MultiplyInt8<kVnni, kRows>(input, args.quantized.stride, weights, octets, acc);
  }
#else
  MultiplyInt8<kVnni, kRows>(input, args.quantized.stride, weights, octets, acc);
#endif
  const Int sums0 = hn::LoadU(di, w.code_sums() + column);
  const Int sums1 = hn::LoadU(di, w.code_sums() + column + kLanes);
  const Float scale0 = hn::LoadU(d, w.scales() + column);
  const Float scale1 = hn::LoadU(d, w.scales() + column + kLanes);
  const Float bias0 = hn::LoadU(d, w.bias() + column);
  const Float bias1 = hn::LoadU(d, w.bias() + column + kLanes);
#pragma GCC unroll 12
  for (std::size_t r = 0; r < kRows; ++r) {
    const Float scale = hn::Set(d, args.quantized.scales[row + r]);
    const Int zero = hn::Set(di, args.quantized.zeros[row + r]);
    const Float v0 = Dequantize(acc[r][0], zero, sums0, scale, scale0);
    const Float v1 = Dequantize(acc[r][1], zero, sums1, scale, scale1);
    StoreColumns(hn::Add(v0, bias0), hn::Add(v1, bias1),
                 args.output + (row + r) * args.output_stride, column, args);
  }
}

struct FloatTiles {
  const LinearArgs& args;
  std::size_t panel;

  template <std::size_t kRows>
  HWY_INLINE void operator()(std::size_t row) const {
    FloatTile<kRows>(args, panel, row);
  }
};

template <bool kVnni, bool kFine>
struct Int8Tiles {
  const LinearArgs& args;
  std::size_t panel;

  template <std::size_t kRows>
  HWY_INLINE void operator()(std::size_t row) const {
    Int8Tile<kVnni, kFine, kRows>(args, panel, row);
  }
};

// The activation goes over finished rows of a panel, which are still in the first-level cache:
// inside the tiles it would be compiled once for each of their sizes.
HWY_INLINE void ActivatePanel(const LinearArgs& args, std::size_t panel, std::size_t row,
                              std::size_t rows) {
  const std::size_t column = panel * kPanelColumns;
  ActivateRows(args.output + row * args.output_stride + column, args.output_stride, rows,
               HWY_MIN(kPanelColumns, args.output_stride - column), args.activation,
               args.weights->type() == ComputeType::kInt8);
}

template <bool kVnni>
void Linear(const LinearArgs& args) {
  for (std::size_t panel = args.panel_begin; panel < args.panel_end; ++panel) {
    if (args.weights->type() == ComputeType::kInt8) {
      ForEachTile<kInt8TileRows<kVnni>>(args.rows, Int8Tiles<kVnni, false>{args, panel});
    } else if (args.weights->type() == ComputeType::kInt8Fine) {
      ForEachTile<kTileRows>(args.rows, Int8Tiles<kVnni, true>{args, panel});
    } else {
      ForEachTile<kTileRows>(args.rows, FloatTiles{args, panel});
    }
    ActivatePanel(args, panel, 0, args.rows);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace garrison
HWY_AFTER_NAMESPACE();

#endif
