#include "guard/sessions.h"

#include <atomic>
#include <limits>
#include <thread>

#include "guard/test_support.h"

namespace garrison {
namespace {

using namespace std::chrono_literals;

class GuardSessionsTest : public testing::Test {
 protected:
  GuardSessions Make() {
    return GuardSessions(guard_, limits_, clock_,
                         [this] { return fmt::format("fresh-{}", ++ids_); });
  }
  // Takes a turn; its number in the conversation.
  static int Turn(GuardSessions& sessions, const std::string& id, double risk = 0.5) {
    return sessions.Step(id, {risk, risk}).value().metrics.turn;
  }

  GuardSettings guard_;
  LimitSettings limits_;
  ManualClock clock_;
  std::atomic<int> ids_ = 0;
};

TEST_F(GuardSessionsTest, KeepsConversationsApart) {
  GuardSessions sessions = Make();
  EXPECT_EQ(Turn(sessions, "a", 0.25), 1);
  EXPECT_EQ(Turn(sessions, "b", 1.0), 1);
  const auto second = sessions.Step("a", {0.5, 0.5});
  ASSERT_TRUE(second.has_value());
  EXPECT_EQ(second->conversation_id, "a");
  EXPECT_EQ(second->metrics.turn, 2);
  EXPECT_EQ(second->metrics.v_model, 0.25);
  EXPECT_EQ(sessions.size(), 2u);
}

TEST_F(GuardSessionsTest, StepsLikeKinematics) {
  GuardSessions sessions = Make();
  Kinematics kinematics(guard_);
  for (const double risk : {0.1, 0.9, 0.3, 1.7}) {
    EXPECT_EQ(sessions.Step("a", {risk, risk / 2}).value().metrics,
              kinematics.Step({risk, risk / 2}).value());
  }
}

TEST_F(GuardSessionsTest, MakesAnIdWhenThereIsNone) {
  GuardSessions sessions = Make();
  EXPECT_EQ(sessions.Step(std::nullopt, {0.5, 0.5}).value().conversation_id, "fresh-1");
  EXPECT_EQ(sessions.Step(std::nullopt, {0.5, 0.5}).value().conversation_id, "fresh-2");
  EXPECT_EQ(Turn(sessions, "fresh-1"), 2);
}

TEST_F(GuardSessionsTest, ChecksIds) {
  GuardSessions sessions = Make();
  EXPECT_TRUE(sessions.Step(std::string(128, '~'), {0.5, 0.5}).has_value());
  for (const std::string& bad : {std::string(), std::string(129, 'a'), std::string("a\n"),
                                 std::string("\u00e9"), std::string("\x7f")}) {
    ExpectError(sessions.Step(bad, {0.5, 0.5}), Code::kInvalidArgument, "conversation_id",
                "1 to 128 printable ASCII");
  }
  EXPECT_EQ(sessions.size(), 1u);
}

TEST_F(GuardSessionsTest, ForgetsAfterTheTimeToLive) {
  guard_.conversation_ttl_s = 60;
  GuardSessions sessions = Make();
  Turn(sessions, "a");
  Turn(sessions, "b");
  clock_.Advance(59s);
  EXPECT_EQ(Turn(sessions, "a"), 2) << "and lives on from here";
  clock_.Advance(1s);
  EXPECT_EQ(Turn(sessions, "c"), 1);
  EXPECT_EQ(sessions.expired(), 1u);
  EXPECT_EQ(sessions.size(), 2u);
  EXPECT_EQ(Turn(sessions, "b"), 1);
  EXPECT_EQ(Turn(sessions, "a"), 3);
  clock_.Advance(60s);
  EXPECT_EQ(Turn(sessions, "a"), 1);
  EXPECT_EQ(sessions.expired(), 4u);
  EXPECT_EQ(sessions.evicted(), 0u);
}

TEST_F(GuardSessionsTest, TheLongestUnusedMakesRoom) {
  guard_.conversations = 2;
  GuardSessions sessions = Make();
  Turn(sessions, "a");
  Turn(sessions, "b");
  Turn(sessions, "a");
  EXPECT_EQ(Turn(sessions, "c"), 1);
  EXPECT_EQ(sessions.size(), 2u);
  EXPECT_EQ(sessions.evicted(), 1u);
  EXPECT_EQ(Turn(sessions, "a"), 3);
  EXPECT_EQ(Turn(sessions, "b"), 1) << "was evicted";
}

TEST_F(GuardSessionsTest, AConversationHasALastTurn) {
  limits_.conversation_turns = 2;
  GuardSessions sessions = Make();
  Turn(sessions, "a");
  Turn(sessions, "a");
  ExpectError(sessions.Step("a", {0.5, 0.5}), Code::kResourceExhausted, "conversation_id",
              "start a new conversation_id");
  EXPECT_EQ(Turn(sessions, "b"), 1);
}

TEST_F(GuardSessionsTest, ARefusedTurnLeavesNoTrace) {
  GuardSessions sessions = Make();
  const TurnRisk bad = {std::numeric_limits<double>::quiet_NaN(), 0.5};
  ExpectError(sessions.Step("a", bad), Code::kInvalidArgument, "turn 1", "nan");
  EXPECT_EQ(sessions.size(), 0u);
  Turn(sessions, "a");
  ExpectError(sessions.Step("a", bad), Code::kInvalidArgument, "turn 2", "nan");
  EXPECT_EQ(Turn(sessions, "a"), 2);
}

TEST_F(GuardSessionsTest, EndsOnRequest) {
  GuardSessions sessions = Make();
  Turn(sessions, "a");
  EXPECT_TRUE(sessions.End("a"));
  EXPECT_FALSE(sessions.End("a"));
  EXPECT_EQ(Turn(sessions, "a"), 1);
}

TEST_F(GuardSessionsTest, CountsEveryTurnOfManyThreads) {
  constexpr std::int64_t kThreads = 4;
  constexpr int kRounds = 500;
  constexpr int kIds = 7;
  limits_.conversation_turns = kThreads * kRounds;
  GuardSessions sessions = Make();
  std::vector<std::thread> threads;
  threads.reserve(kThreads);
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < kRounds; ++i) {
        for (int id = 0; id < kIds; ++id) Turn(sessions, fmt::format("id-{}", id));
        sessions.Step(std::nullopt, {0.5, std::nullopt}).value();
        if (i % 100 == 0) clock_.Advance(1ms);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (int id = 0; id < kIds; ++id) {
    ExpectError(sessions.Step(fmt::format("id-{}", id), {0.5, 0.5}), Code::kResourceExhausted,
                "conversation_id", "2000 turns");
  }
  EXPECT_EQ(sessions.size(), static_cast<std::size_t>(kIds + kThreads * kRounds));
}

TEST_F(GuardSessionsTest, StaysBoundedUnderManyThreads) {
  guard_.conversations = 16;
  GuardSessions sessions = Make();
  std::vector<std::thread> threads;
  threads.reserve(4);
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 500; ++i) {
        Turn(sessions, fmt::format("{}-{}", t, i % 40));
        if (i % 50 == 0) sessions.End(fmt::format("{}-{}", t, i % 40));
        EXPECT_LE(sessions.size(), 16u);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_GT(sessions.evicted(), 0u);
}

}  // namespace
}  // namespace garrison
