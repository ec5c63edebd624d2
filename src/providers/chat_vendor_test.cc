#include "providers/chat_vendor.h"

#include <gtest/gtest.h>

#include <array>

#include "providers/anthropic_vendor.h"
#include "providers/providers.h"
#include "providers/test_chat.h"

namespace garrison {
namespace {

using Json = nlohmann::json;

// A frame of application/vnd.amazon.eventstream.
class AwsFrame {
 public:
  AwsFrame& Header(std::string_view name, std::string_view value) {
    headers_ += static_cast<char>(name.size());
    headers_ += name;
    headers_ += '\x07';
    headers_ += Big(value.size(), 2);
    headers_ += value;
    return *this;
  }
  std::string With(std::string_view payload) const {
    std::string frame = Big(16 + headers_.size() + payload.size(), 4) + Big(headers_.size(), 4);
    frame += Big(Crc32(frame), 4);
    frame += headers_;
    frame += payload;
    return frame + Big(Crc32(frame), 4);
  }

 private:
  static std::string Big(std::size_t value, int bytes) {
    std::string text;
    while (bytes-- > 0) text += static_cast<char>((value >> (8 * bytes)) & 0xff);
    return text;
  }
  static std::uint32_t Crc32(std::string_view bytes) {
    std::uint32_t crc = ~0u;
    for (const char c : bytes) {
      crc ^= static_cast<unsigned char>(c);
      for (int i = 0; i < 8; ++i) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0xedb88320u : 0);
    }
    return ~crc;
  }

  std::string headers_;
};

std::string ChunkFrame(const Json& event) {
  const std::string text = event.dump();
  const Json payload = {{"bytes", EncodeBase64(std::as_bytes(std::span(text)))}};
  return AwsFrame()
      .Header(":event-type", "chunk")
      .Header(":content-type", "application/json")
      .Header(":message-type", "event")
      .With(payload.dump());
}

std::vector<std::string> BedrockPieces() {
  std::vector<std::string> pieces;
  for (const Json& event : AnthropicAnswer()) pieces.push_back(ChunkFrame(event));
  return pieces;
}

class ChatVendorTest : public testing::Test {
 protected:
  ChatVendorTest() {
    client_->clock = &time_.clock;
    client_->on_open = [this] { gate_->Opened(); };
    settings_.upstream.attempts = 1;
    settings_.upstream.breaker_failures = 1000;
  }

  std::shared_ptr<const RemoteChatModel> Open(const std::string& provider,
                                              const std::string& model) {
    providers_ = std::make_unique<Providers>(settings_, client_, gate_, time_.chance(), "/nowhere");
    auto opened = providers_->OpenChat({provider, model});
    EXPECT_TRUE(opened) << opened.error().ToString();
    return opened ? *opened : nullptr;
  }
  // The call that a request becomes.
  HttpCall CallOf(const std::string& provider, const std::string& model,
                  const std::vector<std::string>& pieces) {
    client_->streams = {StreamOf(pieces)};
    sink_ = TestSink();
    const auto outcome = Open(provider, model)->Answer(RequestOf("hello"), sink_, {});
    EXPECT_TRUE(outcome) << outcome.error().ToString();
    EXPECT_EQ(sink_.text, "Gr\xc3\xbc\xc3\x9f Gott");
    EXPECT_EQ(sink_.served.by, provider + "/" + model);
    return client_->calls().back();
  }

