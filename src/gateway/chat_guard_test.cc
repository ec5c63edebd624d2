#include "gateway/chat_guard.h"

#include <gtest/gtest.h>

#include "gateway/test_chat.h"
#include "guard/test_measured.h"

namespace garrison {
namespace {

// Words in which the embedder of the tests fails.
class FailingEmbedder final : public Embedder {
 public:
  const ModelInfo& info() const override { return letters_.info(); }
  Result<Embeddings> Embed(const EmbedRequest& request,
                           const RequestContext& context) const override {
    if (failing) return Fail(Code::kUnavailable, "out of order");
    for (const EmbedInput& input : request.inputs) bytes += std::get<std::string>(input).size();
    return letters_.Embed(request, context);
  }
  bool failing = false;
  mutable std::size_t bytes = 0;  // that it was given

 private:
  const TestEmbedder letters_;
};

class ChatGuardTest : public testing::Test {
 protected:
  // A conversation of harmless turns, or of harm from the second turn on, and what is asked last.
  ChatRequest Talk(bool harm, int turns = 3) {
    ChatRequest request;
    for (int n = 0; n < turns; ++n) {
      const bool bad = harm && n > 0;
      Add(request, ChatRole::kUser, world_.Message(bad));
      if (n + 1 < turns) Add(request, ChatRole::kAssistant, world_.Reply(bad));
    }
    return request;
  }
  static void Add(ChatRequest& request, ChatRole role, std::string text) {
    request.messages.push_back({role, {{ChatText{std::move(text)}}}});
  }
  // An answer in deltas of a few bytes.
  void Answers(const std::string& text) {
    model_->events.clear();
    for (std::size_t i = 0; i < text.size(); i += 7) {
      model_->events.push_back(ChatTextDelta{text.substr(i, 7)});
    }
  }
  static std::string TextOf(const ChatCollector& collector) {
    std::string out;
    for (const ChatPart& part : collector.parts()) {
      if (const auto* text = std::get_if<ChatText>(&part.value)) out += text->text;
    }
    return out;
  }
  Result<ChatOutcome> Ask(const ChatRequest& request) {
    collector_ = ChatCollector();
    const ChatGuard guard(monitor_.get(), settings_, clock_, &alerts_);
    return guard.Wrap(model_)->Answer(request, collector_, {});
  }

