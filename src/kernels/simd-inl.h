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
    __builtin_prefetch(panel + (k + depth) * kPanelColumns);
#pragma GCC unroll 12
    for (std::size_t r = 0; r < kRows; ++r) {
      const Float a = hn::Set(d, input[r * stride + k]);
      acc[r][0] = hn::MulAdd(a, b0, acc[r][0]);
      acc[r][1] = hn::MulAdd(a, b1, acc[r][1]);
    }
  }
}

// Runs tile.operator()<R>(row) over `rows` rows in tiles of kMost and one smaller tile.
template <std::size_t kRows, typename Tile>
HWY_INLINE void LastTile(std::size_t row, std::size_t rows, const Tile& tile) {
  if constexpr (kRows > 0) {
    if (rows == kRows) return tile.template operator()<kRows>(row);
    LastTile<kRows - 1>(row, rows, tile);
  }
}

template <std::size_t kMost, typename Tile>
HWY_INLINE void ForEachTile(std::size_t rows, const Tile& tile) {
  std::size_t row = 0;
  for (; row + kMost <= rows; row += kMost) tile.template operator()<kMost>(row);
  if (row < rows) LastTile<kMost - 1>(row, rows - row, tile);
}

}  // namespace HWY_NAMESPACE
}  // namespace garrison
HWY_AFTER_NAMESPACE();

#endif
