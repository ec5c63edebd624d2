#include "wire/openai.h"

#include <gtest/gtest.h>

#include "base/base64.h"
#include "core/json.h"

namespace garrison {
namespace {

Result<OpenAiEmbeddingsCall> Decode(std::string_view text) {
  ASSIGN_OR_RETURN(const nlohmann::json body, ParseJson(text, 64));
  return DecodeOpenAiEmbeddings(body);
}

std::string Text(const EmbedInput& input) { return std::get<std::string>(input); }
std::vector<std::int32_t> Ids(const EmbedInput& input) { return std::get<TokenIds>(input).ids; }

TEST(OpenAiEmbeddings, TakesTheFourFormsOfInput) {
  const auto one = Decode(R"({"model":"m","input":"hi"})");
  ASSERT_TRUE(one);
  EXPECT_EQ(one->model, "m");
  EXPECT_EQ(Text(one->request.inputs.at(0)), "hi");
  const auto texts = Decode(R"({"model":"m","input":["a","b"]})");
  ASSERT_EQ(texts->request.inputs.size(), 2u);
  EXPECT_EQ(Text(texts->request.inputs[1]), "b");
  const auto ids = Decode(R"({"model":"m","input":[1,2,3]})");
  ASSERT_EQ(ids->request.inputs.size(), 1u);
  EXPECT_EQ(Ids(ids->request.inputs[0]), (std::vector<std::int32_t>{1, 2, 3}));
  const auto lists = Decode(R"({"model":"m","input":[[1],[2,3]]})");
  ASSERT_EQ(lists->request.inputs.size(), 2u);
  EXPECT_EQ(Ids(lists->request.inputs[1]), (std::vector<std::int32_t>{2, 3}));
}

TEST(OpenAiEmbeddings, ReadsOptionsAndIgnoresUnknownFields) {
  const auto call = Decode(
      R"({"input":"x","dimensions":7,"encoding_format":"base64","user":"u","new_thing":{}})");
  ASSERT_TRUE(call);
  EXPECT_EQ(call->request.dimensions, 7u);
  EXPECT_EQ(call->encoding, EmbeddingEncoding::kBase64);
  EXPECT_EQ(call->model, "");
  EXPECT_TRUE(Decode(R"({"input":"x","dimensions":null,"encoding_format":null,"model":null})"));
}

struct Wrong {
  const char* body;
  const char* where;
};
class OpenAiWrongBodies : public testing::TestWithParam<Wrong> {};

TEST_P(OpenAiWrongBodies, NameTheField) {
  const auto call = Decode(GetParam().body);
  ASSERT_FALSE(call) << GetParam().body;
  EXPECT_EQ(call.error().code, Code::kInvalidArgument);
  EXPECT_EQ(call.error().where, GetParam().where) << call.error().message;
}

INSTANTIATE_TEST_SUITE_P(
    All, OpenAiWrongBodies,
    testing::Values(Wrong{"[]", ""}, Wrong{"{}", "input"}, Wrong{R"({"input":null})", "input"},
                    Wrong{R"({"input":5})", "input"}, Wrong{R"({"input":[]})", "input"},
                    Wrong{R"({"input":{"a":1}})", "input"},
                    Wrong{R"({"input":["a",1]})", "input[1]"},
                    Wrong{R"({"input":["a",null]})", "input[1]"},
                    Wrong{R"({"input":[1,"a"]})", "input[1]"},
                    Wrong{R"({"input":[1.5]})", "input[0]"}, Wrong{R"({"input":[-1]})", "input[0]"},
                    Wrong{R"({"input":[2147483648]})", "input[0]"},
                    Wrong{R"({"input":[18446744073709551615]})", "input[0]"},
                    Wrong{R"({"input":[[1],["a"]]})", "input[1][0]"},
                    Wrong{R"({"input":"x","model":3})", "model"},
                    Wrong{R"({"input":"x","dimensions":0})", "dimensions"},
                    Wrong{R"({"input":"x","dimensions":-1})", "dimensions"},
                    Wrong{R"({"input":"x","dimensions":1.5})", "dimensions"},
                    Wrong{R"({"input":"x","dimensions":"8"})", "dimensions"},
                    Wrong{R"({"input":"x","encoding_format":"int8"})", "encoding_format"},
                    Wrong{R"({"input":"x","encoding_format":1})", "encoding_format"}));

TEST(OpenAiEmbeddings, FloatsReadBackAsTheSameFloats) {
  Embeddings embeddings;
  embeddings.dimension = 3;
  embeddings.values = {0.1f, -1e-30f, 0.33333334f, 1, 2, 3};
  embeddings.tokens = {4, 5};
  const auto json = nlohmann::json::parse(
      EncodeOpenAiEmbeddings(embeddings, {"a\"b", "", 3, ""}, EmbeddingEncoding::kFloat));
  EXPECT_EQ(json["model"], "a\"b");
  EXPECT_EQ(json["usage"]["prompt_tokens"], 9);
  EXPECT_EQ(json["usage"]["total_tokens"], 9);
  EXPECT_EQ(json["data"][1]["index"], 1);
  EXPECT_EQ(json["data"][1]["object"], "embedding");
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(json["data"][0]["embedding"][i].get<float>(), embeddings.values[i]);
  }
}

TEST(OpenAiEmbeddings, Base64IsLittleEndianFloat32) {
  Embeddings embeddings;
  embeddings.dimension = 2;
  embeddings.values = {1.0f, -2.5f};
  embeddings.tokens = {1};
  const auto json = nlohmann::json::parse(
      EncodeOpenAiEmbeddings(embeddings, {"m", "", 2, ""}, EmbeddingEncoding::kBase64));
  EXPECT_EQ(json["data"][0]["embedding"], "AACAPwAAIMA=");
}

TEST(OpenAiError, HasAllFourKeys) {
  const auto json = nlohmann::json::parse(EncodeOpenAiError(
      {Code::kInvalidArgument, "expected x", "input[2]", {}}, "invalid_request_error"));
  EXPECT_EQ(json["error"]["message"], "input[2]: expected x");
  EXPECT_EQ(json["error"]["param"], "input[2]");
  EXPECT_EQ(json["error"]["type"], "invalid_request_error");
  EXPECT_EQ(json["error"]["code"], "INVALID_ARGUMENT");
  EXPECT_TRUE(nlohmann::json::parse(EncodeOpenAiError({}, "x"))["error"]["param"].is_null());
}

}  // namespace
}  // namespace garrison
