#include "wire/tei.h"

#include "wire/test_wire.h"

namespace garrison {
namespace {

constexpr Code kEmpty = Code::kOutOfRange;

TEST(TeiEmbed, ReadsAllFields) {
  const TeiEmbedCall call =
      DecodeTeiEmbed(Parsed(R"({"inputs":["a",[1,2]],"truncate":true,"truncation_direction":"Left",
                                "prompt_name":"query","normalize":false,"dimensions":7,"new":{}})"))
          .value();
  EXPECT_EQ(std::get<std::string>(call.request.inputs.at(0)), "a");
  EXPECT_EQ(std::get<TokenIds>(call.request.inputs.at(1)).ids, (std::vector<std::int32_t>{1, 2}));
  EXPECT_EQ(call.choice.policy, LongInput::Policy::kTruncate);
  EXPECT_EQ(call.choice.side, LongInput::Side::kLeft);
  EXPECT_EQ(call.request.prompt, "query");
  EXPECT_EQ(call.request.normalize, false);
  EXPECT_EQ(call.request.dimensions, 7U);
  EXPECT_TRUE(call.batch);
}

TEST(TeiEmbed, WhatIsNotSaidIsThatServersDefault) {
  const TeiEmbedCall call = DecodeTeiEmbed(Parsed(R"({"inputs":"a","truncate":null})")).value();
  EXPECT_FALSE(call.choice.policy || call.choice.side || call.request.dimensions || call.batch);
  EXPECT_EQ(call.request.normalize, true);
  EXPECT_EQ(DecodeTeiEmbed(Parsed(R"({"inputs":"a","truncate":false})"))->choice.policy,
            LongInput::Policy::kError);
}

TEST(TeiEmbed, NamesTheFieldAtFault) {
  ExpectRefused(DecodeTeiEmbed,
                {{"[]", ""},
                 {"{}", "inputs"},
                 {R"({"inputs":[]})", "inputs", kEmpty},
                 {R"({"inputs":["a",""]})", "inputs[1]", kEmpty},
                 {R"({"inputs":[{}]})", "inputs[0]"},
                 {R"({"inputs":"a","truncate":1})", "truncate"},
                 {R"({"inputs":"a","truncation_direction":"up"})", "truncation_direction"},
                 {R"({"inputs":"a","normalize":"yes"})", "normalize"},
                 {R"({"inputs":"a","dimensions":0})", "dimensions"}});
}

TEST(TeiEmbed, WritesRowsAlone) {
  Embeddings embeddings{.dimension = 2, .values = {1, 0.5F, -2, 0.1F}, .tokens = {3, 4}};
  EXPECT_EQ(EncodeTeiEmbed(embeddings), "[[1,0.5],[-2,0.1]]");
  TokenVectors vectors{.dimension = 1, .values = {1, 2, 3}, .tokens = {2, 1}};
  EXPECT_EQ(EncodeTeiEmbedAll(vectors), "[[[1],[2]],[[3]]]");
}

TEST(TeiRerank, BestFirstWithTheScoresAskedFor) {
  TeiRerankCall call = DecodeTeiRerank(Parsed(R"({"query":"q","texts":["a","b","c"]})")).value();
  const Relevance relevance{.logits = {-1, 3, -1}, .scores = {0.25F, 0.75F, 0.25F}};
  EXPECT_EQ(EncodeTeiRerank(call, relevance),
            R"([{"index":1,"score":0.75},{"index":0,"score":0.25},{"index":2,"score":0.25}])");
  call.raw_scores = call.return_text = true;
  EXPECT_EQ(Parsed(EncodeTeiRerank(call, relevance))[0],
            Parsed(R"({"index":1,"text":"b","score":3.0})"));
  ExpectRefused(DecodeTeiRerank, {{R"({"texts":["a"]})", "query"},
                                  {R"({"query":"","texts":["a"]})", "query", kEmpty},
                                  {R"({"query":"q"})", "texts"},
                                  {R"({"query":"q","texts":[]})", "texts", kEmpty},
                                  {R"({"query":"q","texts":["a",1]})", "texts[1]"},
                                  {R"({"query":"q","texts":["a"],"raw_scores":1})", "raw_scores"}});
}

TEST(TeiPredict, TellsATextAPairAndABatchApart) {
  const auto decode = [](const char* body) { return DecodeTeiPredict(Parsed(body)).value(); };
  EXPECT_EQ(std::get<std::string>(decode(R"({"inputs":"a"})").inputs.at(0)), "a");
  const TeiPredictCall pair = decode(R"({"inputs":["a","b"]})");
  ASSERT_EQ(pair.inputs.size(), 1U);
  EXPECT_EQ(std::get<TextPair>(pair.inputs[0]).text_pair, "b");
  EXPECT_FALSE(pair.batch);
  const TeiPredictCall batch = decode(R"({"inputs":[["a"],["b","c"]]})");
  ASSERT_EQ(batch.inputs.size(), 2U);
  EXPECT_EQ(std::get<std::string>(batch.inputs[0]), "a");
  EXPECT_EQ(std::get<TextPair>(batch.inputs[1]).text, "b");
  EXPECT_TRUE(batch.batch);
  ExpectRefused(DecodeTeiPredict, {{"{}", "inputs"},
                                   {R"({"inputs":[]})", "inputs", kEmpty},
                                   {R"({"inputs":["a","b","c"]})", "inputs"},
                                   {R"({"inputs":[["a"],[1]]})", "inputs[1][0]"},
                                   {R"({"inputs":[["a"],[]]})", "inputs[1]"},
                                   {R"({"inputs":[["a"],7]})", "inputs[1]"},
                                   {R"({"inputs":{"text":"a"}})", "inputs"}});
}

TEST(TeiPredict, ABatchIsAListOfLists) {
  const std::vector<std::string> labels = {"no", "yes"};
  const Classifications classes{.labels = 2, .logits = {1, 3}, .scores = {0.25F, 0.75F}};
  TeiPredictCall call{.inputs = {SequenceInput("a")}};
  const std::string one = R"([{"score":0.75,"label":"yes"},{"score":0.25,"label":"no"}])";
  EXPECT_EQ(EncodeTeiPredict(call, classes, labels), one);
  call.batch = true;
  EXPECT_EQ(EncodeTeiPredict(call, classes, labels), "[" + one + "]");
  call.raw_scores = true;
  EXPECT_EQ(Parsed(EncodeTeiPredict(call, classes, labels))[0][0]["score"], 3);
}

TEST(TeiSimilarity, OptionsLieInParameters) {
  const TeiSimilarityCall call =
      DecodeTeiSimilarity(Parsed(R"({"inputs":{"source_sentence":"s","sentences":["a","b"]},
                                     "parameters":{"truncate":true,"prompt_name":"p"}})"))
          .value();
  EXPECT_EQ(call.source, "s");
  EXPECT_EQ(call.sentences, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(call.choice.policy, LongInput::Policy::kTruncate);
  EXPECT_EQ(call.prompt, "p");
  EXPECT_EQ(EncodeTeiSimilarity(std::vector<float>{1, -0.5F}), "[1,-0.5]");
  ExpectRefused(
      DecodeTeiSimilarity,
      {{"{}", "inputs"},
       {R"({"inputs":"a"})", "inputs"},
       {R"({"inputs":{"sentences":["a"]}})", "inputs.source_sentence"},
       {R"({"inputs":{"source_sentence":"s","sentences":[]}})", "inputs.sentences", kEmpty},
       {R"({"inputs":{"source_sentence":"s","sentences":["a"]},"parameters":[]})", "parameters"}});
}

TEST(TeiTokenize, SpecialTokensHaveNoPlaceInTheText) {
  const TeiTokenizeCall call =
      DecodeTeiTokenize(
          Parsed(R"({"inputs":["a","b"],"add_special_tokens":false,"prompt_name":"p"})"))
          .value();
  EXPECT_EQ(call.texts.size(), 2U);
  EXPECT_EQ(call.prompt, "p");
  EXPECT_FALSE(call.add_special_tokens);
  const std::vector<std::vector<TextToken>> tokens = {
      {{101, "[CLS]", true, std::nullopt}, {7, "hé", false, std::pair(0U, 2U)}}};
  EXPECT_EQ(Parsed(EncodeTeiTokenize(tokens)),
            Parsed(R"([[{"id":101,"text":"[CLS]","special":true,"start":null,"stop":null},
                        {"id":7,"text":"hé","special":false,"start":0,"stop":2}]])"));
  ExpectRefused(DecodeTeiTokenize, {{"{}", "inputs"},
                                    {R"({"inputs":[]})", "inputs", kEmpty},
                                    {R"({"inputs":[1]})", "inputs[0]"}});
}

TEST(TeiDecode, OneListOrMany) {
  const auto decode = [](const char* body) { return DecodeTeiDecode(Parsed(body)).value(); };
  EXPECT_EQ(decode(R"({"ids":[1,2]})").ids, (std::vector<std::vector<std::int32_t>>{{1, 2}}));
  const TeiDecodeCall many = decode(R"({"ids":[[1],[2]],"skip_special_tokens":false})");
  EXPECT_EQ(many.ids, (std::vector<std::vector<std::int32_t>>{{1}, {2}}));
  EXPECT_FALSE(many.skip_special_tokens);
  ExpectRefused(DecodeTeiDecode, {{"{}", "ids"},
                                  {R"({"ids":"1"})", "ids"},
                                  {R"({"ids":[]})", "ids", kEmpty},
                                  {R"({"ids":[[1],[]]})", "ids[1]", kEmpty},
                                  {R"({"ids":[1,-1.5]})", "ids[1]"},
                                  {R"({"ids":[1,99999999999]})", "ids[1]"}});
}

}  // namespace
}  // namespace garrison
