#include "wire/upstream.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "base/base64.h"
#include "core/json.h"
#include "wire/upstream_bedrock.h"
#include "wire/upstream_huggingface.h"
#include "wire/upstream_openai.h"

namespace garrison {
namespace {

using Json = nlohmann::json;

std::string Base64Of(std::vector<float> values) {
  return EncodeBase64(std::as_bytes(std::span(values)));
}

Json Entry(std::size_t index, Json vector) {
  return {{"object", "embedding"}, {"index", index}, {"embedding", std::move(vector)}};
}

std::string OpenAiReply(Json data, Json usage = {{"prompt_tokens", 7}, {"total_tokens", 7}}) {
  return Json({{"object", "list"}, {"data", std::move(data)}, {"usage", std::move(usage)}}).dump();
}

std::string ErrorOf(const Result<UpstreamVectors>& result) {
  if (result) return "";
  EXPECT_EQ(result.error().code, Code::kUnavailable);
  return result.error().message;
}

TEST(UpstreamOpenAi, AsksForBase64) {
  const std::vector<EmbedInput> texts = {"a \"b\"", "\xc3\xa9"};
  EXPECT_EQ(Json::parse(EncodeUpstreamOpenAi("m", texts, 3)),
            Json::parse(R"({"model":"m","input":["a \"b\"","é"],"encoding_format":"base64",)"
                        R"("dimensions":3})"));
  const std::vector<EmbedInput> ids = {TokenIds{{1, 2}, {}}};
  EXPECT_EQ(Json::parse(EncodeUpstreamOpenAi("", ids, std::nullopt)),
            Json::parse(R"({"input":[[1,2]],"encoding_format":"base64"})"));
}

TEST(UpstreamOpenAi, VectorsGoWhereTheirIndexSays) {
  const auto reply = DecodeUpstreamOpenAi(
      OpenAiReply({Entry(1, Json{0.5, -2}), Entry(0, Base64Of({1, 0.25}))}), 2);
  ASSERT_TRUE(reply) << reply.error().ToString();
  EXPECT_EQ(reply->dimension, 2u);
  EXPECT_EQ(reply->values, (std::vector<float>{1, 0.25, 0.5, -2}));
  EXPECT_EQ(reply->tokens, 7u);
}

TEST(UpstreamOpenAi, AnyOrderOfManyVectorsIsPutRight) {
  EXPECT_TRUE(rc::check([] {
    const auto count = *rc::gen::inRange<std::size_t>(1, 30);
    std::vector<std::size_t> order(count);
    for (std::size_t i = 0; i < count; ++i) order[i] = i;
    for (std::size_t i = count; i > 1; --i) {
      std::swap(order[i - 1], order[*rc::gen::inRange<std::size_t>(0, i)]);
    }
    Json data = Json::array();
    for (const std::size_t i : order) {
      data.push_back(Entry(i, Base64Of({static_cast<float>(i) + 1, 1})));
    }
    const auto reply = DecodeUpstreamOpenAi(OpenAiReply(std::move(data)), count);
    RC_ASSERT(static_cast<bool>(reply));
    for (std::size_t i = 0; i < count; ++i) {
      RC_ASSERT(reply->values[2 * i] == static_cast<float>(i) + 1);
    }
  }));
}

TEST(UpstreamOpenAi, UsageMayBeMissingButIsNeverMadeUp) {
  const auto none = DecodeUpstreamOpenAi(OpenAiReply({Entry(0, Json{1})}, nullptr), 1);
  ASSERT_TRUE(none);
  EXPECT_FALSE(none->tokens);
  const auto odd =
      DecodeUpstreamOpenAi(OpenAiReply({Entry(0, Json{1})}, {{"prompt_tokens", -3}}), 1);
  ASSERT_TRUE(odd);
  EXPECT_FALSE(odd->tokens);
}

