#include "guard/evaluation_input.h"

#include <gtest/gtest.h>

#include "guard/test_support.h"

namespace garrison {
namespace {

TEST(TestNameOf, IsTheFirstTokenThatLooksLikeOne) {
  for (const auto& [stem, name] :
       std::vector<std::pair<std::string, std::string>>{{"T1", "T1"},
                                                        {"T3.2_metrics", "T3.2"},
                                                        {"gpt-4_T1.2_PARTIAL_metrics", "T1.2"},
                                                        {"run T2.2 of T3", "T2.2"},
                                                        {"T1.", "T1"},
                                                        {"T1.x", "T1"},
                                                        {"T10.25", "T10.25"},
                                                        {"flan-T5x_chat", "flan-T5x_chat"},
                                                        {"ST1", "ST1"},
                                                        {"t1", "t1"},
                                                        {"T", "T"},
                                                        {"Test", "Test"},
                                                        {"", ""},
                                                        {"éT1", "éT1"}}) {
    EXPECT_EQ(TestNameOf(stem), name) << stem;
  }
  EXPECT_TRUE(SaysPartial("T3.2_PARTIAL_x"));
  EXPECT_FALSE(SaysPartial("impartial"));
}

class ScoreConversationTest : public testing::Test {
 protected:
  ScoreConversationTest() {
    settings_.safe_anchor = "safe";
    settings_.sycophancy_anchor = "yes";
    monitor_ = GuardMonitor::Create(embedder_, settings_, std::nullopt).value();
  }

  EvaluatedContent Parse(std::string_view bytes) {
    return ParseEvaluatedFile(bytes, settings_, LimitSettings()).value();
  }
  Result<ScoredConversation> Score(std::string_view bytes, const RequestContext& context = {}) {
    return ScoreConversation({"m", "T1", "m/T1.json"}, "hash", std::get<Conversation>(Parse(bytes)),
                             *monitor_, settings_, context);
  }

  FakeEmbedder embedder_{2, {{"safe", {1, 0}}, {"yes", {0, 1}}, {"hi", {0, 1}}, {"no", {1, 0}}}};
  GuardSettings settings_;
  std::unique_ptr<GuardMonitor> monitor_;
};

TEST_F(ScoreConversationTest, ScoresAsCheckConversationDoes) {
  const auto bytes = R"({"turns": [{"user": "hi", "model": "no"}, {"user": "no", "model": "hi"}]})";
  const ScoredConversation scored = Score(bytes).value();
  EXPECT_EQ(scored.test, "T1");
  EXPECT_FALSE(scored.partial());
  EXPECT_FALSE(scored.recorded);
  const auto checked = CheckConversation(*monitor_, std::get<Conversation>(Parse(bytes)), settings_,
                                         RequestContext{})
                           .value();
  ASSERT_EQ(scored.turns.size(), checked.size());
  for (std::size_t i = 0; i < checked.size(); ++i) {
    EXPECT_EQ(scored.turns[i].metrics, checked[i].metrics);
  }
  ASSERT_EQ(scored.texts.size(), 2u);
  EXPECT_EQ(scored.texts[1].model, "hi");
  EXPECT_EQ(scored.v_safe, (PlanePoint{1, 0}));
  EXPECT_EQ(scored.turns[0].scores.user_point, (PlanePoint{0, 1}));
  EXPECT_EQ(scored.turns[0].scores.model_point, (PlanePoint{1, 0}));
}

TEST_F(ScoreConversationTest, AFailedTurnEndsIt) {
  const ScoredConversation scored =
      Score("User: hi\nModel: no\nUser: hi\nModel: unknown\nUser: hi\nModel: no\n").value();
  EXPECT_EQ(scored.turns.size(), 1u);
  EXPECT_EQ(scored.texts.size(), 1u);
  ASSERT_EQ(scored.partial_because.size(), 1u);
  EXPECT_EQ(scored.partial_because[0],
            "turn 2 of 3 could not be scored and ends it: model: nothing to embed");
}

TEST_F(ScoreConversationTest, AFailingModelIsAnError) {
  std::stop_source stop;
  stop.request_stop();
  RequestContext context;
  context.stop = stop.get_token();
  ExpectError(Score("User: hi\nModel: no\n", context), Code::kCancelled, "turn 1", "stopped");
}

TEST_F(ScoreConversationTest, TakesRecordedRunsWithTheirVectors) {
  const auto content = Parse(
      "\xEF\xBB\xBFTurn,RiskSeverity_Model,RiskSeverity_User,Vector,Vector_User\n"
      "1,0.5,0.25,\"[0.1, -2e-1]\",(1;2)\n"
      "2,0.75,0.25,0.3 0.4,\"[1,2,3]\"\n"
      "3,0.75,0.25,,nan 1\n");
  const ScoredConversation run = TakeRecorded({"m", "T3.2_PARTIAL", "m/T3.2_PARTIAL.csv"}, "hash",
                                              std::get<RecordedRun>(content), settings_);
  EXPECT_TRUE(run.recorded);
  EXPECT_EQ(run.test, "T3.2");
  EXPECT_TRUE(run.partial());
  EXPECT_EQ(run.provenance.space, "risk");
  ASSERT_EQ(run.turns.size(), 3u);
  EXPECT_EQ(run.turns[1].metrics.v_model, 0.25);
  EXPECT_EQ(run.turns[0].scores.model_point, (PlanePoint{0.1, -0.2}));
  EXPECT_EQ(run.turns[0].scores.user_point, (PlanePoint{1, 2}));
  EXPECT_EQ(run.turns[1].scores.model_point, (PlanePoint{0.3, 0.4}));
  EXPECT_FALSE(run.turns[1].scores.user_point.has_value());
  EXPECT_FALSE(run.turns[2].scores.model_point.has_value());
  EXPECT_FALSE(run.turns[2].scores.user_point.has_value());
}

TEST_F(ScoreConversationTest, NamesThePlaceOfAMistake) {
  const auto parse = [&](std::string_view bytes, const LimitSettings& limits = {}) {
    return ParseEvaluatedFile(bytes, settings_, limits);
  };
  ExpectError(parse("Turn,RiskSeverity_Model\n1,x\n"), Code::kInvalidArgument,
              "line 2, column RiskSeverity_Model", "finite number");
  ExpectError(parse("{\"turns\": []}"), Code::kInvalidArgument, "turns", "");
  ExpectError(parse(""), Code::kInvalidArgument, "", "empty file");
  ExpectError(parse(std::string_view("a\0b", 3)), Code::kInvalidArgument, "line 1", "NUL");
  LimitSettings limits;
  limits.input_bytes = 3;
  ExpectError(parse("User: hi\nModel: long\n", limits), Code::kInvalidArgument, "turn 1",
              "at most 3 bytes");
}

}  // namespace
}  // namespace garrison
