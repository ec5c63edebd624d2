// Linear layers and attention on tiles (Intel AMX): products of 16 x 64 bytes at a time. Included
// once per Highway target; of use in the AVX-512 one only.
//
// The tile instructions are written out as assembly: nothing here needs the compiler's leave to use
// them, and the tiles' names are part of the code.
#if defined(GARRISON_KERNELS_AMX_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef GARRISON_KERNELS_AMX_INL_H_
#undef GARRISON_KERNELS_AMX_INL_H_
#else
#define GARRISON_KERNELS_AMX_INL_H_
#endif

#include "kernels/attention-inl.h"
#include "kernels/linear-inl.h"

HWY_BEFORE_NAMESPACE();
namespace garrison {
namespace HWY_NAMESPACE {

#if HWY_ARCH_X86 && HWY_TARGET == HWY_AVX3

inline constexpr std::size_t kTileBytes = 64;          // of one row of a tile
inline constexpr std::size_t kTileSide = 16;           // rows of a tile, columns of a sum
inline constexpr std::size_t kPairs = kTileBytes / 4;  // bf16 pairs in a row of a tile
inline constexpr std::size_t kBlockSide = 2 * kTileSide;
static_assert(kPanelColumns == kBlockSide && kLanes == kTileSide);

// All eight tiles 16 rows of 64 bytes, from here to the end of the scope.
class Tiles {
 public:
  Tiles() {
    struct alignas(64) {
      std::uint8_t palette = 1, start_row = 0, reserved[14] = {};
      std::uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
      std::uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
    } config;
    asm volatile("ldtilecfg %0" : : "m"(config));
  }
  ~Tiles() { asm volatile("tilerelease"); }
  Tiles(const Tiles&) = delete;
  Tiles& operator=(const Tiles&) = delete;
};

// tmm0..3 hold sums (rows 0-15 x columns 0-15, 0-15 x 16-31, 16-31 x 0-15, 16-31 x 16-31), tmm4..5
// the two halves of the rows, tmm6..7 those of the columns.
template <bool kBothHalves>
HWY_INLINE void ClearSums() {
  asm volatile("tilezero %tmm0\n\ttilezero %tmm1");
  if constexpr (kBothHalves) asm volatile("tilezero %tmm2\n\ttilezero %tmm3");
}

// One step in depth: 64 bytes of each row at `a`, 16 rows of 4-byte groups of each column at `b0`
// and `b1`.
template <ComputeType kType, bool kBothHalves>
HWY_INLINE void MultiplyTiles(const std::byte* a, std::size_t a_stride, const std::byte* b0,
                              const std::byte* b1, std::size_t b_stride) {
  asm volatile(
      "tileloadd (%0,%1,1), %%tmm4\n\t"
      "tileloadd (%2,%4,1), %%tmm6\n\t"
      "tileloadd (%3,%4,1), %%tmm7\n\t"
      :
      : "r"(a), "r"(a_stride), "r"(b0), "r"(b1), "r"(b_stride)
      : "memory");
  if constexpr (kType == ComputeType::kInt8) {
    asm volatile("tdpbusd %tmm6, %tmm4, %tmm0\n\ttdpbusd %tmm7, %tmm4, %tmm1");
  } else {
    asm volatile("tdpbf16ps %tmm6, %tmm4, %tmm0\n\ttdpbf16ps %tmm7, %tmm4, %tmm1");
  }
  if constexpr (kBothHalves) {
    asm volatile("tileloadd (%0,%1,1), %%tmm5"
                 :
                 : "r"(a + kTileSide * a_stride), "r"(a_stride)
                 : "memory");
    if constexpr (kType == ComputeType::kInt8) {
      asm volatile("tdpbusd %tmm6, %tmm5, %tmm2\n\ttdpbusd %tmm7, %tmm5, %tmm3");
    } else {
      asm volatile("tdpbf16ps %tmm6, %tmm5, %tmm2\n\ttdpbf16ps %tmm7, %tmm5, %tmm3");
    }
  }
}

// To [rows][stride] of 4-byte sums.
template <bool kBothHalves>
HWY_INLINE void StoreSums(void* to, std::size_t stride) {
  auto* bytes = static_cast<std::byte*>(to);
  const std::size_t step = 4 * stride;
  asm volatile(
      "tilestored %%tmm0, (%0,%2,1)\n\t"
      "tilestored %%tmm1, (%1,%2,1)"
      :
      : "r"(bytes), "r"(bytes + kTileBytes), "r"(step)
      : "memory");
  if constexpr (kBothHalves) {
    bytes += kTileSide * step;
    asm volatile(
        "tilestored %%tmm2, (%0,%2,1)\n\t"
        "tilestored %%tmm3, (%1,%2,1)"
        :
        : "r"(bytes), "r"(bytes + kTileBytes), "r"(step)
        : "memory");
  }
}

// ---------------------------------------------------------------- linear layers

// The sums of 32 rows and one panel, on their way to the output. The vector unit finishes them
// while the tile unit multiplies the next block.
struct SumBlock {
  alignas(64) std::int32_t sums[kBlockSide * kBlockSide];  // floats for bf16
  std::size_t row = 0;
  std::size_t rows = 0;
  std::size_t panel = 0;

