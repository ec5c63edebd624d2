#include "providers/chat_upstream.h"

#include <gtest/gtest.h>

#include <numeric>
#include <random>

#include "providers/anthropic_vendor.h"
#include "providers/openai_chat_vendor.h"
#include "providers/remote_chat_model.h"
#include "providers/test_chat.h"

namespace garrison {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using Step = TestHttpClient::Step;
using Stream = TestHttpClient::Stream;
using Json = nlohmann::json;

const std::string kText = "Gr\xc3\xbc\xc3\x9f Gott";

std::string Joined(const std::vector<std::string>& pieces) {
  return std::accumulate(pieces.begin(), pieces.end(), std::string());
}

void Flip(std::string& bytes, std::size_t at) { bytes[at] = static_cast<char>(bytes[at] ^ 0x15); }

std::string ErrorEvent(const char* type) {
  return SseOf("error", {{"type", "error"}, {"error", {{"type", type}, {"message", "no"}}}});
}

class ChatUpstreamTest : public testing::Test {
 protected:
  ChatUpstreamTest() {
    options_.provider = "anthropic";
    options_.breaker = {100, milliseconds(30'000)};
    options_.total = seconds(600);
    client_->clock = &time_.clock;
    client_->on_open = [this] { gate_->Opened(); };
  }

  // A service that speaks OpenAI's shape instead.
  void UseOpenAi() {
    vendor_ = MakeOpenAiChatVendor({.provider = "openai",
                                    .url = "http://acme/chat/completions",
                                    .model = "gpt-4o-mini",
                                    .headers = {},
                                    .secrets = {},
                                    .form = {}});
  }

  Result<ChatOutcome> Ask(const RequestContext& context = {}) {
    if (vendor_ == nullptr) vendor_ = MakeAnthropicVendor({}, "claude-haiku-4-5");
    if (upstream_ == nullptr) {
      upstream_ = std::make_shared<ChatUpstream>(options_, client_, gate_, time_.chance());
    }
    const RemoteChatModel model(vendor_, upstream_, nullptr, {});
    const std::size_t leaves_at = sink_.leaves_at;
    const auto on_event = sink_.on_event;
    sink_ = TestSink();
    sink_.leaves_at = leaves_at;
    sink_.on_event = on_event;
    attempts_ = {};
    return model.Answer(RequestOf("hello"), sink_, context, "", attempts_);
  }
  // With a gate and a circuit that know nothing yet.
  Result<ChatOutcome> AskAnew(Stream stream, const RequestContext& context = {}) {
    gate_ = std::make_shared<StrictGate>();
    upstream_ = nullptr;
    client_->streams.clear();
    client_->streams.push_back(std::move(stream));
    return Ask(context);
  }

  static std::string Reason(const Result<ChatOutcome>& result) {
    return result ? "" : result.error().reason;
  }

  UpstreamOptions options_;
  TestTime time_;
  std::shared_ptr<TestHttpClient> client_ = std::make_shared<TestHttpClient>();
  std::shared_ptr<StrictGate> gate_ = std::make_shared<StrictGate>();
  std::shared_ptr<const ChatVendor> vendor_;
  std::shared_ptr<ChatUpstream> upstream_;
  TestSink sink_;
  ChatAttempts attempts_;
};

TEST_F(ChatUpstreamTest, AnAnswerIsHandedOnAndSettledByItsUsage) {
  client_->streams.push_back(StreamOf(AnthropicPieces()));
  const auto outcome = Ask();
  ASSERT_TRUE(outcome) << outcome.error().ToString();
  EXPECT_EQ(sink_.text, kText);
  EXPECT_EQ(outcome->served.by, "anthropic/claude-haiku-4-5");
  EXPECT_EQ(outcome->served.model, "claude-haiku-4-5-20251001");
  EXPECT_EQ(outcome->served.id, "msg_1");
  EXPECT_EQ(outcome->served.attempts, 1u);
  EXPECT_EQ(sink_.served.id, "msg_1");
  EXPECT_EQ(outcome->end.finish, ChatFinish::kStop);
  EXPECT_EQ(outcome->end.usage, (ChatUsage{.input = 10, .output = 5}));
  EXPECT_EQ(outcome->cost, StrictGate::kSettled);
  ASSERT_EQ(gate_->Story(), "settled");
  const StrictGate::Ticket& ticket = gate_->tickets.front();
  EXPECT_EQ(ticket.use->chat, (ChatUsage{.input = 10, .output = 5}));
  EXPECT_EQ(ticket.bound.provider, "anthropic");
  EXPECT_EQ(ticket.bound.model, "claude-haiku-4-5");
  EXPECT_EQ(ticket.bound.kind, "chat");
  EXPECT_EQ(ticket.bound.parent, "");
  EXPECT_EQ(ticket.bound.tokens, client_->calls().front().body.size());
  EXPECT_EQ(ticket.bound.messages, 1u);
  EXPECT_EQ(ticket.bound.output_tokens, 1024u);
}

TEST_F(ChatUpstreamTest, WithoutUsageItIsSettledAtTheBound) {
  UseOpenAi();
  client_->streams.push_back(StreamOf(OpenAiPieces(false)));
  const auto outcome = Ask();
  ASSERT_TRUE(outcome) << outcome.error().ToString();
  EXPECT_EQ(sink_.text, kText);
  EXPECT_FALSE(outcome->end.usage_known);
  EXPECT_EQ(outcome->end.usage.output, 1024u);
  EXPECT_EQ(outcome->end.usage.input, gate_->tickets.front().bound.tokens);
  EXPECT_EQ(gate_->Story(), "settled");
  EXPECT_FALSE(gate_->tickets.front().use->chat);
}

struct FailureCase {
  const char* name;
  Step step;
  const char* reason;
  bool released_before;  // when it comes before the first content; otherwise disputed
};

std::vector<FailureCase> Failures() {
  return {
      {"overloaded", {ErrorEvent("overloaded_error")}, "upstream_overloaded", true},
      {"rate limit", {ErrorEvent("rate_limit_error")}, "upstream_rate_limit", true},
      {"server", {ErrorEvent("api_error")}, "upstream_server", false},
      {"malformed", {"event: content_block_delta\ndata: {oops\n\n"}, "upstream_bad_reply", false},
      {"no UTF-8", {"data: {\"a\":\"\xff\"}\n\n"}, "upstream_bad_reply", false},
      {"end", {""}, "upstream_network", false},
      {"within an event", {"event: content_block_delta\ndata: {"}, "upstream_network", false},
      {"cut",
       {.error = Error{Code::kUnavailable, "cut", "content_idle", {}}},
       "upstream_network",
       false},
      {"stall", {.bytes = "x", .wait = seconds(61)}, "upstream_timeout", false},
  };
}

TEST_F(ChatUpstreamTest, WhatFailsBeforeTheFirstContentIsTriedAgain) {
  const std::vector<std::string> pieces = AnthropicPieces();
  for (const FailureCase& failure : Failures()) {
    SCOPED_TRACE(failure.name);
    Stream broken = StreamOf({pieces[0], pieces[1], pieces[2]});
    broken.steps.push_back(failure.step);
    gate_ = std::make_shared<StrictGate>();
    upstream_ = nullptr;
    time_.waits.clear();
    client_->streams = {broken, StreamOf(pieces)};
    const auto outcome = Ask();
    ASSERT_TRUE(outcome) << outcome.error().ToString();
    EXPECT_EQ(sink_.text, kText);
    EXPECT_EQ(outcome->served.attempts, 2u);
    EXPECT_EQ(time_.waits, std::vector<milliseconds>{milliseconds(500)});
    EXPECT_EQ(gate_->Story(), failure.released_before ? "released settled" : "disputed settled");
    EXPECT_EQ(gate_->tickets[0].bound.parent, "");
    EXPECT_EQ(gate_->tickets[1].bound.parent, "retry");
    EXPECT_EQ(outcome->cost,
              StrictGate::kSettled + (failure.released_before ? 0 : StrictGate::kDisputed));
  }
}

TEST_F(ChatUpstreamTest, WhatFailsBehindTheFirstContentIsNot) {
  const std::vector<std::string> pieces = AnthropicPieces();
  for (const FailureCase& failure : Failures()) {
    SCOPED_TRACE(failure.name);
    Stream broken = StreamOf({pieces[0], pieces[1], pieces[2], pieces[3]});
    broken.steps.push_back(failure.step);
    const auto outcome = AskAnew(broken);
    EXPECT_EQ(Reason(outcome), failure.reason);
    EXPECT_EQ(sink_.text, "Gr\xc3\xbc\xc3\x9f");
    EXPECT_TRUE(attempts_.begun);
    EXPECT_EQ(attempts_.count, 1u);
    EXPECT_EQ(gate_->Story(), "disputed");
    EXPECT_GE(gate_->tickets[0].trace.output_tokens, 1u);
    EXPECT_GT(gate_->tickets[0].trace.reply_bytes, 100u);
  }
}

TEST_F(ChatUpstreamTest, OneThatFailsEachTimeIsNotTriedForEver) {
  for (int i = 0; i < 5; ++i) {
    client_->streams.push_back(StreamOf({AnthropicPieces()[0], ErrorEvent("overloaded_error")}));
  }
  const auto outcome = Ask();
  EXPECT_EQ(Reason(outcome), "upstream_overloaded");
  EXPECT_EQ(outcome.error().code, Code::kUnavailable);
  EXPECT_EQ(gate_->Story(), "released released released");
  EXPECT_EQ(sink_.begun, 0);
}

TEST_F(ChatUpstreamTest, CallsThatNeverHadAReplyAreReleasedOrDisputed) {
  Stream unsent{.refused = Error{Code::kUnavailable, "no name", "connect", {}}, .progress = {}};
  Stream sent{.refused = Error{Code::kUnavailable, "cut", "first_content", {}}};
  client_->streams = {unsent, sent, StreamOf(AnthropicPieces())};
  ASSERT_TRUE(Ask());
  EXPECT_EQ(gate_->Story(), "released disputed settled");
}

// Whatever is missing of a stream: what the client got is the beginning of the answer, and nothing
// is settled that has not come to its end.
TEST_F(ChatUpstreamTest, AStreamMayBeCutAtAnyByte) {
  options_.attempts = 1;
  for (const bool anthropic : {true, false}) {
    if (!anthropic) UseOpenAi();
    const std::string all = Joined(anthropic ? AnthropicPieces() : OpenAiPieces());
    for (std::size_t size = 0; size <= all.size(); ++size) {
      SCOPED_TRACE(size);
      Stream cut = StreamOf({all.substr(0, size / 2), all.substr(size / 2, size - size / 2)});
      std::erase_if(cut.steps, [](const Step& step) { return step.bytes.empty(); });
      if (size % 2 == 0) {
        cut.steps.push_back({.error = Error{Code::kUnavailable, "cut", "content_idle", {}}});
      }
      const auto outcome = AskAnew(cut);
      ASSERT_TRUE(kText.starts_with(sink_.text)) << sink_.text;
      ASSERT_EQ(gate_->Story(), outcome ? "settled" : "disputed");
      if (outcome) {
        ASSERT_GE(size + 2, all.size());
        ASSERT_EQ(sink_.text, kText);
      } else {
        ASSERT_EQ(outcome.error().code, Code::kUnavailable);
        ASSERT_LT(size, all.size());
      }
    }
  }
}

TEST_F(ChatUpstreamTest, PiecesMayBeSingleBytes) {
  for (const bool anthropic : {true, false}) {
    if (!anthropic) UseOpenAi();
    std::vector<std::string> bytes;
    for (const char c : Joined(anthropic ? AnthropicPieces() : OpenAiPieces())) {
      bytes.emplace_back(1, c);
    }
    const auto outcome = AskAnew(StreamOf(bytes));
    ASSERT_TRUE(outcome) << outcome.error().ToString();
    EXPECT_EQ(sink_.text, kText);
    EXPECT_EQ(outcome->end.usage, (ChatUsage{.input = 10, .output = 5}));
  }
}

TEST_F(ChatUpstreamTest, AChunkThatComesTwiceIsNotPaidTwice) {
  options_.attempts = 1;
  for (const bool anthropic : {true, false}) {
    if (!anthropic) UseOpenAi();
    const std::vector<std::string> pieces = anthropic ? AnthropicPieces() : OpenAiPieces();
    for (std::size_t i = 0; i < pieces.size(); ++i) {
      SCOPED_TRACE(pieces[i]);
      std::vector<std::string> twice = pieces;
      twice.insert(twice.begin() + static_cast<std::ptrdiff_t>(i), pieces[i]);
      const auto outcome = AskAnew(StreamOf(twice));
      if (outcome) {
        EXPECT_EQ(gate_->tickets[0].use->chat, (ChatUsage{.input = 10, .output = 5}));
      } else {
        EXPECT_EQ(Reason(outcome), "upstream_bad_reply");
        EXPECT_EQ(gate_->Story(), "disputed");
      }
    }
  }
}

TEST_F(ChatUpstreamTest, SignsOfLifeAreNoContent) {
  options_.attempts = 1;
  const std::vector<std::string> pieces = AnthropicPieces();
  Stream before = StreamOf({pieces[0]});
  for (int i = 0; i < 100; ++i) {
    before.steps.push_back({.bytes = ": keep-alive\n\n", .wait = seconds(10)});
  }
  SteadyTime start = time_.clock.Now();
  auto outcome = AskAnew(before);
  EXPECT_EQ(Reason(outcome), "upstream_timeout");
  EXPECT_NE(outcome.error().message.find("first_content"), std::string::npos);
  EXPECT_EQ(time_.clock.Now() - start, seconds(60));

  Stream behind = StreamOf({pieces[0], pieces[1], pieces[3]});
  for (int i = 0; i < 100; ++i) behind.steps.push_back({.bytes = pieces[2], .wait = seconds(10)});
  start = time_.clock.Now();
  outcome = AskAnew(behind);
  EXPECT_EQ(Reason(outcome), "upstream_timeout");
  EXPECT_NE(outcome.error().message.find("content_idle"), std::string::npos);
  EXPECT_EQ(time_.clock.Now() - start, seconds(30));
  EXPECT_EQ(gate_->Story(), "disputed");
}

TEST_F(ChatUpstreamTest, ContentMayBeSlowAndSoMayTheClient) {
  Stream slow = StreamOf(AnthropicPieces());
  slow.steps[3].wait = seconds(59);
  slow.steps[4].wait = seconds(29);
  sink_.on_event = [this](const ChatEvent&) { time_.clock.Advance(seconds(100)); };
  ASSERT_TRUE(AskAnew(slow));
  EXPECT_EQ(sink_.text, kText);
}

TEST_F(ChatUpstreamTest, TheRequestsOwnTimeIsNoFaultOfTheVendor) {
  options_.attempts = 1;
  options_.breaker = {1, milliseconds(30'000)};
  Stream slow = StreamOf(AnthropicPieces());
  slow.steps[4].wait = seconds(20);
  const auto outcome = AskAnew(slow, {.deadline = time_.clock.Now() + seconds(5)});
  EXPECT_EQ(outcome.error().code, Code::kDeadlineExceeded);
  EXPECT_EQ(gate_->Story(), "disputed");
  EXPECT_EQ(upstream_->circuit(), CircuitBreaker::State::kClosed);
}

TEST_F(ChatUpstreamTest, AClientMayLeaveAtAnyEvent) {
  const std::vector<std::string> pieces = AnthropicPieces();
  for (const bool drains : {false, true}) {
    options_.drain = drains ? seconds(10) : seconds(0);
    for (sink_.leaves_at = 0; sink_.leaves_at <= 2; ++sink_.leaves_at) {
      SCOPED_TRACE(sink_.leaves_at);
      const auto outcome = AskAnew(StreamOf(pieces));
      ASSERT_FALSE(outcome);
      EXPECT_EQ(outcome.error().message, "the client left");
      EXPECT_EQ(attempts_.count, 1u);
      EXPECT_EQ(gate_->Story(), drains ? "settled" : "disputed");
      if (drains) {
        EXPECT_EQ(gate_->tickets[0].use->chat->output, 5u);
      }
    }
  }
}

TEST_F(ChatUpstreamTest, AStopIsSeenWithoutThatTheSinkIsAsked) {
  for (const bool drains : {false, true}) {
    options_.drain = drains ? seconds(10) : seconds(0);
    for (std::size_t at = 0; at < AnthropicPieces().size(); ++at) {
      SCOPED_TRACE(at);
      std::stop_source stop;
      Stream stream = StreamOf(AnthropicPieces());
      stream.steps[at].before = [&] { stop.request_stop(); };
      const auto outcome = AskAnew(stream, {.stop = stop.get_token()});
      EXPECT_EQ(attempts_.count, 1u);
      // With the end in hand the answer is whole.
      const bool last = drains && at + 1 == AnthropicPieces().size();
      if (last) {
        EXPECT_TRUE(outcome);
      } else {
        ASSERT_FALSE(outcome);
        EXPECT_EQ(outcome.error().code, Code::kCancelled);
      }
      EXPECT_EQ(gate_->Story(), drains ? "settled" : "disputed");
    }
  }
}

TEST_F(ChatUpstreamTest, AnAnswerIsReadOnForSoLongOnly) {
  options_.drain = seconds(10);
  for (const int wait : {9, 11}) {
    sink_.leaves_at = 1;
    Stream stream = StreamOf(AnthropicPieces());
    stream.steps[5].wait = seconds(wait);
    const SteadyTime start = time_.clock.Now();
    EXPECT_FALSE(AskAnew(stream));
    EXPECT_EQ(gate_->Story(), wait == 9 ? "settled" : "disputed");
    EXPECT_LE(time_.clock.Now() - start, seconds(10));
  }
}

// Nobody took it, but it was made: an excuse behind it does not make it free.
TEST_F(ChatUpstreamTest, WhatWasMadeAndNotTakenIsNotReleased) {
  options_.drain = seconds(10);
  std::stop_source stop;
  std::vector<std::string> pieces = AnthropicPieces();
  pieces.resize(5);  // with content, without the end
  pieces.push_back(SseOf(
      "error",
      {{"type", "error"}, {"error", {{"type", "overloaded_error"}, {"message", "Overloaded"}}}}));
  Stream stream = StreamOf(pieces);
  stream.steps[0].before = [&] { stop.request_stop(); };
  EXPECT_FALSE(AskAnew(stream, {.stop = stop.get_token()}));
  EXPECT_EQ(gate_->Story(), "disputed");
}

TEST_F(ChatUpstreamTest, AClientThatLeavesBeforeTheReplyCutsTheCall) {
  options_.drain = seconds(10);
  std::stop_source stop;
  client_->on_open = [&] {
    gate_->Opened();
    stop.request_stop();
  };
  Stream stream{.refused = Error{Code::kCancelled, "stopped", "", {}}};
  EXPECT_EQ(AskAnew(stream, {.stop = stop.get_token()}).error().code, Code::kCancelled);
  EXPECT_EQ(gate_->Story(), "disputed");
  EXPECT_EQ(AskAnew(stream, {.stop = stop.get_token()}).error().code, Code::kCancelled);
  EXPECT_EQ(gate_->Story(), "");
}

struct StatusCase {
  int status;
  std::string body;
  const char* reason;
  const char* story;
};

TEST_F(ChatUpstreamTest, StatusesHaveTheirAttemptsAndTheirBill) {
  const auto error = [](const char* type) {
    return Json{{"type", "error"}, {"error", {{"type", type}, {"message", "no"}}}}.dump();
  };
  const std::vector<StatusCase> cases = {
      {301, "", "upstream_redirect", "disputed"},
      {400, error("invalid_request_error"), "upstream_bad_request", "released"},
      {401, error("authentication_error"), "upstream_authentication", "released"},
      {402, error("billing_error"), "upstream_billing", "released"},
      {403, error("permission_error"), "upstream_permission", "released"},
      {404, error("not_found_error"), "upstream_not_found", "released"},
      {413, error("request_too_large"), "upstream_bad_request", "released"},
      {429, error("rate_limit_error"), "upstream_rate_limit", "released released released"},
      {500, error("api_error"), "upstream_server", "disputed disputed disputed"},
      {504, error("timeout_error"), "upstream_timeout", "disputed disputed disputed"},
      {529, error("overloaded_error"), "upstream_overloaded", "released released released"},
  };
  for (const StatusCase& expected : cases) {
    SCOPED_TRACE(expected.status);
    Stream stream{.status = expected.status, .headers = {{"Location", "http://elsewhere"}}};
    stream.steps.push_back({.bytes = expected.body});
    gate_ = std::make_shared<StrictGate>();
    upstream_ = nullptr;
    client_->streams = {stream, stream, stream, stream};
    EXPECT_EQ(Reason(Ask()), expected.reason);
    EXPECT_EQ(gate_->Story(), expected.story);
    EXPECT_EQ(sink_.begun, 0);
  }
}

TEST_F(ChatUpstreamTest, TheVendorsWaitIsKept) {
  client_->streams = {{.status = 429, .headers = {{"Retry-After", "7"}}},
                      StreamOf(AnthropicPieces())};
  ASSERT_TRUE(Ask());
  EXPECT_EQ(time_.waits, std::vector<milliseconds>{milliseconds(7000)});
  EXPECT_EQ(gate_->Story(), "released settled");
  client_->streams = {{.status = 429, .headers = {{"Retry-After", "3600"}}}};
  const auto outcome = Ask();
  EXPECT_EQ(outcome.error().retry_after, milliseconds(3'600'000));
  EXPECT_EQ(attempts_.count, 1u);
}

TEST_F(ChatUpstreamTest, NoMoneyOpensTheCircuitAndAFirstPieceClosesIt) {
  client_->streams = {{.status = 402}};
  EXPECT_EQ(Reason(Ask()), "upstream_billing");
  EXPECT_EQ(Reason(Ask()), "upstream_circuit_open");
  EXPECT_EQ(attempts_.count, 0u);
  EXPECT_EQ(gate_->Story(), "released released");
  time_.clock.Advance(seconds(31));
  client_->streams = {StreamOf(AnthropicPieces())};
  sink_.on_event = [&](const ChatEvent&) {
    EXPECT_EQ(upstream_->circuit(), CircuitBreaker::State::kClosed);
  };
  EXPECT_TRUE(Ask());
}

TEST_F(ChatUpstreamTest, StreamsThatBreakOpenTheCircuitThoughEachBegan) {
  options_.breaker = {3, milliseconds(30'000)};
  const std::vector<std::string> pieces = AnthropicPieces();
  for (int i = 0; i < 3; ++i) {
    client_->streams.push_back(StreamOf({pieces[0], pieces[1], pieces[3]}));
    EXPECT_EQ(Reason(Ask()), "upstream_network");
  }
  EXPECT_EQ(Reason(Ask()), "upstream_circuit_open");
}

TEST_F(ChatUpstreamTest, AnAnswerMayComeWholeAllTheSame) {
  Json whole = AnthropicAnswer()[0]["message"];
  whole["content"] = {{{"type", "text"}, {"text", kText}}};
  whole["stop_reason"] = "end_turn";
  whole["usage"]["output_tokens"] = 5;
  const std::string body = whole.dump();
  Stream stream = StreamOf({body.substr(0, 40), body.substr(40)});
  stream.headers = {{"Content-Type", "application/json; charset=utf-8"}};
  auto outcome = AskAnew(stream);
  ASSERT_TRUE(outcome) << outcome.error().ToString();
  EXPECT_EQ(sink_.text, kText);
  EXPECT_EQ(outcome->end.usage, (ChatUsage{.input = 10, .output = 5}));
  options_.attempts = 1;
  stream.steps.pop_back();
  outcome = AskAnew(stream);
  EXPECT_EQ(Reason(outcome), "upstream_bad_reply");
  EXPECT_EQ(gate_->Story(), "disputed");
}

TEST_F(ChatUpstreamTest, AnAnswerWithNothingInItIsOneToo) {
  const std::vector<std::string> pieces = AnthropicPieces();
  ASSERT_TRUE(AskAnew(StreamOf({pieces[0], pieces[6], pieces[7]})));
  EXPECT_EQ(sink_.begun, 1);
  EXPECT_EQ(sink_.text, "");
}

TEST_F(ChatUpstreamTest, AGateThatRefusesIsTheErrorAndNothingIsSent) {
  gate_->refuse = [](const AttemptBound&) {
    return Error{Code::kResourceExhausted, "no", "", std::nullopt, "budget_exceeded"};
  };
  EXPECT_EQ(Reason(Ask()), "budget_exceeded");
  EXPECT_TRUE(client_->calls().empty());
}

TEST_F(ChatUpstreamTest, TheTraceIsHandedOn) {
  client_->streams.push_back(StreamOf(AnthropicPieces()));
  RequestContext context;
  context.trace = {.trace_id = "4bf92f3577b34da6a3ce929d0e0e4736",
                   .span_id = "00f067aa0ba902b7",
                   .sampled = true};
  ASSERT_TRUE(Ask(context));
  EXPECT_EQ(FindHeader(client_->calls().at(0).headers, "traceparent"),
            FormatTraceparent(context.trace));
}

TEST_F(ChatUpstreamTest, AKeptConnectionThatWasClosedIsTriedAgainAtOnce) {
  options_.attempts = 1;
  Stream stale{.refused = Error{Code::kUnavailable, "closed", "first_content", {}},
               .progress = {.connected = true, .reused = true, .sent = true}};
  client_->streams = {stale, StreamOf(AnthropicPieces())};
  EXPECT_TRUE(Ask());
  EXPECT_EQ(gate_->Story(), "disputed settled");
  EXPECT_TRUE(time_.waits.empty());
}

TEST_F(ChatUpstreamTest, AnErrorMayComeWholeUnder200) {
  Stream stream =
      StreamOf({R"({"type":"error","error":{"type":"overloaded_error","message":"no"}})"});
  stream.headers = {{"Content-Type", "application/json"}};
  client_->streams = {stream, StreamOf(AnthropicPieces())};
  ASSERT_TRUE(Ask());
  EXPECT_EQ(gate_->Story(), "released settled");
}

// Whatever comes and whoever leaves: the gate's rules hold (it checks them itself), the sink is not
// called once it has failed, and only what ended in order is a success.
TEST_F(ChatUpstreamTest, NothingThatAVendorSendsBreaksTheRules) {
  std::mt19937 random(20251122);  // NOLINT(cert-msc51-cpp): the same each time
  const auto upto = [&random](std::size_t most) {
    return std::uniform_int_distribution<std::size_t>(0, most)(random);
  };
  const auto mangled = [&](std::vector<std::string> pieces) {
    for (std::size_t changes = upto(3); changes > 0; --changes) {
      const std::size_t at = upto(pieces.size() - 1);
      switch (upto(5)) {
        case 0:
          pieces.insert(pieces.begin() + static_cast<std::ptrdiff_t>(at), pieces[at]);
          break;
        case 1:
          pieces[at].clear();
          break;
        case 2:
          std::swap(pieces[at], pieces[upto(pieces.size() - 1)]);
          break;
        case 3:
          pieces[at].resize(upto(pieces[at].size()));
          break;
        case 4:
          if (!pieces[at].empty()) Flip(pieces[at], upto(pieces[at].size() - 1));
          break;
        default:
          pieces[at] = ErrorEvent(upto(1) == 0 ? "overloaded_error" : "api_error");
      }
    }
    std::erase(pieces, "");
    return pieces;
  };
  for (int round = 0; round < 2000; ++round) {
    SCOPED_TRACE(round);
    vendor_ = nullptr;
    if (round % 2 == 0) UseOpenAi();
    options_.drain = seconds(upto(1) * 10);
    sink_.leaves_at = upto(3) == 0 ? upto(3) : 1000;
    gate_ = std::make_shared<StrictGate>();
    upstream_ = nullptr;
    client_->streams.clear();
    std::stop_source stop;
    for (int attempt = 0; attempt < 3; ++attempt) {
      Stream stream = StreamOf(mangled(round % 2 == 0 ? OpenAiPieces() : AnthropicPieces()));
      for (Step& step : stream.steps) {
        if (upto(5) == 0) step.wait = seconds(upto(40));
        if (upto(30) == 0) step.before = [&stop] { stop.request_stop(); };
        if (upto(30) == 0) step.error = Error{Code::kUnavailable, "cut", "content_idle", {}};
      }
      client_->streams.push_back(std::move(stream));
    }
    const auto outcome = Ask({.stop = stop.get_token()});
    ASSERT_EQ(gate_->tickets.size(), attempts_.count);
    ASSERT_LE(sink_.begun, 1);
    if (outcome) {
      ASSERT_EQ(gate_->tickets.back().ended, "settled");
      ASSERT_EQ(sink_.begun, 1);
    } else if (gate_->tickets.back().ended == "settled") {
      ASSERT_EQ(outcome.error().code, Code::kCancelled);
    }
    for (const StrictGate::Ticket& ticket : gate_->tickets) {
      // Another attempt is made only of what nobody has seen.
      if (&ticket != &gate_->tickets.back()) {
        ASSERT_NE(ticket.ended, "settled");
      }
    }
  }
}

}  // namespace
}  // namespace garrison
