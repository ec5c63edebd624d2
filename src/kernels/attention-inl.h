// Attention of one head over one sequence. Included once per Highway target.
#if defined(GARRISON_KERNELS_ATTENTION_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef GARRISON_KERNELS_ATTENTION_INL_H_
#undef GARRISON_KERNELS_ATTENTION_INL_H_
#else
#define GARRISON_KERNELS_ATTENTION_INL_H_
#endif

#include <limits>

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

// Replaces the scores of one query by exp(score - highest) and returns 1 / their sum.
HWY_INLINE float Exponentials(const AttentionArgs& args, std::size_t query, float* scores,
                              std::size_t stride) {
  const FloatTag d;
  const Float scale = hn::Set(d, args.scale);
  const Float lowest = hn::Set(d, std::numeric_limits<float>::lowest());
  Float highest = lowest;
  for (std::size_t t = 0; t < stride; t += kLanes) {
    Float value = hn::Mul(hn::Load(d, scores + t), scale);
    if (t + kLanes <= args.tokens) {
      if (args.bias != nullptr) {
        value = hn::Add(value, hn::LoadU(d, args.bias + t - static_cast<std::ptrdiff_t>(query)));
      }
    } else {
      const std::size_t left = t < args.tokens ? args.tokens - t : 0;
      if (args.bias != nullptr && left > 0) {
        alignas(64) float bias[kRowAlign] = {};
        for (std::size_t i = 0; i < left; ++i) {
          bias[i] =
              args.bias[static_cast<std::ptrdiff_t>(t + i) - static_cast<std::ptrdiff_t>(query)];
        }
        value = hn::Add(value, hn::Load(d, bias));
      }
      value = hn::IfThenElse(hn::FirstN(d, left), value, lowest);
    }
    hn::Store(value, d, scores + t);
    highest = hn::Max(highest, value);
  }
  highest = hn::MaxOfLanes(d, highest);
  Float sum = hn::Zero(d);
  for (std::size_t t = 0; t < stride; t += kLanes) {
    Float value = hn::Exp(d, hn::Sub(hn::Load(d, scores + t), highest));
    if (t + kLanes > args.tokens) {
      const std::size_t left = t < args.tokens ? args.tokens - t : 0;
      value = hn::IfThenElseZero(hn::FirstN(d, left), value);
    }
    hn::Store(value, d, scores + t);
    sum = hn::Add(sum, value);
  }
  return 1.0F / hn::GetLane(hn::SumOfLanes(d, sum));
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
    for (std::size_t p = 0; p < plan.token_panels; ++p) {
      Float acc[kRows][2];
      Clear(acc);
      MultiplyF32<kRows>(args.query + row * args.stride, args.stride,
                         keys + p * args.head_size * kPanelColumns, args.head_size, acc);
#pragma GCC unroll 12
      for (std::size_t r = 0; r < kRows; ++r) {
        float* to = scores + r * plan.score_stride + p * kPanelColumns;
        hn::Store(acc[r][0], d, to);
        hn::Store(acc[r][1], d, to + kLanes);
      }
    }
    float inverse_sums[kRows];
    for (std::size_t r = 0; r < kRows; ++r) {
      inverse_sums[r] =
          Exponentials(args, row + r, scores + r * plan.score_stride, plan.score_stride);
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
  ForEachTile(args.queries, AttentionTile{args, plan, keys, values, scores});
}

}  // namespace HWY_NAMESPACE
}  // namespace garrison
HWY_AFTER_NAMESPACE();

#endif
