// Every kernel of every instruction set of this machine against its definition in plain loops.
#include "kernels/kernels.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <string>

#include "kernels/reference.h"

namespace garrison {
namespace {

constexpr std::array kActivations = {Activation::kNone, Activation::kRelu, Activation::kGelu,
                                     Activation::kGeluTanh, Activation::kTanh};

class Random {
 public:
  explicit Random(unsigned seed) : engine_(seed) {}
  // Rows of `columns` values whose padding is zero, as the engine keeps them.
  std::vector<float> Rows(std::size_t rows, std::size_t columns, std::size_t stride,
                          float spread = 1.0F) {
    std::vector<float> out(rows * stride, 0.0F);
    for (std::size_t r = 0; r < rows; ++r) {
      for (std::size_t c = 0; c < columns; ++c) out[r * stride + c] = spread * normal_(engine_);
    }
    return out;
  }

 private:
  std::mt19937 engine_;
  std::normal_distribution<float> normal_;
};

// Input rows as every type of layer wants them.
struct Inputs {
  Inputs(const Kernels& kernels, const float* input, std::size_t stride, std::size_t rows,
         std::size_t columns, ComputeType type = ComputeType::kInt8)
      : codes(ReadableRows(rows) * QuantizedStride(columns), 99),
        rounded(codes.size(), 0x7fc0),
        scales(rows),
        zeros(rows) {
    const auto quantize =
        type == ComputeType::kInt8Fine ? kernels.quantize_rows_fine : kernels.quantize_rows;
    quantize(input, stride, rows, columns, codes.data(), scales.data(), zeros.data());
    if (kernels.round_rows == nullptr) return;
    kernels.round_rows(input, stride, rows, columns, rounded.data());
  }

  LinearArgs Args(const PackedLinear& layer, const float* input, std::size_t stride,
                  std::size_t rows, std::vector<float>& output) const {
    const std::size_t code_stride = QuantizedStride(layer.inputs());
    return {.weights = &layer,
            .input = input,
            .input_stride = stride,
            .rounded = {rounded.data(), code_stride},
            .quantized = {codes.data(), scales.data(), zeros.data(), code_stride},
            .rows = rows,
            .panel_end = layer.panels(),
            .output = output.data(),
            .output_stride = RowStride(layer.columns())};
  }