TEST(UpstreamOpenAi, EveryWrongReplyIsRefused) {
  const auto error = [](const std::string& body, std::size_t count) {
    return ErrorOf(DecodeUpstreamOpenAi(body, count));
  };
  const Json one = Json{1.0, 2.0};
  EXPECT_NE(error("<html>", 1).find("no JSON"), std::string::npos);
  EXPECT_NE(error("{}", 1), "");
  EXPECT_NE(error("[]", 1), "");
  EXPECT_NE(error(OpenAiReply({Entry(0, one)}), 2).find("1 vectors for 2"), std::string::npos);
  EXPECT_NE(error(OpenAiReply({Entry(0, one), Entry(0, one)}), 2).find("two vectors"),
            std::string::npos);
  EXPECT_NE(error(OpenAiReply({Entry(0, one), Entry(2, one)}), 2).find("input 2"),
            std::string::npos);
  EXPECT_NE(error(OpenAiReply({{{"embedding", one}}}), 1).find("no index"), std::string::npos);
  EXPECT_NE(error(OpenAiReply({Entry(0, one), Entry(1, Json{1})}), 2).find("components"),
            std::string::npos);
  EXPECT_NE(error(OpenAiReply({Entry(0, Json{1, nullptr})}), 1).find("null"), std::string::npos);
  EXPECT_NE(error(OpenAiReply({Entry(0, Json::array())}), 1).find("0 components"),
            std::string::npos);
  EXPECT_NE(error(OpenAiReply({Entry(0, "AAA")}), 1).find("base64"), std::string::npos);
  EXPECT_NE(error(OpenAiReply({Entry(0, "AAAA")}), 1).find("base64"), std::string::npos);
  EXPECT_NE(error(OpenAiReply({Entry(0, nullptr)}), 1), "");
  EXPECT_NE(error(OpenAiReply({Entry(0, Json{0, 0})}), 1).find("zeros"), std::string::npos);
  EXPECT_NE(error(OpenAiReply({Entry(0, Json{1e300})}), 1).find("finite"), std::string::npos);
  EXPECT_NE(
      error(OpenAiReply({Entry(0, Base64Of({1, std::numeric_limits<float>::quiet_NaN()}))}), 1)
          .find("finite"),
      std::string::npos);
  EXPECT_NE(error(R"({"data":[{"index":0,"embedding":[NaN]}]})", 1), "");
  EXPECT_NE(error(R"({"data":[{"index":0,"embedding":[1e999]}]})", 1), "");
}

TEST(UpstreamOpenAi, FailuresHaveClasses) {
  const auto of = [](int status, std::string_view body) {
    return DecodeUpstreamOpenAiFailure(status, body, {});
  };
  EXPECT_EQ(of(429, R"({"error":{"code":"rate_limit_exceeded"}})").kind, FailureClass::kRateLimit);
  EXPECT_EQ(of(429, R"({"error":{"code":"insufficient_quota"}})").kind, FailureClass::kBilling);
  EXPECT_EQ(of(429, R"({"error":{"type":"insufficient_quota"}})").kind, FailureClass::kBilling);
  EXPECT_EQ(of(401, "nonsense").kind, FailureClass::kAuthentication);
  EXPECT_EQ(of(400, R"({"error":{"message":"too long"}})").message, "too long");
  EXPECT_EQ(of(413, R"({"error":"too long","error_type":"Validation"})").message, "too long");
  EXPECT_EQ(of(500, R"({"error":{"message":7}})").message, "");
  EXPECT_EQ(of(302, "").kind, FailureClass::kRedirect);
  EXPECT_EQ(of(529, "").kind, FailureClass::kOverloaded);
  EXPECT_EQ(of(418, "").kind, FailureClass::kBadRequest);
}

TEST(UpstreamFailures, HaveNamesThatReadBack) {
  for (int kind = 0; kind <= static_cast<int>(FailureClass::kCircuitOpen); ++kind) {
    const auto failure = static_cast<FailureClass>(kind);
    EXPECT_EQ(FailureOf(FailureName(failure)), failure);
  }
  EXPECT_FALSE(FailureOf("weather"));
}

TEST(ShortMessages, AreShortOneLineAndWithoutKeys) {
  EXPECT_EQ(ShortMessage("Incorrect API key provided: sk-proj-12ab. Find yours at "
                         "https://platform.openai.com/account/api-keys.",
                         {}),
            "Incorrect API key provided: ********. Find yours at "
            "https://platform.openai.com/account/api-keys.");
  const std::vector<std::string> secrets = {"garden path", ""};
  EXPECT_EQ(ShortMessage("no garden path here, garden path", secrets),
            "no ******** here, ********");
  EXPECT_EQ(ShortMessage("token aB3dE5gH7jK9mN1pQ3sT5vW7 is wrong", {}), "token ******** is wrong");
  EXPECT_EQ(ShortMessage("AKIAIOSFODNN7EXAMPLE", {}), "********");
  EXPECT_EQ(ShortMessage("model text-embedding-3-small does not exist", {}),
            "model text-embedding-3-small does not exist");
  EXPECT_EQ(ShortMessage("a\r\nb\x01", {}), "a  b ");
  std::string umlauts;
  for (int i = 0; i < 150; ++i) umlauts += " \xc3\xa9";
  const std::string cut = ShortMessage(umlauts, {});
  EXPECT_LE(cut.size(), 203u);
  EXPECT_NO_THROW(static_cast<void>(Json(cut).dump()));  // still UTF-8
}

TEST(UpstreamHuggingFace, AsksAsItsApiSays) {
  const std::vector<EmbedInput> texts = {"a"};
  EXPECT_EQ(Json::parse(EncodeUpstreamHuggingFace(texts, {})),
            Json::parse(R"({"inputs":["a"],"truncate":false})"));
  EXPECT_EQ(Json::parse(EncodeUpstreamHuggingFace(texts, {.normalize = true,
                                                          .prompt_name = "query",
                                                          .truncate = true,
                                                          .side = LongInput::Side::kLeft})),
            Json::parse(R"({"inputs":["a"],"normalize":true,"prompt_name":"query","truncate":true,)"
                        R"("truncation_direction":"left"})"));
}

