#include "tensor/packed_weights.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <random>
#include <vector>

#include "kernels/kernels.h"

namespace garrison {
namespace {

namespace fs = std::filesystem;

class PackedWeightsTest : public testing::Test {
 protected:
  void SetUp() override {
    fs::remove_all(folder_);
    fs::create_directories(folder_);
    std::mt19937 engine(1);
    std::normal_distribution<float> normal;
    for (const auto& [name, type] : {std::pair{"layer.0.up", ComputeType::kInt8},
                                     std::pair{"layer.0.down", ComputeType::kBf16},
                                     std::pair{"layer.10.up", ComputeType::kF32}}) {
      std::vector<float> weights(37 * 130);
      std::vector<float> bias(37);
      for (float& weight : weights) weight = normal(engine);
      for (float& one : bias) one = normal(engine);
      layers_[name] = PackedLinear::Pack(kernels_, type, weights, bias, 37, 130).value();
    }
    EXPECT_TRUE(WritePackedWeights(file_, "key", layers_));
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::string Content() const {
    std::ifstream file(file_, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  // The code of the refusal, or kOk.
  std::string Refusal(const std::string& content) const {
    // As an update does it: the mapped one must stay as it is.
    std::ofstream(folder_ / "new", std::ios::binary) << content;
    fs::rename(folder_ / "new", file_);
    const auto read = ReadPackedWeights(file_, "key", kernels_.panel);
    return read ? "" : std::string(CodeName(read.error().code));
  }

  const fs::path folder_ =
      fs::path(testing::TempDir()) / testing::UnitTest::GetInstance()->current_test_info()->name();
  const fs::path file_ = folder_ / "weights.packed";
  const Kernels& kernels_ = KernelsFor(Isa::kBaseline);
  PackedLayers layers_;
};

TEST_F(PackedWeightsTest, ReadsWhatWasWritten) {
  const PackedLayers read = ReadPackedWeights(file_, "key", kernels_.panel).value();
  ASSERT_EQ(read.size(), layers_.size());
  for (const auto& [name, layer] : layers_) {
    const PackedLinear& other = read.at(name);
    EXPECT_EQ(other.type(), layer.type());
    EXPECT_EQ(other.columns(), 37U);
    EXPECT_EQ(other.inputs(), 130U);
    EXPECT_TRUE(std::ranges::equal(other.block(), layer.block())) << name;
    EXPECT_NE(other.block().data(), layer.block().data());
    EXPECT_EQ(other.bias()[36], layer.bias()[36]);
    EXPECT_EQ(other.scales() == nullptr, layer.scales() == nullptr);
  }
}

TEST_F(PackedWeightsTest, LayersOutliveTheFile) {
  const PackedLinear layer =
      ReadPackedWeights(file_, "key", kernels_.panel).value().at("layer.0.up");
  fs::remove(file_);
  EXPECT_TRUE(std::ranges::equal(layer.block(), layers_.at("layer.0.up").block()));
}

TEST_F(PackedWeightsTest, OtherKeysAndLayoutsAreRefused) {
  EXPECT_EQ(ReadPackedWeights(file_, "other", kernels_.panel).error().code, Code::kDataLoss);
  PanelLayout wider = kernels_.panel;
  wider.columns *= 2;
  EXPECT_FALSE(ReadPackedWeights(file_, "key", wider).has_value());
  EXPECT_EQ(ReadPackedWeights(folder_ / "none", "key", kernels_.panel).error().code,
            Code::kNotFound);
}

TEST_F(PackedWeightsTest, NoDamageGoesUnnoticed) {
  const std::string content = Content();
  ASSERT_EQ(Refusal(content), "");
  for (std::size_t length = 0; length < content.size(); length += 1 + length / 3) {
    EXPECT_EQ(Refusal(content.substr(0, length)), "DATA_LOSS") << length;
  }
  for (std::size_t at = 0; at < content.size(); at += 1 + at / 5) {
    std::string damaged = content;
    damaged[at] = static_cast<char>(damaged[at] ^ 1);
    EXPECT_EQ(Refusal(damaged), "DATA_LOSS") << at;
  }
  EXPECT_EQ(Refusal(content + "x"), "DATA_LOSS");
}

TEST_F(PackedWeightsTest, PruningKeepsWhatWasUsedLast) {
  const auto now = fs::file_time_type::clock::now();
  const auto make = [&](const std::string& name, int minutes) {
    std::ofstream(folder_ / name) << std::string(1000, 'x');
    fs::last_write_time(folder_ / name, now - std::chrono::minutes(minutes));
  };
  make("old.packed", 9);
  make("older.packed.17.partial", 12);
  make("abandoned.packed.18.partial", 61);
  make("oldest.hash", 20);
  make("foreign.txt", 30);
  ASSERT_TRUE(ReadPackedWeights(file_, "key", kernels_.panel));
  PrunePackedWeights(folder_, fs::file_size(file_) + 2500);
  EXPECT_TRUE(fs::exists(file_));
  EXPECT_TRUE(fs::exists(folder_ / "old.packed"));
  EXPECT_TRUE(fs::exists(folder_ / "older.packed.17.partial"));
  EXPECT_FALSE(fs::exists(folder_ / "abandoned.packed.18.partial"));
  EXPECT_FALSE(fs::exists(folder_ / "oldest.hash"));
  PrunePackedWeights(folder_, 0);
  EXPECT_FALSE(fs::exists(file_));
  EXPECT_TRUE(fs::exists(folder_ / "foreign.txt"));
}

}  // namespace
}  // namespace garrison