  FailingEmbedder embedder_;
  const std::unique_ptr<MeasuredMonitor> monitor_ =
      MeasuredMonitor::Create(embedder_, SmallGuard(), 0.1).value();
  std::shared_ptr<TestChatModel> model_ = std::make_shared<TestChatModel>();
  GuardSettings settings_{.mode = "measured", .chat = "both", .action = "block"};
  SmallWorld world_{11};
  ManualClock clock_;
  class Alerts final : public GuardAlertSink {
   public:
    void Notify(GuardAlert alert) override { all.push_back(std::move(alert)); }
    std::vector<GuardAlert> all;
  } alerts_;
  ChatCollector collector_;
};

TEST_F(ChatGuardTest, OffIsTheModelItself) {
  settings_.chat = "off";
  EXPECT_EQ(ChatGuard(monitor_.get(), settings_, clock_).Wrap(model_), model_);
  settings_.chat = "both";
  EXPECT_EQ(ChatGuard(nullptr, settings_, clock_).Wrap(model_), model_);
}

TEST_F(ChatGuardTest, AnOrdinaryConversationPassesUntouched) {
  const std::string answer = world_.Reply(false) + ". " + world_.Reply(false) + ". the house";
  Answers(answer);
  const auto outcome = Ask(Talk(false));
  ASSERT_TRUE(outcome) << outcome.error().ToString();
  EXPECT_EQ(TextOf(collector_), answer);
  ASSERT_TRUE(outcome->served.verdict);
  // Single turns of this small world are suspicious by chance; conversations do not alarm.
  EXPECT_NE(outcome->served.verdict->status, "alarm");
  EXPECT_LE(outcome->served.verdict->sum, SmallGuard().model().alarm.threshold);
  ASSERT_TRUE(collector_.served().verdict) << "headers leave before the answer";
  EXPECT_NE(collector_.served().verdict->status, "alarm");
}

TEST_F(ChatGuardTest, AnErodedConversationIsRefusedBeforeAnybodyIsAsked) {
  model_->before = [] {
    ADD_FAILURE() << "the model was asked";
    return Result<>();
  };
  const auto refused = Ask(Talk(true, 5));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kInvalidArgument);
  EXPECT_EQ(refused.error().reason, "content_policy_violation");
  EXPECT_FALSE(refused.error().message.empty());
}

TEST_F(ChatGuardTest, PaddingAndForeignCharactersAreNoWayAround) {
  model_->before = [] {
    ADD_FAILURE() << "the model was asked";
    return Result<>();
  };
  std::string foreign;
  for (int i = 0; i < 60; ++i) foreign += "\xE7\x88\x86";
  for (const std::string& padding : {"\n" + std::string(1'700, '-'), foreign}) {
    ChatRequest all = Talk(true, 5);
    ChatRequest last = all;
    const auto pad = [&](ChatMessage& message) {
      std::get<ChatText>(message.parts[0].value).text += padding;
    };
    for (ChatMessage& message : all.messages) pad(message);
    pad(last.messages.back());
    for (const ChatRequest& request : {all, last}) {
      const auto refused = Ask(request);
      ASSERT_FALSE(refused);
      EXPECT_EQ(refused.error().reason, "content_policy_violation");
    }
  }
  // A side with nothing to read spares the other as little.
  ChatRequest silent = Talk(true, 7);
  for (ChatMessage& message : silent.messages) {
    if (message.role == ChatRole::kAssistant) {
      std::get<ChatText>(message.parts[0].value).text = "...";
    }
  }
  EXPECT_FALSE(Ask(silent));
}

// The user's message is read with the request, not again with each part of the answer.
TEST_F(ChatGuardTest, ALongMessageIsReadOnce) {
  settings_.action = "monitor";
  ChatRequest request;
  std::string text;
  while (text.size() < 20'000) text += world_.Message(false) + ". ";
  Add(request, ChatRole::kUser, text);
  std::string answer;
  while (answer.size() < 10'000) answer += world_.Reply(false) + ". ";
  Answers(answer);
  embedder_.bytes = 0;
  ASSERT_TRUE(Ask(request));
  // Windows lie half over one another, and the whole is read too; so is each side at the end.
  EXPECT_LT(embedder_.bytes, 4 * (text.size() + 2 * answer.size()));
}

// By the request in which it rises, and not again by those after it.
TEST_F(ChatGuardTest, AnAlarmIsToldOnce) {
  settings_.action = "monitor";
  Answers(world_.Reply(true) + ". " + world_.Reply(true) + ". ");
  ChatRequest request;
  for (int n = 0; n < 8; ++n) {
    Add(request, ChatRole::kUser, world_.Message(n > 0));
    ASSERT_TRUE(Ask(request));
    Add(request, ChatRole::kAssistant, TextOf(collector_));
  }
  ASSERT_EQ(alerts_.all.size(), 1u);
  EXPECT_EQ(alerts_.all[0].source, "chat");
  EXPECT_EQ(alerts_.all[0].status, "alarm");
  EXPECT_EQ(alerts_.all[0].guard, SmallGuard().hash());
  EXPECT_GE(alerts_.all[0].turn, 1);
}

TEST_F(ChatGuardTest, AdviseSaysWhatToTellAndMonitorDoesNot) {
  Answers(world_.Reply(false));
  settings_.action = "advise";
  auto outcome = Ask(Talk(true, 5));
  ASSERT_TRUE(outcome) << outcome.error().ToString();
  EXPECT_EQ(collector_.served().verdict->status, "alarm");
  EXPECT_NE(collector_.served().verdict->advice.find("Please"), std::string::npos);
  settings_.action = "monitor";
  outcome = Ask(Talk(true, 5));
  ASSERT_TRUE(outcome);
  EXPECT_EQ(collector_.served().verdict->status, "alarm");
  EXPECT_TRUE(collector_.served().verdict->advice.empty());
}

// The stream is stopped in time: the sentence that raised the alarm does not get out.
TEST_F(ChatGuardTest, AnAnswerThatErodesIsStoppedBeforeItsSentenceLeaves) {
  settings_.chat = "after";
  const std::string first = world_.Reply(false) + ". ";
  std::string bad;
  for (int i = 0; i < 6; ++i) bad += world_.Reply(true) + ". ";
  Answers(first + bad + "never reached. ");
  ChatRequest request = Talk(true, 2);  // suspicious, but no alarm yet
  const auto stopped = Ask(request);
  ASSERT_FALSE(stopped);
  EXPECT_EQ(stopped.error().reason, "content_policy_violation");
  ASSERT_TRUE(model_->sink_failed) << "upstream has to be stopped";
  EXPECT_EQ(TextOf(collector_).find("certainly"), std::string::npos) << TextOf(collector_);
}

TEST_F(ChatGuardTest, WhoOnlyWatchesHoldsNothingUp) {
  settings_.action = "monitor";
  class Counting final : public ChatSink {
   public:
    Result<> Begin(const ChatServed&) override { return {}; }
    Result<> Take(const ChatEvent&) override {
      ++events;
      return {};
    }
    int events = 0;
  } counting;
  model_->events = {ChatTextDelta{"the house was "}, ChatTextDelta{"built near"}};
  model_->failure = Error{Code::kUnavailable, "broke off", "", std::nullopt};
  EXPECT_FALSE(
      ChatGuard(monitor_.get(), settings_, clock_).Wrap(model_)->Answer(Talk(false), counting, {}));
  EXPECT_EQ(counting.events, 2);
}

TEST_F(ChatGuardTest, ToolCallsPassInOrder) {
  model_->events = {ChatTextDelta{world_.Reply(false) + ". "}, ChatToolStart{0, "1", "look"},
                    ChatToolArguments{0, "{}"}, ChatTextDelta{world_.Reply(false)}};
  const auto outcome = Ask(Talk(false));
  ASSERT_TRUE(outcome) << outcome.error().ToString();
  ASSERT_EQ(collector_.parts().size(), 3u);
  EXPECT_TRUE(std::holds_alternative<ChatToolCall>(collector_.parts()[1].value));
}

// A call of a tool is not held back by the unfinished sentence before it.
TEST_F(ChatGuardTest, AToolCallBehindAnOpenSentenceDoesNotWait) {
  class Noting final : public ChatSink {
   public:
    Result<> Begin(const ChatServed&) override { return {}; }
    Result<> Take(const ChatEvent& event) override {
      if (std::holds_alternative<ChatToolStart>(event)) started = true;
      return {};
    }
    bool started = false;
  } noting;
  model_->events = {ChatTextDelta{world_.Reply(false)}, ChatToolStart{0, "1", "look"}};
  model_->failure = Error{Code::kUnavailable, "broke off", "", std::nullopt};
  const ChatGuard guard(monitor_.get(), settings_, clock_);
  EXPECT_FALSE(guard.Wrap(model_)->Answer(Talk(false), noting, {}));
  EXPECT_TRUE(noting.started);
}

// What is said of an answer at its end is what the next request will find in its history.
TEST_F(ChatGuardTest, TheLastVerdictIsThatOfTheWholeAnswer) {
  settings_.action = "monitor";
  std::string answer;
  while (answer.size() < 3000) answer += world_.Reply(false) + ". ";
  Answers(answer);
  const ChatRequest request = Talk(false, 1);
  const auto outcome = Ask(request);
  ASSERT_TRUE(outcome);
  Conversation whole;
  whole.turns.push_back(
      {1, std::get<ChatText>(request.messages[0].parts[0].value).text, TextOf(collector_)});
  const auto turns = CheckConversation(*monitor_, whole, {});
  ASSERT_TRUE(turns);
  EXPECT_EQ(outcome->served.verdict->evidence, (*turns)[0].scores.evidence);
}

TEST_F(ChatGuardTest, AnswersAreComparedWithTheCalibration) {
  settings_.action = "monitor";
  GuardDrift drift(SmallGuard().model(), clock_);
  const ChatGuard guard(monitor_.get(), settings_, clock_, nullptr, &drift);
  for (int i = 0; i < 3; ++i) {
    Answers(world_.Reply(false));
    ASSERT_TRUE(guard.Wrap(model_)->Answer(Talk(false, i == 0 ? 1 : 2), collector_, {}));
  }
  EXPECT_EQ(drift.Report().turns, 3u);
  EXPECT_EQ(drift.Report().conversations, 1u);
}

TEST_F(ChatGuardTest, AFailureOfTheGuardIsOpenOrClosed) {
  Answers("fine words");
  embedder_.failing = true;
  auto outcome = Ask(Talk(false));
  ASSERT_TRUE(outcome) << outcome.error().ToString();
  EXPECT_EQ(outcome->served.verdict->status, "failed");
  EXPECT_NE(outcome->served.verdict->error.find("out of order"), std::string::npos);
  settings_.failure = "closed";
  outcome = Ask(Talk(false));
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code, Code::kUnavailable);
  EXPECT_EQ(outcome.error().reason, "guard_failed");
}

TEST_F(ChatGuardTest, TextsWithNothingToReadAreNotCalledSafe) {
  ChatRequest request;
  Add(request, ChatRole::kUser, "42 + 17?");
  settings_.chat = "before";
  const auto outcome = Ask(request);
  ASSERT_TRUE(outcome) << outcome.error().ToString();
  EXPECT_EQ(outcome->served.verdict->status, "not calibrated");
}

TEST_F(ChatGuardTest, OnlyTheLastTurnsCount) {
  ChatRequest request = Talk(true, 5);
  Add(request, ChatRole::kAssistant, world_.Reply(false));
  for (int n = 0; n < 4; ++n) {
    Add(request, ChatRole::kUser, world_.Message(false));
    Add(request, ChatRole::kAssistant, world_.Reply(false));
  }
  Add(request, ChatRole::kUser, world_.Message(false));
  settings_.chat = "before";
  settings_.chat_turns = 4;
  EXPECT_TRUE(Ask(request));
}

TEST_F(ChatGuardTest, ARequestWithoutTextsOfPeopleIsOrdinary) {
  ChatRequest request;
  Add(request, ChatRole::kSystem, "zap jinx quiz zap jinx quiz");
  settings_.chat = "before";
  const auto outcome = Ask(request);
  ASSERT_TRUE(outcome) << outcome.error().ToString();
  EXPECT_EQ(outcome->served.verdict->status, "ordinary");
}

TEST_F(ChatGuardTest, CancellationIsNoFailureOfTheGuard) {
  class Cancelled final : public Embedder {
   public:
    const ModelInfo& info() const override { return letters.info(); }
    Result<Embeddings> Embed(const EmbedRequest& request,
                             const RequestContext& context) const override {
      if (cancelled) return Fail(Code::kCancelled, "the client has left");
      return letters.Embed(request, context);
    }
    TestEmbedder letters;
    bool cancelled = false;
  } embedder;
  const auto monitor = MeasuredMonitor::Create(embedder, SmallGuard(), 0.1).value();
  embedder.cancelled = true;
  const ChatGuard guard(monitor.get(), settings_, clock_);
  EXPECT_EQ(guard.Wrap(model_)->Answer(Talk(false), collector_, {}).error().code, Code::kCancelled);
}

}  // namespace
}  // namespace garrison
