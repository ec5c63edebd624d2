#include "guard/replay.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "guard/report.h"
#include "guard/test_support.h"

namespace garrison {
namespace {

Result<std::vector<VectorTurn>> Vectors(std::string_view jsonl) {
  return ParseVectors(jsonl, LimitSettings());
}

// ---- vectors
// ---------------------------------------------------------------------------------------

TEST(ParseVectors, TakesEveryForm) {
  const auto turns =
      Vectors(
          "\xEF\xBB\xBF{\"model\": [1, 2], \"user\": [3.5, -4e-1], \"text\": \"x\"}\r\n"
          "\n"
          "[5, 6]\n"
          "{\"turn\": 4, \"vector\": [7, 8]}\n"
          "{\"model_vector\": [1, 0], \"user_vector\": [0, 1]}\n"
          "{\"v_model\": null, \"v_user\": [0, 1]}")
          .value();
  using Vector = std::vector<double>;
  ASSERT_EQ(turns.size(), 5u);
  EXPECT_EQ(turns[0].model, (Vector{1, 2}));
  EXPECT_EQ(turns[0].user, (Vector{3.5, -0.4}));
  EXPECT_EQ(turns[1].model, (Vector{5, 6}));
  EXPECT_FALSE(turns[1].user.has_value());
  EXPECT_EQ(turns[2].number, 4);
  EXPECT_EQ(turns[2].model, (Vector{7, 8}));
  EXPECT_EQ(turns[3].number, 5);
  EXPECT_EQ(turns[3].user, (Vector{0, 1}));
  EXPECT_FALSE(turns[4].model.has_value());
}

TEST(ParseVectors, NamesLineAndTurnOfEveryMistake) {
  const auto expect = [](const std::string& line, const std::string& message) {
    SCOPED_TRACE(line);
    ExpectError(Vectors("[1, 2]\n\n" + line), Code::kInvalidArgument, "line 3",
                "turn 2: " + message);
  };
  expect("{", "expected JSON");
  expect("[1, NaN]", "expected JSON");
  expect("[1, 1e999]", "the JSON holds a number that is out of range");
  expect("3", "expected an object or a list of numbers, got a number");
  expect("[]", "expected a vector as a list of numbers, got an empty list");
  expect("[1, \"2\"]", "expected a finite number as component 1, got a string");
  expect("[1, null]", "expected a finite number as component 1, got null");
  expect("[1, 2, 3]", "expected vectors of 2 numbers like the first one, got 3");
  expect("{\"model\": [1, 2], \"user\": [1]}", "expected vectors of 2 numbers");
  expect("{\"model\": 5}", "expected a vector as a list of numbers, got a number");
  expect("{\"text\": \"x\"}", "expected a vector named model or user, got neither");
  expect("{\"model\": [1, 2], \"vector\": [1, 2]}",
         "expected one vector for a side, got model and vector");
  expect("{\"turn\": 1, \"model\": [1, 2]}", "expected a turn number above 1, got 1");
  expect("{\"turn\": -3, \"model\": [1, 2]}", "expected a turn number from 0 to");
  expect("{\"turn\": 18446744073709551615, \"model\": [1, 2]}", "expected a whole turn number");
  expect("{\"turn\": \"2\", \"model\": [1, 2]}", "expected a whole turn number, got \"2\"");
  ExpectError(Vectors(" \n\n"), Code::kInvalidArgument, "", "got an empty file");
}

TEST(Replay, ScoresVectorsAgainstTheAxes) {
  const auto turns =
      Vectors("{\"model\": [1, 0], \"user\": [0, 1]}\n[0, 0]\n{\"user\": [-1, 0]}").value();
  const auto reports = Replay(turns, {{1, 0}, {1, 0}}, GuardSettings()).value();
  ASSERT_EQ(reports.size(), 3u);
  EXPECT_EQ(reports[0].metrics.r_model, 0.0);
  EXPECT_EQ(reports[0].metrics.r_user, 1.0);
  EXPECT_EQ(reports[0].scores.agreement, 1.0);
  EXPECT_EQ(reports[0].scores.toxic_sycophancy, 1.0);
  EXPECT_EQ(reports[0].scores.quadrant, Quadrant::kSycophancyTrap);
  EXPECT_EQ(reports[1].metrics.r_model, 1.0) << "a zero vector";
  EXPECT_EQ(reports[2].metrics.c_user, 3.0);
  EXPECT_FALSE(
      Replay(turns, {{1, 0}, {}}, GuardSettings()).value()[0].scores.agreement.has_value());
}

TEST(Replay, RefusesAxesThatDoNotFit) {
  const auto turns = Vectors("[1, 0]").value();
  ExpectError(Replay(turns, {{0, 0}, {}}, GuardSettings()), Code::kInvalidArgument, "vsafe",
              "zero");
  ExpectError(Replay(turns, {{1, 0}, {0, 0}}, GuardSettings()), Code::kInvalidArgument, "vsyc",
              "zero");
  ExpectError(Replay(turns, {{1, 0, 0}, {}}, GuardSettings()), Code::kInvalidArgument, "turn 1",
              "expected a vector of 3 components like v_safe, got 2");
  ExpectError(Replay(turns, {{1, 0}, {1}}, GuardSettings()), Code::kInvalidArgument, "turn 1",
              "like v_syc");
}

// ---- risks
// -----------------------------------------------------------------------------------------

TEST(ParseRisk, FindsItsColumnsAmongOthers) {
  const auto turns = ParseRisk(
                         "\xEF\xBB\xBF"
                         "RiskSeverity_User,Message,RiskSeverity_Model,Turn\r\n"
                         "0.1,\"a, b\",0.07900840138280296,2\r\n"
                         ",c, 1e-05 ,3.0\r\n"
                         "2,d,,7\r\n")
                         .value();
  ASSERT_EQ(turns.size(), 3u);
  EXPECT_EQ(turns[0].number, 2);
  EXPECT_EQ(turns[0].risk.model, 0.07900840138280296);
  EXPECT_EQ(turns[0].risk.user, 0.1);
  EXPECT_EQ(turns[1].number, 3);
  EXPECT_EQ(turns[1].risk.model, 1e-05);
  EXPECT_FALSE(turns[1].risk.user.has_value());
  EXPECT_EQ(turns[2].number, 7);
  EXPECT_FALSE(turns[2].risk.model.has_value());
  EXPECT_EQ(ParseRisk("RiskSeverity_Model\n0.5\n0.25").value()[1].number, 2);
}

TEST(ParseRisk, NamesLineColumnAndTurnOfEveryMistake) {
  const auto expect = [](const std::string& row, const std::string& where,
                         const std::string& message) {
    SCOPED_TRACE(row);
    ExpectError(ParseRisk("Turn,RiskSeverity_Model,RiskSeverity_User\n1,0.5,0.5\n" + row),
                Code::kInvalidArgument, where, message);
  };
  expect("2,nan,0.5", "line 3, column RiskSeverity_Model",
         "turn 2: expected a finite number, got \"nan\"");
  expect("2,0.5,-inf", "line 3, column RiskSeverity_User",
         "turn 2: expected a finite number, got \"-inf\"");
  expect("2,0.5,x", "line 3, column RiskSeverity_User", "got \"x\"");
  expect("2,\"0,5\",0.5", "line 3, column RiskSeverity_Model", "got \"0,5\"");
  expect("x,0.5,0.5", "line 3, column Turn", "turn 2: expected a whole number, got \"x\"");
  expect("1,0.5,0.5", "line 3, column Turn", "turn 2: expected a turn number above 1, got 1");
  expect("2,,", "line 3", "turn 2: expected RiskSeverity_Model, RiskSeverity_User or both");
  expect("2,0.5", "line 3", "expected 3 fields");
  expect("2,0.5,\xFF", "line 3", "UTF-8");
  ExpectError(ParseRisk("Turn,R\n1,0.5\n"), Code::kInvalidArgument, "line 1", "RiskSeverity_Model");
  ExpectError(ParseRisk("Turn,RiskSeverity_Model\n"), Code::kInvalidArgument, "line 1",
              "a row for each");
  ExpectError(ParseRisk(""), Code::kInvalidArgument, "line 1", "header");
}

TEST(Replay, RefusesRisksThatAreNone) {
  const auto turns = ParseRisk("Turn,RiskSeverity_Model\n3,0.5\n8,-0.5\n").value();
  ExpectError(Replay(turns, GuardSettings()), Code::kInvalidArgument, "turn 8",
              "RiskSeverity_Model is -0.5");
}

TEST(Replay, KeepsTheNumbersOfTheFile) {
  const auto turns = ParseRisk("Turn,RiskSeverity_Model\n3,0.5\n8,0.75\n").value();
  const auto reports = Replay(turns, GuardSettings()).value();
  EXPECT_EQ(reports[0].metrics.turn, 3);
  EXPECT_EQ(reports[1].metrics.turn, 8);
  EXPECT_EQ(reports[1].metrics.v_model, 0.25);
}

// What a replay writes can be replayed to the same bits.
RC_GTEST_PROP(ReplayProperty, ReadsBackItsOwnCsv, ()) {
  const auto risk = rc::gen::map(rc::gen::arbitrary<std::uint32_t>(),
                                 [](std::uint32_t i) { return 2.0 * i / 4294967295.0; });
  const auto models = *rc::gen::nonEmpty(rc::gen::container<std::vector<double>>(risk));
  std::vector<RiskTurn> turns;
  for (const double model : models) {
    const auto user = *rc::gen::maybe(risk);
    turns.push_back(
        {static_cast<int>(turns.size()) + 1, {model, user ? std::optional(*user) : std::nullopt}});
  }
  const std::string csv = ReportCsv(Replay(turns, GuardSettings()).value());
  RC_ASSERT(ReportCsv(Replay(ParseRisk(csv).value(), GuardSettings()).value()) == csv);
}

// ---- arguments
// -------------------------------------------------------------------------------------

TEST(ParseVectorArgument, TakesNumbersWithCommas) {
  EXPECT_EQ(ParseVectorArgument("-0.3427452625, 0.9394283821").value(),
            (std::vector<double>{-0.3427452625, 0.9394283821}));
  for (const char* bad : {"", "1,", ",1", "1;2", "1,nan", "inf"}) {
    ExpectError(ParseVectorArgument(bad), Code::kInvalidArgument, "", "finite numbers");
  }
}

TEST(AssignWeights, SetsFourSettingsOrNone) {
  GuardSettings settings;
  EXPECT_TRUE(AssignWeights(settings, "3.0,2.0,1.5,-2.0").has_value());
  EXPECT_EQ(settings.weight_r, 3.0);
  EXPECT_EQ(settings.weight_v, 2.0);
  EXPECT_EQ(settings.weight_a, 1.5);
  EXPECT_EQ(settings.bias, -2.0);
  ExpectError(AssignWeights(settings, "1,2,3"), Code::kInvalidArgument, "", "wR,wv,wa,b, got 3");
  const auto outside = AssignWeights(settings, "1,2,11,0");
  ASSERT_FALSE(outside.has_value());
  EXPECT_EQ(outside.error().where, "guard.weight_a");
  EXPECT_EQ(settings.weight_r, 3.0);
}

}  // namespace
}  // namespace garrison
