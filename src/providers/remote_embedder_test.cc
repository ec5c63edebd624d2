#include "providers/remote_embedder.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <numeric>

#include "providers/providers.h"
#include "providers/test_http_client.h"

namespace garrison {
namespace {

using Json = nlohmann::json;

class RemoteTest : public testing::Test {
 protected:
  RemoteTest() {
    settings_.openai.api_key = "sk-test-key";
    settings_.openai.usd_per_million_tokens = 0.02;
    settings_.huggingface.token = "hf_token";
    settings_.huggingface.model = "org/mini";
    settings_.bedrock.region = "us-east-1";
    settings_.bedrock.access_key_id = "AKIDEXAMPLE";
    settings_.bedrock.secret_access_key = "secret";
    settings_.bedrock.metadata_endpoint = "off";
    settings_.azure = {
        .endpoint = "https://r.openai.azure.com/", .api_key = "k", .deployment = "d e"};
    settings_.custom.base_url = "http://127.0.0.1:8000/v1/";
    client_->otherwise = AnswerLikeOpenAi;
  }

  Result<std::shared_ptr<const Embedder>> Open(const std::string& source) {
    Providers providers(settings_, client_, gate_, time_.chance(), "");
    return providers.Open(source);
  }
  static EmbedRequest Of(std::vector<EmbedInput> inputs) {
    EmbedRequest request;
    request.inputs = std::move(inputs);
    return request;
  }

