// Guarded conversations in measured mode.
#include <gtest/gtest.h>

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "guard/measured_report.h"
#include "guard/memory_conversations.h"
#include "guard/sessions.h"
#include "guard/test_measured.h"
#include "guard/test_support.h"

namespace garrison {
namespace {

using nlohmann::json;

class MeasuredSessionsTest : public testing::Test {
 protected:
  GuardSessions MakeOver(ConversationStore& store, const MeasuredMonitor* measured) {
    return GuardSessions(
        guard_, LimitSettings{}, ReplayProvenance(guard_, "full:2"), store, clock_,
        [] { return std::string("fresh"); }, measured);
  }
  GuardSessions Make() { return MakeOver(store_, monitor_.get()); }

  SessionScores Score(const std::string& user, const std::string& model) const {
    SessionScores scores;
    scores.compat.risk = {0.5, 0.25};
    scores.measured = monitor_->Score(user, model, {}).value();
    return scores;
  }
  static SessionTurn In(const std::string& id) {
    SessionTurn turn;
    turn.id = id;
    return turn;
  }
  json ReportOf(const SessionTurnReport& turn) const {
    return GuardedTurnJson(turn.compat, *turn.measured, monitor_->file().model());
  }

  const TestEmbedder embedder_;
  const std::unique_ptr<MeasuredMonitor> monitor_ =
      MeasuredMonitor::Create(embedder_, SmallGuard(), 0.1).value();
  GuardSettings guard_;
  ManualClock clock_;
  MemoryConversations store_{20'000, clock_};
  SmallWorld world_{7};
};

TEST_F(MeasuredSessionsTest, TurnsAddUpAsInOneRunWhoeverTakesThem) {
  MeasuredState alone;
  for (int n = 1; n <= 20; ++n) {
    const SessionScores scores = Score(world_.Message(n % 7 > 4), world_.Reply(n % 5 > 2));
    const MeasuredTurn expected = alone.Take(*scores.measured, monitor_->file().model()).value();
    GuardSessions replica = Make();
    const SessionStep step = replica.Step(In("a"), scores).value();
    EXPECT_EQ(MeasuredTurnJson(*step.turn.measured, monitor_->file().model()),
              MeasuredTurnJson(expected, monitor_->file().model()));
    EXPECT_EQ(ReportOf(step.turn)["action"], ActionName(expected.action));
  }
  EXPECT_EQ(Make().Find("", "a")->measured, alone.data());
}

TEST_F(MeasuredSessionsTest, ARepeatedTurnHasTheSameAnswerToTheLastField) {
  GuardSessions sessions = Make();
  json third;
  const std::string user = world_.Message(true);
  const std::string reply = world_.Reply(true);
  const auto take = [&](int n) {
    SessionTurn turn = In("a");
    turn.idempotency_key = std::to_string(n);
    return sessions.Step(turn, Score(user, reply)).value();
  };
  for (int n = 1; n <= 6; ++n) {
    const json now = ReportOf(take(n).turn);
    if (n == 3) third = now;
  }
  const SessionStep again = take(3);
  EXPECT_TRUE(again.repeated);
  EXPECT_EQ(ReportOf(again.turn), third);
  EXPECT_TRUE(third["measured"]["user"].contains("window"));
}

// What GET shows: the numbers, without what only the texts could tell.
TEST_F(MeasuredSessionsTest, ARememberedTurnKeepsItsNumbers) {
  GuardSessions sessions = Make();
  json answered;
  for (int n = 0; n < 4; ++n) {
    answered =
        ReportOf(sessions.Step(In("a"), Score(world_.Message(true), world_.Reply(true)))->turn);
  }
  const SessionState state = sessions.Find("", "a").value();
  json remembered = ReportOf(sessions.Report(state.recent.back()));
  for (const char* side : {"user", "reply"}) {
    for (const char* gone : {"window", "language", "nearest"}) {
      EXPECT_FALSE(remembered["measured"][side].contains(gone));
      answered["measured"][side].erase(gone);
    }
    // Of the same evidence by another way: the last bits may differ.
    const double probability = remembered["measured"][side]["probability"];
    EXPECT_NEAR(probability, answered["measured"][side]["probability"], 1e-12);
    answered["measured"][side]["probability"] = probability;
  }
  EXPECT_NEAR(remembered["measured"]["toxic_sycophancy"], answered["measured"]["toxic_sycophancy"],
              1e-12);
  answered["measured"]["toxic_sycophancy"] = remembered["measured"]["toxic_sycophancy"];
  EXPECT_EQ(remembered, answered);
}

TEST_F(MeasuredSessionsTest, APreviewOfAnAlarmRaisesNone) {
  GuardSessions sessions = Make();
  const SessionScores bad = Score(world_.Message(true), world_.Reply(true));
  SessionTurn preview = In("a");
  for (int n = 0; n < 6; ++n) {
    preview.preview = true;
    const json seen = ReportOf(sessions.Step(preview, bad)->turn);
    EXPECT_EQ(ReportOf(sessions.Step(preview, bad)->turn), seen);
    EXPECT_EQ(ReportOf(sessions.Step(In("a"), bad)->turn), seen);
  }
  EXPECT_TRUE(sessions.Find("", "a")->measured->alarm.on);
}

TEST_F(MeasuredSessionsTest, AConversationKeepsToOneModeAndOneGuard) {
  GuardSessions measured = Make();
  GuardSessions compat = MakeOver(store_, nullptr);
  const SessionScores scores = Score(world_.Message(false), world_.Reply(false));
  ASSERT_TRUE(measured.Step(In("a"), scores));
  ASSERT_TRUE(compat.Step(In("b"), {scores.compat}));
  ExpectError(compat.Step(In("a"), {scores.compat}), Code::kFailedPrecondition, "conversation_id",
              "guard");
  ExpectError(measured.Step(In("b"), scores), Code::kFailedPrecondition, "conversation_id",
              "guard");
  // Nor by an import that claims the right provenance.
  json stripped = StateJson(measured.Find("", "a").value());
  ASSERT_TRUE(measured.Import("", "a", stripped, true));
  stripped.erase("measured");
  for (json& turn : stripped["recent"]) turn.erase("measured");
  ExpectError(measured.Import("", "a", stripped, true), Code::kFailedPrecondition, "measured",
              "expected the sums");
}

// The largest sum that an import may have is one from which turns go on.
TEST_F(MeasuredSessionsTest, WhatWasImportedCanBeGoneOnWith) {
  GuardSessions sessions = Make();
  const SessionScores scores = Score(world_.Message(true), world_.Reply(true));
  ASSERT_TRUE(sessions.Step(In("a"), scores));
  json state = StateJson(sessions.Find("", "a").value());
  for (json* const alarm :
       {&state["measured"]["alarm"], &state["recent"][0]["measured"]["alarm"]}) {
    (*alarm)["sum"] = 1e13;
    (*alarm)["on"] = true;
  }
  ASSERT_TRUE(sessions.Import("", "a", state, true));
  for (int n = 0; n < 3; ++n) ASSERT_TRUE(sessions.Step(In("a"), scores));
  EXPECT_EQ(sessions.Find("", "a")->measured->alarm.sum, 1e13);
}

TEST_F(MeasuredSessionsTest, TenThousandLiveConversationsTakeLessThanFiftyMegabytes) {
  // NOLINTNEXTLINE(concurrency-mt-unsafe): nobody sets it
  if (std::getenv("GARRISON_SANITIZED") != nullptr) GTEST_SKIP() << "a sanitizer has its own";
  GuardSessions sessions = Make();
  const SessionScores scores = Score(world_.Message(true), world_.Reply(true));
  const std::size_t before = ResidentBytes();
  const std::string uuid = "8e03978e-40d5-43dd-bc93-6894a57f9324";
  for (std::size_t turn = 0; turn < kRecentTurns; ++turn) {
    for (int i = 0; i < 10'000; ++i) {
      SessionTurn next = In(fmt::format("{:05}-{}", i, uuid));
      next.idempotency_key = uuid.substr(4) + fmt::format("{:04}", turn);
      ASSERT_TRUE(sessions.Step(next, scores));
    }
  }
  EXPECT_EQ(store_.stats().conversations, 10'000u);
  const std::size_t taken = ResidentBytes() - before;
  RecordProperty("bytes", std::to_string(taken));
  EXPECT_LT(taken, 50'000'000u);
}

}  // namespace
}  // namespace garrison
