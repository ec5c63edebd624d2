#include "wire/cohere.h"

#include "wire/test_wire.h"

namespace garrison {
namespace {

const ModelInfo kModel = {.id = "ranker"};

TEST(CohereRerank, ReadsBothClientsFields) {
  const CohereRerankCall call =
      DecodeCohereRerank(Parsed(R"({"model":"m","query":"q","documents":["a",{"text":"b","x":1}],
                                    "top_n":9,"return_documents":true,"max_tokens_per_doc":10})"))
          .value();
  EXPECT_EQ(call.model, "m");
  EXPECT_EQ(call.request.documents, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(call.top_n, 2U) << "more than there are is all";
  EXPECT_TRUE(call.return_documents);
  EXPECT_EQ(call.choice.policy, LongInput::Policy::kTruncate);
}

TEST(CohereRerank, RankFieldsChooseWhatIsRead) {
  const CohereRerankCall call =
      DecodeCohereRerank(Parsed(R"({"query":"q","rank_fields":["title","body"],
                                    "documents":[{"title":"t","body":"b","text":"no"},
                                                 {"body":"only"}]})"))
          .value();
  EXPECT_EQ(call.request.documents, (std::vector<std::string>{"t\nb", "only"}));
}

TEST(CohereRerank, NamesTheFieldAtFault) {
  ExpectRefused(DecodeCohereRerank,
                {{"7", ""},
                 {R"({"documents":["a"]})", "query"},
                 {R"({"query":"q"})", "documents"},
                 {R"({"query":"q","documents":"a"})", "documents"},
                 {R"({"query":"q","documents":[]})", "documents"},
                 {R"({"query":"q","documents":["a",3]})", "documents[1]"},
                 {R"({"query":"q","documents":[{"title":"a"}]})", "documents[0].text"},
                 {R"({"query":"q","documents":["a"],"top_n":0})", "top_n"},
                 {R"({"query":"q","documents":["a"],"top_n":"1"})", "top_n"},
                 {R"({"query":"q","documents":["a"],"rank_fields":"x"})", "rank_fields"}});
}

TEST(CohereRerank, AnswersTheBestWithTheirPlaces) {
  CohereRerankCall call =
      DecodeCohereRerank(Parsed(R"({"query":"q","documents":["a","b","c"],"top_n":2})")).value();
  const Relevance relevance{
      .logits = {-1, 3, 0}, .scores = {0.25F, 0.75F, 0.5F}, .tokens = {4, 5, 6}};
  const auto reply = Parsed(EncodeCohereRerank(call, relevance, kModel, "id-1"));
  EXPECT_EQ(reply["results"], Parsed(R"([{"index":1,"relevance_score":0.75},
                                         {"index":2,"relevance_score":0.5}])"));
  EXPECT_EQ(reply["model"], "ranker");
  EXPECT_EQ(reply["usage"]["total_tokens"], 15);
  EXPECT_EQ(reply["meta"]["tokens"]["input_tokens"], 15);
  call.return_documents = call.raw_scores = true;
  EXPECT_EQ(Parsed(EncodeCohereRerank(call, relevance, kModel, "id-1"))["results"][0],
            Parsed(R"({"index":1,"relevance_score":3.0,"document":{"text":"b"}})"));
}

TEST(Classify, AListForEachInput) {
  const ClassifyCall call = DecodeClassify(Parsed(R"({"input":["a","b"]})")).value();
  const Classifications classes{.labels = 2,
                                .logits = {0, 1, 1, 0},
                                .scores = {0.25F, 0.75F, 0.75F, 0.25F},
                                .tokens = {3, 4}};
  const std::vector<std::string> labels = {"no", "yes"};
  const auto reply = Parsed(EncodeClassify(call, classes, labels, kModel, "id-1", 77));
  EXPECT_EQ(reply["data"][0],
            Parsed(R"([{"score":0.75,"label":"yes"},{"score":0.25,"label":"no"}])"));
  EXPECT_EQ(reply["data"][1][0]["label"], "no");
  EXPECT_EQ(reply["usage"]["prompt_tokens"], 7);
  EXPECT_EQ(reply["created"], 77);
  ExpectRefused(DecodeClassify, {{"{}", "input"},
                                 {R"({"input":[]})", "input"},
                                 {R"({"input":["a",true]})", "input[1]"},
                                 {R"({"input":"a","model":1})", "model"}});
}

}  // namespace
}  // namespace garrison