  std::vector<std::uint8_t> codes;
  std::vector<std::uint16_t> rounded;
  std::vector<float> scales;
  std::vector<std::int32_t> zeros;
};

void RoundToBf16(std::vector<float>& values) {
  for (float& value : values) value = FromBf16(ToBf16(value));
}

// One test per instruction set.
class KernelsTest : public testing::TestWithParam<Isa> {
 protected:
  // Those that there are at this level.
  std::vector<ComputeType> Int8Types() const {
    if (kernels_.quantize_rows_fine == nullptr) return {ComputeType::kInt8};
    return {ComputeType::kInt8, ComputeType::kInt8Fine};
  }
  const Kernels& kernels_ = KernelsFor(GetParam());
};

TEST_P(KernelsTest, TableIsForTheLevel) { EXPECT_EQ(kernels_.isa, GetParam()); }

struct Shape {
  std::size_t rows, columns, inputs;
};
constexpr std::array kShapes = {Shape{1, 1, 1},    Shape{1, 60, 60},   Shape{2, 7, 3},
                                Shape{5, 109, 60}, Shape{6, 60, 109},  Shape{7, 384, 33},
                                Shape{13, 96, 97}, Shape{25, 33, 384}, Shape{12, 17, 31},
                                Shape{16, 32, 64}, Shape{17, 65, 129}, Shape{33, 40, 200},
                                Shape{70, 96, 70}};

TEST_P(KernelsTest, LinearF32AndBf16MatchTheDefinition) {
  Random random(1);
  for (const Shape& s : kShapes) {
    const std::size_t in_stride = RowStride(s.inputs);
    const std::size_t out_stride = RowStride(s.columns);
    const auto input = random.Rows(s.rows, s.inputs, in_stride);
    auto weights = random.Rows(s.columns, s.inputs, s.inputs, 0.2F);
    const auto bias = random.Rows(1, s.columns, s.columns);
    for (const ComputeType type : {ComputeType::kF32, ComputeType::kBf16}) {
      const auto packed =
          PackedLinear::Pack(kernels_, type, weights, bias, s.columns, s.inputs).value();
      const Inputs inputs(kernels_, input.data(), in_stride, s.rows, s.inputs);
      auto rounded = weights;
      auto read = input;
      if (type == ComputeType::kBf16) RoundToBf16(rounded);
      if (type == ComputeType::kBf16 && kernels_.round_rows != nullptr) RoundToBf16(read);
      for (const Activation activation : kActivations) {
        std::vector<float> expected(s.rows * out_stride);
        reference::Linear(read, in_stride, s.rows, rounded, bias, s.columns, s.inputs, activation,
                          expected.data(), out_stride);
        std::vector<float> got(s.rows * out_stride, 7.0F);
        LinearArgs args = inputs.Args(packed, input.data(), in_stride, s.rows, got);
        args.activation = activation;
        kernels_.linear(args);
        for (std::size_t i = 0; i < got.size(); ++i) {
          ASSERT_NEAR(got[i], expected[i], 6e-5) << s.rows << "x" << s.columns << " at " << i;
        }
      }
    }
  }
}

// Sums of products of integers are exact, so int8 must agree up to the final rounding.
TEST_P(KernelsTest, LinearInt8MatchesTheDefinitionOnItsCodes) {
  Random random(2);
  for (const ComputeType type : Int8Types()) {
    for (const Shape& s : kShapes) {
      const std::size_t in_stride = RowStride(s.inputs);
      const std::size_t out_stride = RowStride(s.columns);
      const auto input = random.Rows(s.rows, s.inputs, in_stride, 3.0F);
      const auto weights = random.Rows(s.columns, s.inputs, s.inputs, 0.2F);
      const auto bias = random.Rows(1, s.columns, s.columns);
      const auto packed =
          PackedLinear::Pack(kernels_, type, weights, bias, s.columns, s.inputs).value();
      const std::size_t q_stride = QuantizedStride(s.inputs);
      const Inputs inputs(kernels_, input.data(), in_stride, s.rows, s.inputs, type);
      std::vector<float> got(s.rows * out_stride);
      LinearArgs args = inputs.Args(packed, input.data(), in_stride, s.rows, got);
      kernels_.linear(args);
      auto activated = got;
      args.output = activated.data();
      args.activation = Activation::kGelu;
      kernels_.linear(args);
      for (std::size_t i = 0; i < got.size(); ++i) {
        ASSERT_NEAR(activated[i], reference::Activate(got[i], Activation::kGelu), 5e-5) << got[i];
      }
      std::vector<std::int8_t> codes(s.inputs);
      for (std::size_t c = 0; c < s.columns; ++c) {
        const float scale = QuantizeColumn(std::span(weights).subspan(c * s.inputs, s.inputs),
                                           SumRuleOf(kernels_, type), codes);
        for (std::size_t r = 0; r < s.rows; ++r) {
          std::int64_t sum = 0;
          for (std::size_t k = 0; k < s.inputs; ++k)
            sum += (inputs.codes[r * q_stride + k] - inputs.zeros[r]) * codes[k];
          const float expected = static_cast<float>(sum) * inputs.scales[r] * scale + bias[c];
          ASSERT_EQ(got[r * out_stride + c], expected) << r << ", " << c;
        }
      }
    }
  }
}

TEST_P(KernelsTest, QuantizedRowsMatchTheDefinition) {
  Random random(3);
  for (const std::size_t columns : {1UL, 15UL, 31UL, 60UL, 109UL, 384UL}) {
    const std::size_t stride = RowStride(columns);
    auto input = random.Rows(5, columns, stride, 2.0F);
    for (std::size_t c = 0; c < columns; ++c) {
      input[stride + c] = std::fabs(input[stride + c]);  // no negative values
      input[2 * stride + c] = 0.0F;                      // nothing
      input[3 * stride + c] = -std::fabs(input[3 * stride + c]) * 1e30F;
      input[4 * stride + c] *= 1e-42F;  // denormal
    }
    const std::size_t q_stride = QuantizedStride(columns);
    std::vector<std::uint8_t> got(5 * q_stride, 99), expected(5 * q_stride, 99);
    std::vector<float> scales(5), expected_scales(5);
    std::vector<std::int32_t> zeros(5), expected_zeros(5);
    kernels_.quantize_rows(input.data(), stride, 5, columns, got.data(), scales.data(),
                           zeros.data());
    reference::QuantizeRows(input.data(), stride, 5, columns, kernels_.int8_steps, expected.data(),
                            expected_scales.data(), expected_zeros.data());
    EXPECT_EQ(got, expected) << columns;
    EXPECT_EQ(scales, expected_scales);
    EXPECT_EQ(zeros, expected_zeros);
  }
}

TEST_P(KernelsTest, LayerNormMatchesTheDefinition) {
  Random random(4);
  for (const std::size_t columns : {1UL, 7UL, 16UL, 60UL, 384UL, 769UL}) {
    const std::size_t stride = RowStride(columns);
    const auto input = random.Rows(3, columns, stride, 4.0F);
    const auto residual = random.Rows(3, columns, stride);
    const auto gamma = random.Rows(1, columns, stride);
    const auto beta = random.Rows(1, columns, stride);
    for (const float* add : {static_cast<const float*>(nullptr), residual.data()}) {
      auto got = input;
      auto expected = input;
      kernels_.layer_norm(got.data(), stride, 3, columns, add, stride, gamma.data(), beta.data(),
                          1e-5F);
      reference::LayerNorm(expected.data(), stride, 3, columns, add, stride, gamma.data(),
                           beta.data(), 1e-5F);
      for (std::size_t i = 0; i < got.size(); ++i) {
        ASSERT_NEAR(got[i], expected[i], 2e-5) << columns << " at " << i;
        if (i % stride >= columns) {
          ASSERT_EQ(got[i], 0.0F);
        }
      }
    }
  }
}

// 5 spare columns, so that heads begin at odd places.
void CheckAttention(const Kernels& kernels, bool in_bf16, std::size_t tokens, std::size_t head,
                    bool biased) {
  Random random(5);
  const std::size_t stride = RowStride(3 * head + 5);
  const auto qkv = random.Rows(tokens, 3 * head, stride, 2.0F);
  auto table = random.Rows(1, 2 * tokens - 1, 2 * tokens - 1);
  const std::size_t floats = kernels.attention_scratch(tokens, head);
  std::vector<float> scratch(floats + 16, std::numeric_limits<float>::quiet_NaN());
  float* aligned = scratch.data();
  while (reinterpret_cast<std::uintptr_t>(aligned) % 64 != 0) ++aligned;
  const auto attention = in_bf16 ? kernels.attention_bf16 : kernels.attention;
  const bool exact = attention == kernels.attention;
  AttentionArgs args{.query = qkv.data(),
                     .key = qkv.data() + head,
                     .value = qkv.data() + 2 * head,
                     .stride = stride,
                     .tokens = tokens,
                     .queries = tokens,
                     .head_size = head,
                     .scale = 1.0F / std::sqrt(static_cast<float>(head)),
                     .bias = biased ? table.data() + tokens - 1 : nullptr,
                     .scratch = aligned,
                     .output_stride = head + 3};
  std::vector<float> got(tokens * args.output_stride, 7.0F);
  std::vector<float> expected = got;
  args.output = got.data() + 1;
  attention(args);
  auto read = qkv;
  if (!exact) RoundToBf16(read);
  AttentionArgs definition = args;
  definition.query = read.data();
  definition.key = read.data() + head;
  definition.value = read.data() + 2 * head;
  definition.output = expected.data() + 1;
  reference::Attention(definition);
  for (std::size_t i = 0; i < got.size(); ++i) {
    // A rounded probability is off by 2^-9 of itself at most, and values stay below 10.
    ASSERT_NEAR(got[i], expected[i], exact ? 1e-5 : 2e-2) << tokens << " tokens, head of " << head;
  }
  // Fewer queries: the same bytes for those, nothing written for the others.
  args.queries = (tokens + 2) / 3;
  const std::size_t end = (args.queries - 1) * args.output_stride + 1 + head;
  std::vector<float> some(got.size(), 7.0F);
  args.output = some.data() + 1;
  attention(args);
  for (std::size_t i = 0; i < some.size(); ++i) {
    ASSERT_EQ(some[i], i < end ? got[i] : 7.0F) << tokens << " tokens, head of " << head;
  }
}

TEST_P(KernelsTest, AttentionMatchesTheDefinitionAndKeepsToItsColumns) {
  for (const std::size_t tokens : {1UL, 2UL, 5UL, 16UL, 17UL, 32UL, 33UL, 70UL}) {
    for (const std::size_t head : {1UL, 20UL, 32UL, 64UL, 70UL}) {
      for (const bool biased : {false, true}) {
        CheckAttention(kernels_, false, tokens, head, biased);
        CheckAttention(kernels_, true, tokens, head, biased);
      }
    }
  }
}

// Numbers that have overflowed must reach the output, where they are refused.
TEST_P(KernelsTest, AttentionKeepsWhatIsNotFinite) {
  for (const float bad :
       {std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
    const std::size_t tokens = 5, head = 32, stride = RowStride(3 * head);
    Random random(10);
    auto qkv = random.Rows(tokens, 3 * head, stride);
    qkv[2 * stride + head + 3] = bad;  // of a key
    qkv[stride + 3] = 1;               // of a query: its score is +infinity or not a number
    std::vector<float> scratch(kernels_.attention_scratch(tokens, head) + 16);
    float* aligned = scratch.data();
    while (reinterpret_cast<std::uintptr_t>(aligned) % 64 != 0) ++aligned;
    for (const auto attention : {kernels_.attention, kernels_.attention_bf16}) {
      std::vector<float> got(tokens * head);
      attention({.query = qkv.data(),
                 .key = qkv.data() + head,
                 .value = qkv.data() + 2 * head,
                 .stride = stride,
                 .tokens = tokens,
                 .queries = tokens,
                 .head_size = head,
                 .scratch = aligned,
                 .output = got.data(),
                 .output_stride = head});
      EXPECT_FALSE(std::all_of(got.begin(), got.end(), [](float x) { return std::isfinite(x); }))
          << bad;
    }
  }
}

TEST_P(KernelsTest, RoundedRowsMatchTheDefinition) {
  if (kernels_.round_rows == nullptr) GTEST_SKIP() << "bf16 layers read floats at this level";
  Random random(8);
  for (const std::size_t columns : {1UL, 31UL, 32UL, 33UL, 64UL, 109UL, 384UL}) {
    const std::size_t stride = RowStride(columns);
    const auto input = random.Rows(3, columns, stride, 5.0F);
    const Inputs inputs(kernels_, input.data(), stride, 3, columns);
    const std::size_t to = QuantizedStride(columns);
    for (std::size_t r = 0; r < 3; ++r) {
      for (std::size_t c = 0; c < to; ++c) {
        ASSERT_EQ(inputs.rounded[r * to + c], c < columns ? ToBf16(input[r * stride + c]) : 0);
      }
    }
  }
}

TEST_P(KernelsTest, ActivationsMatchTheDefinitionOverTheirRange) {
  for (const Activation activation : kActivations) {
    std::vector<float> x;
    for (float v = -12; v < 12; v += 0.00137F) x.push_back(v);
    auto got = x;
    kernels_.activate(got.data(), got.size(), activation);
    for (std::size_t i = 0; i < x.size(); ++i) {
      const double expected = reference::Activate(x[i], activation);
      ASSERT_NEAR(got[i], expected, 1e-6 + 1e-6 * std::fabs(expected)) << x[i];
    }
  }
}

// The property behind batch invariance: a row's bytes do not depend on the rows around it.
TEST_P(KernelsTest, ARowDoesNotDependOnItsNeighbours) {
  Random random(6);
  const std::size_t rows = 39, columns = 100, inputs = 60;
  const std::size_t in_stride = RowStride(inputs), out_stride = RowStride(columns);
  const auto input = random.Rows(rows, inputs, in_stride);
  const auto weights = random.Rows(columns, inputs, inputs);
  std::vector<ComputeType> types = Int8Types();
  types.push_back(ComputeType::kF32);
  types.push_back(ComputeType::kBf16);
  for (const ComputeType type : types) {
    const auto packed = PackedLinear::Pack(kernels_, type, weights, {}, columns, inputs).value();
    const auto run = [&](std::size_t first, std::size_t count) {
      std::vector<float> out(count * out_stride);
      const float* from = input.data() + first * in_stride;
      const Inputs rows_of(kernels_, from, in_stride, count, inputs, type);
      LinearArgs args = rows_of.Args(packed, from, in_stride, count, out);
      args.activation = Activation::kGelu;
      kernels_.linear(args);
      return out;
    };
    const auto all = run(0, rows);
    for (std::size_t first = 0; first < rows; ++first) {
      for (std::size_t count = 1; first + count <= rows; count += 5) {
        const auto some = run(first, count);
        ASSERT_TRUE(std::equal(some.begin(), some.end(),
                               all.begin() + static_cast<std::ptrdiff_t>(first * out_stride)));
      }
    }
  }
}

// The extreme codes: nothing may saturate on the way to 32 bits.
TEST_P(KernelsTest, LinearInt8HoldsTheLargestProducts) {
  const std::size_t inputs = 384, columns = 17;
  std::vector<float> weights(columns * inputs);
  for (std::size_t i = 0; i < weights.size(); ++i) weights[i] = i / inputs % 2 == 0 ? 1.0F : -1.0F;
  for (const ComputeType type : Int8Types()) {
    const auto packed = PackedLinear::Pack(kernels_, type, weights, {}, columns, inputs).value();
    const int steps = type == ComputeType::kInt8 ? kernels_.int8_steps : kFineSteps;
    const std::vector<std::uint8_t> codes(ReadableRows(1) * QuantizedStride(inputs),
                                          static_cast<std::uint8_t>(steps));
    const float scale = 1;
    const std::int32_t zero = 0;
    std::vector<float> got(RowStride(columns));
    kernels_.linear({.weights = &packed,
                     .quantized = {codes.data(), &scale, &zero, QuantizedStride(inputs)},
                     .rows = 1,
                     .panel_end = packed.panels(),
                     .output = got.data(),
                     .output_stride = got.size()});
    std::vector<std::int8_t> column(inputs);
    for (std::size_t c = 0; c < columns; ++c) {
      const float unit = QuantizeColumn(std::span(weights).subspan(c * inputs, inputs),
                                        SumRuleOf(kernels_, type), column);
      EXPECT_GE(std::abs(column[0]), 40);
      EXPECT_FLOAT_EQ(got[c],
                      static_cast<float>(steps) * inputs * static_cast<float>(column[0]) * unit);
    }
  }
}

double SquaredError(std::span<const float> weights, std::span<const std::int8_t> codes,
                    float scale) {
  double error = 0;
  for (std::size_t k = 0; k < weights.size(); ++k) {
    error += std::pow(weights[k] - codes[k] * scale, 2);
  }
  return error;
}

TEST(PackedLinear, SumsOfTwoCodesKeepToTheLimit) {
  Random random(11);
  const auto weights = random.Rows(1, 383, 383);
  std::vector<std::int8_t> codes(383);
  QuantizeColumn(weights, {.limit = 128, .inputs = 2}, codes);
  int largest = 0;
  for (std::size_t k = 0; k + 1 < codes.size(); k += 2) {
    if (codes[k] * codes[k + 1] < 0) continue;
    largest = std::max(largest, std::abs(codes[k] + codes[k + 1]));
  }
  EXPECT_LE(largest, 128);
  EXPECT_GE(largest, 120);
}

TEST(PackedLinear, SumsOfCodesKeepToTheLimit) {
  Random random(7);
  for (const auto& [outlier, limit] : {std::pair{1.0F, 170}, std::pair{30.0F, 128}}) {
    for (const std::size_t inputs : {1UL, 2UL, 7UL, 30UL, 384UL}) {
      auto weights = random.Rows(1, inputs, inputs);
      weights[0] *= outlier;
      std::vector<std::int8_t> codes(inputs);
      const float scale = QuantizeColumn(weights, {.limit = limit, .inputs = 4}, codes);
      for (std::size_t first = 0; first < inputs; first += 8) {
        for (const std::size_t half : {0UL, 2UL}) {
          int positive = 0;
          int negative = 0;
          for (const std::size_t k : {0UL, 1UL, 4UL, 5UL}) {
            if (first + half + k >= inputs) continue;
            positive += std::max<int>(codes[first + half + k], 0);
            negative += std::min<int>(codes[first + half + k], 0);
          }
          EXPECT_LE(positive, limit);
          EXPECT_GE(negative, -limit);
        }
      }
      // No better than without a limit, and not much worse: half a step more on average.
      std::vector<std::int8_t> free_codes(inputs);
      const float free_scale = QuantizeColumn(weights, {}, free_codes);
      const double free_error = SquaredError(weights, free_codes, free_scale);
      const double error = SquaredError(weights, codes, scale);
      EXPECT_GE(error * (1 + 1e-6), free_error);
      EXPECT_LE(error, 6 * free_error + 1e-3) << inputs;
    }
  }
}

TEST(PackedLinear, WithoutALimitEveryCodeIsTheNearest) {
  Random random(9);
  const auto weights = random.Rows(1, 384, 384);
  std::vector<std::int8_t> codes(384);
  const float scale = QuantizeColumn(weights, {}, codes);
  for (std::size_t k = 0; k < 384; ++k) {
    EXPECT_LE(std::fabs(weights[k] - codes[k] * scale), 0.5001F * scale);
  }
}

TEST(PackedLinear, RefusesWhatIsNotFinite) {
  const Kernels& kernels = KernelsFor(Isa::kBaseline);
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    const std::vector<float> weights = {1, 2, bad, 4};
    const auto packed = PackedLinear::Pack(kernels, ComputeType::kF32, weights, {}, 2, 2);
    ASSERT_FALSE(packed.has_value());
    EXPECT_EQ(packed.error().code, Code::kInvalidArgument);
    EXPECT_NE(packed.error().message.find("[1, 0]"), std::string::npos);
  }
}

TEST(PackedLinear, RefusesMoreInputsThanIntegerSumsHold) {
  const std::vector<float> weights(70'000, 1.0F);
  const auto packed = PackedLinear::Pack(KernelsFor(Isa::kBaseline), ComputeType::kInt8, weights,
                                         {}, 1, weights.size());
  EXPECT_EQ(packed.error().code, Code::kOutOfRange);
}

INSTANTIATE_TEST_SUITE_P(Levels, KernelsTest, testing::ValuesIn(KernelIsas()),
                         [](const auto& level) {
                           std::string name(IsaName(level.param));  // a test's name holds no '-'
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace garrison