  ProviderSettings settings_;
  std::shared_ptr<TestHttpClient> client_ = std::make_shared<TestHttpClient>();
  std::shared_ptr<CountingGate> gate_ = std::make_shared<CountingGate>(20'000);
  TestTime time_;
};

TEST_F(RemoteTest, OpenAiIsAskedAsItsApiSays) {
  const auto openai = Open("openai").value();
  EXPECT_EQ(openai->info().id, "openai/text-embedding-3-small");
  EXPECT_EQ(openai->info().dimension, 0u);
  const auto rows = openai->Embed(Of({"cat", "a"}), {});
  ASSERT_TRUE(rows) << rows.error().ToString();
  EXPECT_EQ(rows->values, (std::vector<float>{3, 'c', 1, 1, 'a', 1}));
  EXPECT_EQ(rows->tokens, (std::vector<std::size_t>{3, 1}));
  EXPECT_EQ(rows->served->by, "openai/text-embedding-3-small");
  EXPECT_EQ(rows->served->attempts, 1u);
  EXPECT_EQ(rows->served->cost_pusd, 4 * 20'000);
  EXPECT_EQ(openai->info().dimension, 3u);
  const HttpCall call = client_->calls().at(0);
  EXPECT_EQ(call.url, "https://api.openai.com/v1/embeddings");
  EXPECT_EQ(FindHeader(call.headers, "authorization"), "Bearer sk-test-key");
}

TEST_F(RemoteTest, WithoutAPriceNoCostIsTold) {
  gate_ = std::make_shared<CountingGate>();
  EXPECT_FALSE(Open("openai").value()->Embed(Of({"a"}), {})->served->cost_pusd);
  gate_ = std::make_shared<CountingGate>(0);  // said to be free
  EXPECT_EQ(Open("openai").value()->Embed(Of({"a"}), {})->served->cost_pusd, 0);
}

TEST_F(RemoteTest, LargeRequestsAreSplitAndPutTogetherInOrder) {
  const auto openai = Open("openai").value();
  std::vector<EmbedInput> inputs;
  for (std::size_t i = 0; i < 5000; ++i) inputs.emplace_back(std::string(i % 97 + 1, 'x'));
  const auto rows = openai->Embed(Of(inputs), {});
  ASSERT_TRUE(rows) << rows.error().ToString();
  ASSERT_EQ(rows->size(), 5000u);
  for (std::size_t i = 0; i < 5000; ++i) {
    ASSERT_EQ(rows->row(i)[0], static_cast<float>(i % 97 + 1)) << i;
  }
  EXPECT_EQ(client_->calls().size(), 3u);
  EXPECT_EQ(rows->served->attempts, 3u);
  for (const HttpCall& call : client_->calls()) {
    EXPECT_LE(Json::parse(call.body)["input"].size(), 2048u);
  }
}

TEST_F(RemoteTest, NoCallHasMoreTokensThanTheVendorTakes) {
  EXPECT_TRUE(rc::check([&] {
    client_ = std::make_shared<TestHttpClient>();
    client_->otherwise = AnswerLikeOpenAi;
    const auto sizes = *rc::gen::nonEmpty(
        rc::gen::container<std::vector<std::size_t>>(rc::gen::inRange<std::size_t>(1, 30'000)));
    std::vector<EmbedInput> inputs;
    for (const std::size_t size : sizes) inputs.emplace_back(std::string(size, 'x'));
    const auto rows = Open("openai").value()->Embed(Of(inputs), {});
    RC_ASSERT(static_cast<bool>(rows));
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      RC_ASSERT(rows->row(i)[0] == static_cast<float>(sizes[i]));
    }
    for (const HttpCall& call : client_->calls()) {
      const Json input = Json::parse(call.body)["input"];
      std::size_t bytes = 0;
      for (const Json& text : input) bytes += text.get_ref<const std::string&>().size();
      RC_ASSERT(bytes <= 300'000u || input.size() == 1);
    }
  }));
}

TEST_F(RemoteTest, TextsAndIdsDoNotShareACall) {
  const auto rows = Open("openai").value()->Embed(Of({"abc", TokenIds{{7, 8}, {}}, "d"}), {});
  ASSERT_TRUE(rows);
  EXPECT_EQ(rows->row(1)[0], 2);
  EXPECT_EQ(rows->row(2)[1], 'd');
  EXPECT_EQ(client_->calls().size(), 3u);
  for (const char* other : {"huggingface", "bedrock"}) {
    const auto refused = Open(other).value()->Embed(Of({"a", TokenIds{{7}, {}}}), {});
    EXPECT_EQ(refused.error().where, "input[1]") << other;
    EXPECT_EQ(refused.error().code, Code::kInvalidArgument);
  }
}

TEST_F(RemoteTest, WhatAVendorCannotDoIsRefusedBeforeItIsAsked) {
  const auto refusal = [&](const char* source, EmbedRequest request) {
    const auto rows = Open(source).value()->Embed(request, {});
    EXPECT_FALSE(rows);
    EXPECT_EQ(rows.error().code, Code::kInvalidArgument);
    return rows.error().where;
  };
  EmbedRequest raw = Of({"a"});
  raw.normalize = false;
  EXPECT_EQ(refusal("openai", raw), "normalize");
  EmbedRequest prompted = Of({"a"});
  prompted.prompt = "query";
  EXPECT_EQ(refusal("openai", prompted), "prompt");
  EXPECT_EQ(refusal("bedrock", prompted), "prompt");
  EmbedRequest odd = Of({"a"});
  odd.dimensions = 300;
  EXPECT_EQ(refusal("bedrock", odd), "dimensions");
  EXPECT_EQ(refusal("bedrock/amazon.titan-embed-text-v1", odd), "dimensions");
  EXPECT_EQ(refusal("openai", Of({"a", ""})), "input[1]");
  EXPECT_EQ(refusal("openai", Of({"\xff"})), "input[0]");
  EXPECT_EQ(refusal("custom", Of({"\xed\xa0\x80"})), "input[0]");  // a surrogate
  EXPECT_TRUE(client_->calls().empty());
}

TEST_F(RemoteTest, OnePartThatFailsFailsTheRequest) {
  settings_.upstream.attempts = 1;
  client_->otherwise = [](const HttpCall& call) {
    if (call.body.find("poison") != std::string::npos) {
      return TestHttpClient::Answer{HttpReply{400, {}, R"({"error":{"message":"no"}})"},
                                    {.connected = true, .sent = true, .replied = true}};
    }
    return AnswerLikeOpenAi(call);
  };
  std::vector<EmbedInput> inputs(5000, "fine");
  inputs[4500] = "poison";
  const auto rows = Open("openai").value()->Embed(Of(inputs), {});
  ASSERT_FALSE(rows);
  EXPECT_EQ(rows.error().reason, "upstream_bad_request");
}

TEST_F(RemoteTest, AVendorThatChangesItsDimensionIsNotBelieved) {
  const auto openai = Open("openai").value();
  ASSERT_TRUE(openai->Embed(Of({"a"}), {}));
  client_->Reply(200, R"({"data":[{"index":0,"embedding":[1,2]}]})");
  EXPECT_EQ(openai->Embed(Of({"a"}), {}).error().reason, "upstream_bad_reply");
  EmbedRequest two = Of({"a"});
  two.dimensions = 2;
  client_->Reply(200, R"({"data":[{"index":0,"embedding":[1,2]}]})");
  EXPECT_TRUE(openai->Embed(two, {}));
  EXPECT_EQ(Json::parse(client_->calls().back().body)["dimensions"], 2);
  EXPECT_EQ(openai->Embed(two, {}).error().reason, "upstream_bad_reply");  // three came
  EXPECT_EQ(openai->info().dimension, 3u);
}

TEST_F(RemoteTest, HuggingFaceEstimatesTokensAndCutsHere) {
  const auto hf = Open("huggingface").value();
  client_->Reply(200, "[[3,4,12],[1,0,0]]");
  EmbedRequest request = Of({"five!", "a"});
  request.dimensions = 2;
  const auto rows = hf->Embed(request, {});
  ASSERT_TRUE(rows) << rows.error().ToString();
  EXPECT_EQ(rows->values, (std::vector<float>{0.6F, 0.8F, 1, 0}));
  EXPECT_TRUE(rows->served->tokens_estimated);
  EXPECT_FALSE(rows->served->cost_pusd);
  EXPECT_EQ(rows->tokens, (std::vector<std::size_t>{2, 1}));
  EXPECT_EQ(client_->calls().at(0).url,
            "https://router.huggingface.co/hf-inference/models/org/mini/pipeline/"
            "feature-extraction");
  EXPECT_FALSE(Json::parse(client_->calls().at(0).body).contains("dimensions"));
  settings_.huggingface.endpoint = "http://127.0.0.1:1/embed";
  client_->Reply(200, "[[3,4]]");
  EmbedRequest unit = Of({"a"});
  unit.normalize = true;
  EXPECT_EQ(Open("huggingface").value()->Embed(unit, {})->values, (std::vector<float>{0.6F, 0.8F}));
  EXPECT_EQ(client_->calls().back().url, "http://127.0.0.1:1/embed");
}

TEST_F(RemoteTest, TitanIsAskedTextByTextAndSigned) {
  client_->otherwise = [](const HttpCall& call) {
    const auto text = Json::parse(call.body)["inputText"].get<std::string>();
    const Json reply = {{"embedding", {text.size(), 1}}, {"inputTextTokenCount", text.size() + 1}};
    return TestHttpClient::Answer{HttpReply{200, {}, reply.dump()},
                                  {.connected = true, .sent = true, .replied = true}};
  };
  std::vector<EmbedInput> inputs;
  for (std::size_t i = 1; i <= 40; ++i) inputs.emplace_back(std::string(i, 't'));
  const auto rows = Open("bedrock").value()->Embed(Of(inputs), {});
  ASSERT_TRUE(rows) << rows.error().ToString();
  for (std::size_t i = 0; i < 40; ++i) {
    EXPECT_EQ(rows->row(i)[0], static_cast<float>(i + 1));
    EXPECT_EQ(rows->tokens[i], i + 2);
  }
  EXPECT_EQ(client_->calls().size(), 40u);
  const HttpCall call = client_->calls().at(0);
  EXPECT_EQ(call.url,
            "https://bedrock-runtime.us-east-1.amazonaws.com/model/"
            "amazon.titan-embed-text-v2%3A0/invoke");
  EXPECT_TRUE(
      FindHeader(call.headers, "authorization").starts_with("AWS4-HMAC-SHA256 Credential="));
  settings_.bedrock.bearer_token = "bedrock-key";
  ASSERT_TRUE(Open("bedrock").value()->Embed(Of({"a"}), {}));
  EXPECT_EQ(FindHeader(client_->calls().back().headers, "authorization"), "Bearer bedrock-key");
}

TEST_F(RemoteTest, AzureAndCustomHaveTheirOwnAddresses) {
  ASSERT_TRUE(Open("azure").value()->Embed(Of({"a"}), {}));
  const HttpCall azure = client_->calls().back();
  EXPECT_EQ(
      azure.url,
      "https://r.openai.azure.com/openai/deployments/d%20e/embeddings?api-version=2024-10-21");
  EXPECT_EQ(FindHeader(azure.headers, "api-key"), "k");
  EXPECT_EQ(FindHeader(azure.headers, "authorization"), "");
  EXPECT_FALSE(Json::parse(azure.body).contains("model"));
  ASSERT_TRUE(Open("custom/other").value()->Embed(Of({"a"}), {}));
  EXPECT_EQ(client_->calls().back().url, "http://127.0.0.1:8000/v1/embeddings");
  EXPECT_EQ(FindHeader(client_->calls().back().headers, "authorization"), "");
  EXPECT_EQ(Json::parse(client_->calls().back().body)["model"], "other");
}

TEST_F(RemoteTest, MissingSettingsAndUnknownNamesAreErrorsThatNameThem) {
  settings_.openai.api_key.clear();
  settings_.bedrock.region.clear();
  settings_.azure.deployment.clear();
  settings_.custom.base_url.clear();
  EXPECT_EQ(Open("openai").error().where, "openai.api_key");
  EXPECT_EQ(Open("bedrock").error().where, "bedrock.region");
  EXPECT_EQ(Open("azure").error().where, "azure.deployment");
  EXPECT_EQ(Open("custom").error().where, "custom.base_url");
  EXPECT_EQ(Open("acme").error().where, "embeddings.provider");
  settings_.bedrock.region = "r";
  EXPECT_EQ(Open("bedrock/anthropic.claude").error().where, "bedrock.model");
}

TEST_F(RemoteTest, KeysInTheClearAreWarnedOf) {
  settings_.custom.api_key = "k";
  EXPECT_TRUE(Open("custom").value()->info().warnings.empty());
  settings_.custom.base_url = "http://embeddings.example.com/v1";
  EXPECT_EQ(Open("custom").value()->info().warnings.size(), 1u);
  settings_.custom.api_key.clear();
  EXPECT_TRUE(Open("custom").value()->info().warnings.empty());
}

TEST(Shares, SumUpExactly) {
  EXPECT_TRUE(rc::check([](const std::vector<std::uint16_t>& raw, std::uint32_t sum) {
    const std::vector<std::uint64_t> weights(raw.begin(), raw.end());
    const auto shares = Apportion(sum, weights);
    RC_ASSERT(shares.size() == weights.size());
    if (weights.empty()) return;
    RC_ASSERT(std::accumulate(shares.begin(), shares.end(), std::uint64_t{0}) == sum);
  }));
}

}  // namespace
}  // namespace garrison
