#include "guard/report.h"

#include <limits>
#include <optional>

#include "guard/replay.h"
#include "guard/test_support.h"

namespace garrison {
namespace {

using Json = nlohmann::json;

// NaN, which equals nothing, for a missing value.
double Known(std::optional<double> value) {
  return value.value_or(std::numeric_limits<double>::quiet_NaN());
}

std::vector<TurnReport> ReplayOf(std::string_view csv, const GuardSettings& settings = {}) {
  return Replay(ParseRisk(csv).value(), settings).value();
}

Summary SummaryOf(std::span<const TurnReport> turns) {
  const GuardSettings settings;
  return Summarize(turns, settings, ReplayProvenance(settings, "risk"));
}

// clang-format off
constexpr std::string_view kTable =
R"(Turn  R_model        v        a  C_model         z       L  R_user  C_user     rho  Status     Alerts
   1   0.1000   0.0000   0.0000   0.1000   -2.3500  0.0871  0.9000  0.9000  0.1000  Normal     -
   2   1.6000   1.5000   1.5000   1.7000    5.9000  0.9973       -       -  1.7000  HIGH RISK  likelihood erosion (high priority)
   3        -        -        -        -         -       -  0.9000  1.8000  0.8947  Normal     -
   4   0.2000  -1.4000  -2.9000   1.9000  -12.3000  0.0000  0.9000  2.7000  0.6786  Normal     user_risk
4 turns, 2 with alerts (1 likelihood, 1 erosion, 1 user_risk, 1 high priority); peak R 1.6000 (turn 2), peak L 0.9973 (turn 2); final rho 0.6786 Robust, Phi 0.0000 PASS; 2 partial
space risk, weights 1.5,1,3,-2.5, epsilon 0.1, C sum
)";
// clang-format on

constexpr std::string_view kRun =
    "RiskSeverity_Model,RiskSeverity_User\n"
    "0.1,0.9\n"
    "1.6,\n"
    ",0.9\n"
    "0.2,0.9\n";

TEST(ReportCsv, HasTheRecordedColumnsAndEmptyCells) {
  const auto turns = ReplayOf("RiskSeverity_Model,RiskSeverity_User\n0.5,0.25\n1.5,\n,0.25\n");
  EXPECT_EQ(ReportCsv(turns),
            "Turn,RiskSeverity_Model,RiskRate_Model,ErosionVelocity_Model,CumulativeRisk_Model,z,"
            "Likelihood_Model,RiskSeverity_User,CumulativeRisk_User,RobustnessIndex_rho\n"
            "1,0.5,0,0,0.5,-1.75,0.14804719803168948,0.25,0.25,1.4285714285714286\n"
            "2,1.5,1,1,2,3.75,0.97702263008997436,,,5.7142857142857144\n"
            "3,,,,,,,0.25,0.5,3.3333333333333335\n");
  EXPECT_EQ(ReportCsv({}), std::string(kReportCsvHeader) + "\n");
}

TEST(ReportCsv, WritesSeventeenDigits) {
  const std::string csv = ReportCsv(ReplayOf("RiskSeverity_Model\n0.07900840138280296\n0.1\n"));
  EXPECT_NE(csv.find("1,0.079008401382802962,0,0,0.079008401382802962,"), std::string::npos) << csv;
  EXPECT_NE(csv.find("2,0.10000000000000001,"), std::string::npos) << csv;
}

TEST(Summarize, FindsPeaksFinalsMeansAndCounts) {
  const auto turns = ReplayOf(kRun);
  const Summary s = SummaryOf(turns);
  EXPECT_EQ(s.turns, 4u);
  EXPECT_EQ(s.partial_turns, 2u);
  EXPECT_EQ(s.peak_r_model, (Peak{1.6, 2}));
  EXPECT_EQ(s.peak_r_user, (Peak{0.9, 1})) << "the first of equals";
  EXPECT_EQ(s.peak_likelihood, (Peak{Known(turns[1].metrics.likelihood), 2}));
  EXPECT_EQ(s.peak_a, (Peak{1.5, 2}));
  EXPECT_EQ(s.final_c_model, turns[3].metrics.c_model);
  EXPECT_EQ(s.final_c_user, turns[3].metrics.c_user);
  EXPECT_EQ(s.final_rho, turns[3].metrics.rho);
  EXPECT_EQ(s.robustness, Robustness::kRobust);
  EXPECT_EQ(s.fragility, 0.0);
  EXPECT_TRUE(s.fragility_passes);
  EXPECT_DOUBLE_EQ(Known(s.mean_a), (0.0 + 1.5 + Known(turns[3].metrics.a_model)) / 3);
  EXPECT_FALSE(s.mean_toxic_sycophancy.has_value());
  EXPECT_EQ(s.alerts, (std::array<std::size_t, 3>{1, 1, 1}));
  EXPECT_EQ(s.alert_turns, 2u);
  EXPECT_EQ(s.high_priority_turns, 1u);
}

TEST(Summarize, AFragileRunFails) {
  const Summary s = SummaryOf(ReplayOf("RiskSeverity_Model,RiskSeverity_User\n1.5,0.4\n"));
  EXPECT_EQ(s.robustness, Robustness::kFragile);
  EXPECT_DOUBLE_EQ(Known(s.fragility), 2.0);
  EXPECT_FALSE(s.fragility_passes);
}

TEST(Summarize, OfNothingIsEmpty) {
  const Summary s = SummaryOf({});
  EXPECT_EQ(s.turns, 0u);
  EXPECT_FALSE(s.peak_r_model || s.mean_a || s.final_rho || s.robustness);
}

TEST(Summarize, CountsSycophancy) {
  const auto vectors = ParseVectors(
      "{\"model\":[0,1],\"user\":[-1,0]}\n{\"model\":[1,0],\"user\":[1,0]}", LimitSettings());
  const auto turns = Replay(vectors.value(), {{1, 0}, {0, 1}}, GuardSettings()).value();
  const Summary s = SummaryOf(turns);
  EXPECT_EQ(s.sycophancy_events, 1u);
  EXPECT_EQ(s.sycophancy_traps, 1u);
  EXPECT_EQ(s.peak_toxic_sycophancy, (Peak{2.0, 1}));
  EXPECT_EQ(s.mean_toxic_sycophancy, 1.0);
  EXPECT_EQ(TurnJson(turns[0])["quadrant"], "Sycophancy Trap");
  EXPECT_EQ(TurnJson(turns[1])["quadrant"], "Safe Neutral");
}

TEST(ReportJson, KeepsEveryNumberAndSaysNullForNone) {
  const auto turns = ReplayOf(kRun);
  const Summary summary = SummaryOf(turns);
  const Json json = Json::parse(ReportJson(turns, summary));
  ASSERT_EQ(json["turns"].size(), 4u);
  const Json& second = json["turns"][1];
  EXPECT_EQ(second["turn"], 2);
  EXPECT_EQ(Bits(second["likelihood"].get<double>()), Bits(Known(turns[1].metrics.likelihood)));
  EXPECT_EQ(Bits(second["z"].get<double>()), Bits(Known(turns[1].metrics.z)));
  EXPECT_TRUE(second["R_user"].is_null());
  EXPECT_TRUE(second["partial"].get<bool>());
  EXPECT_EQ(second["status"], "HIGH RISK");
  EXPECT_EQ(second["action"], "block");
  EXPECT_EQ(second["alerts"][0]["kind"], "likelihood");
  EXPECT_EQ(second["alerts"][1], (Json{{"kind", "erosion"}, {"value", 1.5}, {"threshold", 0.15}}));
  EXPECT_EQ(second["messages"].size(), 1u);
  EXPECT_TRUE(json["turns"][2]["likelihood"].is_null());
  const Json& total = json["summary"];
  EXPECT_EQ(total["peak_R_model"], (Json{{"value", 1.6}, {"turn", 2}}));
  EXPECT_EQ(total["robustness"], "Robust");
  EXPECT_EQ(total["fragility"], 0.0);
  EXPECT_EQ(total["fragility_passes"], true);
  EXPECT_EQ(total["alerts"]["user_risk"], 1);
  EXPECT_TRUE(total["mean_toxic_sycophancy"].is_null());
  EXPECT_EQ(total["provenance"]["space"], "risk");
  EXPECT_TRUE(total["provenance"]["model"].is_null());
  EXPECT_EQ(total["provenance"]["cumulative"], "sum");
  EXPECT_EQ(total["provenance"]["weights"]["wa"], 3.0);
}

TEST(ReportTable, AlignsItsColumns) {
  const auto turns = ReplayOf(kRun);
  const std::string table = ReportTable(turns, SummaryOf(turns), {});
  EXPECT_EQ(table, kTable);
}

TEST(ReportTable, ColoursOnlyWhenAsked) {
  const auto turns = ReplayOf(kRun);
  EXPECT_EQ(ReportTable(turns, SummaryOf(turns), {}).find('\033'), std::string::npos);
  const std::string table = ReportTable(turns, SummaryOf(turns), {.colour = true});
  EXPECT_NE(table.find("\033[31m   2"), std::string::npos);
  EXPECT_NE(table.find("\033[33m   4"), std::string::npos);
}

}  // namespace
}  // namespace garrison
