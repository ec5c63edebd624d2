#include "engine/pooling.h"

#include <gtest/gtest.h>

#include <cmath>

namespace garrison {
namespace {

ModelConfig Config(const char* text) { return ModelConfig::Parse(text, "pooling").value(); }

// Three tokens of two components, rows four apart.
constexpr std::array<float, 12> kRows = {1, -2, 9, 9, 3, 4, 9, 9, -5, 6, 9, 9};

std::vector<float> PoolBy(const char* modes, std::size_t skip = 0, bool include_prompt = true) {
  PoolingSpec spec = ParsePooling(modes).value();
  spec.include_prompt = include_prompt;
  std::vector<float> out(spec.modes.size() * 2);
  Pool(spec, kRows.data(), 4, 3, 2, skip, out);
  return out;
}

TEST(Pooling, EveryModeByHand) {
  EXPECT_EQ(PoolBy("cls"), (std::vector<float>{1, -2}));
  EXPECT_EQ(PoolBy("max"), (std::vector<float>{3, 6}));
  EXPECT_EQ(PoolBy("mean"), (std::vector<float>{-1.0F / 3, 8.0F / 3}));
  const auto root = static_cast<float>(std::sqrt(3.0));
  EXPECT_FLOAT_EQ(PoolBy("mean_sqrt_len")[1], 8 / root);
  EXPECT_EQ(PoolBy("weightedmean"),
            (std::vector<float>{(1 + 6 - 15) / 6.0F, (-2 + 8 + 18) / 6.0F}));
  EXPECT_EQ(PoolBy("lasttoken"), (std::vector<float>{-5, 6}));
}

TEST(Pooling, ModesAreConcatenatedInTheReferencesOrder) {
  EXPECT_EQ(PoolBy("mean+cls+max"), (std::vector<float>{1, -2, 3, 6, -1.0F / 3, 8.0F / 3}));
}

TEST(Pooling, ThePromptCanBeLeftOut) {
  EXPECT_EQ(PoolBy("mean", 1, false), (std::vector<float>{-1, 5}));
  EXPECT_EQ(PoolBy("mean", 1, true), PoolBy("mean"));
  EXPECT_EQ(PoolBy("cls", 1, false), (std::vector<float>{1, -2}));
}

TEST(Pooling, ReadsBothFormsOfItsFile) {
  EXPECT_EQ(
      ReadPooling(Config(R"({"pooling_mode_cls_token":true,"pooling_mode_mean_tokens":false})"))
          ->modes,
      (std::vector<PoolingMode>{PoolingMode::kCls}));
  EXPECT_EQ(ReadPooling(Config(R"({"pooling_mode":"lasttoken","include_prompt":false})"))->modes,
            (std::vector<PoolingMode>{PoolingMode::kLastToken}));
  EXPECT_EQ(ReadPooling(Config("{}")).error().code, Code::kInvalidArgument);
  EXPECT_EQ(ReadPooling(Config(R"({"pooling_mode_new":true})")).error().code, Code::kUnimplemented);
  EXPECT_EQ(ReadPooling(Config(R"({"pooling_mode_cls_token":1})")).error().where,
            "pooling: pooling_mode_cls_token");
  EXPECT_EQ(ParsePooling("mean+").error().code, Code::kUnimplemented);
}

TEST(NormalizeVector, LeavesZeroAlone) {
  std::vector<float> vector = {3, 4};
  NormalizeVector(vector);
  EXPECT_EQ(vector, (std::vector<float>{0.6F, 0.8F}));
  std::vector<float> zero = {0, 0};
  NormalizeVector(zero);
  EXPECT_EQ(zero, (std::vector<float>{0, 0}));
}

}  // namespace
}  // namespace garrison