  void Finish(const LinearArgs& args, std::size_t begin, std::size_t end) const {
    const FloatTag d;
    const IntTag di;
    const PackedLinear& w = *args.weights;
    const std::size_t column = panel * kPanelColumns;
    end = HWY_MIN(end, rows);
    if (begin >= end) return;
    const Float bias0 = hn::LoadU(d, w.bias() + column);
    const Float bias1 = hn::LoadU(d, w.bias() + column + kLanes);
    for (std::size_t r = begin; r < end; ++r) {
      const std::int32_t* from = sums + r * kBlockSide;
      Float v0;
      Float v1;
      if (w.type() == ComputeType::kInt8) {
        const Int zero = hn::Set(di, args.quantized.zeros[row + r]);
        const Float scale = hn::Set(d, args.quantized.scales[row + r]);
        v0 = Dequantize(hn::Load(di, from), zero, hn::LoadU(di, w.code_sums() + column), scale,
                        hn::LoadU(d, w.scales() + column));
        v1 = Dequantize(hn::Load(di, from + kLanes), zero,
                        hn::LoadU(di, w.code_sums() + column + kLanes), scale,
                        hn::LoadU(d, w.scales() + column + kLanes));
      } else {
        v0 = hn::BitCast(d, hn::Load(di, from));
        v1 = hn::BitCast(d, hn::Load(di, from + kLanes));
      }
      StoreColumns(hn::Add(v0, bias0), hn::Add(v1, bias1),
                   args.output + (row + r) * args.output_stride, column, args);
    }
    ActivatePanel(args, panel, row + begin, end - begin);
  }
};

template <ComputeType kType, bool kBothHalves>
HWY_INLINE void MultiplyBlock(const LinearArgs& args, SumBlock& block, const SumBlock& before) {
  constexpr std::size_t kDepth = kType == ComputeType::kInt8 ? kTileBytes : kTileBytes / 2;
  const PackedLinear& w = *args.weights;
  const std::size_t steps = (w.inputs() + kDepth - 1) / kDepth;
  const std::byte* weights = w.panel(block.panel);
  const auto* input = kType == ComputeType::kInt8
                          ? reinterpret_cast<const std::byte*>(args.quantized.codes)
                          : reinterpret_cast<const std::byte*>(args.rounded.values);
  const std::size_t stride =
      kType == ComputeType::kInt8 ? args.quantized.stride : 2 * args.rounded.stride;
  constexpr std::size_t kStepBytes = kTileSide * 2 * kTileBytes;
  ClearSums<kBothHalves>();
  for (std::size_t s = 0; s < steps; ++s) {
    const std::byte* b = weights + s * kStepBytes;
    if (block.row == 0) {
      for (std::size_t byte = 0; byte < kStepBytes; byte += 64) {
        __builtin_prefetch(b + steps * kStepBytes + byte);
      }
    }
    MultiplyTiles<kType, kBothHalves>(input + block.row * stride + s * kTileBytes, stride, b,
                                      b + kTileBytes, 2 * kTileBytes);
    before.Finish(args, kBlockSide * s / steps, kBlockSide * (s + 1) / steps);
  }
  StoreSums<kBothHalves>(block.sums, kBlockSide);
}

template <ComputeType kType>
void MultiplyPanels(const LinearArgs& args) {
  const Tiles tiles;
  SumBlock blocks[2];
  std::size_t current = 0;
  for (std::size_t panel = args.panel_begin; panel < args.panel_end; ++panel) {
    for (std::size_t row = 0; row < args.rows; row += kBlockSide) {
      SumBlock& block = blocks[current];
      const SumBlock& before = blocks[1 - current];
      block.row = row;
      block.rows = HWY_MIN(kBlockSide, args.rows - row);
      block.panel = panel;
      if (block.rows > kTileSide) {
        MultiplyBlock<kType, true>(args, block, before);
      } else {
        MultiplyBlock<kType, false>(args, block, before);
      }
      current = 1 - current;
    }
  }
  blocks[1 - current].Finish(args, 0, kBlockSide);
}

void LinearOnTiles(const LinearArgs& args) {
  switch (args.weights->type()) {
    case ComputeType::kF32:
    case ComputeType::kInt8Fine:
      return Linear<true>(args);
    case ComputeType::kBf16:
      return MultiplyPanels<ComputeType::kBf16>(args);
    case ComputeType::kInt8:
      return MultiplyPanels<ComputeType::kInt8>(args);
  }
}

// Two vectors of 32-bit lanes as the bf16 of `low` and, above it, of `high`.
HWY_INLINE Int RoundPair(Float low, Float high) {
  const hn::RebindToUnsigned<FloatTag> du;
  const auto round = [&](Float value) {
    const auto bits = hn::BitCast(du, value);
    const auto odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(du, 1u));
    return hn::Add(bits, hn::Add(odd, hn::Set(du, 0x7fffu)));
  };
  const auto upper = hn::And(round(high), hn::Set(du, 0xffff0000u));
  return hn::BitCast(IntTag(), hn::Or(upper, hn::ShiftRight<16>(round(low))));
}

// The bf16 of 32 floats in their order; to be kept in 64 bytes.
HWY_INLINE void RoundRow(const float* from, std::uint16_t* to) {
  const FloatTag d;
  const Float first = hn::LoadU(d, from);
  const Float second = hn::LoadU(d, from + kLanes);
  const Int pairs = RoundPair(hn::ConcatEven(d, second, first), hn::ConcatOdd(d, second, first));
  hn::StoreU(pairs, IntTag(), reinterpret_cast<std::int32_t*>(to));
}

void RoundRows(const float* input, std::size_t input_stride, std::size_t rows, std::size_t columns,
               std::uint16_t* rounded) {
  const std::size_t stride = QuantizedStride(columns);
  for (std::size_t r = 0; r < rows; ++r) {
    for (std::size_t c = 0; c < stride; c += kBlockSide) {
      alignas(64) float some[kBlockSide] = {};
      const float* from = input + r * input_stride + c;
      if (c + kBlockSide > columns) {
        for (std::size_t i = c; i < columns; ++i) some[i - c] = from[i - c];
        from = some;
      }
      RoundRow(from, rounded + r * stride + c);
    }
  }
}

// ---------------------------------------------------------------- attention

// One head: queries, keys, values and probabilities as bf16, sums and the softmax as floats.
struct TileAttentionPlan {
  std::size_t depth;         // the head's columns, in steps of 32
  std::size_t blocks;        // of 32 tokens
  std::size_t score_stride;  // floats

