#include "engine/local_models.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "core/test_reranker.h"

namespace garrison {
namespace {

class LocalModelsTest : public testing::Test {
 protected:
  ModelSource Embedding(std::string id) {
    return {.id = std::move(id), .embeds = true, .open = [this]() -> Result<LocalModel> {
              ++opened_;
              if (fail_) return Fail(Code::kDataLoss, "broken");
              const auto embedder = std::make_shared<TestEmbedder>();
              return LocalModel{.info = embedder->info(), .embedder = embedder};
            }};
  }
  static ModelSource Reranking(std::string id) {
    return {.id = std::move(id),
            .reranks = true,
            .classifies = true,
            .open = []() -> Result<LocalModel> {
              const auto reranker = std::make_shared<TestReranker>();
              return LocalModel{.info = reranker->info(), .reranker = reranker};
            }};
  }

  std::atomic<int> opened_ = 0;
  std::atomic<bool> fail_ = false;
};

TEST_F(LocalModelsTest, AModelIsOpenedOnceAndWhenItIsAskedFor) {
  const LocalModels models({Reranking("r"), Embedding("e")}, {}, UnnamedModel::kFirst);
  EXPECT_EQ(models.List()[1].state, ModelState::kUnloaded);
  EXPECT_TRUE(models.List()[1].embeds);
  EXPECT_EQ(opened_, 0);
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] { EXPECT_TRUE(models.FindEmbedder("e")); });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(opened_, 1);
  EXPECT_EQ(models.List()[1].state, ModelState::kLoaded);
  EXPECT_EQ(models.List()[1].info.id, "e");
  EXPECT_EQ(models.List()[0].state, ModelState::kUnloaded);
  EXPECT_EQ(models.Load("e"), false);
  EXPECT_EQ(models.Load("r"), true);
}

TEST_F(LocalModelsTest, WhatAnUnnamedModelIs) {
  const LocalModels strict({Reranking("r"), Embedding("e")}, {}, UnnamedModel::kFirst);
  EXPECT_EQ(strict.FindEmbedder("").error().code, Code::kFailedPrecondition);
  EXPECT_TRUE(strict.FindReranker(""));
  const LocalModels able({Reranking("r"), Embedding("e")}, {}, UnnamedModel::kFirstAble);
  EXPECT_TRUE(able.FindEmbedder(""));
  EXPECT_TRUE(able.FindReranker(""));
  const LocalModels none({Embedding("e")}, {}, UnnamedModel::kFirstAble);
  const auto missing = none.FindReranker("");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, Code::kFailedPrecondition);
  EXPECT_NE(missing.error().message.find("does not rerank; it embeds"), std::string::npos);
}

TEST_F(LocalModelsTest, AliasesAndUnknownNames) {
  const LocalModels models({Embedding("e")}, {{"other", "e"}}, UnnamedModel::kFirst);
  EXPECT_TRUE(models.FindEmbedder("other"));
  EXPECT_EQ(models.List()[0].aliases, std::vector<std::string>{"other"});
  EXPECT_EQ(models.FindEmbedder("third").error().code, Code::kNotFound);
  EXPECT_EQ(models.Load("third").error().code, Code::kNotFound);
}

TEST_F(LocalModelsTest, AFailureIsShownNotRepeatedAtOnceAndNotForEver) {
  const LocalModels models({Embedding("e")}, {}, UnnamedModel::kFirst);
  fail_ = true;
  EXPECT_EQ(models.FindEmbedder("e").error().code, Code::kDataLoss);
  EXPECT_EQ(models.FindEmbedder("e").error().code, Code::kDataLoss);
  EXPECT_EQ(opened_, 1) << "every request would read the broken files again";
  EXPECT_EQ(models.List()[0].state, ModelState::kFailed);
  EXPECT_NE(models.List()[0].error.find("broken"), std::string::npos);
  fail_ = false;
  EXPECT_EQ(models.Load("e"), true);
  EXPECT_TRUE(models.FindEmbedder("e"));
  EXPECT_EQ(models.List()[0].error, "");
}

}  // namespace
}  // namespace garrison
