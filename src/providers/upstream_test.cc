#include "providers/upstream.h"

#include <gtest/gtest.h>

#include <thread>

#include "providers/failure.h"
#include "providers/test_http_client.h"
#include "wire/upstream_openai.h"

namespace garrison {
namespace {

using std::chrono::milliseconds;

class UpstreamTest : public testing::Test {
 protected:
  UpstreamTest() {
    options_.provider = "acme";
    options_.breaker = {100, milliseconds(30'000)};
  }

  Result<AttemptUse> Run(const RequestContext& context = {}) {
    if (upstream_ == nullptr) {
      upstream_ = std::make_unique<Upstream>(options_, client_, gate_, time_.chance());
    }
    UpstreamCall call;
    call.bound = {.provider = "acme", .model = "m", .tokens = 400};
    call.make = [this](const RequestContext&) {
      if (before_) before_();
      return HttpCall{.url = "http://acme"};
    };
    call.failure = [](const HttpReply& reply) {
      return DecodeUpstreamOpenAiFailure(reply.status, reply.body, {});
    };
    call.accept = [](const HttpReply& reply) -> Result<AttemptUse> {
      if (reply.body == "bad") return Fail(Code::kUnavailable, "not good");
      return AttemptUse{.tokens = 7, .chat = {}};
    };
    tally_.attempts = 0;
    return upstream_->Run(call, context, tally_);
  }

  std::string Reason(const Result<AttemptUse>& result) {
    return result ? "" : result.error().reason;
  }

  UpstreamOptions options_;
  std::function<void()> before_;  // an attempt is made
  std::shared_ptr<TestHttpClient> client_ = std::make_shared<TestHttpClient>();
  std::shared_ptr<CountingGate> gate_ = std::make_shared<CountingGate>();
  TestTime time_;
  std::unique_ptr<Upstream> upstream_;
  CallTally tally_;
};

struct StatusCase {
  int status;
  const char* body;
  Code code;
  const char* reason;
  unsigned attempts;
  bool released;  // each attempt; otherwise disputed
};

class UpstreamStatus : public UpstreamTest, public testing::WithParamInterface<StatusCase> {};

TEST_P(UpstreamStatus, HasItsErrorItsAttemptsAndItsBill) {
  const StatusCase& expected = GetParam();
  for (int i = 0; i < 10; ++i) client_->Reply(expected.status, expected.body);
  const auto result = Run();
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, expected.code) << result.error().ToString();
  EXPECT_EQ(result.error().reason, expected.reason);
  EXPECT_EQ(tally_.attempts, expected.attempts);
  EXPECT_EQ(gate_->counts().admitted, expected.attempts);
  EXPECT_EQ(gate_->counts().released, expected.released ? expected.attempts : 0);
  EXPECT_EQ(gate_->counts().disputed, expected.released ? 0 : expected.attempts);
  EXPECT_NE(result.error().message.find("acme"), std::string::npos);
}

INSTANTIATE_TEST_SUITE_P(
    All, UpstreamStatus,
    testing::Values(StatusCase{301, "", Code::kUnavailable, "upstream_redirect", 1, false},
                    StatusCase{400, "", Code::kInvalidArgument, "upstream_bad_request", 1, true},
                    StatusCase{401, "", Code::kUnavailable, "upstream_authentication", 1, true},
                    StatusCase{402, "", Code::kUnavailable, "upstream_billing", 1, true},
                    StatusCase{403, "", Code::kUnavailable, "upstream_permission", 1, true},
                    StatusCase{404, "", Code::kUnavailable, "upstream_not_found", 1, true},
                    StatusCase{408, "", Code::kDeadlineExceeded, "upstream_timeout", 3, false},
                    StatusCase{409, "", Code::kUnavailable, "upstream_server", 3, false},
                    StatusCase{413, "", Code::kInvalidArgument, "upstream_bad_request", 1, true},
                    StatusCase{429, "", Code::kResourceExhausted, "upstream_rate_limit", 3, true},
                    StatusCase{429, R"({"error":{"code":"insufficient_quota"}})",
                               Code::kUnavailable, "upstream_billing", 1, true},
                    StatusCase{500, "", Code::kUnavailable, "upstream_server", 3, false},
                    StatusCase{502, "", Code::kUnavailable, "upstream_server", 3, false},
                    StatusCase{503, "", Code::kUnavailable, "upstream_overloaded", 3, false},
                    StatusCase{504, "", Code::kDeadlineExceeded, "upstream_timeout", 3, false},
                    StatusCase{529, "", Code::kUnavailable, "upstream_overloaded", 3, true}));

TEST_F(UpstreamTest, WaitsLongerEachTimeAndThenSucceeds) {
  client_->Reply(500);
  client_->Reply(503);
  client_->Reply(200);
  const auto result = Run();
  ASSERT_TRUE(result) << result.error().ToString();
  EXPECT_EQ(result->tokens, 7u);
  EXPECT_EQ(time_.waits, (std::vector<milliseconds>{milliseconds(500), milliseconds(1000)}));
  EXPECT_EQ(gate_->counts().settled, 1u);
  EXPECT_EQ(gate_->counts().disputed, 2u);
  EXPECT_EQ(tally_.attempts, 3u);
}

TEST_F(UpstreamTest, TheVendorsOwnWaitIsKept) {
  client_->Reply(429, "", {{"Retry-After", "9"}, {"retry-after-ms", "250"}});
  client_->Reply(503, "", {{"Retry-After", "1.5"}});
  client_->Reply(200);
  ASSERT_TRUE(Run());
  EXPECT_EQ(time_.waits, (std::vector<milliseconds>{milliseconds(250), milliseconds(1500)}));
}

TEST_F(UpstreamTest, AWaitThatIsTooLongIsTheCallersToDecide) {
  client_->Reply(429, "", {{"Retry-After", "61"}});
  const auto result = Run();
  EXPECT_EQ(Reason(result), "upstream_rate_limit");
  EXPECT_EQ(result.error().retry_after, milliseconds(61'000));
  EXPECT_EQ(tally_.attempts, 1u);
  // Nor is there a wait beyond the request's own deadline.
  client_->Reply(503, "", {{"Retry-After", "30"}});
  EXPECT_FALSE(Run({.deadline = time_.clock.Now() + milliseconds(20'000)}));
  EXPECT_EQ(tally_.attempts, 1u);
  EXPECT_TRUE(time_.waits.empty());
}

TEST_F(UpstreamTest, XShouldRetryDecides) {
  client_->Reply(500, "", {{"x-should-retry", "false"}});
  EXPECT_EQ(Reason(Run()), "upstream_server");
  EXPECT_EQ(tally_.attempts, 1u);
  client_->Reply(400, "", {{"x-should-retry", "true"}});
  client_->Reply(200);
  EXPECT_TRUE(Run());
  EXPECT_EQ(tally_.attempts, 2u);
}

TEST_F(UpstreamTest, WhatWasNotSentIsReleasedWhatWasIsNot) {
  client_->Break(Code::kUnavailable, "connect", {});
  client_->Break(Code::kDeadlineExceeded, "first_content", {.connected = true, .sent = true});
  client_->Break(Code::kUnavailable, "body",
                 {.connected = true, .sent = true, .replied = true, .body_bytes = 9});
  const auto result = Run();
  EXPECT_EQ(Reason(result), "upstream_network");
  EXPECT_EQ(gate_->counts().released, 1u);
  EXPECT_EQ(gate_->counts().disputed, 2u);
  EXPECT_EQ(tally_.attempts, 3u);
}

TEST_F(UpstreamTest, AnswersThatCannotBeUsedAreNotPaidTwice) {
  client_->Reply(200, "bad");
  const auto result = Run();
  EXPECT_EQ(Reason(result), "upstream_bad_reply");
  EXPECT_EQ(result.error().code, Code::kUnavailable);
  EXPECT_EQ(tally_.attempts, 1u);
  EXPECT_EQ(gate_->counts().disputed, 1u);
}

TEST_F(UpstreamTest, AKeptConnectionThatWasClosedIsTriedAgainAtOnce) {
  options_.attempts = 1;
  client_->Break(Code::kUnavailable, "reply", {.connected = true, .reused = true, .sent = true});
  client_->Reply(200);
  EXPECT_TRUE(Run());
  EXPECT_EQ(tally_.attempts, 2u);
  EXPECT_TRUE(time_.waits.empty());
}

TEST_F(UpstreamTest, AStopEndsIt) {
  std::stop_source stop;
  client_->on_call = [&](const HttpCall&, const HttpCallLimits&) { stop.request_stop(); };
  client_->Break(Code::kCancelled, "", {.connected = true, .sent = true});
  const auto result = Run({.stop = stop.get_token()});
  EXPECT_EQ(result.error().code, Code::kCancelled);
  EXPECT_EQ(tally_.attempts, 1u);
  EXPECT_EQ(gate_->counts().disputed, 1u);
  EXPECT_EQ(Run({.stop = stop.get_token()}).error().code, Code::kCancelled);
  EXPECT_EQ(tally_.attempts, 0u);
}

TEST_F(UpstreamTest, TheCircuitOpensProbesAndCloses) {
  options_.attempts = 1;
  options_.breaker = {3, milliseconds(1000)};
  for (int i = 0; i < 4; ++i) client_->Reply(500);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(Reason(Run()), "upstream_server");
  const auto refused = Run();
  EXPECT_EQ(Reason(refused), "upstream_circuit_open");
  EXPECT_EQ(refused.error().retry_after, milliseconds(1000));
  EXPECT_EQ(tally_.attempts, 0u);
  time_.clock.Advance(milliseconds(1000));
  EXPECT_EQ(Reason(Run()), "upstream_server");  // the probe fails: open for twice as long
  time_.clock.Advance(milliseconds(1500));
  EXPECT_EQ(Reason(Run()), "upstream_circuit_open");
  time_.clock.Advance(milliseconds(500));
  client_->Reply(200);
  EXPECT_TRUE(Run());
  EXPECT_EQ(upstream_->circuit(), CircuitBreaker::State::kClosed);
}

TEST_F(UpstreamTest, NoMoneyOpensItAtOnceAndBadRequestsNever) {
  options_.attempts = 1;
  options_.breaker = {2, milliseconds(1000)};
  for (int i = 0; i < 5; ++i) client_->Reply(400);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(Reason(Run()), "upstream_bad_request");
  client_->Reply(402);
  EXPECT_EQ(Reason(Run()), "upstream_billing");
  EXPECT_EQ(Reason(Run()), "upstream_circuit_open");
}

// All of them used up.
const std::vector<HttpHeader> kTwoInFourSeconds = {{"x-ratelimit-limit-requests", "2"},
                                                   {"x-ratelimit-remaining-requests", "0"},
                                                   {"x-ratelimit-reset-requests", "4s"}};

TEST_F(UpstreamTest, RatesAreKeptBeforeTheVendorComplains) {
  client_->Reply(200, "{}", kTwoInFourSeconds);
  client_->Reply(200);
  ASSERT_TRUE(Run());
  ASSERT_TRUE(Run());
  // Two requests in four seconds: the first of them is there after two.
  EXPECT_EQ(time_.waits, (std::vector<milliseconds>{milliseconds(2000)}));
  client_->Reply(200, "{}",
                 {{"x-ratelimit-limit-tokens", "1000"},
                  {"x-ratelimit-remaining-tokens", "0"},
                  {"x-ratelimit-reset-tokens", "6m0s"}});
  time_.clock.Advance(milliseconds(4000));
  ASSERT_TRUE(Run());
  // 100 tokens of 1000 in 360 s would be 36 s, longer than the request may take.
  const auto late = Run({.deadline = time_.clock.Now() + milliseconds(10'000)});
  EXPECT_EQ(Reason(late), "upstream_rate_limit");
  EXPECT_NEAR(static_cast<double>(late.error().retry_after->count()), 36'000, 1);
  EXPECT_EQ(tally_.attempts, 0u);
}

TEST_F(UpstreamTest, OnlySoManyCallsAreUnderWayAtOnce) {
  options_.concurrency = 2;
  std::atomic<int> now = 0, most = 0;
  client_->on_call = [&](const HttpCall&, const HttpCallLimits&) {
    const int count = ++now;
    for (int seen = most; count > seen && !most.compare_exchange_weak(seen, count);) {
    }
    std::this_thread::sleep_for(milliseconds(2));
    --now;
  };
  client_->otherwise = [](const HttpCall&) {
    return TestHttpClient::Answer{HttpReply{200, {}, "{}"}, {.connected = true, .sent = true}};
  };
  upstream_ = std::make_unique<Upstream>(options_, client_, gate_, time_.chance());
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 8; ++i) {
      threads.emplace_back([&] {
        UpstreamCall call;
        call.make = [](const RequestContext&) { return HttpCall{}; };
        call.accept = [](const HttpReply&) { return Result<AttemptUse>(AttemptUse{1}); };
        CallTally tally;
        EXPECT_TRUE(upstream_->Run(call, {}, tally));
      });
    }
  }
  EXPECT_EQ(most, 2);
  EXPECT_EQ(gate_->counts().tokens, 8u);
}

TEST_F(UpstreamTest, AHedgeTakesTheFirstAnswerAndCutsTheOther) {
  options_.hedge = milliseconds(5);
  std::atomic<int> calls = 0;
  client_->on_call = [&](const HttpCall&, const HttpCallLimits& limits) {
    if (calls++ != 0) return;
    while (!limits.stop.stop_requested()) std::this_thread::sleep_for(milliseconds(1));
  };
  client_->otherwise = [](const HttpCall&) {
    return TestHttpClient::Answer{HttpReply{200, {}, "{}"}, {.connected = true, .sent = true}};
  };
  ASSERT_TRUE(Run());
  EXPECT_EQ(tally_.attempts, 2u);
  EXPECT_EQ(gate_->counts().settled, 1u);
  EXPECT_EQ(gate_->counts().disputed, 1u);
}

TEST_F(UpstreamTest, AHedgeDoesNotCountTheTimeBeforeTheFirstOneLeft) {
  options_.hedge = milliseconds(5);
  before_ = [] { std::this_thread::sleep_for(milliseconds(100)); };
  client_->Reply(200);
  client_->Reply(200);
  ASSERT_TRUE(Run());
  EXPECT_EQ(tally_.attempts, 1u);
  EXPECT_EQ(client_->calls().size(), 1u);
}

TEST_F(UpstreamTest, TheVendorIsToldTheTrace) {
  client_->Reply(200);
  client_->Reply(200);
  RequestContext context;
  context.trace = {.trace_id = "4bf92f3577b34da6a3ce929d0e0e4736",
                   .span_id = "00f067aa0ba902b7",
                   .sampled = true,
                   .state = "a=b"};
  ASSERT_TRUE(Run(context));
  ASSERT_TRUE(Run());
  const auto calls = client_->calls();
  EXPECT_EQ(FindHeader(calls.at(0).headers, "traceparent"), FormatTraceparent(context.trace));
  EXPECT_EQ(FindHeader(calls.at(0).headers, "tracestate"), "a=b");
  EXPECT_EQ(FindHeader(calls.at(1).headers, "traceparent"), "");
}

TEST_F(UpstreamTest, AGateThatRefusesIsTheError) {
  class Closed final : public AttemptGate {
    Result<std::uint64_t> Admit(const AttemptBound& bound, const RequestContext&) override {
      return Fail(Code::kResourceExhausted, "no budget for {} tokens", bound.tokens);
    }
    Result<> MarkSent(std::uint64_t) override { return {}; }
    std::optional<Pusd> Settle(std::uint64_t, const AttemptUse&) override { return {}; }
    void Release(std::uint64_t) override {}
    std::optional<Pusd> Dispute(std::uint64_t, const AttemptTrace&) override { return {}; }
  };
  upstream_ =
      std::make_unique<Upstream>(options_, client_, std::make_shared<Closed>(), time_.chance());
  const auto result = Run();
  EXPECT_EQ(result.error().message, "no budget for 400 tokens");
  EXPECT_TRUE(client_->calls().empty());
}

// Of two calls the first leaves at once, the second waits for the vendor's rates.
class MarkingGate final : public AttemptGate {
 public:
  Result<std::uint64_t> Admit(const AttemptBound& bound, const RequestContext&) override {
    leaving.push_back(bound.leaves);
    return leaving.size();
  }
  Result<> MarkSent(std::uint64_t ticket) override {
    marked.push_back(ticket);
    if (mark_fails) return Fail(Code::kUnavailable, "disk full");
    return {};
  }
  std::optional<Pusd> Settle(std::uint64_t, const AttemptUse&) override { return {}; }
  void Release(std::uint64_t ticket) override { released.push_back(ticket); }
  std::optional<Pusd> Dispute(std::uint64_t, const AttemptTrace&) override { return {}; }

  bool mark_fails = false;
  std::vector<bool> leaving;
  std::vector<std::uint64_t> marked, released;
};

TEST_F(UpstreamTest, OnlyWhoHasToWaitIsMarkedOnItsOwn) {
  const auto gate = std::make_shared<MarkingGate>();
  upstream_ = std::make_unique<Upstream>(options_, client_, gate, time_.chance());
  client_->Reply(200, "{}", kTwoInFourSeconds);
  client_->Reply(200);
  ASSERT_TRUE(Run());
  ASSERT_TRUE(Run());
  EXPECT_EQ(gate->leaving, (std::vector<bool>{true, false}));
  EXPECT_EQ(gate->marked, (std::vector<std::uint64_t>{2}));
}

TEST_F(UpstreamTest, WhatCannotBeMarkedAsSentIsNotSentAndIsReleased) {
  const auto gate = std::make_shared<MarkingGate>();
  gate->mark_fails = true;
  upstream_ = std::make_unique<Upstream>(options_, client_, gate, time_.chance());
  client_->Reply(200, "{}", kTwoInFourSeconds);
  ASSERT_TRUE(Run());
  EXPECT_EQ(Run().error().message, "disk full");
  EXPECT_EQ(client_->calls().size(), 1u);
  EXPECT_EQ(gate->released, (std::vector<std::uint64_t>{2}));
}

// Whoever has no money left must not use up the rates of those who have.
TEST_F(UpstreamTest, ARefusalTakesNothingFromTheRates) {
  class Poor final : public AttemptGate {
   public:
    bool rich = true;

   private:
    Result<std::uint64_t> Admit(const AttemptBound&, const RequestContext&) override {
      if (!rich) return Fail(Code::kResourceExhausted, "no money");
      return 1;
    }
    Result<> MarkSent(std::uint64_t) override { return {}; }
    std::optional<Pusd> Settle(std::uint64_t, const AttemptUse&) override { return {}; }
    void Release(std::uint64_t) override {}
    std::optional<Pusd> Dispute(std::uint64_t, const AttemptTrace&) override { return {}; }
  };
  const auto gate = std::make_shared<Poor>();
  upstream_ = std::make_unique<Upstream>(options_, client_, gate, time_.chance());
  client_->Reply(200, "{}",
                 {{"x-ratelimit-limit-requests", "10"},
                  {"x-ratelimit-remaining-requests", "3"},
                  {"x-ratelimit-reset-requests", "1000s"}});
  ASSERT_TRUE(Run());
  gate->rich = false;
  for (int i = 0; i < 10; ++i) EXPECT_FALSE(Run());
  gate->rich = true;
  client_->Reply(200);
  ASSERT_TRUE(Run());
  EXPECT_TRUE(time_.waits.empty());
}

TEST(Retries, DatesAndOddValuesOfRetryAfter) {
  // 1994-11-06 08:49:37 UTC, the example of RFC 9110.
  const WallTime now = WallTime(std::chrono::seconds(784'111'777 - 5));
  const auto after = [&](std::string value) { return RetryAfter({{"Retry-After", value}}, now); };
  EXPECT_EQ(after("Sun, 06 Nov 1994 08:49:37 GMT"), milliseconds(5000));
  EXPECT_EQ(after("Sun, 06 Nov 1994 08:49:00 GMT"), milliseconds(0));
  EXPECT_EQ(after("0"), milliseconds(0));
  EXPECT_EQ(after("2.25"), milliseconds(2250));
  for (const char* odd : {"", "-1", "nan", "soon", "1e99", "5 s"}) EXPECT_FALSE(after(odd)) << odd;
  EXPECT_FALSE(RetryAfter({}, now));
}

TEST(Retries, BackoffDoublesUpToEightSecondsWithJitter) {
  EXPECT_EQ(Backoff(0, 0), milliseconds(500));
  EXPECT_EQ(Backoff(3, 0), milliseconds(4000));
  EXPECT_EQ(Backoff(4, 0), milliseconds(8000));
  EXPECT_EQ(Backoff(4'000'000'000u, 0), milliseconds(8000));
  EXPECT_EQ(Backoff(0, 1), milliseconds(375));
}

TEST(RateHeaders, ResetTimesHaveUnits) {
  using std::chrono::nanoseconds;
  EXPECT_EQ(ParseResetTime("12ms"), nanoseconds(12'000'000));
  EXPECT_EQ(ParseResetTime("6m0s"), nanoseconds(360'000'000'000));
  EXPECT_EQ(ParseResetTime("1h2m3.5s"), nanoseconds(3'723'500'000'000));
  EXPECT_EQ(ParseResetTime("7"), nanoseconds(7'000'000'000));
  for (const char* odd : {"", "x", "5x", "-1s", "1s!", "ms"})
    EXPECT_FALSE(ParseResetTime(odd)) << odd;
}

}  // namespace
}  // namespace garrison