  TileAttentionPlan(std::size_t tokens, std::size_t head_size)
      : depth((head_size + kBlockSide - 1) / kBlockSide),
        blocks((tokens + kBlockSide - 1) / kBlockSide),
        score_stride(blocks * kBlockSide) {}

  // In words of 4 bytes.
  std::size_t KeyWords() const { return blocks * depth * kTileSide * kBlockSide; }
  std::size_t ValueWords() const { return KeyWords(); }
  std::size_t QueryWords() const { return kBlockSide * depth * kPairs; }
  std::size_t ScoreWords() const { return kBlockSide * score_stride; }
  std::size_t ProbabilityWords() const { return ScoreWords() / 2; }
  std::size_t SumWords() const { return kBlockSide * kBlockSide; }
  std::size_t Words() const {
    return KeyWords() + ValueWords() + QueryWords() + ScoreWords() + ProbabilityWords() +
           SumWords();
  }
};

class TileAttention {
 public:
  explicit TileAttention(const AttentionArgs& args)
      : args_(args),
        plan_(args.tokens, args.head_size),
        keys_(reinterpret_cast<std::uint32_t*>(args.scratch)),
        values_(keys_ + plan_.KeyWords()),
        queries_(values_ + plan_.ValueWords()),
        scores_(reinterpret_cast<float*>(queries_ + plan_.QueryWords())),
        probabilities_(reinterpret_cast<std::uint32_t*>(scores_ + plan_.ScoreWords())),
        sums_(reinterpret_cast<float*>(probabilities_ + plan_.ProbabilityWords())) {}

