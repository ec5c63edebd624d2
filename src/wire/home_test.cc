#include "wire/home.h"

#include "wire/test_wire.h"

namespace garrison {
namespace {

using Seconds = std::chrono::duration<double>;

TEST(HomeEmbeddings, NormalisesUnlessToldOtherwise) {
  const EmbedRequest request = DecodeHomeEmbeddings(Parsed(R"({"texts":["a","b"]})")).value();
  EXPECT_EQ(request.inputs.size(), 2U);
  EXPECT_EQ(request.normalize, true);
  EXPECT_EQ(DecodeHomeEmbeddings(Parsed(R"({"texts":["a"],"normalize":false})"))->normalize, false);
  ExpectRefused(DecodeHomeEmbeddings, {{"{}", "texts"},
                                       {R"({"texts":"a"})", "texts"},
                                       {R"({"texts":[]})", "texts"},
                                       {R"({"texts":["a",null]})", "texts[1]"},
                                       {R"({"texts":["a"],"normalize":1})", "normalize"}});
  const Embeddings embeddings{.dimension = 1, .values = {1, 0.5F}, .tokens = {1, 1}};
  EXPECT_EQ(Parsed(EncodeHomeEmbeddings(embeddings, {.id = "m"}, Seconds(0.25))),
            Parsed(R"({"embeddings":[[1],[0.5]],"model_name":"m","processing_time":0.25})"));
}

TEST(HomeRerank, CandidatesComeBackAsTheyWereWithScores) {
  const HomeRerankCall call =
      DecodeHomeRerank(Parsed(R"({"query":"q","candidates":["a",{"description":"b","id":7},
                                  {"content":"c"}],"top_k":50})"))
          .value();
  EXPECT_EQ(call.request.documents, (std::vector<std::string>{"a", "b", "c"}));
  EXPECT_EQ(call.top_k, 3U) << "clamped, as with the default of 10";
  const Relevance relevance{.logits = {0, 2, 1}, .scores = {0.25F, 0.75F, 0.5F}};
  EXPECT_EQ(Parsed(EncodeHomeRerank(call, relevance, {.id = "m"}, Seconds(1)))["ranked_candidates"],
            Parsed(R"([{"description":"b","id":7,"score":0.75},{"content":"c","score":0.5},
                       {"text":"a","score":0.25}])"));
  ExpectRefused(DecodeHomeRerank,
                {{R"({"candidates":["a"]})", "query"},
                 {R"({"query":"q"})", "candidates"},
                 {R"({"query":"q","candidates":[]})", "candidates"},
                 {R"({"query":"q","candidates":["a",{"id":1}]})", "candidates[1]"},
                 {R"({"query":"q","candidates":["a",5]})", "candidates[1]"},
                 {R"({"query":"q","candidates":["a"],"top_k":0})", "top_k"}});
}

TEST(HomeInfer, ATextTextsOrAQueryWithDocuments) {
  const auto decode = [](const char* body) { return DecodeHomeInfer(Parsed(body)).value(); };
  const HomeInferCall one = decode(R"({"modelId":"m","input":"a","options":{}})");
  EXPECT_EQ(one.texts, std::vector<std::string>{"a"});
  EXPECT_TRUE(one.single);
  EXPECT_FALSE(decode(R"({"modelId":"m","input":["a"]})").single);
  const HomeInferCall pair = decode(R"({"modelId":"m","input":{"query":"q","documents":["d"]}})");
  EXPECT_EQ(pair.query, "q");
  EXPECT_EQ(pair.documents, std::vector<std::string>{"d"});
  ExpectRefused(DecodeHomeInfer,
                {{R"({"input":"a"})", "modelId"},
                 {R"({"modelId":"m"})", "input"},
                 {R"({"modelId":"m","input":[]})", "input"},
                 {R"({"modelId":"m","input":3})", "input"},
                 {R"({"modelId":"m","input":{"documents":["d"]}})", "input.query"},
                 {R"({"modelId":"m","input":{"query":"q","documents":[]}})", "input.documents"}});
}

TEST(HomeInfer, AConfidenceThatNobodyKnowsIsNull) {
  EXPECT_EQ(Parsed(EncodeHomeInfer({1, 2}, -1, Seconds(0.5))),
            Parsed(R"({"output":[1,2],"confidence":null,"latency_ms":500.0})"));
  EXPECT_EQ(Parsed(EncodeHomeInfer("yes", 0.75, Seconds(0.5)))["confidence"], 0.75);
}

TEST(HomeLoad, SaysWhetherItWasThere) {
  EXPECT_EQ(DecodeHomeLoad(Parsed(R"({"modelId":"m","huggingFaceId":"x/m"})")).value(), "m");
  EXPECT_EQ(Parsed(EncodeHomeLoad("m", true))["status"], "loaded");
  EXPECT_EQ(Parsed(EncodeHomeLoad("m", false))["status"], "already_loaded");
  ExpectRefused(DecodeHomeLoad, {{"{}", "modelId"}, {R"({"modelId":[]})", "modelId"}});
}

TEST(HomeStatus, NamesTheModelOfEachJob) {
  ModelStatus reranker;
  reranker.info.id = "r";
  reranker.reranks = true;
  reranker.state = ModelState::kUnloaded;
  ModelStatus embedder;
  embedder.info.id = "e";
  embedder.embeds = true;
  const std::vector<ModelStatus> models = {embedder, reranker};
  const auto status = Parsed(EncodeHomeStatus(models, "/models"));
  EXPECT_EQ(status["embedding_model"], "e");
  EXPECT_EQ(status["embedding_loaded"], true);
  EXPECT_EQ(status["reranker_model"], "r");
  EXPECT_EQ(status["reranker_loaded"], false);
  EXPECT_EQ(status["classifier_model"], nullptr);
  EXPECT_EQ(status["models_dir"], "/models");
}

}  // namespace
}  // namespace garrison
