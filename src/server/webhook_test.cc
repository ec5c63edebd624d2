#include "server/webhook.h"

#include <gtest/gtest.h>

#include <chrono>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "net/http_server.h"

namespace garrison {
namespace {

using std::chrono::milliseconds;

// Takes alerts; answers with the given statuses first, then with 200.
class Endpoint final : public HttpHandler {
 public:
  void Handle(HttpRequest request, std::unique_ptr<ResponseWriter> writer) override {
    const std::lock_guard lock(mutex_);
    calls_.push_back({request.body, std::string(request.header("X-Garrison-Signature")),
                      std::string(request.header("X-Garrison-Event"))});
    int status = 200;
    if (!statuses_.empty()) {
      status = statuses_.front();
      statuses_.erase(statuses_.begin());
    }
    writer->Send({.status = status, .body = "x"});
  }
  bool IsQuick(const HttpRequest&) const override { return false; }
  HttpResponse Refuse(int status, const Error&) override { return {.status = status}; }

  struct Taken {
    std::string body, signature, event;
  };
  std::vector<Taken> calls() {
    const std::lock_guard lock(mutex_);
    return calls_;
  }

  std::mutex mutex_;
  std::vector<Taken> calls_;
  std::vector<int> statuses_;
};

class WebhookTest : public testing::Test {
 protected:
  std::unique_ptr<GuardWebhook> Start(std::string secret = "s3cret") {
    GuardWebhook::Options options;
    options.url = "http://127.0.0.1:" + std::to_string(server_->port()) + "/alerts";
    options.secret = std::move(secret);
    options.tries = 3;
    options.first_wait = milliseconds(1);
    return GuardWebhook::Create(options, "", *logger_).value();
  }
  static GuardAlert Alert(std::int64_t turn) {
    return {.source = "check-safety", .conversation_id = "c\"1", .turn = turn, .status = "alarm"};
  }
  // Waits until everything was taken or lost.
  static void Settle(const GuardWebhook& webhook, std::uint64_t count) {
    while (webhook.sent() + webhook.lost() < count) std::this_thread::sleep_for(milliseconds(1));
  }

  Endpoint endpoint_;
  std::unique_ptr<Logger> logger_ = MakeNullLogger();
  std::unique_ptr<HttpServer> server_ = *HttpServer::Start({}, endpoint_, *logger_);
};

// Computed with `openssl dgst -sha256 -hmac secret`.
TEST(WebhookSignature, IsWhatReceiversCompute) {
  EXPECT_EQ(WebhookSignature("secret", 1700000000, "{\"a\":1}"),
            "t=1700000000,v1=49f24e537407743fa4a0242bb63b94b9a47ee99cbbe071ccd8a22550ae411686");
}

TEST_F(WebhookTest, SendsInOrderAndSigns) {
  const auto webhook = Start();
  for (int i = 1; i <= 5; ++i) webhook->Notify(Alert(i));
  Settle(*webhook, 5);
  const auto calls = endpoint_.calls();
  ASSERT_EQ(calls.size(), 5u);
  for (int i = 0; i < 5; ++i) {
    const auto& call = calls[static_cast<std::size_t>(i)];
    const auto json = nlohmann::json::parse(call.body);
    EXPECT_EQ(json["turn"], i + 1);
    EXPECT_EQ(json["type"], "guard.alarm");
    EXPECT_EQ(json["conversation_id"], "c\"1");
    EXPECT_EQ(json["id"], call.event);
    const std::string time = call.signature.substr(2, call.signature.find(',') - 2);
    EXPECT_EQ(call.signature, WebhookSignature("s3cret", std::stoll(time), call.body));
  }
  EXPECT_NE(calls[0].event, calls[1].event);
}

TEST_F(WebhookTest, WithoutASecretNothingIsSigned) {
  const auto webhook = Start("");
  webhook->Notify(Alert(1));
  Settle(*webhook, 1);
  EXPECT_EQ(endpoint_.calls()[0].signature, "");
}

TEST_F(WebhookTest, TriesAgainWithTheSameNameUntilItIsTaken) {
  endpoint_.statuses_ = {503, 429};
  const auto webhook = Start();
  webhook->Notify(Alert(1));
  Settle(*webhook, 1);
  EXPECT_EQ(webhook->sent(), 1u);
  const auto calls = endpoint_.calls();
  ASSERT_EQ(calls.size(), 3u);
  EXPECT_EQ(calls[0].event, calls[2].event);
  EXPECT_EQ(calls[0].body, calls[2].body);
}

TEST_F(WebhookTest, GivesUpAfterSomeTriesAndGoesOn) {
  endpoint_.statuses_ = {500, 500, 500};
  const auto webhook = Start();
  webhook->Notify(Alert(1));
  webhook->Notify(Alert(2));
  Settle(*webhook, 2);
  EXPECT_EQ(webhook->lost(), 1u);
  EXPECT_EQ(webhook->sent(), 1u);
}

TEST_F(WebhookTest, ARefusalIsNotTriedAgain) {
  endpoint_.statuses_ = {400};
  const auto webhook = Start();
  webhook->Notify(Alert(1));
  Settle(*webhook, 1);
  EXPECT_EQ(webhook->lost(), 1u);
  EXPECT_EQ(endpoint_.calls().size(), 1u);
}

TEST_F(WebhookTest, NobodyListensAndNobodyWaits) {
  const std::uint16_t port = server_->port();
  server_.reset();
  GuardWebhook::Options options;
  options.url = "http://127.0.0.1:" + std::to_string(port) + "/";
  options.tries = 2;
  options.first_wait = milliseconds(1);
  const auto webhook = GuardWebhook::Create(options, "", *logger_).value();
  for (int i = 0; i < 3000; ++i) webhook->Notify(Alert(i));
  EXPECT_GT(webhook->lost(), 900u) << "the queue is bounded";
}

TEST_F(WebhookTest, RefusesAnAddressThatIsNone) {
  GuardWebhook::Options options;
  options.url = "ftp://example.com";
  const auto refused = GuardWebhook::Create(options, "", *logger_);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().where, "guard.webhook_url");
}

}  // namespace
}  // namespace garrison
