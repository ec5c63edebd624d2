// What a forward pass allocates, and what it takes at most. Counts every allocation of this
// program.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>

#include "engine/encoder.h"
#include "engine/test_allocations.h"
#include "tensor/packed_weights.h"

namespace garrison {
namespace {

constexpr std::size_t kHidden = 132, kHeads = 3, kInner = 150, kWords = 50, kPositions = 64;

// A BERT of two layers with random weights.
void WriteModel(const std::filesystem::path& folder) {
  std::filesystem::create_directories(folder);
  std::vector<std::pair<std::string, std::vector<std::size_t>>> tensors = {
      {"embeddings.word_embeddings.weight", {kWords, kHidden}},
      {"embeddings.position_embeddings.weight", {kPositions, kHidden}},
      {"embeddings.token_type_embeddings.weight", {2, kHidden}},
      {"embeddings.LayerNorm.weight", {kHidden}},
      {"embeddings.LayerNorm.bias", {kHidden}}};
  for (const char* layer : {"encoder.layer.0.", "encoder.layer.1."}) {
    const auto linear = [&](const std::string& name, std::size_t columns, std::size_t inputs) {
      tensors.push_back({layer + name + ".weight", {columns, inputs}});
      tensors.push_back({layer + name + ".bias", {columns}});
    };
    for (const char* part : {"query", "key", "value"}) {
      linear(std::string("attention.self.") + part, kHidden, kHidden);
    }
    linear("attention.output.dense", kHidden, kHidden);
    linear("intermediate.dense", kInner, kHidden);
    linear("output.dense", kHidden, kInner);
    for (const char* norm : {"attention.output.LayerNorm", "output.LayerNorm"}) {
      tensors.push_back({layer + std::string(norm) + ".weight", {kHidden}});
      tensors.push_back({layer + std::string(norm) + ".bias", {kHidden}});
    }
  }
  nlohmann::ordered_json header;
  std::size_t offset = 0;
  for (const auto& [name, shape] : tensors) {
    std::size_t bytes = sizeof(float);
    for (const std::size_t size : shape) bytes *= size;
    header[name] = {{"dtype", "F32"}, {"shape", shape}, {"data_offsets", {offset, offset + bytes}}};
    offset += bytes;
  }
  const std::string text = header.dump();
  const std::uint64_t length = text.size();
  std::mt19937 engine(3);
  std::normal_distribution<float> normal(0, 0.1F);
  std::vector<float> values(offset / sizeof(float));
  for (float& value : values) value = normal(engine);
  std::ofstream file(folder / "model.safetensors", std::ios::binary);
  file.write(reinterpret_cast<const char*>(&length), sizeof length);
  file << text;
  file.write(reinterpret_cast<const char*>(values.data()), static_cast<std::streamsize>(offset));
}

EncoderSpec Spec() {
  const auto config = ModelConfig::Parse(
      R"({"model_type":"bert","hidden_size":132,"num_hidden_layers":2,"num_attention_heads":3,
          "intermediate_size":150,"vocab_size":50,"max_position_embeddings":64,"type_vocab_size":2,
          "layer_norm_eps":1e-12,"hidden_act":"gelu"})",
      "config.json");
  return ReadEncoderSpec(config.value()).value();
}

class EncoderMemory : public testing::TestWithParam<ComputeType> {
 protected:
  void SetUp() override { WriteModel(folder_); }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  const std::filesystem::path folder_ =
      std::filesystem::path(testing::TempDir()) / ("encoder_memory" + std::to_string(getpid()));
};

TEST_P(EncoderMemory, APassAllocatesNothingOnceItHasRunAndKeepsToItsBound) {
  const SafeTensors weights = SafeTensors::Open(folder_).value();
  const auto encoder =
      Encoder::Load(weights, Spec(), {.isa = DetectIsa(), .type = GetParam(), .bf16_layers = {}})
          .value();
  for (const std::size_t threads : {1UL, 3UL}) {
    WorkerTeam team(threads, 2);
    WorkerTeam* const used = threads == 1 ? nullptr : &team;
    EncoderWorkspace workspace;
    const std::vector<std::int32_t> ids(40, 7);
    for (const std::size_t length : {40UL, 3UL, 17UL}) {
      workspace.batch.Add(std::span(ids).first(length), {});
    }
    ASSERT_TRUE(encoder->Forward(workspace.batch, workspace, used));
    const std::size_t bound = encoder->WorkspaceBytes(60, 40, threads);
    EXPECT_LE(workspace.bytes(), bound);
    EXPECT_GE(workspace.bytes(), bound / 2) << "a bound that says nothing";
    const std::size_t before = Allocations();
    ASSERT_TRUE(encoder->Forward(workspace.batch, workspace, used));
    EXPECT_EQ(Allocations(), before);
  }
}

// A layer that was kept is as good as one that is packed anew.
TEST_P(EncoderMemory, KeptLayersGiveTheSameBytes) {
  const SafeTensors weights = SafeTensors::Open(folder_).value();
  const ComputeOptions options{.isa = DetectIsa(), .type = GetParam(), .bf16_layers = {}};
  PackedLayers layers;
  const auto fresh = Encoder::Load(weights, Spec(), options, &layers).value();
  ASSERT_EQ(layers.size(), 8U);
  const auto file = folder_ / "layers.packed";
  ASSERT_TRUE(WritePackedWeights(file, "key", layers));
  layers = ReadPackedWeights(file, "key", fresh->kernels().panel).value();
  const auto kept = Encoder::Load(weights, Spec(), options, &layers).value();
  EXPECT_EQ(kept->FindLinear("layer.1.down")->block().data(),
            layers.at("layer.1.down").block().data());
  const std::vector<std::int32_t> ids = {1, 2, 3, 4, 5, 6, 7};
  EncoderWorkspace a;
  EncoderWorkspace b;
  a.batch.Add(ids, {});
  ASSERT_TRUE(fresh->Forward(a.batch, a, nullptr));
  ASSERT_TRUE(kept->Forward(a.batch, b, nullptr));
  for (std::size_t i = 0; i < ids.size() * fresh->stride(); ++i) {
    ASSERT_EQ(a.hidden.data()[i], b.hidden.data()[i]) << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Types, EncoderMemory,
                         testing::Values(ComputeType::kF32, ComputeType::kBf16, ComputeType::kInt8),
                         [](const auto& type) { return std::string(ComputeTypeName(type.param)); });

}  // namespace
}  // namespace garrison
