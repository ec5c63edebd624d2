// garrison compare and garrison adapter train, on models of this machine.
#include "cli/test_cli.h"
#include "core/test_embedder.h"

namespace garrison {
namespace {

class CompareTest : public CliTest {
 protected:
  std::string Texts(std::size_t count) {
    const char* words[] = {"cat",   "dog",   "house", "river", "bank",
                           "money", "quick", "blue",  "jump"};
    std::string lines;
    std::uint32_t state = 1;
    for (std::size_t i = 0; i < count; ++i) {
      std::string text;
      for (int k = 0; k < 6; ++k) {
        state = state * 1664525 + 1013904223;
        text += std::string(words[state >> 16 & 7]) +
                words[(state >> 20 & 7) + (state >> 30 == 3)] + " ";
      }
      lines += text + "\n";
    }
    return File("texts.txt", lines);
  }
};

TEST_F(CompareTest, AModelAgreesWithItself) {
  const Outcome run = Run({"compare", "--a", "builtin:lexical", "--b", "builtin:lexical",
                           "--input-format", "text", "--input", Texts(50)});
  ASSERT_EQ(run.code, 0) << run.err;
  const auto report = Lines(run.out).at(0);
  EXPECT_EQ(report["texts"], 50);
  EXPECT_EQ(report["a"]["id"], "builtin:lexical");
  EXPECT_EQ(report["a"]["dimension"], 384);
  EXPECT_NEAR(report["cosine"]["min"].get<double>(), 1, 1e-6);
  EXPECT_EQ(report["spearman"], 1);
  EXPECT_EQ(report["knn_overlap"], 1);
  EXPECT_FALSE(report["a"].contains("cost_usd"));
}

TEST_F(CompareTest, SpacesOfDifferentDimensionAreComparedByRank) {
  open_models_ = [](const EngineSettings& engine) -> Result<std::unique_ptr<ModelCatalog>> {
    if (engine.model != "letters") return OpenLocalModels(engine);
    return std::unique_ptr<ModelCatalog>(std::make_unique<TestCatalog>());
  };
  const Outcome run = Run({"compare", "--a", "builtin:lexical", "--b", "letters", "--input-format",
                           "text", "--input", Texts(60)});
  ASSERT_EQ(run.code, 0) << run.err;
  const auto report = Lines(run.out).at(0);
  EXPECT_TRUE(report["cosine"].is_null());
  EXPECT_EQ(report["b"]["dimension"], 26);
  EXPECT_GT(report["spearman"].get<double>(), 0.2);
  EXPECT_LT(report["spearman"].get<double>(), 0.99);
}

TEST_F(CompareTest, AnAdapterIsTrainedOrRefused) {
  open_models_ = [](const EngineSettings& engine) -> Result<std::unique_ptr<ModelCatalog>> {
    if (engine.model != "letters") return OpenLocalModels(engine);
    return std::unique_ptr<ModelCatalog>(std::make_unique<TestCatalog>());
  };
  const std::string texts = Texts(400);
  const Outcome good =
      Run({"adapter", "train", "--from", "builtin:lexical", "--to", "letters", "--input-format",
           "text", "--input", texts, "--output", Path("a.json")});
  ASSERT_EQ(good.code, 0) << good.err;
  EXPECT_GT(Lines(good.out).at(0)["explained"].get<double>(), 0.7);
  EXPECT_EQ(nlohmann::json::parse(Read(Path("a.json")))["to"]["id"], "test:letters");
  const Outcome few =
      Run({"adapter", "train", "--from", "builtin:lexical", "--to", "letters", "--input-format",
           "text", "--input", Texts(20), "--output", Path("b.json")});
  EXPECT_EQ(few.code, 1);
  EXPECT_NE(few.err.find("at least 100 texts"), std::string::npos) << few.err;
  const Outcome poor =
      Run({"adapter", "train", "--from", "builtin:lexical", "--to", "letters", "--input-format",
           "text", "--input", Texts(400), "--output", Path("b.json"), "--min-explained", "1"});
  EXPECT_EQ(poor.code, 1);
  EXPECT_NE(poor.err.find("too poor"), std::string::npos) << poor.err;
  EXPECT_FALSE(std::filesystem::exists(Path("b.json")));
}

TEST_F(CompareTest, VendorsNeedTheirSettings) {
  const Outcome run = Run({"embed", "--model", "openai/text-embedding-3-small", "hello"});
  EXPECT_EQ(run.code, 1);
  EXPECT_NE(run.err.find("openai.api_key"), std::string::npos) << run.err;
  const Outcome guard = Run({"compare", "--a", "openai", "--b", "builtin:lexical", "hello"});
  EXPECT_NE(guard.err.find("openai.api_key"), std::string::npos) << guard.err;
}

}  // namespace
}  // namespace garrison