  void Run() {
    PackKeys();
    PackValues();
    const Tiles tiles;
    for (std::size_t row = 0; row < args_.queries; row += kBlockSide) {
      const std::size_t rows = HWY_MIN(kBlockSide, args_.queries - row);
      if (rows > kTileSide) {
        RunBlock<true>(row, rows);
      } else {
        RunBlock<false>(row, rows);
      }
    }
  }

 private:
  // Columns [32 * step, 32 * step + 32) of a head's row as bf16 pairs, zero past its end.
  HWY_INLINE void RoundStep(const float* row, std::size_t step, std::uint32_t* to) const {
    const std::size_t first = step * kBlockSide;
    const float* from = row + first;
    alignas(64) float some[kBlockSide] = {};
    if (first + kBlockSide > args_.head_size) {
      for (std::size_t c = first; c < args_.head_size; ++c) some[c - first] = row[c];
      from = some;
    }
    RoundRow(from, reinterpret_cast<std::uint16_t*>(to));
  }

  // keys_[block][step][pair of columns][token of 32], each word two neighbouring columns.
  void PackKeys() const {
    alignas(64) std::uint32_t pairs[kPairs] = {};
    for (std::size_t t = 0; t < plan_.score_stride; ++t) {
      for (std::size_t s = 0; s < plan_.depth; ++s) {
        std::uint32_t* to =
            keys_ + (t / kBlockSide * plan_.depth + s) * kPairs * kBlockSide + t % kBlockSide;
        // The columns of missing tokens are computed with the others and then masked.
        if (t < args_.tokens) RoundStep(args_.key + t * args_.stride, s, pairs);
        for (std::size_t w = 0; w < kPairs; ++w) to[w * kBlockSide] = pairs[w];
      }
    }
  }

  // values_[block][head block][pair of tokens][column of 32], each word two neighbouring tokens.
  void PackValues() const {
    for (std::size_t t = 0; t < plan_.score_stride; t += 2) {
      for (std::size_t h = 0; h < plan_.depth; ++h) {
        std::uint32_t* to =
            values_ +
            ((t / kBlockSide * plan_.depth + h) * kTileSide + t % kBlockSide / 2) * kBlockSide;
        for (std::size_t c = h * kBlockSide; c < (h + 1) * kBlockSide; c += kLanes, to += kLanes) {
          const Int pairs = RoundPair(ValueColumns(t, c), ValueColumns(t + 1, c));
          hn::Store(pairs, IntTag(), reinterpret_cast<std::int32_t*>(to));
        }
      }
    }
  }

  HWY_INLINE Float ValueColumns(std::size_t token, std::size_t column) const {
    const FloatTag d;
    if (token >= args_.tokens || column >= args_.head_size) return hn::Zero(d);
    const float* from = args_.value + token * args_.stride + column;
    if (column + kLanes <= args_.head_size) return hn::LoadU(d, from);
    alignas(64) float some[kLanes] = {};
    for (std::size_t c = column; c < args_.head_size; ++c) some[c - column] = from[c - column];
    return hn::Load(d, some);
  }

