#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/hash.h"
#include "core/test_embedder.h"
#include "gateway/test_chat.h"
#include "guard/memory_conversations.h"
#include "server/api.h"

namespace garrison {
namespace {

using Json = nlohmann::json;

// What a client gets: a whole answer, or the head of a streamed one and what came behind it.
struct Got {
  std::optional<HttpResponse> whole;
  std::optional<HttpResponse> head;
  std::string body;
  bool finished = false;
  // The client leaves before so many pieces.
  std::size_t pieces = 1000;
};

class GotStream final : public BodyStream {
 public:
  explicit GotStream(Got& got) : got_(got) {}
  Result<> Write(std::string bytes) override {
    if (got_.pieces == 0) return Fail(Code::kCancelled, "the client has left");
    --got_.pieces;
    got_.body += bytes;
    return {};
  }
  Result<> Finish() override {
    if (got_.pieces == 0) return Fail(Code::kCancelled, "the client has left");
    got_.finished = true;
    return {};
  }

 private:
  Got& got_;
};

class GotWriter final : public ResponseWriter {
 public:
  explicit GotWriter(Got& got) : got_(got) {}
  void Send(HttpResponse response) override {
    EXPECT_FALSE(got_.whole || got_.head);
    got_.whole = std::move(response);
  }
  std::unique_ptr<BodyStream> Stream(HttpResponse head) override {
    EXPECT_FALSE(got_.whole || got_.head);
    got_.body = head.body;
    got_.head = std::move(head);
    return std::make_unique<GotStream>(got_);
  }

 private:
  Got& got_;
};

std::string Header(const HttpResponse& response, std::string_view name) {
  return std::string(FindHeader(response.headers, name));
}

class ChatApiTest : public testing::Test {
 protected:
  ChatApiTest()
      : monitor_(GuardMonitor::Create(models_.embedder(), settings_.guard, std::nullopt).value()),
        sessions_(settings_.guard, settings_.limits, monitor_->provenance(), conversations_, clock_,
                  [] { return std::string("fresh"); }),
        gateway_(models_, *monitor_, sessions_, settings_, clock_),
        access_(settings_.server, MakeKeys(), clock_),
        log_file_(testing::TempDir() + "chat_api_test." +
                  testing::UnitTest::GetInstance()->current_test_info()->name()),
        log_((std::remove(log_file_.c_str()), AccessLog::Open(log_file_).value())),
        api_(
            gateway_, chat_, metrics_, access_, log_.get(), tracer_, settings_, clock_, *logger_,
            [] { return std::string("new-1"); }, 1) {}

  static std::shared_ptr<const KeyRing> MakeKeys() {
    return std::make_shared<const KeyRing>(
        KeyRing::Parse("web chat " + Sha256Hex("the-key-of-a-client") +
                           " tokens_per_minute=20\nvectors embed " + Sha256Hex("another-key-here"),
                       "keys")
            .value());
  }

  Got Post(std::string path, std::string body, std::size_t pieces = 1000,
           std::string_view key = "the-key-of-a-client") {
    HttpRequest request;
    request.method = "POST";
    request.path = std::move(path);
    request.body = std::move(body);
    request.headers = {{"x-api-key", std::string(key)}};
    request.deadline = deadline_;
    Got got;
    got.pieces = pieces;
    api_.Handle(std::move(request), std::make_unique<GotWriter>(got));
    return got;
  }

  Json LastLogLine() const {
    std::ifstream file(log_file_);
    std::string line, last;
    while (std::getline(file, line)) last = line;
    return Json::parse(last);
  }

