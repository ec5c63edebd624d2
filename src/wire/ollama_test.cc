#include "wire/ollama.h"

#include "wire/test_wire.h"

namespace garrison {
namespace {

const Embeddings kEmbeddings = {
    .dimension = 2, .values = {1, 0.5F, 0, -1}, .tokens = {3, 4}, .total_tokens = {3, 9}};

ModelStatus Loaded() {
  ModelStatus model;
  model.info = {.id = "m",
                .revision = "abc",
                .dimension = 384,
                .max_tokens = 512,
                .compute = "cpu-int8-avx2",
                .family = "bert",
                .file_bytes = 9};
  model.embeds = true;
  return model;
}

TEST(OllamaEmbed, TruncatesUnlessToldOtherwise) {
  const auto decode = [](const char* body) { return DecodeOllamaEmbed(Parsed(body)).value(); };
  const OllamaEmbedCall plain = decode(R"({"model":"m:latest","input":"a","options":{"x":1}})");
  EXPECT_EQ(plain.model, "m");
  EXPECT_EQ(plain.choice.policy, LongInput::Policy::kTruncate);
  EXPECT_EQ(plain.request.normalize, true);
  EXPECT_EQ(decode(R"({"model":"m","input":["a"],"truncate":false})").choice.policy,
            LongInput::Policy::kError);
  EXPECT_EQ(decode(R"({"model":"m","input":["a"],"dimensions":5})").request.dimensions, 5U);
  ExpectRefused(DecodeOllamaEmbed,
                {{"null", ""},
                 {R"({"input":"a"})", "model"},
                 {R"({"model":"m"})", "input"},
                 {R"({"model":"m","input":[]})", "input"},
                 {R"({"model":"m","input":"a","truncate":"no"})", "truncate"},
                 {R"({"model":"m","input":"a","dimensions":-1})", "dimensions"}});
}

TEST(OllamaEmbed, CountsTimeInNanoseconds) {
  const auto reply = Parsed(EncodeOllamaEmbed(kEmbeddings, "m", std::chrono::nanoseconds(12'345)));
  EXPECT_EQ(reply["embeddings"], Parsed("[[1,0.5],[0,-1]]"));
  EXPECT_EQ(reply["total_duration"], 12'345);
  EXPECT_EQ(reply["prompt_eval_count"], 7);
}

TEST(OllamaEmbeddings, TheOlderRouteHasOnePrompt) {
  const OllamaEmbedCall call =
      DecodeOllamaEmbeddings(Parsed(R"({"model":"m","prompt":"a"})")).value();
  EXPECT_EQ(std::get<std::string>(call.request.inputs.at(0)), "a");
  EXPECT_EQ(EncodeOllamaEmbeddings(kEmbeddings), R"({"embedding":[1,0.5]})");
  ExpectRefused(DecodeOllamaEmbeddings, {{R"({"prompt":"a"})", "model"},
                                         {R"({"model":"m"})", "prompt"},
                                         {R"({"model":"m","prompt":["a"]})", "prompt"}});
}

TEST(OllamaShow, TakesTheOldNameOfTheField) {
  EXPECT_EQ(DecodeOllamaShow(Parsed(R"({"model":"m:latest"})")).value(), "m");
  EXPECT_EQ(DecodeOllamaShow(Parsed(R"({"name":"m"})")).value(), "m");
  ExpectRefused(DecodeOllamaShow, {{"{}", "model"}, {R"({"name":3})", "name"}});
  const auto reply = Parsed(EncodeOllamaShow(Loaded(), "2026-01-02T03:04:05Z"));
  EXPECT_EQ(reply["model_info"]["bert.embedding_length"], 384);
  EXPECT_EQ(reply["model_info"]["bert.context_length"], 512);
  EXPECT_EQ(reply["capabilities"], Parsed(R"(["embedding"])"));
  EXPECT_EQ(reply["details"]["family"], "bert");
}

TEST(OllamaTags, SaysOfModelsThatAreNotLoadedWhatIsKnown) {
  ModelStatus unloaded = Loaded();
  unloaded.state = ModelState::kUnloaded;
  unloaded.info = {.id = "u"};
  const std::vector<ModelStatus> models = {Loaded(), unloaded};
  const auto list = Parsed(EncodeOllamaTags(models, "2026-01-02T03:04:05Z"))["models"];
  EXPECT_EQ(list[0]["name"], "m");
  EXPECT_EQ(list[0]["size"], 9);
  EXPECT_EQ(list[0]["digest"], "abc");
  EXPECT_EQ(list[0]["modified_at"], "2026-01-02T03:04:05Z");
  EXPECT_EQ(list[1]["name"], "u");
  EXPECT_FALSE(list[1]["details"].contains("family"));
}

}  // namespace
}  // namespace garrison
