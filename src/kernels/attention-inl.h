// Attention of one head over one sequence. Included once per Highway target.
#if defined(GARRISON_KERNELS_ATTENTION_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef GARRISON_KERNELS_ATTENTION_INL_H_
#undef GARRISON_KERNELS_ATTENTION_INL_H_
#else
#define GARRISON_KERNELS_ATTENTION_INL_H_
#endif

#include <limits>

#include "kernels/activation-inl.h"
#include "kernels/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace garrison {
namespace HWY_NAMESPACE {

HWY_INLINE std::size_t WholePanels(std::size_t columns) {
  return (columns + kPanelColumns - 1) / kPanelColumns;
}

// Scratch: the keys as panels over tokens, the values as panels over the head's columns, the scores
// of one tile of queries.
struct AttentionPlan {
  std::size_t token_panels;
  std::size_t head_panels;
  std::size_t score_stride;

  AttentionPlan(std::size_t tokens, std::size_t head_size)
      : token_panels(WholePanels(tokens)),
        head_panels(WholePanels(head_size)),
        score_stride(token_panels * kPanelColumns) {}
};

std::size_t AttentionScratch(std::size_t tokens, std::size_t head_size) {
  const AttentionPlan plan(tokens, head_size);
  return plan.score_stride * head_size + plan.head_panels * kPanelColumns * tokens +
         kTileRows * plan.score_stride;
}

// panels[p][k][c] = key[p * kPanelColumns + c][k], zero past the last token.
HWY_INLINE void PackKeys(const AttentionArgs& args, const AttentionPlan& plan, float* panels) {
  for (std::size_t t = 0; t < plan.score_stride; ++t) {
    float* to = panels + t / kPanelColumns * args.head_size * kPanelColumns + t % kPanelColumns;
    const float* from = args.key + t * args.stride;
    for (std::size_t k = 0; k < args.head_size; ++k) {
      to[k * kPanelColumns] = t < args.tokens ? from[k] : 0.0F;
    }
  }
}

// panels[p][t][c] = value[t][p * kPanelColumns + c], zero past the head's columns.
HWY_INLINE void PackValues(const AttentionArgs& args, const AttentionPlan& plan, float* panels) {
  for (std::size_t p = 0; p < plan.head_panels; ++p) {
    const std::size_t first = p * kPanelColumns;
    const std::size_t count =
        args.head_size - first < kPanelColumns ? args.head_size - first : kPanelColumns;
    for (std::size_t t = 0; t < args.tokens; ++t) {
      float* to = panels + (p * args.tokens + t) * kPanelColumns;
      const float* from = args.value + t * args.stride + first;
      for (std::size_t c = 0; c < count; ++c) to[c] = from[c];
      for (std::size_t c = count; c < kPanelColumns; ++c) to[c] = 0.0F;
    }
  }
}

// e^x for x <= 0, relative error below 2e-7; no less than e^-86. As 2^n 2^f: adding kMagic rounds
// to the whole number n and leaves it in the lowest bits; the polynomial is a minimax fit of 2^f on
// [-1/2, 1/2] with 2^0 exact.
HWY_INLINE Float ExpOfNegative(Float x) {
  static constexpr float kPowers[] = {1.326472731e-03F, 9.671512991e-03F, 5.550733581e-02F,
                                      2.402224243e-01F, 6.931470037e-01F, 1.0F};
  const FloatTag d;
  const IntTag di;
  const Float magic = hn::Set(d, 12582912.0F);  // 1.5 * 2^23
  const Float log2e = hn::Set(d, 1.44269504F);
  x = hn::Max(hn::Set(d, -86.0F), x);  // in this order NaN stays NaN, and the result is refused
  const Float rounded = hn::MulAdd(x, log2e, magic);
  const Float fraction = hn::MulSub(x, log2e, hn::Sub(rounded, magic));
  const Int power = hn::BitCast(di, Polynomial(kPowers, fraction));
  return hn::BitCast(d, hn::Add(power, hn::ShiftLeft<23>(hn::BitCast(di, rounded))));
}

// args.bias for the keys from `token` on, zero past the last one.
HWY_INLINE Float BiasOf(const AttentionArgs& args, std::size_t query, std::size_t token) {
  const FloatTag d;
  const float* bias = args.bias - static_cast<std::ptrdiff_t>(query);
  if (token + kLanes <= args.tokens) return hn::LoadU(d, bias + token);
  alignas(64) float some[kRowAlign] = {};
  for (std::size_t t = token; t < args.tokens; ++t) some[t - token] = bias[t];
  return hn::Load(d, some);
}

// The score of `query` and the keys from `token` on; past the last one as low as can be, so that
// its exponential vanishes beside that of the highest.
HWY_INLINE Float ScoreOf(const AttentionArgs& args, Float product, std::size_t query,
                         std::size_t token) {
  const FloatTag d;
  Float score = hn::Mul(product, hn::Set(d, args.scale));
  if (args.bias != nullptr) score = hn::Add(score, BiasOf(args, query, token));
  if (token + kLanes <= args.tokens) return score;
  const std::size_t left = token < args.tokens ? args.tokens - token : 0;
  return hn::IfThenElse(hn::FirstN(d, left), score,
                        hn::Set(d, std::numeric_limits<float>::lowest()));
}

struct AttentionTile {
  const AttentionArgs& args;
  const AttentionPlan& plan;
  const float* keys;
  const float* values;
  float* scores;