  Settings settings_;
  ManualClock clock_;
  SteadyTime deadline_ = SteadyTime::max();
  TestCatalog models_;
  TestChatCatalog chats_;
  TestChatModel& model_ = *chats_.model;
  std::unique_ptr<GuardMonitor> monitor_;
  MemoryConversations conversations_{1'000, clock_};
  GuardSessions sessions_;
  Gateway gateway_;
  ChatGateway chat_{&chats_, settings_.limits, clock_};
  Metrics metrics_;
  Access access_;
  std::string log_file_;
  std::unique_ptr<AccessLog> log_;
  std::unique_ptr<Logger> logger_ = MakeNullLogger();
  Tracer tracer_{{}, nullptr, *logger_};
  Api api_;
};

constexpr const char* kAsk =
    R"({"model":"echo","messages":[{"role":"user","content":"hi there"}]})";
constexpr const char* kAskStreamed =
    R"({"model":"echo","stream":true,"messages":[{"role":"user","content":"hi there"}]})";
constexpr const char* kAskAnthropic =
    R"({"model":"echo","max_tokens":9,"messages":[{"role":"user","content":"hi there"}]})";
constexpr const char* kAskAnthropicStreamed =
    R"({"model":"echo","max_tokens":9,"stream":true,"messages":[{"role":"user","content":"hi"}]})";

TEST_F(ChatApiTest, AWholeAnswerSaysWhoMadeItAndWhatItCost) {
  const Got got = Post("/v1/chat/completions", kAsk);
  ASSERT_TRUE(got.whole);
  ASSERT_EQ(got.whole->status, 200) << got.whole->body;
  const Json body = Json::parse(got.whole->body);
  EXPECT_EQ(body["id"], "chatcmpl-new-1");
  EXPECT_EQ(body["model"], "test/echo");
  EXPECT_EQ(body["choices"][0]["message"]["content"], "Hello");
  EXPECT_EQ(body["usage"]["total_tokens"], 9);
  EXPECT_EQ(Header(*got.whole, "x-served-by"), "test/echo");
  EXPECT_EQ(Header(*got.whole, "x-attempts"), "2");
  EXPECT_EQ(Header(*got.whole, "x-cost-usd"), "0.000012300000");
  EXPECT_EQ(Header(*got.whole, "X-Request-ID"), "new-1");
  EXPECT_EQ(model_.last_context.client, "web");
}

TEST_F(ChatApiTest, AnthropicsShapeToo) {
  const Got got = Post("/v1/messages", kAskAnthropic);
  ASSERT_EQ(got.whole->status, 200) << got.whole->body;
  const Json body = Json::parse(got.whole->body);
  EXPECT_EQ(body["id"], "msg_new-1");
  EXPECT_EQ(body["content"][0]["text"], "Hello");
  EXPECT_EQ(Header(*got.whole, "request-id"), "new-1");
  const Got count = Post("/v1/messages/count_tokens",
                         R"({"model":"echo","messages":[{"role":"user","content":"hi"}]})");
  EXPECT_EQ(Json::parse(count.whole->body)["input_tokens"], 10) << count.whole->body;
}

TEST_F(ChatApiTest, TheOlderRouteOfOpenAi) {
  const Got got = Post("/v1/completions", R"({"model":"echo","prompt":"hi"})");
  ASSERT_EQ(got.whole->status, 200) << got.whole->body;
  EXPECT_EQ(Json::parse(got.whole->body)["choices"][0]["text"], "Hello");
  const Got streamed = Post("/v1/completions", R"({"prompt":"hi","stream":true})");
  EXPECT_TRUE(streamed.body.ends_with("data: [DONE]\n\n")) << streamed.body;
}

TEST_F(ChatApiTest, AStreamBeginsWithTheContentAndEndsInOrder) {
  const Got got = Post("/v1/chat/completions", kAskStreamed);
  ASSERT_TRUE(got.head);
  EXPECT_EQ(got.head->status, 200);
  EXPECT_EQ(got.head->content_type, "text/event-stream");
  EXPECT_EQ(Header(*got.head, "Cache-Control"), "no-cache");
  EXPECT_EQ(Header(*got.head, "x-served-by"), "test/echo");
  EXPECT_EQ(Header(*got.head, "X-Request-ID"), "new-1");
  EXPECT_NE(got.body.find("Hel"), std::string::npos);
  EXPECT_NE(got.body.find(": x-cost-usd 0.000012300000\n\n"), std::string::npos);
  EXPECT_TRUE(got.body.ends_with("data: [DONE]\n\n")) << got.body;
  EXPECT_TRUE(got.finished);
}

TEST_F(ChatApiTest, AnAnswerWithoutContentIsAStreamAllTheSame) {
  model_.events.clear();
  const Got got = Post("/v1/messages", kAskAnthropicStreamed);
  EXPECT_NE(got.body.find("message_stop"), std::string::npos) << got.body;
  EXPECT_TRUE(got.finished);
}

TEST_F(ChatApiTest, AFailureBeforeTheContentHasItsStatusAndBody) {
  model_.before = [] {
    return Result<>(tl::unexpected(Error{Code::kResourceExhausted, "the month's money is used up",
                                         "", std::nullopt, "budget_exceeded"}));
  };
  for (const char* ask : {kAsk, kAskStreamed}) {
    const Got got = Post("/v1/chat/completions", ask);
    ASSERT_TRUE(got.whole);
    EXPECT_EQ(got.whole->status, 429);
    EXPECT_EQ(Json::parse(got.whole->body)["error"]["code"], "budget_exceeded");
    EXPECT_EQ(Header(*got.whole, "x-should-retry"), "false");
  }
  for (const char* ask : {kAskAnthropic, kAskAnthropicStreamed}) {
    const Got got = Post("/v1/messages", ask);
    EXPECT_EQ(got.whole->status, 429);
    const Json body = Json::parse(got.whole->body);
    EXPECT_EQ(body["error"]["type"], "rate_limit_error");
    EXPECT_EQ(body["request_id"], "new-1");
  }
  EXPECT_EQ(LastLogLine()["ending"], "budget_exceeded");
}

TEST_F(ChatApiTest, AFailureAfterTheContentIsAnEventAndNoOrderlyEnd) {
  model_.failure =
      Error{Code::kUnavailable, "the vendor broke off", "", std::nullopt, "upstream_network"};
  const Got openai = Post("/v1/chat/completions", kAskStreamed);
  EXPECT_NE(openai.body.find("\"error\""), std::string::npos) << openai.body;
  EXPECT_EQ(openai.body.find("[DONE]"), std::string::npos);
  EXPECT_EQ(openai.body.find("x-cost-usd"), std::string::npos);
  EXPECT_TRUE(openai.finished);
  const Json line = LastLogLine();
  EXPECT_EQ(line["status"], 200);
  EXPECT_EQ(line["ending"], "upstream_network");
  EXPECT_EQ(line["tokens_estimated"], true);
  const Got anthropic = Post("/v1/messages", kAskAnthropicStreamed);
  EXPECT_NE(anthropic.body.find("event: error"), std::string::npos) << anthropic.body;
  EXPECT_EQ(anthropic.body.find("message_stop"), std::string::npos);
  EXPECT_TRUE(anthropic.finished);
  // Not streamed, it is a plain error.
  EXPECT_EQ(Post("/v1/chat/completions", kAsk).whole->status, 503);
}

TEST_F(ChatApiTest, AClientThatLeavesStopsTheModel) {
  const Got got = Post("/v1/chat/completions", kAskStreamed, 1);
  ASSERT_TRUE(model_.sink_failed);
  EXPECT_EQ(model_.sink_failed->code, Code::kCancelled);
  EXPECT_FALSE(got.finished);
  EXPECT_EQ(LastLogLine()["ending"], "CANCELLED");
}

TEST_F(ChatApiTest, TheDeadlineOfARequestIsForTheHeadOfAStream) {
  deadline_ = clock_.Now() + std::chrono::seconds(60);
  ASSERT_TRUE(Post("/v1/chat/completions", kAskStreamed).head);
  EXPECT_EQ(model_.last_context.deadline, SteadyTime::max());
  ASSERT_TRUE(Post("/v1/chat/completions", kAsk).whole);
  EXPECT_EQ(model_.last_context.deadline, deadline_);
  model_.before = [this]() -> Result<> {
    clock_.Advance(std::chrono::seconds(61));
    return Fail(Code::kCancelled, "stopped");
  };
  EXPECT_EQ(Post("/v1/chat/completions", kAskStreamed).whole->status, 504);
}

TEST_F(ChatApiTest, OnlySoManyConversationsRunAtOnce) {
  std::optional<HttpResponse> second;
  model_.before = [&] {
    if (!second) second = Post("/v1/messages", kAskAnthropicStreamed).whole;
    return Result<>();
  };
  EXPECT_EQ(Post("/v1/chat/completions", kAsk).whole->status, 200);
  ASSERT_TRUE(second);
  EXPECT_EQ(second->status, 429);
  EXPECT_EQ(Header(*second, "Retry-After"), "1");
  EXPECT_EQ(Post("/v1/chat/completions", kAsk).whole->status, 200);
}

TEST_F(ChatApiTest, KeysNeedTheScopeAndPayForTokens) {
  EXPECT_EQ(Post("/v1/chat/completions", kAsk, 1000, "another-key-here").whole->status, 403);
  EXPECT_EQ(Post("/v1/messages", kAskAnthropic, 1000, "").whole->status, 401);
  // 9 tokens each: the third goes over 20, the fourth waits.
  for (int i = 0; i < 3; ++i) EXPECT_EQ(Post("/v1/chat/completions", kAsk).whole->status, 200);
  const Got refused = Post("/v1/messages", kAskAnthropic);
  EXPECT_EQ(refused.whole->status, 429);
  EXPECT_FALSE(Header(*refused.whole, "Retry-After").empty());
}

TEST_F(ChatApiTest, WrongRequestsNameTheField) {
  EXPECT_EQ(Post("/v1/chat/completions", "{}").whole->status, 400);
  EXPECT_EQ(Post("/v1/chat/completions", R"({"messages":[]})").whole->status, 400);
  const Got unknown = Post("/v1/chat/completions",
                           R"({"model":"gpt-9","messages":[{"role":"user","content":"a"}]})");
  EXPECT_EQ(unknown.whole->status, 404);
  EXPECT_EQ(Json::parse(unknown.whole->body)["error"]["param"], "model");
  const Got anthropic = Post("/v1/messages", "{");
  EXPECT_EQ(Json::parse(anthropic.whole->body)["error"]["type"], "invalid_request_error");
  chats_.empty = true;
  const Got none = Post("/v1/chat/completions", kAsk);
  EXPECT_EQ(none.whole->status, 400);
  EXPECT_EQ(Json::parse(none.whole->body)["error"]["code"], "model_not_available");
}

TEST_F(ChatApiTest, LogsAndMetricsTellTokensAndNoTexts) {
  Post("/v1/chat/completions", kAskStreamed);
  const Json line = LastLogLine();
  EXPECT_EQ(line["model"], "test/echo");
  EXPECT_EQ(line["streamed"], true);
  EXPECT_EQ(line["ending"], "OK");
  EXPECT_EQ(line["input_tokens"], 7);
  EXPECT_EQ(line["output_tokens"], 2);
  EXPECT_EQ(line["cost_usd"], "0.000012300000");
  EXPECT_GT(line["bytes_out"], 100);
  EXPECT_EQ(line.dump().find("hi there"), std::string::npos);
  const std::string text = metrics_.Text();
  for (const char* metric : {"garrison_chat_requests_total{ending=\"OK\",model=\"test/echo\"} 1",
                             "garrison_chat_tokens_total{kind=\"input\",model=\"test/echo\"} 7",
                             "garrison_chat_tokens_total{kind=\"output\",model=\"test/echo\"} 2",
                             "garrison_chat_cost_usd_total{model=\"test/echo\"} 1.23e-05",
                             "garrison_chat_first_content_seconds_count{model=\"test/echo\"} 1"}) {
    EXPECT_NE(text.find(metric), std::string::npos) << metric << "\n" << text;
  }
}

TEST_F(ChatApiTest, ModelsThatChatAreListed) {
  HttpRequest request;
  request.method = "GET";
  request.headers = {{"x-api-key", "another-key-here"}};
  const auto get = [&](std::string path) {
    request.path = std::move(path);
    Got got;
    api_.Handle(request, std::make_unique<GotWriter>(got));
    return Json::parse(got.whole->body);
  };
  const Json last = get("/v1/models")["data"].back();
  EXPECT_EQ(last["id"], "test/echo");
  EXPECT_EQ(last["capabilities"], Json({"chat"}));
  EXPECT_EQ(get("/v1/models/echo")["owned_by"], "test");
  EXPECT_EQ(get("/v1/models/test:letters")["id"], "test:letters");
}

}  // namespace
}  // namespace garrison