TEST(UpstreamHuggingFace, EveryRankIsUnderstoodOrRefused) {
  const auto values = [](std::string_view body, std::size_t count) {
    const auto reply = DecodeUpstreamHuggingFace(body, count);
    return reply ? reply->values : std::vector<float>{};
  };
  EXPECT_EQ(values("[1,2]", 1), (std::vector<float>{1, 2}));
  EXPECT_EQ(values("[[1,2],[3,4]]", 2), (std::vector<float>{1, 2, 3, 4}));
  EXPECT_EQ(values("[[[1,2]],[[3,4]]]", 2), (std::vector<float>{1, 2, 3, 4}));
  const auto error = [](std::string_view body, std::size_t count) {
    return ErrorOf(DecodeUpstreamHuggingFace(body, count));
  };
  EXPECT_NE(error("[1,2]", 2).find("one vector for 2"), std::string::npos);
  EXPECT_NE(error("[[1,2]]", 2).find("1 vectors for 2"), std::string::npos);
  EXPECT_NE(error("[[[1,2],[3,4]]]", 1).find("does not pool"), std::string::npos);
  EXPECT_NE(error("[[[1,2]],[[3,4],[5,6]]]", 2).find("does not pool"), std::string::npos);
  EXPECT_NE(error("[[[[1]]]]", 1), "");
  EXPECT_NE(error("[]", 1), "");
  EXPECT_NE(error("[[]]", 1), "");
  EXPECT_NE(error("[[1,2],[3]]", 2), "");
  EXPECT_NE(error("[[1,2],3]", 2), "");
  EXPECT_NE(error("[[1,\"2\"]]", 1), "");
  EXPECT_NE(error("{\"error\":\"loading\"}", 1), "");
  EXPECT_EQ(DecodeUpstreamHuggingFaceFailure(503, R"({"error":"Model is loading"})", {}).message,
            "Model is loading");
  EXPECT_EQ(DecodeUpstreamHuggingFaceFailure(400, R"({"error":["bad inputs"]})", {}).message,
            "bad inputs");
  EXPECT_EQ(DecodeUpstreamHuggingFaceFailure(410, "gone", {}).kind, FailureClass::kNotFound);
}

TEST(UpstreamTitan, VersionsDiffer) {
  EXPECT_EQ(Json::parse(EncodeUpstreamTitan(TitanVersion::kV1, "hello", 256, true)),
            Json::parse(R"({"inputText":"hello"})"));
  EXPECT_EQ(Json::parse(EncodeUpstreamTitan(TitanVersion::kV2, "hello", 256, false)),
            Json::parse(R"({"inputText":"hello","dimensions":256,"normalize":false,)"
                        R"("embeddingTypes":["float"]})"));
  const auto reply = DecodeUpstreamTitan(R"({"embedding":[1,2],"inputTextTokenCount":3})");
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->values, (std::vector<float>{1, 2}));
  EXPECT_EQ(reply->tokens, 3u);
  const auto by_type = DecodeUpstreamTitan(
      R"({"embeddingsByType":{"float":[3,4],"binary":[0,1]},"inputTextTokenCount":1})");
  ASSERT_TRUE(by_type);
  EXPECT_EQ(by_type->values, (std::vector<float>{3, 4}));
  EXPECT_NE(ErrorOf(DecodeUpstreamTitan(R"({"embeddingsByType":{"binary":[0,1]}})")), "");
  EXPECT_NE(ErrorOf(DecodeUpstreamTitan(R"([1,2])")), "");
  EXPECT_NE(ErrorOf(DecodeUpstreamTitan(R"({"embedding":[0,0]})")), "");
}

TEST(UpstreamTitan, TheErrorTypeSaysMoreThanTheStatus) {
  const auto kind = [](int status, std::string_view type) {
    return DecodeUpstreamBedrockFailure(status, type, R"({"message":"m"})", {}).kind;
  };
  EXPECT_EQ(kind(400, "ServiceQuotaExceededException"), FailureClass::kRateLimit);
  EXPECT_EQ(kind(429, "ModelNotReadyException:http://x"), FailureClass::kOverloaded);
  EXPECT_EQ(kind(429, "ThrottlingException"), FailureClass::kRateLimit);
  EXPECT_EQ(kind(408, "ModelTimeoutException"), FailureClass::kTimeout);
  EXPECT_EQ(kind(424, "ModelErrorException"), FailureClass::kServer);
  EXPECT_EQ(kind(403, "AccessDeniedException"), FailureClass::kPermission);
  EXPECT_EQ(kind(403, "UnrecognizedClientException"), FailureClass::kAuthentication);
  EXPECT_EQ(kind(400, "ValidationException"), FailureClass::kBadRequest);
}

}  // namespace
}  // namespace garrison
