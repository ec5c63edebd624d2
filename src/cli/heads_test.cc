// garrison rerank, garrison classify.
#include <memory>

#include "cli/test_cli.h"
#include "core/test_reranker.h"

namespace garrison {
namespace {

class HeadsTest : public CliTest {
 protected:
  template <typename Port, typename Model>
  void Use(Model model) {
    auto shared = std::make_shared<const Model>(std::move(model));
    open_models_ = [shared](const EngineSettings&) -> Result<std::unique_ptr<ModelCatalog>> {
      return std::make_unique<TestModels>(std::shared_ptr<const Port>(shared));
    };
  }
};

TEST_F(HeadsTest, RerankSortsTheDocumentsOfAQuery) {
  Use<Reranker>(TestReranker());
  const Outcome outcome =
      Run({"rerank", "--raw", "--query", "abc", "xyz", "aabb", "cab", "bca", "a"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(outcome.out,
            "{\"index\":1,\"score\":1,\"tokens\":4}\n{\"index\":2,\"score\":0,\"tokens\":3}\n"
            "{\"index\":3,\"score\":0,\"tokens\":3}\n{\"index\":4,\"score\":-2,\"tokens\":1}\n"
            "{\"index\":0,\"score\":-3,\"tokens\":3}\n");
  EXPECT_EQ(outcome.err, "");
  const auto best = Lines(Run({"rerank", "--query", "abc", "--top-n", "1", "--return-documents",
                               "--input", File("docs.txt", "x\nabc\n"), "--input-format", "text"})
                              .out);
  ASSERT_EQ(best.size(), 1u);
  EXPECT_EQ(best[0],
            nlohmann::json::parse(R"({"index":1,"score":0.5,"tokens":3,"document":"abc"})"));
}

TEST_F(HeadsTest, RerankTakesLinesWithQueriesAndPairs) {
  Use<Reranker>(TestReranker());
  const auto lines = Lines(Run({"rerank", "--raw", "--input", "-"},
                               R"({"text":"ab","text_pair":"aaaa"}
{"query":"ab","documents":["x","ab"]}

{"query":"ab","texts":["ab"]}
{"ids":[1,2,3],"type_ids":[0,0,1]}
{"text":"ab","text_pair":"b"}
)")
                               .out);
  ASSERT_EQ(lines.size(), 5u);
  EXPECT_EQ(lines[0], nlohmann::json::parse(R"({"index":0,"score":1,"tokens":4})"));
  EXPECT_EQ(lines[1], nlohmann::json::parse(R"({"index":1,"results":[
      {"index":1,"score":-1,"tokens":2},{"index":0,"score":-3,"tokens":1}]})"));
  EXPECT_EQ(lines[2]["results"].size(), 1u);
  EXPECT_EQ(lines[3], nlohmann::json::parse(R"({"index":3,"score":3,"tokens":3})"));
  EXPECT_EQ(lines[4]["index"], 4);
}

TEST_F(HeadsTest, RerankSaysWhatIsMissing) {
  Use<Reranker>(TestReranker());
  EXPECT_EQ(Run({"rerank", "a", "b"}).code, 2);
  EXPECT_EQ(Run({"rerank", "--query", "a", "--top-n", "0", "b"}).code, 2);
  const Outcome single = Run({"rerank", "--input", "-"}, "{\"text\":\"alone\"}\n");
  EXPECT_EQ(single.code, 1);
  EXPECT_NE(single.err.find("line 1"), std::string::npos) << single.err;
  const Outcome document = Run({"rerank", "--query", "a", "b", "123"});
  EXPECT_NE(document.err.find("text 2"), std::string::npos) << document.err;
  const Outcome inner =
      Run({"rerank", "--input", "-"}, "\n{\"query\":\"a\",\"documents\":[\"b\",\"1\"]}\n");
  EXPECT_NE(inner.err.find("line 2: documents[1]"), std::string::npos) << inner.err;
  open_models_ = nullptr;
  EXPECT_NE(Run({"rerank", "--query", "a", "b"}).err.find("FAILED_PRECONDITION"),
            std::string::npos);
}

TEST_F(HeadsTest, RerankKeepsGoing) {
  Use<Reranker>(TestReranker());
  const std::string errors = Path("errors.jsonl");
  const Outcome outcome = Run({"rerank", "--raw", "--errors", errors, "--input", "-"},
                              R"({"text":"a","text_pair":"1"}
{"text":"ab","text_pair":"ab"}
{"query":"ab","documents":["1"]}
nonsense
{"text":"ab","text_pair":"b"}
)");
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  const auto lines = Lines(outcome.out);
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[0]["index"], 1);
  EXPECT_EQ(lines[1]["index"], 4);
  const auto bad = Lines(Read(errors));
  ASSERT_EQ(bad.size(), 3u);
  EXPECT_EQ(bad[0]["line"], 1);
  EXPECT_EQ(bad[1]["line"], 3);
  EXPECT_EQ(bad[1]["error"]["where"], "documents[0]");
  EXPECT_EQ(bad[2]["line"], 4);
  EXPECT_NE(outcome.err.find("3 bad inputs"), std::string::npos) << outcome.err;
}

TEST_F(HeadsTest, LongInputsAreRefusedOrReported) {
  Use<Reranker>(TestReranker());
  const std::string text = std::string(30, 'x') + std::string(20, 'a');
  EXPECT_EQ(Run({"rerank", "--query", "a", text}).code, 1);
  const Outcome right = Run({"rerank", "--raw", "--long-input", "truncate", "--query", "a", text});
  EXPECT_EQ(Lines(right.out).at(0),
            nlohmann::json::parse(
                R"({"index":0,"score":7,"tokens":40,"total_tokens":50,"truncated":true})"));
  EXPECT_NE(right.err.find("1 inputs were truncated"), std::string::npos) << right.err;
  const Outcome left = Run({"rerank", "--raw", "--long-input", "truncate", "--truncation-side",
                            "left", "--query", "a", text});
  EXPECT_EQ(Lines(left.out).at(0)["score"], 17);
  EXPECT_EQ(Run({"rerank", "--long-input", "maybe", "--query", "a", text}).code, 2);
}

TEST_F(HeadsTest, ClassifySortsItsScores) {
  Use<Classifier>(TestClassifier());
  const Outcome raw = Run({"classify", "--raw", "--input", "-"},
                          R"({"text":"bbac"}
{"text":"cc","text_pair":"a"}
{"ids":[2,7]}
)");
  ASSERT_EQ(raw.code, 0) << raw.err;
  EXPECT_EQ(raw.out,
            R"({"index":0,"tokens":4,"label":"b","score":2,"scores":{"b":2,"a":1,"\"c\"":1}}
{"index":1,"tokens":3,"label":"\"c\"","score":2,"scores":{"\"c\"":2,"a":1,"b":0}}
{"index":2,"tokens":2,"label":"\"c\"","score":1,"scores":{"\"c\"":1,"a":0,"b":0}}
)");
  const auto scores = Lines(Run({"classify", "bb"}).out).at(0);
  EXPECT_EQ(scores["label"], "b");
  EXPECT_NEAR(scores["score"].get<double>(), 0.787, 0.001);
  Use<Classifier>(TestClassifier(true));
  const auto many = Lines(Run({"classify", "bb"}).out).at(0);
  EXPECT_NEAR(many["score"].get<double>(), 0.881, 0.001);
  EXPECT_EQ(many["scores"]["a"], 0.5);
}

TEST_F(HeadsTest, ClassifyNamesBadLinesOrKeepsGoing) {
  Use<Classifier>(TestClassifier());
  const std::string input = "{\"text\":\"a\"}\n{\"text\":\"1\"}\n{\"ids\":[1],\"ids_pair\":[1]}\n";
  const Outcome stopped = Run({"classify", "--input", "-"}, input);
  EXPECT_EQ(stopped.code, 1);
  EXPECT_EQ(Lines(stopped.out).size(), 1u);
  EXPECT_NE(stopped.err.find("line 2"), std::string::npos) << stopped.err;
  const std::string errors = Path("errors.jsonl");
  EXPECT_EQ(Run({"classify", "--input", "-", "--errors", errors}, input).code, 0);
  const auto bad = Lines(Read(errors));
  ASSERT_EQ(bad.size(), 2u);
  EXPECT_EQ(bad[1]["error"]["where"], "ids_pair");
  EXPECT_EQ(bad[1]["error"]["code"], "INVALID_ARGUMENT");
}

}  // namespace
}  // namespace garrison
