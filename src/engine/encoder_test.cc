// What the engine shows in C++; the numbers of whole models are compared in tests/encoder_test.py.
#include "engine/encoder.h"

#include <gtest/gtest.h>

#include "engine/layer_errors.h"

namespace garrison {
namespace {

// The thresholds that whole-number arithmetic gives: n^2 >= 64 * 2^t starts step t.
TEST(RelativeBucket, CountsAsTheReference) {
  for (std::ptrdiff_t n = 0; n < 8; ++n) {
    EXPECT_EQ(RelativeBucket(-n, 32), static_cast<std::size_t>(n));
    if (n > 0) {
      EXPECT_EQ(RelativeBucket(n, 32), static_cast<std::size_t>(16 + n));
    }
  }
  for (std::ptrdiff_t n = 8; n < 600; ++n) {
    std::size_t step = 0;
    while (step < 7 && n * n >= (std::ptrdiff_t{64} << (step + 1))) ++step;
    EXPECT_EQ(RelativeBucket(-n, 32), 8 + step) << n;
    EXPECT_EQ(RelativeBucket(n, 32), 24 + step) << n;
  }
}

TEST(EncoderSpec, ReadsWhatAFamilySays) {
  const auto config = ModelConfig::Parse(
      R"({"model_type":"xlm-roberta","hidden_size":8,"num_hidden_layers":1,"num_attention_heads":2,
          "intermediate_size":16,"vocab_size":10,"max_position_embeddings":20,"pad_token_id":1,
          "layer_norm_eps":1e-5,"hidden_act":"gelu"})",
      "config.json");
  const EncoderSpec spec = ReadEncoderSpec(config.value()).value();
  EXPECT_EQ(spec.max_tokens(), 18U);
  EXPECT_EQ(spec.head_size(), 4U);
  EXPECT_EQ(spec.token_types, 1U);
  EXPECT_EQ(spec.positions, PositionScheme::kAfterPad);
}

TEST(LayersToKeepInBf16, TakesThoseThatStandOut) {
  std::vector<LayerError> errors;
  for (std::size_t i = 0; i < 10; ++i)
    errors.push_back({LayerLabel(i, "up"), ComputeType::kInt8, 0.01});
  errors[3].relative = 0.2;
  errors[7].relative = 0.06;
  errors.push_back({"layer.10.up", ComputeType::kBf16, 0.9});
  EXPECT_EQ(LayersToKeepInBf16(errors), (std::vector<std::string>{"layer.3.up", "layer.7.up"}));
  EXPECT_TRUE(LayersToKeepInBf16({}).empty());
}

}  // namespace
}  // namespace garrison