  ProviderSettings settings_;
  TestTime time_;
  std::shared_ptr<TestHttpClient> client_ = std::make_shared<TestHttpClient>();
  std::shared_ptr<StrictGate> gate_ = std::make_shared<StrictGate>();
  std::unique_ptr<Providers> providers_;
  TestSink sink_;
};

TEST_F(ChatVendorTest, OpenAi) {
  settings_.openai.api_key = "sk-1";
  settings_.openai.organization = "org";
  const HttpCall call = CallOf("openai", "gpt-4o-mini", OpenAiPieces());
  EXPECT_EQ(call.method, "POST");
  EXPECT_EQ(call.url, "https://api.openai.com/v1/chat/completions");
  EXPECT_EQ(FindHeader(call.headers, "authorization"), "Bearer sk-1");
  EXPECT_EQ(FindHeader(call.headers, "openai-organization"), "org");
  EXPECT_EQ(FindHeader(call.headers, "content-type"), "application/json");
  const Json body = Json::parse(call.body);
  EXPECT_EQ(body["model"], "gpt-4o-mini");
  EXPECT_EQ(body["stream"], true);
  EXPECT_EQ(body["stream_options"]["include_usage"], true);
  EXPECT_EQ(body["max_completion_tokens"], 1024);
}

TEST_F(ChatVendorTest, DeepSeekAndOthersTakeTheOlderName) {
  settings_.deepseek.api_key = "sk-2";
  HttpCall call = CallOf("deepseek", "deepseek-chat", OpenAiPieces());
  EXPECT_EQ(call.url, "https://api.deepseek.com/chat/completions");
  EXPECT_EQ(FindHeader(call.headers, "authorization"), "Bearer sk-2");
  EXPECT_EQ(Json::parse(call.body)["max_tokens"], 1024);

  settings_.custom.base_url = "http://box:8000/v1/";
  call = CallOf("custom", "some/model", OpenAiPieces());
  EXPECT_EQ(call.url, "http://box:8000/v1/chat/completions");
  EXPECT_EQ(FindHeader(call.headers, "authorization"), "");
  EXPECT_EQ(Json::parse(call.body)["model"], "some/model");
  EXPECT_EQ(Json::parse(call.body)["max_tokens"], 1024);

  settings_.huggingface.token = "hf_3";
  settings_.huggingface.bill_to = "us";
  call = CallOf("huggingface", "meta-llama/Llama-3.1-8B-Instruct", OpenAiPieces());
  EXPECT_EQ(call.url, "https://router.huggingface.co/v1/chat/completions");
  EXPECT_EQ(FindHeader(call.headers, "x-hf-bill-to"), "us");
  EXPECT_EQ(Json::parse(call.body)["model"], "meta-llama/Llama-3.1-8B-Instruct");
}

TEST_F(ChatVendorTest, AzureNamesTheDeploymentInTheAddress) {
  settings_.azure.endpoint = "https://me.openai.azure.com/";
  settings_.azure.api_key = "az";
  const HttpCall call = CallOf("azure", "my gpt", OpenAiPieces());
  EXPECT_EQ(call.url,
            "https://me.openai.azure.com/openai/deployments/my%20gpt/chat/completions"
            "?api-version=2024-10-21");
  EXPECT_EQ(FindHeader(call.headers, "api-key"), "az");
  EXPECT_EQ(FindHeader(call.headers, "authorization"), "");
}

TEST_F(ChatVendorTest, Anthropic) {
  settings_.anthropic.api_key = "sk-ant";
  const HttpCall call = CallOf("anthropic", "claude-haiku-4-5", AnthropicPieces());
  EXPECT_EQ(call.url, "https://api.anthropic.com/v1/messages");
  EXPECT_EQ(FindHeader(call.headers, "x-api-key"), "sk-ant");
  EXPECT_EQ(FindHeader(call.headers, "anthropic-version"), "2023-06-01");
  EXPECT_EQ(FindHeader(call.headers, "authorization"), "");
  const Json body = Json::parse(call.body);
  EXPECT_EQ(body["model"], "claude-haiku-4-5");
  EXPECT_EQ(body["max_tokens"], 1024);
  EXPECT_EQ(body["stream"], true);
}

TEST_F(ChatVendorTest, BedrockIsSignedAndAnswersInFrames) {
  settings_.bedrock.region = "us-east-1";
  settings_.bedrock.access_key_id = "AKIDEXAMPLE";
  settings_.bedrock.secret_access_key = "secret";
  const std::string model = "anthropic.claude-haiku-4-5-20251001-v1:0";
  HttpCall call = CallOf("bedrock", model, BedrockPieces());
  EXPECT_EQ(call.url,
            "https://bedrock-runtime.us-east-1.amazonaws.com/model/"
            "anthropic.claude-haiku-4-5-20251001-v1%3A0/invoke-with-response-stream");
  EXPECT_TRUE(FindHeader(call.headers, "authorization")
                  .starts_with("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/"));
  const Json body = Json::parse(call.body);
  EXPECT_EQ(body["anthropic_version"], "bedrock-2023-05-31");
  EXPECT_FALSE(body.contains("model"));
  EXPECT_FALSE(body.contains("stream"));
  settings_.bedrock.bearer_token = "token";
  call = CallOf("bedrock", model, BedrockPieces());
  EXPECT_EQ(FindHeader(call.headers, "authorization"), "Bearer token");
  EXPECT_EQ(FindHeader(call.headers, "x-amz-date"), "");
}

TEST_F(ChatVendorTest, BedrocksFramesMayBreakAnywhere) {
  settings_.bedrock.region = "us-east-1";
  settings_.bedrock.bearer_token = "token";
  const auto model = Open("bedrock", "us.anthropic.claude-haiku-4-5-20251001-v1:0");
  std::string all;
  for (const std::string& piece : BedrockPieces()) all += piece;
  const auto ask = [&](const std::string& bytes) {
    TestSink sink;
    client_->streams = {
        StreamOf({bytes.substr(0, bytes.size() / 3), bytes.substr(bytes.size() / 3)})};
    std::erase_if(client_->streams.front().steps,
                  [](const auto& step) { return step.bytes.empty(); });
    auto outcome = model->Answer(RequestOf("hello"), sink, {});
    EXPECT_TRUE(std::string_view("Gr\xc3\xbc\xc3\x9f Gott").starts_with(sink.text));
    EXPECT_EQ(gate_->tickets.back().ended, outcome ? "settled" : "disputed");
    return outcome;
  };
  ASSERT_TRUE(ask(all));
  for (std::size_t size = 0; size < all.size(); size += 3) ASSERT_FALSE(ask(all.substr(0, size)));
  for (std::size_t at = 0; at < all.size(); at += 7) {
    std::string flipped = all;
    flipped[at] = static_cast<char>(flipped[at] ^ 0x10);
    const auto outcome = ask(flipped);
    ASSERT_FALSE(outcome) << at;
    ASSERT_EQ(outcome.error().code, Code::kUnavailable);
  }
}

TEST_F(ChatVendorTest, BedrocksExceptionsHaveTheirClass) {
  settings_.bedrock.region = "us-east-1";
  settings_.bedrock.bearer_token = "token";
  const auto model = Open("bedrock", "anthropic.claude-haiku-4-5-20251001-v1:0");
  const auto reason = [&](const char* exception) {
    client_->streams = {StreamOf({BedrockPieces()[0], AwsFrame()
                                                          .Header(":exception-type", exception)
                                                          .Header(":message-type", "exception")
                                                          .With(R"({"message":"no"})")})};
    TestSink sink;
    const auto outcome = model->Answer(RequestOf("hello"), sink, {});
    return (outcome ? "" : outcome.error().reason) + " " + gate_->tickets.back().ended;
  };
  EXPECT_EQ(reason("throttlingException"), "upstream_rate_limit released");
  EXPECT_EQ(reason("serviceUnavailableException"), "upstream_overloaded released");
  EXPECT_EQ(reason("internalServerException"), "upstream_server disputed");
  EXPECT_EQ(reason("modelTimeoutException"), "upstream_timeout disputed");
}

TEST_F(ChatVendorTest, OnlyClaudeOnBedrock) {
  settings_.bedrock.region = "us-east-1";
  Providers providers(settings_, client_, gate_, time_.chance(), "");
  EXPECT_FALSE(providers.OpenChat({"bedrock", "amazon.titan-embed-text-v2:0"}));
  EXPECT_TRUE(providers.OpenChat(
      {"bedrock", "arn:aws:bedrock:us-east-1:1:application-inference-profile/a"}));
}

TEST_F(ChatVendorTest, KeysAreNotInWhatAVendorIsQuotedWith) {
  settings_.anthropic.api_key = "very-own-key";
  client_->streams = {{.status = 401, .headers = {}}};
  client_->streams.front().steps.push_back(
      {.bytes = R"({"type":"error","error":{"type":"authentication_error",)"
                R"("message":"very-own-key is wrong"}})"});
  TestSink sink;
  const auto outcome = Open("anthropic", "claude-haiku-4-5")->Answer(RequestOf("hello"), sink, {});
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().message.find("very-own-key"), std::string::npos);
  EXPECT_NE(outcome.error().message.find("is wrong"), std::string::npos);
}

