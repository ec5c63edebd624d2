#include "engine/models.h"

#include <gtest/gtest.h>

namespace garrison {
namespace {

TEST(LocalModels, TheBuiltInModelIsAlwaysThere) {
  const auto models = OpenLocalModels({}).value();
  ASSERT_EQ(models->List().size(), 1u);
  const ModelInfo info = models->List()[0].info;
  EXPECT_EQ(info.id, "builtin:lexical");
  EXPECT_LE(info.dimension, 384u);
  EXPECT_FALSE(info.revision.empty());
  EXPECT_EQ(models->FindEmbedder("").value(), models->FindEmbedder("builtin:lexical").value());
}

TEST(LocalModels, OthersAreNotFound) {
  const auto models = OpenLocalModels({}).value();
  EXPECT_EQ(models->FindEmbedder("gpt-9").error().code, Code::kNotFound);
  EXPECT_EQ(models->FindEmbedder(testing::TempDir()).error().code, Code::kNotFound);
  EngineSettings folder;
  folder.model = testing::TempDir();
  EXPECT_EQ(OpenLocalModels(folder).error().code, Code::kNotFound);  // no config.json
  EngineSettings unknown;
  unknown.model = "gpt-9";
  EXPECT_EQ(OpenLocalModels(unknown).error().code, Code::kNotFound);
}

TEST(LocalModels, TheTableIsWithinItsBound) { EXPECT_LE(BuiltinLexicalTable().size(), 8u << 20); }

}  // namespace
}  // namespace garrison
