// Conversations that the guard watches, in both modes.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "core/test_embedder.h"
#include "gateway/gateway.h"
#include "guard/measured_report.h"
#include "guard/memory_conversations.h"
#include "guard/report.h"
#include "guard/test_measured.h"

namespace garrison {
namespace {

class GatewayGuardTest : public testing::Test {
 protected:
  Gateway Make(bool measured = true) {
    sessions_ = std::make_unique<GuardSessions>(
        settings_.guard, settings_.limits, monitor_->provenance(), conversations_, clock_,
        [] { return std::string("fresh"); }, measured ? measured_.get() : nullptr);
    GuardParts parts{.alerts = &alerts_};
    if (measured) {
      parts.measured = measured_.get();
      parts.drift = &drift_;
    }
    return Gateway(models_, *monitor_, *sessions_, settings_, clock_, parts);
  }
  SafetyRequest Turn(bool bad, std::string id = "a") {
    return {.user_message = world_.Message(bad),
            .model_message = world_.Reply(bad),
            .conversation_id = std::move(id)};
  }

  Settings settings_;
  TestCatalog models_;
  ManualClock clock_;
  MemoryConversations conversations_{1'000, clock_};
  const std::unique_ptr<GuardMonitor> monitor_ =
      GuardMonitor::Create(models_.embedder(), settings_.guard, std::nullopt).value();
  const std::unique_ptr<MeasuredMonitor> measured_ =
      MeasuredMonitor::Create(models_.embedder(), SmallGuard(), 0.1).value();
  GuardDrift drift_{SmallGuard().model(), clock_};
  std::unique_ptr<GuardSessions> sessions_;
  SmallWorld world_{23};
  RequestContext context_;
  class Alerts final : public GuardAlertSink {
   public:
    void Notify(GuardAlert alert) override { all.push_back(std::move(alert)); }
    std::vector<GuardAlert> all;
  } alerts_;
};

// One reading of the texts serves both modes: the compatible one's numbers are the same to the bit.
TEST_F(GatewayGuardTest, TheCompatibleNumbersAreThoseOfTheCompatibleMode) {
  std::vector<SafetyRequest> turns;
  for (int n = 0; n < 5; ++n) turns.push_back(Turn(n % 2 == 1));
  // Longer than a window.
  for (int n = 0; n < 30; ++n) turns[2].model_message += world_.Reply(false) + ". ";
  std::vector<nlohmann::ordered_json> compat;
  const Gateway plain = Make(false);
  for (const SafetyRequest& turn : turns) {
    const auto reply = plain.CheckSafety(turn, context_);
    ASSERT_TRUE(reply) << reply.error().ToString();
    EXPECT_FALSE(reply->turn.measured);
    compat.push_back(TurnJson(reply->turn.compat));
  }
  ASSERT_TRUE(plain.EndConversation("a", context_));
  const Gateway both = Make();
  for (std::size_t i = 0; i < turns.size(); ++i) {
    const auto reply = both.CheckSafety(turns[i], context_);
    ASSERT_TRUE(reply) << reply.error().ToString();
    EXPECT_EQ(TurnJson(reply->turn.compat), compat[i]);
    const MeasuredScores alone =
        measured_->Score(turns[i].user_message, turns[i].model_message, context_).value();
    EXPECT_EQ(reply->turn.measured->scores.evidence, alone.evidence);
    EXPECT_EQ(reply->turn.compat.scores.tokens, alone.tokens);
  }
}

TEST_F(GatewayGuardTest, ABatchIsAsItsTurnsOneByOne) {
  const Gateway gateway = Make();
  std::vector<SafetyRequest> turns;
  for (int n = 0; n < 6; ++n) turns.push_back(Turn(n > 2, n % 2 == 0 ? "even" : "odd"));
  turns[3].user_message = "123";
  const auto together = gateway.CheckSafetyOfAll(turns, context_).value();
  ASSERT_EQ(together.size(), 6u);
  EXPECT_EQ(together[3].error().where, "user_message");
  for (const char* id : {"even", "odd"}) ASSERT_TRUE(gateway.EndConversation(id, context_));
  for (std::size_t i = 0; i < turns.size(); ++i) {
    const auto alone = gateway.CheckSafety(turns[i], context_);
    ASSERT_EQ(alone.has_value(), together[i].has_value());
    if (!alone) {
      EXPECT_EQ(alone.error().ToString(), together[i].error().ToString());
      continue;
    }
    const MeasuredModel& model = measured_->file().model();
    EXPECT_EQ(GuardedTurnJson(alone->turn.compat, *alone->turn.measured, model),
              GuardedTurnJson(together[i]->turn.compat, *together[i]->turn.measured, model));
  }
}

TEST_F(GatewayGuardTest, AnAlarmIsToldOnceAndNoPreviewTellsIt) {
  context_.client = "alice";
  context_.id = "request-7";
  const Gateway gateway = Make();
  int rose = 0;
  for (int n = 1; n <= 8; ++n) {
    SafetyRequest turn = Turn(true);
    turn.preview = true;
    const std::size_t before = alerts_.all.size();
    const auto seen = gateway.CheckSafety(turn, context_);
    ASSERT_TRUE(seen) << seen.error().ToString();
    EXPECT_TRUE(seen->preview);
    EXPECT_EQ(alerts_.all.size(), before);
    turn.preview = false;
    turn.idempotency_key = std::to_string(n);
    const auto taken = gateway.CheckSafety(turn, context_);
    ASSERT_TRUE(taken) << taken.error().ToString();
    EXPECT_TRUE(gateway.CheckSafety(turn, context_)->repeated);
    if (taken->turn.measured->alarm.rose) rose = n;
  }
  // And again when its turn is asked again, as the same event.
  ASSERT_EQ(alerts_.all.size(), 2u);
  EXPECT_EQ(alerts_.all[0].id, alerts_.all[1].id);
  EXPECT_EQ(alerts_.all[0].id.size(), 32u);
  const GuardAlert& alert = alerts_.all[0];
  EXPECT_EQ(alert.source, "check-safety");
  EXPECT_EQ(alert.conversation_id, "a");
  EXPECT_EQ(alert.tenant, "alice");
  EXPECT_EQ(alert.request_id, "request-7");
  EXPECT_EQ(alert.turn, rose);
  EXPECT_EQ(alert.status, "alarm");
  EXPECT_EQ(alert.guard, SmallGuard().hash());
  EXPECT_GT(alert.sum, SmallGuard().model().alarm.threshold);
  const DriftReport drift = drift_.Report();
  EXPECT_EQ(drift.turns, 8u);
  EXPECT_EQ(drift.conversations, 1u);
}

TEST_F(GatewayGuardTest, InCompatibleModeATurnOfHighPriorityIsTold) {
  settings_.guard.alert_likelihood = 0.01;
  settings_.guard.alert_erosion = 0.01;
  const Gateway gateway = Make(false);
  std::size_t high = 0;
  for (int n = 0; n < 6; ++n) {
    const auto reply = gateway.CheckSafety(Turn(n % 2 == 1), context_);
    ASSERT_TRUE(reply) << reply.error().ToString();
    high += reply->turn.compat.verdict.high_priority ? 1 : 0;
  }
  ASSERT_GT(high, 0u);
  ASSERT_EQ(alerts_.all.size(), high);
  EXPECT_EQ(alerts_.all[0].status, "HIGH RISK");
  EXPECT_EQ(alerts_.all[0].guard, "full:26");
}

TEST_F(GatewayGuardTest, APreviewMayBeginWithoutAReply) {
  for (const bool measured : {false, true}) {
    const Gateway gateway = Make(measured);
    SafetyRequest turn = Turn(true, "");
    turn.preview = true;
    for (const char* begun : {"", "**", "```"}) {
      turn.model_message = begun;
      const auto reply = gateway.CheckSafety(turn, context_);
      ASSERT_TRUE(reply) << reply.error().ToString();
      EXPECT_TRUE(reply->turn.compat.partial());
      EXPECT_TRUE(reply->turn.compat.metrics.r_user);
      EXPECT_EQ(reply->turn.measured.has_value(), measured);
      const auto batch = gateway.CheckSafetyOfAll({turn}, context_).value();
      EXPECT_TRUE(batch[0]) << batch[0].error().ToString();
    }
    turn.preview = false;
    EXPECT_EQ(gateway.CheckSafety(turn, context_).error().where, "model_message");
  }
}

TEST_F(GatewayGuardTest, ErrorsNameTheMessage) {
  for (const bool measured : {false, true}) {
    const Gateway gateway = Make(measured);
    EXPECT_EQ(gateway.CheckSafety({"123", "fine"}, context_).error().where, "user_message");
    EXPECT_EQ(gateway.CheckSafety({"fine", "  "}, context_).error().where, "model_message");
  }
}

}  // namespace
}  // namespace garrison