  template <std::size_t kRows>
  HWY_INLINE void operator()(std::size_t row) const {
    const FloatTag d;
    Float highest[kRows];
    for (std::size_t r = 0; r < kRows; ++r) {
      highest[r] = hn::Set(d, std::numeric_limits<float>::lowest());
    }
    for (std::size_t p = 0; p < plan.token_panels; ++p) {
      Float acc[kRows][2];
      Clear(acc);
      MultiplyF32<kRows>(args.query + row * args.stride, args.stride,
                         keys + p * args.head_size * kPanelColumns, args.head_size, acc);
#pragma GCC unroll 12
      for (std::size_t r = 0; r < kRows; ++r) {
        const std::size_t token = p * kPanelColumns;
        float* to = scores + r * plan.score_stride + token;
        const Float score0 = ScoreOf(args, acc[r][0], row + r, token);
        const Float score1 = ScoreOf(args, acc[r][1], row + r, token + kLanes);
        hn::Store(score0, d, to);
        hn::Store(score1, d, to + kLanes);
        highest[r] = hn::Max(highest[r], hn::Max(score0, score1));
      }
    }
    float inverse_sums[kRows];
    for (std::size_t r = 0; r < kRows; ++r) {
      const Float top = hn::MaxOfLanes(d, highest[r]);
      float* row_scores = scores + r * plan.score_stride;
      Float sum = hn::Zero(d);
      for (std::size_t t = 0; t < plan.score_stride; t += kLanes) {
        const Float power = ExpOfNegative(hn::Sub(hn::Load(d, row_scores + t), top));
        hn::Store(power, d, row_scores + t);
        sum = hn::Add(sum, power);
      }
      inverse_sums[r] = 1.0F / hn::GetLane(hn::SumOfLanes(d, sum));
    }
    for (std::size_t p = 0; p < plan.head_panels; ++p) {
      Float acc[kRows][2];
      Clear(acc);
      MultiplyF32<kRows>(scores, plan.score_stride, values + p * args.tokens * kPanelColumns,
                         args.tokens, acc);
      for (std::size_t r = 0; r < kRows; ++r) {
        const Float scale = hn::Set(d, inverse_sums[r]);
        StoreHead(hn::Mul(acc[r][0], scale), hn::Mul(acc[r][1], scale), row + r, p * kPanelColumns);
      }
    }
  }

 private:
  // The neighbouring columns belong to the next head: nothing may be written there.
  HWY_INLINE void StoreHead(Float v0, Float v1, std::size_t row, std::size_t column) const {
    const FloatTag d;
    float* to = args.output + row * args.output_stride + column;
    if (column + kPanelColumns <= args.head_size) {
      hn::StoreU(v0, d, to);
      hn::StoreU(v1, d, to + kLanes);
      return;
    }
    alignas(64) float both[2 * kRowAlign];
    hn::Store(v0, d, both);
    hn::Store(v1, d, both + kLanes);
    for (std::size_t c = 0; c < args.head_size - column; ++c) to[c] = both[c];
  }
};

void Attention(const AttentionArgs& args) {
  const AttentionPlan plan(args.tokens, args.head_size);
  float* keys = args.scratch;
  float* values = keys + plan.score_stride * args.head_size;
  float* scores = values + plan.head_panels * kPanelColumns * args.tokens;
  PackKeys(args, plan, keys);
  PackValues(args, plan, values);
  ForEachTile<kTileRows>(args.queries, AttentionTile{args, plan, keys, values, scores});
}

}  // namespace HWY_NAMESPACE
}  // namespace garrison
HWY_AFTER_NAMESPACE();

#endif
