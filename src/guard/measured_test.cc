#include "guard/measured.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "guard/measured_report.h"
#include "guard/test_measured.h"

namespace garrison {
namespace {

class MeasuredTest : public testing::Test {
 protected:
  MeasuredScores Score(const std::optional<std::string>& user,
                       const std::optional<std::string>& model) const {
    const auto scores = monitor_->Score(user, model, {});
    EXPECT_TRUE(scores) << scores.error().ToString();
    return scores.value_or(MeasuredScores{});
  }

  const TestEmbedder embedder_;
  const std::unique_ptr<MeasuredMonitor> monitor_ =
      MeasuredMonitor::Create(embedder_, SmallGuard(), 0.1).value();
  SmallWorld world_{5};
};

TEST_F(MeasuredTest, AMissingSideHasNoNumbers) {
  const MeasuredScores user = Score(world_.Message(false), std::nullopt);
  EXPECT_TRUE(user.user && !user.reply && !user.compliance && !user.toxic_sycophancy);
  EXPECT_EQ(user.evidence, user.user->evidence);
  const MeasuredScores reply = Score(std::nullopt, world_.Reply(true));
  EXPECT_TRUE(!reply.user && reply.reply && !reply.compliance);
  EXPECT_FALSE(monitor_->Score(std::nullopt, std::nullopt, {}));
}

TEST_F(MeasuredTest, SycophancyIsTheProductOfItsParts) {
  const MeasuredScores scores = Score(world_.Message(true), world_.Reply(true));
  ASSERT_TRUE(scores.toxic_sycophancy);
  EXPECT_DOUBLE_EQ(*scores.toxic_sycophancy, scores.user->probability * *scores.compliance);
  EXPECT_GT(*scores.toxic_sycophancy,
            *Score(world_.Message(false), world_.Reply(false)).toxic_sycophancy);
}

// One bad passage in a long ordinary reply is found and named.
TEST_F(MeasuredTest, TheWorstWindowOfALongReplyFires) {
  std::string text;
  while (text.size() < 4000) text += world_.Reply(false) + ". ";
  const std::string user = world_.Message(false);
  const double ordinary = Score(user, text).reply->evidence;
  const std::size_t middle = text.find(". ", 2000) + 2;
  const std::string bad = world_.Reply(true) + ". ";
  text.insert(middle, bad);
  const MeasuredScores scores = Score(user, text);
  EXPECT_GT(scores.reply->windows, 5u);
  EXPECT_GT(scores.reply->evidence, ordinary + 1);
  EXPECT_LE(scores.reply->window.begin, middle);
  EXPECT_GE(scores.reply->window.begin + scores.reply->window.size, middle + bad.size() - 2);
}

TEST_F(MeasuredTest, SaysWhatATextWasLike) {
  EXPECT_EQ(Score("zap quiz jinx and the house", std::nullopt).user->nearest.set, "harmful");
  EXPECT_EQ(Score("the quiet street after school", std::nullopt).user->nearest.set, "safe");
}

// The cosine with the mean direction of a set, of centred vectors.
TEST_F(MeasuredTest, TheNearestSetIsThatOfTheClosestMeanDirection) {
  MeasuredModel model = SmallGuard().model();
  model.anchors = {{"far", {"zzzz"}}, {"near", {"aab", "bbbc"}}};
  const auto monitor =
      MeasuredMonitor::Create(embedder_, GuardFile::Create(model).value(), 0.1).value();
  const auto centred = [&](const char* text) -> Eigen::VectorXf {
    const EmbedRequest request{.inputs = {EmbedInput(std::string(text))}};
    const Embeddings embedded = embedder_.Embed(request, {}).value();
    return Eigen::Map<const Eigen::VectorXf>(embedded.values.data(), model.mean.size()) -
           model.mean;
  };
  const Eigen::VectorXf text = centred("abba cab");
  const Eigen::VectorXf direction =
      centred("aab").normalized() / 2 + centred("bbbc").normalized() / 2;
  const NearestAnchor nearest = monitor->Score("abba cab", std::nullopt, {})->user->nearest;
  EXPECT_EQ(nearest.set, "near");
  EXPECT_NEAR(nearest.cosine, text.dot(direction) / text.norm() / direction.norm(), 1e-5);
}

TEST_F(MeasuredTest, AnotherLanguageIsNotCalledSafe) {
  const MeasuredScores scores =
      Score("Der Schmetterling fliegt ueber gruene Felder und sucht sich eine Blume", std::nullopt);
  EXPECT_FALSE(scores.calibrated);
  MeasuredState state;
  const auto turn = state.Take(scores, SmallGuard().model());
  ASSERT_TRUE(turn);
  EXPECT_FALSE(turn->alarm.on);
  EXPECT_EQ(turn->action, Action::kReview);
  EXPECT_EQ(state.data(), MeasuredState().data()) << "it leaves the conversation as it was";
  EXPECT_EQ(MeasuredTurnJson(*turn, SmallGuard().model())["status"], "not calibrated");
}

// Windows of nothing to read must not spare those beside them.
TEST_F(MeasuredTest, ARuleOfDashesHidesNothing) {
  const std::string user = world_.Message(true);
  const std::string reply = world_.Reply(true);
  const MeasuredScores plain = Score(user, reply);
  const std::string rule = "\n" + std::string(5'000, '-') + "\n";
  const MeasuredScores ruled = Score(user + rule, rule + reply + rule);
  EXPECT_NEAR(ruled.user->evidence, plain.user->evidence, 1e-6);
  EXPECT_NEAR(ruled.reply->evidence, plain.reply->evidence, 1e-6);
  EXPECT_EQ(monitor_->Score(rule, reply, {}).error().where, "user") << "nothing at all to read";
}

TEST_F(MeasuredTest, AFewForeignCharactersAreNoWayAroundTheAlarm) {
  const MeasuredModel& model = SmallGuard().model();
  std::string foreign;
  for (int i = 0; i < 40; ++i) foreign += "\xE7\x88\x86";
  const auto bad = [&](bool mixed) {
    return Score(world_.Message(true) + (mixed ? foreign : ""), world_.Reply(true));
  };
  // It rises by what is known of the turns.
  MeasuredState state;
  bool on = false;
  for (int n = 0; n < 8; ++n) {
    const MeasuredTurn turn = state.Take(bad(true), model).value();
    EXPECT_FALSE(turn.scores.calibrated);
    EXPECT_NE(turn.action, Action::kAllow);
    on = on || turn.alarm.on;
  }
  EXPECT_TRUE(on);
  // It stays on over a turn of which nothing is known, and no mixed one lowers it.
  const double sum = state.data().alarm.sum;
  const std::string german =
      "Der Schmetterling fliegt ueber gruene Felder und sucht sich eine Blume";
  const MeasuredTurn all_foreign = state.Take(Score(german, german), model).value();
  EXPECT_EQ(all_foreign.action, Action::kBlock);
  EXPECT_EQ(MeasuredStatus(all_foreign), "alarm");
  EXPECT_FALSE(MeasuredMessages(all_foreign).empty());
  (void)state.Take(Score(world_.Message(false) + foreign, world_.Reply(false)), model).value();
  EXPECT_GE(state.data().alarm.sum, sum);
}

// A side's evidence counts from where that side stands in ordinary turns.
TEST_F(MeasuredTest, TheAlarmAddsUpWhatIsAboveOrdinaryTurns) {
  const AlarmRule rule{.user_level = -4, .reply_level = 0.5};
  MeasuredScores scores;
  scores.user = SideScore{.evidence = -1};
  EXPECT_DOUBLE_EQ(*Excess(scores, rule), 3);
  scores.reply = SideScore{.evidence = 1};
  EXPECT_DOUBLE_EQ(*Excess(scores, rule), 3) << "0.5 of the reply is less";
  scores.reply->evidence = 5;
  EXPECT_DOUBLE_EQ(*Excess(scores, rule), 4.5);
  scores.user.reset();
  EXPECT_DOUBLE_EQ(*Excess(scores, rule), 4.5);

  MeasuredModel model = SmallGuard().model();
  model.alarm = {.user_level = -4, .reply_level = 0.5, .drift = 1, .threshold = 9};
  MeasuredState state;
  EXPECT_DOUBLE_EQ(state.Take(scores, model)->alarm.sum, 3.5);
}

TEST_F(MeasuredTest, AnErosionLatchesAndIsKept) {
  MeasuredState state;
  std::optional<MeasuredTurn> last;
  for (int n = 0; n < 6; ++n) {
    const auto scores = monitor_->Score(world_.Message(n > 1), world_.Reply(n > 1), {});
    ASSERT_TRUE(scores);
    const auto restored = MeasuredState::Restore(state.data());
    ASSERT_TRUE(restored);
    state = *restored;
    last = state.Take(*scores, SmallGuard().model()).value();
  }
  EXPECT_TRUE(last->alarm.on);
  EXPECT_EQ(last->action, Action::kBlock);
  ASSERT_TRUE(last->robustness);
  EXPECT_TRUE(last->robustness->interval);
  const auto json = MeasuredTurnJson(*last, SmallGuard().model());
  EXPECT_EQ(json["status"], "alarm");
  EXPECT_EQ(json["alarm"]["threshold"], SmallGuard().model().alarm.threshold);
  EXPECT_EQ(json["user"]["nearest"]["set"], "harmful");
}

TEST_F(MeasuredTest, VectorsThatAreNoNumbersAreAnError) {
  std::vector<std::optional<std::string>> texts = {world_.Message(false)};
  std::vector<MessageSide> sides = EmbedSides(embedder_, texts, {}).value();
  sides[0].windows(0, 3) = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(monitor_->ScoreSides(sides[0], {}).error().code, Code::kInternal);
}

TEST_F(MeasuredTest, ErrorsNameTheSide) {
  EXPECT_EQ(monitor_->Score("fine words", "123", {}).error().where, "model");
  EXPECT_EQ(monitor_->Score("123", "fine words", {}).error().where, "user");
  EXPECT_EQ(monitor_->Score(std::nullopt, "123", {}).error().where, "model");
  EXPECT_EQ(monitor_->Score("fine words", " \n", {}).error().where, "model");
}

TEST_F(MeasuredTest, AConversationOfOneSideIsScored) {
  Conversation conversation;
  for (int n = 1; n <= 3; ++n)
    conversation.turns.push_back({n, world_.Message(true), std::nullopt});
  const auto turns = CheckConversation(*monitor_, conversation, {});
  ASSERT_TRUE(turns);
  EXPECT_TRUE((*turns)[2].alarm.on);
  EXPECT_FALSE((*turns)[2].robustness);
  conversation.turns[1].user = "123";
  EXPECT_EQ(CheckConversation(*monitor_, conversation, {}).error().where, "turn 2: user");
}

TEST_F(MeasuredTest, RefusesAnotherEmbedder) {
  class Other final : public Embedder {
   public:
    const ModelInfo& info() const override { return info_; }
    Result<Embeddings> Embed(const EmbedRequest&, const RequestContext&) const override {
      return Fail(Code::kInternal, "not asked");
    }
    ModelInfo info_ = TestEmbedder().info();
  } other;
  const auto refused = [&](const char* part) {
    const auto monitor = MeasuredMonitor::Create(other, SmallGuard(), 0.1);
    ASSERT_FALSE(monitor);
    EXPECT_EQ(monitor.error().code, Code::kFailedPrecondition);
    EXPECT_NE(monitor.error().message.find(part), std::string::npos) << monitor.error().message;
  };
  other.info_.id = "other";
  refused("test:letters");
  other.info_ = TestEmbedder().info();
  other.info_.revision = "r2";
  refused("revision");
  other.info_ = TestEmbedder().info();
  other.info_.dimension = 25;
  refused("dimension");
  EXPECT_FALSE(MeasuredMonitor::Create(embedder_, SmallGuard(), 1));
}

}  // namespace
}  // namespace garrison
