// garrison models verify.
#include <cmath>
#include <memory>

#include "cli/test_cli.h"
#include "core/test_reranker.h"

namespace garrison {
namespace {

// In "int8" its vectors lean towards one axis, the more the greater `lean` is. Reads texts or not.
class LeaningEmbedder final : public Embedder {
 public:
  LeaningEmbedder(float lean, bool texts) : lean_(lean), texts_(texts) {}
  const ModelInfo& info() const override { return info_; }

  Result<Embeddings> Embed(const EmbedRequest& request, const RequestContext&) const override {
    Embeddings out;
    out.dimension = 64;
    for (const EmbedInput& input : request.inputs) {
      std::vector<float> row(64, 0.01F);
      if (const auto* text = std::get_if<std::string>(&input)) {
        if (!texts_) return Fail(Code::kFailedPrecondition, "there is no tokenizer.json");
        for (const char c : *text) row[static_cast<unsigned char>(c) % 64] += 1;
      } else {
        for (const std::int32_t id : std::get<TokenIds>(input).ids) {
          row[static_cast<std::size_t>(id) % 64] += 1;
        }
      }
      float squares = 0;
      for (const float x : row) squares += x * x;
      row[0] += lean_ * std::sqrt(squares);
      squares = 0;
      for (const float x : row) squares += x * x;
      for (const float x : row) out.values.push_back(x / std::sqrt(squares));
      out.tokens.push_back(1);
    }
    out.total_tokens = out.tokens;
    return out;
  }

 private:
  const float lean_;
  const bool texts_;
  const ModelInfo info_{.id = "test:leaning", .revision = "r1", .dimension = 64};
};

class VerifyTest : public CliTest {
 protected:
  void Use(float lean, bool texts) {
    open_models_ = [=](const EngineSettings& engine) -> Result<std::unique_ptr<ModelCatalog>> {
      return std::make_unique<TestModels>(std::shared_ptr<const Embedder>(
          std::make_shared<LeaningEmbedder>(engine.dtype == "f32" ? 0.0F : lean, texts)));
    };
  }
};

TEST_F(VerifyTest, AFaithfulModelPasses) {
  Use(0, true);
  const Outcome outcome = Run({"models", "verify", "m", "--json"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const auto report = nlohmann::json::parse(outcome.out);
  EXPECT_EQ(report["inputs"], 60);
  EXPECT_EQ(report["random_ids"], false);
  EXPECT_EQ(report["floor"], 0.997);
  EXPECT_EQ(report["passed"], true);
  EXPECT_EQ(report["knn_overlap_10"], 1.0);
  EXPECT_EQ(report["spearman"], 1.0);
  EXPECT_FALSE(report.contains("layers"));
  const Outcome table = Run({"models", "verify", "m", "--dtype", "bf16"});
  EXPECT_NE(table.out.find("cosine_min             0.999999"), std::string::npos) << table.out;
  EXPECT_NE(table.out.find("floor                  0.999500"), std::string::npos) << table.out;
}

TEST_F(VerifyTest, BelowTheFloorIsAFailureThatNamesTheFigure) {
  Use(0.3F, true);
  const Outcome outcome = Run({"models", "verify", "m", "--json"});
  EXPECT_EQ(outcome.code, 1);
  EXPECT_NE(outcome.err.find("FAILED_PRECONDITION"), std::string::npos) << outcome.err;
  const auto report = nlohmann::json::parse(outcome.out);
  EXPECT_EQ(report["passed"], false);
  EXPECT_LE(report["cosine_min"].get<double>(), report["cosine_p1"].get<double>());
  EXPECT_LE(report["cosine_p1"].get<double>(), report["cosine_mean"].get<double>());
  EXPECT_EQ(Run({"models", "verify", "m", "--floor", "0.5"}).code, 0);
  EXPECT_EQ(Run({"models", "verify", "m", "--floor", "2"}).code, 2);
  EXPECT_EQ(Run({"models", "verify"}).code, 2);
}

TEST_F(VerifyTest, WithoutATokenizerItDrawsIds) {
  Use(0, false);
  const Outcome outcome = Run({"models", "verify", "m"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_NE(outcome.out.find("random token ids"), std::string::npos) << outcome.out;
}

TEST_F(VerifyTest, ReadsLinesOfItsOwn) {
  Use(0, true);
  const std::string lines = File("mine.jsonl", "{\"text\":\"mine\"}\n{\"ids\":[1,2]}\n");
  EXPECT_EQ(nlohmann::json::parse(
                Run({"models", "verify", "m", "--json", "--input", lines}).out)["inputs"],
            62);
  EXPECT_EQ(Run({"models", "verify", "m", "--input", File("bad", "nonsense\n")}).code, 1);
}

TEST_F(VerifyTest, ScoresOfTheOtherHeads) {
  open_models_ = [](const EngineSettings&) -> Result<std::unique_ptr<ModelCatalog>> {
    return std::make_unique<TestModels>(
        std::shared_ptr<const Classifier>(std::make_shared<TestClassifier>()));
  };
  // Some of the built-in texts have no letters, which this classifier refuses.
  EXPECT_EQ(Run({"models", "verify", "m"}).code, 1);
  open_models_ = nullptr;
  const Outcome lexical = Run({"models", "verify", "builtin:lexical", "--json"});
  EXPECT_EQ(lexical.code, 0) << lexical.err;
}

}  // namespace
}  // namespace garrison
