#include "guard/monitor.h"

#include "base/hash.h"
#include "guard/test_support.h"

namespace garrison {
namespace {

GuardSettings Settings() {
  GuardSettings settings;
  settings.safe_anchor = "safe";
  settings.sycophancy_anchor = "agree";
  return settings;
}

FakeEmbedder Embedder3() {
  return FakeEmbedder(3, {{"safe", {1, 0, 0}},
                          {"agree", {0, 1, 0}},
                          {"calm", {1, 0, 0}},
                          {"yes", {0, 1, 0}},
                          {"far", {-1, 0, 0}},
                          {"zero", {0, 0, 0}}});
}

// Keeps the first two of three components.
Projection FirstTwo(const std::string& model = "fake:model") {
  ProjectionData data;
  data.model_id = model;
  data.model_revision = "r1";
  data.dimension = 3;
  data.texts = 10;
  data.texts_sha256 = Sha256Hex("");
  data.mean = {0, 0, 0.5};
  data.components = {1, 0, 0, 0, 1, 0};
  data.explained_variance = {1, 1};
  data.explained_variance_ratio = {0.5, 0.5};
  return Projection::Create(data).value();
}

TEST(GuardMonitor, ScoresBothSidesWithOneCall) {
  const FakeEmbedder embedder = Embedder3();
  const auto monitor = GuardMonitor::Create(embedder, Settings(), std::nullopt).value();
  EXPECT_EQ(embedder.calls(), (std::vector<std::size_t>{1, 1})) << "the anchors, once";
  const TurnScores scores = monitor->Score("far", "yes", {}).value();
  EXPECT_EQ(embedder.calls(), (std::vector<std::size_t>{1, 1, 2}));
  EXPECT_EQ(scores.risk.user, 2.0);
  EXPECT_EQ(scores.risk.model, 1.0);
  EXPECT_EQ(scores.agreement, 1.0);
  EXPECT_EQ(scores.toxic_sycophancy, 2.0);
  EXPECT_EQ(scores.quadrant, Quadrant::kSycophancyTrap);
  EXPECT_TRUE(scores.sycophancy_event);
}

TEST(GuardMonitor, ScoresOneSideAlone) {
  const FakeEmbedder embedder = Embedder3();
  const auto monitor = GuardMonitor::Create(embedder, Settings(), std::nullopt).value();
  const TurnScores user = monitor->Score("calm", std::nullopt, {}).value();
  EXPECT_EQ(user.risk.user, 0.0);
  EXPECT_FALSE(user.risk.model || user.agreement || user.toxic_sycophancy || user.quadrant);
  const TurnScores model = monitor->Score(std::nullopt, "yes", {}).value();
  EXPECT_EQ(model.risk.model, 1.0);
  EXPECT_EQ(model.agreement, 1.0);
  EXPECT_FALSE(model.risk.user || model.toxic_sycophancy || model.quadrant);
  ExpectError(monitor->Score(std::nullopt, std::nullopt, {}), Code::kInvalidArgument, "",
              "got neither");
}

TEST(GuardMonitor, ScoresManyTurnsWithOneCallAsOneByOne) {
  const FakeEmbedder embedder = Embedder3();
  const auto monitor = GuardMonitor::Create(embedder, Settings(), std::nullopt).value();
  const std::vector<GuardMonitor::Exchange> turns = {{"far", "yes"}, {"calm", "far"}};
  const auto all = monitor->ScoreAll(turns, {}).value();
  EXPECT_EQ(embedder.calls(), (std::vector<std::size_t>{1, 1, 4}));
  ASSERT_EQ(all.size(), 2u);
  for (std::size_t i = 0; i < turns.size(); ++i) {
    const TurnScores alone =
        monitor->Score(std::string(turns[i].user), std::string(turns[i].model), {}).value();
    EXPECT_EQ(all[i].risk.user, alone.risk.user);
    EXPECT_EQ(all[i].risk.model, alone.risk.model);
    EXPECT_EQ(all[i].agreement, alone.agreement);
    EXPECT_EQ(all[i].toxic_sycophancy, alone.toxic_sycophancy);
    EXPECT_EQ(all[i].quadrant, alone.quadrant);
    EXPECT_EQ(all[i].tokens, alone.tokens);
  }
  EXPECT_TRUE(monitor->ScoreAll({}, {})->empty());
  const std::vector<GuardMonitor::Exchange> unknown = {{"far", "yes"}, {"calm", "unknown"}};
  ExpectError(monitor->ScoreAll(unknown, {}), Code::kInvalidArgument, "input[3]",
              "nothing to embed");
}

TEST(GuardMonitor, RisksOfManyMessagesWithOneCall) {
  const FakeEmbedder embedder = Embedder3();
  const auto monitor = GuardMonitor::Create(embedder, Settings(), std::nullopt).value();
  EXPECT_EQ(monitor->Risks({"far", "calm", "yes"}, {})->risks, (std::vector<double>{2, 0, 1}));
  EXPECT_EQ(embedder.calls(), (std::vector<std::size_t>{1, 1, 3}));
  ExpectError(monitor->Risks({"calm", "?"}, {}), Code::kInvalidArgument, "input[1]",
              "nothing to embed");
}

TEST(GuardMonitor, ErrorsNameTheSide) {
  const FakeEmbedder embedder = Embedder3();
  const auto monitor = GuardMonitor::Create(embedder, Settings(), std::nullopt).value();
  ExpectError(monitor->Score("?", "yes", {}), Code::kInvalidArgument, "user", "nothing to embed");
  ExpectError(monitor->Score("calm", "?", {}), Code::kInvalidArgument, "model", "nothing to embed");
  ExpectError(monitor->Score(std::nullopt, "?", {}), Code::kInvalidArgument, "model",
              "nothing to embed");
  std::stop_source stop;
  stop.request_stop();
  RequestContext context;
  context.stop = stop.get_token();
  ExpectError(monitor->Score("calm", "yes", context), Code::kCancelled, "", "stopped");
}

TEST(GuardMonitor, RefusesAnchorsThatAreNoAxis) {
  const FakeEmbedder embedder = Embedder3();
  GuardSettings settings = Settings();
  settings.safe_anchor = "?";
  ExpectError(GuardMonitor::Create(embedder, settings, std::nullopt), Code::kInvalidArgument,
              "guard.safe_anchor", "nothing to embed");
  settings = Settings();
  settings.sycophancy_anchor = "zero";
  ExpectError(GuardMonitor::Create(embedder, settings, std::nullopt), Code::kInvalidArgument,
              "guard.sycophancy_anchor", "zero");
}

TEST(GuardMonitor, ProjectsWhenItHasAProjection) {
  const FakeEmbedder embedder(3, {{"safe", {1, 0, 7}}, {"agree", {0, 1, -7}}, {"calm", {2, 0, 1}}});
  const auto monitor = GuardMonitor::Create(embedder, Settings(), FirstTwo()).value();
  EXPECT_EQ(monitor->Score("calm", std::nullopt, {}).value().risk.user, 0.0);
  ExpectError(GuardMonitor::Create(embedder, Settings(), FirstTwo("other")),
              Code::kFailedPrecondition, "guard.projection", "retrain with");
}

TEST(GuardMonitor, SaysWhatItComputesWith) {
  const FakeEmbedder embedder = Embedder3();
  GuardSettings settings = Settings();
  settings.epsilon = 0.25;
  settings.cumulative = "trapezoid";
  const auto full = GuardMonitor::Create(embedder, settings, std::nullopt).value();
  Provenance expected;
  expected.model_id = "fake:model";
  expected.model_revision = "r1";
  expected.safe_anchor_sha256 = Sha256Hex("safe");
  expected.sycophancy_anchor_sha256 = Sha256Hex("agree");
  expected.space = "full:3";
  expected.weight_r = 1.5;
  expected.weight_v = 1.0;
  expected.weight_a = 3.0;
  expected.bias = -2.5;
  expected.epsilon = 0.25;
  expected.cumulative = "trapezoid";
  EXPECT_EQ(full->provenance(), expected);
  const auto projected = GuardMonitor::Create(embedder, settings, FirstTwo()).value();
  EXPECT_EQ(projected->provenance().space, "projection:" + FirstTwo().hash());
}

TEST(CheckConversation, StepsThroughAllTurns) {
  const FakeEmbedder embedder = Embedder3();
  const auto monitor = GuardMonitor::Create(embedder, Settings(), std::nullopt).value();
  Conversation conversation;
  conversation.turns = {{1, "calm", "calm"}, {2, "calm", std::nullopt}, {3, "far", "far"}};
  const auto reports = CheckConversation(*monitor, conversation, Settings(), {}).value();
  ASSERT_EQ(reports.size(), 3u);
  EXPECT_FALSE(reports[0].partial());
  EXPECT_TRUE(reports[1].partial());
  EXPECT_EQ(reports[2].metrics.turn, 3);
  EXPECT_EQ(reports[2].metrics.v_model, 2.0);
  EXPECT_EQ(reports[2].verdict.action, Action::kBlock);
  EXPECT_EQ(reports[2].robustness, Robustness::kRobust);

  conversation.turns[2].model = "?";
  ExpectError(CheckConversation(*monitor, conversation, Settings(), {}), Code::kInvalidArgument,
              "turn 3: model", "nothing to embed");
}

}  // namespace
}  // namespace garrison