TEST_F(ChatVendorTest, TheNumberOfTokensHasALimitAndADefault) {
  settings_.anthropic.api_key = "k";
  settings_.chat.max_tokens = 100;
  settings_.chat.max_tokens_limit = 2000;
  const auto model = Open("anthropic", "claude-haiku-4-5");
  const auto sent = [&](std::optional<std::uint32_t> tokens,
                        std::optional<std::uint32_t> thoughts) -> std::int64_t {
    client_->streams = {StreamOf(AnthropicPieces())};
    ChatRequest request = RequestOf("hello");
    request.max_tokens = tokens;
    request.thinking_tokens = thoughts;
    TestSink sink;
    const auto outcome = model->Answer(request, sink, {});
    if (!outcome) {
      EXPECT_EQ(outcome.error().code, Code::kInvalidArgument);
      EXPECT_EQ(outcome.error().where, "max_tokens");
      return -1;
    }
    EXPECT_EQ(gate_->tickets.back().bound.output_tokens,
              Json::parse(client_->calls().back().body)["max_tokens"]);
    return Json::parse(client_->calls().back().body)["max_tokens"];
  };
  EXPECT_EQ(sent({}, {}), 100);
  EXPECT_EQ(sent({}, 1500), 1600);
  EXPECT_EQ(sent(2000, {}), 2000);
  EXPECT_EQ(sent(2001, {}), -1);
  EXPECT_EQ(sent(0, {}), -1);
  EXPECT_EQ(sent({}, 1901), -1);
}