  template <bool kBothHalves>
  void RunBlock(std::size_t row, std::size_t rows) const {
    for (std::size_t r = 0; r < rows; ++r) {
      for (std::size_t s = 0; s < plan_.depth; ++s) {
        RoundStep(args_.query + (row + r) * args_.stride, s,
                  queries_ + (r * plan_.depth + s) * kPairs);
      }
    }
    const auto* queries = reinterpret_cast<const std::byte*>(queries_);
    const auto* keys = reinterpret_cast<const std::byte*>(keys_);
    constexpr std::size_t kStepBytes = kTileSide * 2 * kTileBytes;
    for (std::size_t block = 0; block < plan_.blocks; ++block) {
      ClearSums<kBothHalves>();
      for (std::size_t s = 0; s < plan_.depth; ++s, keys += kStepBytes) {
        MultiplyTiles<ComputeType::kBf16, kBothHalves>(queries + s * kTileBytes,
                                                       plan_.depth * kTileBytes, keys,
                                                       keys + kTileBytes, 2 * kTileBytes);
      }
      StoreSums<kBothHalves>(scores_ + block * kBlockSide, plan_.score_stride);
    }
    float inverse_sums[kBlockSide];
    for (std::size_t r = 0; r < rows; ++r) inverse_sums[r] = Softmax(row + r, r);

    const auto* probabilities = reinterpret_cast<const std::byte*>(probabilities_);
    const auto* values = reinterpret_cast<const std::byte*>(values_);
    for (std::size_t h = 0; h < plan_.depth; ++h) {
      ClearSums<kBothHalves>();
      for (std::size_t block = 0; block < plan_.blocks; ++block) {
        const std::byte* b = values + (block * plan_.depth + h) * kStepBytes;
        MultiplyTiles<ComputeType::kBf16, kBothHalves>(probabilities + block * kTileBytes,
                                                       2 * plan_.score_stride, b, b + kTileBytes,
                                                       2 * kTileBytes);
      }
      StoreSums<kBothHalves>(sums_, kBlockSide);
      StoreHeadBlock(row, rows, h * kBlockSide, inverse_sums);
    }
  }

  // probabilities_[r] = exp(score - highest) for all keys, rounded; returns 1 / their sum.
  HWY_INLINE float Softmax(std::size_t query, std::size_t r) const {
    const FloatTag d;
    float* scores = scores_ + r * plan_.score_stride;
    auto* to = reinterpret_cast<std::uint16_t*>(probabilities_) + r * plan_.score_stride;
    Float highest = hn::Set(d, std::numeric_limits<float>::lowest());
    for (std::size_t t = 0; t < plan_.score_stride; t += kLanes) {
      const Float score = ScoreOf(args_, hn::Load(d, scores + t), query, t);
      hn::Store(score, d, scores + t);
      highest = hn::Max(highest, score);
    }
    highest = hn::MaxOfLanes(d, highest);
    Float sum = hn::Zero(d);
    for (std::size_t t = 0; t < plan_.score_stride; t += kLanes) {
      const Float power = ExpOfNegative(hn::Sub(hn::Load(d, scores + t), highest));
      hn::Store(power, d, scores + t);
      sum = hn::Add(sum, power);
    }
    for (std::size_t t = 0; t < plan_.score_stride; t += kBlockSide) RoundRow(scores + t, to + t);
    return 1.0F / hn::GetLane(hn::SumOfLanes(d, sum));
  }

  HWY_INLINE void StoreHeadBlock(std::size_t row, std::size_t rows, std::size_t column,
                                 const float* inverse_sums) const {
    const FloatTag d;
    for (std::size_t r = 0; r < rows; ++r) {
      const Float scale = hn::Set(d, inverse_sums[r]);
      for (std::size_t c = 0; c < kBlockSide && column + c < args_.head_size; c += kLanes) {
        const Float value = hn::Mul(hn::Load(d, sums_ + r * kBlockSide + c), scale);
        float* to = args_.output + (row + r) * args_.output_stride + column + c;
        const std::size_t left = args_.head_size - column - c;
        if (left >= kLanes) {
          hn::StoreU(value, d, to);
        } else {
          alignas(64) float some[kLanes];
          hn::Store(value, d, some);
          for (std::size_t i = 0; i < left; ++i) to[i] = some[i];
        }
      }
    }
  }

  const AttentionArgs& args_;
  const TileAttentionPlan plan_;
  std::uint32_t* const keys_;
  std::uint32_t* const values_;
  std::uint32_t* const queries_;
  float* const scores_;
  std::uint32_t* const probabilities_;
  float* const sums_;
};

void AttentionOnTiles(const AttentionArgs& args) { TileAttention(args).Run(); }

std::size_t TileAttentionScratch(std::size_t tokens, std::size_t head_size) {
  return HWY_MAX(AttentionScratch(tokens, head_size), TileAttentionPlan(tokens, head_size).Words());
}

#endif  // HWY_AVX3

}  // namespace HWY_NAMESPACE
}  // namespace garrison
HWY_AFTER_NAMESPACE();

#endif
