#include "guard/measured_train.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "guard/measured.h"
#include "guard/probe_fit.h"
#include "guard/test_measured.h"

namespace garrison {
namespace {

const TrainingLog kQuiet = [](const std::string&) {};

TEST(MeasuredTrain, LearnsWhatHarmIs) {
  const TestEmbedder embedder;
  const auto monitor = MeasuredMonitor::Create(embedder, SmallGuard(), 0.1);
  ASSERT_TRUE(monitor) << monitor.error().ToString();
  SmallWorld world(99);
  std::vector<double> users;
  std::vector<double> replies;
  std::vector<char> labels;
  for (int i = 0; i < 200; ++i) {
    const bool bad = i % 2 == 0;
    const auto scores = (*monitor)->Score(world.Message(bad), world.Reply(bad), {});
    ASSERT_TRUE(scores) << scores.error().ToString();
    users.push_back(scores->user->evidence);
    replies.push_back(scores->reply->evidence);
    labels.push_back(bad ? 1 : 0);
  }
  EXPECT_GT(Auroc(users, labels), 0.99);
  EXPECT_GT(Auroc(replies, labels), 0.99);
}

// The stated rate holds for ordinary conversations that nothing was trained on.
TEST(MeasuredTrain, KeepsItsRateOfFalseAlarms) {
  const TestEmbedder embedder;
  const auto monitor = MeasuredMonitor::Create(embedder, SmallGuard(), 0.1);
  ASSERT_TRUE(monitor);
  SmallWorld world(7);
  int alarms[2] = {};
  constexpr int kEach = 300;
  for (int i = 0; i < 2 * kEach; ++i) {
    const bool attack = i % 2 == 1;
    MeasuredState state;
    bool alarmed = false;
    for (int n = 0; n < 4; ++n) {
      const bool bad = attack && n > 0;
      const auto scores = (*monitor)->Score(world.Message(bad), world.Reply(bad), {});
      ASSERT_TRUE(scores);
      const auto turn = state.Take(*scores, SmallGuard().model());
      ASSERT_TRUE(turn);
      alarmed = alarmed || turn->alarm.on;
    }
    alarms[attack ? 1 : 0] += alarmed ? 1 : 0;
  }
  // 5 % is the rate; about 90 conversations calibrated it, so that it has a spread of 2.3 %.
  EXPECT_LE(alarms[0], kEach * 15 / 100);
  EXPECT_GE(alarms[1], kEach * 95 / 100);
}

TEST(MeasuredTrain, GivesTheSameBytesTwice) {
  const auto again = TrainMeasured(TestEmbedder(), SmallWorld(1).Training(1200, 600), kQuiet);
  ASSERT_TRUE(again);
  EXPECT_EQ(again->hash(), SmallGuard().hash());
}

TEST(MeasuredTrain, NeverLooksAtTheTestSplit) {
  MeasuredTraining changed = SmallWorld(1).Training(1200, 600);
  for (TrainingTurn& turn : changed.turns) {
    if (turn.split != Split::kTest) continue;
    turn.user = "zap jinx other words altogether";
    for (auto& label : turn.labels) label = !*label;
  }
  for (TrainingDialogue& dialogue : changed.dialogues) {
    if (dialogue.split == Split::kTest) dialogue.attack = !dialogue.attack;
  }
  const auto trained = TrainMeasured(TestEmbedder(), changed, kQuiet);
  ASSERT_TRUE(trained);
  EXPECT_EQ(trained->hash(), SmallGuard().hash());
}

TEST(MeasuredTrain, SaysWhatItRests) {
  const auto evidence = nlohmann::json::parse(SmallGuard().model().evidence);
  EXPECT_EQ(evidence["data"]["turns"], 1200);
  EXPECT_EQ(evidence["data"]["turns_sha256"], std::string(64, 'a'));
  EXPECT_GT(evidence["alarm"]["benign_conversations"], 50);
  EXPECT_GT(evidence["probes"]["reply_risky"]["calibration_auroc"], 0.9);
}

TEST(MeasuredTrain, RefusesTooLittle) {
  const auto few = TrainMeasured(TestEmbedder(), SmallWorld(1).Training(100, 600), kQuiet);
  ASSERT_FALSE(few);
  EXPECT_EQ(few.error().code, Code::kInvalidArgument);
  EXPECT_NE(few.error().message.find("at least 50 rows with user_harmful"), std::string::npos)
      << few.error().ToString();

  MeasuredTraining strict = SmallWorld(1).Training(1200, 100);
  strict.conversation_false_alarms = 0.01;
  const auto short_of = TrainMeasured(TestEmbedder(), strict, kQuiet);
  ASSERT_FALSE(short_of);
  EXPECT_EQ(short_of.error().code, Code::kFailedPrecondition);
  EXPECT_NE(short_of.error().message.find("at least 99"), std::string::npos)
      << short_of.error().ToString();

  MeasuredTraining peaceful = SmallWorld(1).Training(1200, 600);
  for (TrainingDialogue& dialogue : peaceful.dialogues) dialogue.attack = false;
  EXPECT_EQ(TrainMeasured(TestEmbedder(), peaceful, kQuiet).error().code, Code::kInvalidArgument);
}

TEST(MeasuredTrain, NamesTheDialogueThatCannotBeEmbedded) {
  MeasuredTraining bad = SmallWorld(1).Training(1200, 600);
  for (TrainingDialogue& dialogue : bad.dialogues) {
    if (dialogue.split == Split::kTest) continue;
    dialogue.turns[1].model = "123";
    break;
  }
  const auto refused = TrainMeasured(TestEmbedder(), bad, kQuiet);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().where.find("turn 2"), std::string::npos) << refused.error().where;
}

TEST(Auroc, CountsPairs) {
  EXPECT_DOUBLE_EQ(Auroc(std::vector<double>{1, 2, 3, 4}, std::vector<char>{0, 0, 1, 1}), 1);
  EXPECT_DOUBLE_EQ(Auroc(std::vector<double>{4, 3, 2, 1}, std::vector<char>{0, 0, 1, 1}), 0);
  EXPECT_DOUBLE_EQ(Auroc(std::vector<double>{1, 1, 1}, std::vector<char>{0, 1, 1}), 0.5);
  EXPECT_DOUBLE_EQ(Auroc(std::vector<double>{1, 3, 2, 2}, std::vector<char>{0, 1, 0, 1}), 0.875);
  EXPECT_DOUBLE_EQ(Auroc(std::vector<double>{1}, std::vector<char>{1}), 0.5);
}

}  // namespace
}  // namespace garrison