TEST_F(ChatVendorTest, WhatAModelDoesNotTakeIsRefusedAndNotDropped) {
  settings_.anthropic.api_key = "k";
  ChatRequest request = RequestOf("hello");
  request.temperature = 0.2;
  TestSink sink;
  auto outcome = Open("anthropic", "claude-sonnet-5-5")->Answer(request, sink, {});
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code, Code::kInvalidArgument);
  EXPECT_EQ(outcome.error().where, "temperature");
  request.temperature.reset();
  request.tools.push_back({.name = "f", .description = "", .schema = "{}", .strict = {}});
  request.tool_choice = ChatToolChoice{ChatToolChoice::Mode::kRequired, ""};
  outcome = Open("anthropic", "claude-opus-5-5")->Answer(request, sink, {});
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().where, "tool_choice");
  EXPECT_TRUE(gate_->tickets.empty());
}

TEST(AnthropicModels, WhatTheyTake) {
  const auto takes = [](const char* model) {
    const AnthropicForm form = AnthropicFormOf(model);
    return std::string(form.sampling ? "sampling " : "") + (form.forced_tool ? "tools" : "");
  };
  EXPECT_EQ(takes("claude-haiku-4-5"), "sampling tools");
  EXPECT_EQ(takes("claude-sonnet-4-5-20250929"), "sampling tools");
  EXPECT_EQ(takes("claude-sonnet-5"), "tools");
  EXPECT_EQ(takes("claude-sonnet-5-20260801"), "tools");
  EXPECT_EQ(takes("claude-sonnet-50"), "sampling tools");
  EXPECT_EQ(takes("claude-sonnet-5-5"), "");
  EXPECT_EQ(takes("us.anthropic.claude-sonnet-5-5-20260901-v1:0"), "");
  EXPECT_EQ(takes("claude-opus-5-5"), "sampling ");
}

TEST_F(ChatVendorTest, TokensAreCountedForNothing) {
  settings_.anthropic.api_key = "k";
  client_->Reply(200, R"({"input_tokens": 42})");
  const auto model = Open("anthropic", "claude-haiku-4-5");
  const auto count = model->CountTokens(RequestOf("hello"), {});
  ASSERT_TRUE(count) << count.error().ToString();
  EXPECT_EQ(*count, 42u);
  const HttpCall call = client_->calls().back();
  EXPECT_EQ(call.url, "https://api.anthropic.com/v1/messages/count_tokens");
  EXPECT_EQ(FindHeader(call.headers, "x-api-key"), "k");
  EXPECT_FALSE(Json::parse(call.body).contains("max_tokens"));
  EXPECT_TRUE(gate_->tickets.empty());
  settings_.openai.api_key = "k";
  EXPECT_EQ(Open("openai", "gpt-4o")->CountTokens(RequestOf("hello"), {}).error().code,
            Code::kUnimplemented);
}

TEST(ChatBounds, CountImagesAndResults) {
  const auto vendor = MakeAnthropicVendor({}, "claude-haiku-4-5");
  ChatRequest request = RequestOf("hello");
  request.messages.front().parts.push_back({ChatImage{"image/png", "AA==", "", ""}});
  ChatToolResult result{"a", {ChatText{"x"}, ChatImage{"image/png", "AA==", "", ""}}, false};
  request.messages.push_back({ChatRole::kTool, {{result}, {result}}});
  request.tools.resize(3);
  request.max_tokens = 7;
  const AttemptBound bound = BoundOf(*vendor, request, "12345AA==AA==AA==");
  EXPECT_EQ(bound.tokens, 5u);  // images have a price of their own
  EXPECT_FALSE(bound.cache_writes);
  request.messages.front().parts.front().cache_control = "{}";
  EXPECT_TRUE(BoundOf(*vendor, request, "12345").cache_writes);
  EXPECT_EQ(bound.images, 3u);
  EXPECT_EQ(bound.messages, 3u);
  EXPECT_EQ(bound.tools, 3u);
  EXPECT_EQ(bound.output_tokens, 7u);
}

}  // namespace
}  // namespace garrison
