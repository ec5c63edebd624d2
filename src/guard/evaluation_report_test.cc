// What an evaluation is written as: JSON, CSV, the page and its plots.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "guard/csv.h"
#include "guard/evaluation_html.h"
#include "guard/evaluation_json.h"
#include "guard/evaluation_plots.h"
#include "guard/test_evaluation.h"
#include "guard/test_support.h"

namespace garrison {
namespace {

std::size_t Count(const std::string& text, const std::string& part) {
  std::size_t count = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) {
    ++count;
  }
  return count;
}

// A conversation with texts, points and agreement, as if it had been scored with a projection.
ScoredConversation WithTexts(const std::string& model, const std::string& file,
                             const std::string& user, const std::string& reply) {
  ScoredConversation run = RunOfRisks(model, file, {{0.2, 0.8}, {0.9, 0.9}});
  run.recorded = false;
  run.provenance.model_id = "fake:model";
  run.provenance.space = "projection:1";
  run.v_safe = PlanePoint{0, 1};
  for (TurnReport& turn : run.turns) {
    turn.scores.agreement = 0.6;
    CompleteScores(turn.scores, GuardSettings());
    turn.scores.user_point = PlanePoint{0.5, -0.5};
    turn.scores.model_point = PlanePoint{1, 0.25};
    run.texts.push_back({user, reply});
  }
  return run;
}

Evaluation Sample() {
  return Evaluate({WithTexts("m", "T1", "hello", "good day"), RunOfRho("m", "T2", 0.5),
                   RunOfRho("n", "T2", 1.75)},
                  GuardSettings())
      .value();
}

// ---- JSON and CSV
// --------------------------------------------------------------------------------

TEST(EvaluationJson, HoldsEverythingInAStableOrder) {
  const Evaluation evaluation = Sample();
  const std::string text = EvaluationJson(evaluation, {true, {{"x.md", "not read"}}});
  EXPECT_EQ(text, EvaluationJson(Sample(), {true, {{"x.md", "not read"}}}));
  const auto json = nlohmann::json::parse(text);
  EXPECT_EQ(json["format"], "garrison guard evaluation");
  EXPECT_EQ(json["version"], 1);
  EXPECT_EQ(json["provenances"].size(), 2u);
  EXPECT_EQ(json["settings"]["fragility_pass"], 0.1);
  ASSERT_EQ(json["models"].size(), 2u);
  EXPECT_EQ(json["models"][1]["phi"]["plain"].get<double>(), evaluation.models[1].phi.plain);
  EXPECT_EQ(json["models"][1]["phi"]["verdict"], "NOT ENOUGH DATA");
  EXPECT_EQ(json["models"][1]["phi"]["interval"], nullptr);
  EXPECT_EQ(json["models"][0]["phi"]["interval"].size(), 2u);
  EXPECT_EQ(json["ranking"], nlohmann::json({"m", "n"}));
  EXPECT_EQ(json["hypotheses"].size(), evaluation.hypotheses.size());
  const auto& first = json["conversations"][0];
  EXPECT_EQ(first["test"], "T1");
  EXPECT_EQ(first["kind"], "scored");
  EXPECT_EQ(first["v_safe"], nlohmann::json({0.0, 1.0}));
  EXPECT_EQ(first["turns"][1]["user"], "hello");
  EXPECT_EQ(first["turns"][1]["model"], "good day");
  EXPECT_EQ(first["turns"][1]["model_point"], nlohmann::json({1.0, 0.25}));
  EXPECT_EQ(first["summary"]["final_rho"].get<double>(),
            *evaluation.conversations[0].summary.final_rho);
  EXPECT_FALSE(json["conversations"][1]["turns"][0].contains("user")) << "a recorded run";
  EXPECT_EQ(json["left_out"][0]["source"], "x.md");
  const auto silent = nlohmann::json::parse(EvaluationJson(evaluation, {false}));
  EXPECT_FALSE(silent["conversations"][0]["turns"][0].contains("user"));
}

TEST(ConversationsCsv, HasARowForEach) {
  Evaluation evaluation =
      Evaluate({WithTexts("m, \"x\"", "T1", "a", "b"), RunOfRho("n", "T2_PARTIAL", 2)},
               GuardSettings())
          .value();
  const CsvTable table = ParseCsv(ConversationsCsv(evaluation), {}).value();
  ASSERT_EQ(table.rows.size(), 2u);
  const auto cell = [&](std::size_t row, const std::string& name) {
    const std::size_t column = table.Column(name);
    return column == table.header.size() ? "no column " + name : table.rows[row].fields[column];
  };
  EXPECT_EQ(cell(0, "model"), "m, \"x\"");
  EXPECT_EQ(cell(0, "turns"), "2");
  EXPECT_EQ(cell(0, "peak_R_model_turn"), "2");
  EXPECT_EQ(std::stod(cell(0, "final_rho")), *evaluation.conversations[0].summary.final_rho);
  EXPECT_EQ(cell(0, "first_alert_turn"), "2");
  EXPECT_EQ(cell(0, "sycophancy_traps"), "2");
  EXPECT_EQ(cell(0, "partial"), "false");
  EXPECT_EQ(cell(1, "class"), "Fragile");
  EXPECT_EQ(cell(1, "peak_toxic_sycophancy"), "");
  EXPECT_EQ(cell(1, "partial"), "true");
  EXPECT_NE(cell(1, "partial_because").find("PARTIAL"), std::string::npos);
}

// ---- plots
// ---------------------------------------------------------------------------------------

TEST(HistogramOf, PutsEveryRhoIntoOneOfTwentyBins) {
  const RhoHistogram histogram = HistogramOf({0, 0.124, 0.125, 2.5, 1.0}, 2.5);
  EXPECT_EQ(histogram.high, 2.5);
  ASSERT_EQ(histogram.counts.size(), 20u);
  EXPECT_EQ(histogram.counts[0], 2u);
  EXPECT_EQ(histogram.counts[1], 1u);
  EXPECT_EQ(histogram.counts[8], 1u);
  EXPECT_EQ(histogram.counts[19], 1u);
  EXPECT_EQ(HistogramOf({12.0}, 12).counts[19], 1u);
  EXPECT_EQ(HistogramOf({}, 0.3).high, 2.5);
}

TEST(ConversationFigures, AreSixAndSayWhenOneIsMissing) {
  const Evaluation evaluation = Sample();
  const auto with = ConversationFigures(evaluation.conversations[0], evaluation.settings, "c1");
  ASSERT_EQ(with.size(), 6u);
  std::set<std::string> ids;
  for (const Figure& figure : with) {
    EXPECT_FALSE(figure.svg.empty()) << figure.title;
    EXPECT_EQ(figure.svg.find("nan"), std::string::npos) << figure.title;
    ids.insert(figure.svg.substr(0, 30));
  }
  EXPECT_EQ(ids.size(), 6u);
  EXPECT_NE(with[2].svg.find("alert above 0.15"), std::string::npos);
  EXPECT_NE(with[3].svg.find("zone-critical"), std::string::npos);
  EXPECT_NE(with[5].svg.find("safe direction"), std::string::npos);
  const auto without = ConversationFigures(evaluation.conversations[1], evaluation.settings, "c2");
  EXPECT_TRUE(without[5].svg.empty());
  EXPECT_NE(without[5].note.find("no vectors of two dimensions"), std::string::npos);
}

TEST(ConversationFigures, OfLongRunsKeepTheExtremes) {
  auto risks = Constant(5000, 0.5, 0.25);
  risks[3210].first = 1.9;
  risks[3333].first = 0.01;
  const Evaluation evaluation = Evaluate({RunOfRisks("m", "T1", risks)}, GuardSettings()).value();
  const auto figures = ConversationFigures(evaluation.conversations[0], GuardSettings(), "c1");
  EXPECT_NE(figures[0].svg.find("turn 3211: R model 1.9000"), std::string::npos);
  EXPECT_NE(figures[0].svg.find("turn 3334: R model 0.0100"), std::string::npos);
  EXPECT_LT(Count(figures[0].svg, "<circle"), kPlottedTurnsMax + 10);
  EXPECT_NE(figures[0].note.find("extremes"), std::string::npos);
}

TEST(OverallFigures, CoverModelsConversationsAndTurns) {
  const Evaluation evaluation = Sample();
  const auto figures = OverallFigures(evaluation);
  ASSERT_EQ(figures.size(), 6u) << "Phi, two histograms, C, peaks, sycophancy";
  EXPECT_NE(figures[0].svg.find("1. m"), std::string::npos);
  EXPECT_NE(figures[0].svg.find("2. n"), std::string::npos);
  EXPECT_NE(figures[2].title.find("rho of n"), std::string::npos);
  EXPECT_NE(figures[3].svg.find("n, T2"), std::string::npos);
  EXPECT_NE(figures[4].svg.find("critical above 0.8"), std::string::npos);
  EXPECT_NE(figures[5].svg.find("Sycophancy Trap, T_syc 0.4800"), std::string::npos);
  const Evaluation recorded = Evaluate({RunOfRho("m", "T1_PARTIAL", 1)}, GuardSettings()).value();
  for (const Figure& figure : OverallFigures(recorded)) {
    EXPECT_FALSE(figure.svg.empty() && figure.note.empty()) << figure.title;
  }
}

// ---- the page
// ------------------------------------------------------------------------------------

TEST(EvaluationHtml, EscapesWhateverIsSaid) {
  const std::string hostile =
      "<script>alert(1)</script> \" onload=\"x ]]> --> </style> \xE2\x80\xAE gnp \xD9\x85 {}";
  ScoredConversation run = WithTexts("<b>m", "\"><svg onload=x>", hostile, hostile);
  run.source = "<i>.json";
  run.partial_because = {"<u>because"};
  run.provenance.model_revision = "<r>";
  const Evaluation evaluation = Evaluate({run}, GuardSettings()).value();
  const std::string html = EvaluationHtml(evaluation, {true, {{"<x>", "<y>"}}});
  EXPECT_EQ(Count(html, "<script>"), 1u) << "its own";
  EXPECT_EQ(Count(html, "</script>"), 1u);
  EXPECT_EQ(Count(html, "</style>"), 1u);
  for (const char* raw :
       {"<b>m", "<i>", "<u>", "<r>", "<x>", "<y>", "<svg onload", "\xE2\x80\xAE", "onload=\"x"}) {
    EXPECT_EQ(html.find(raw), std::string::npos) << raw;
  }
  EXPECT_NE(html.find("&lt;script&gt;alert(1)&lt;/script&gt;"), std::string::npos);
  EXPECT_NE(html.find("\xD9\x85 {}"), std::string::npos);
  EXPECT_EQ(EvaluationHtml(evaluation, {false, {}}).find("alert(1)"), std::string::npos);
}

TEST(EvaluationHtml, NeedsNothingFromOutside) {
  const std::string html = EvaluationHtml(Sample(), {});
  EXPECT_EQ(html, EvaluationHtml(Sample(), {}));
  EXPECT_NE(html.find("default-src 'none'; img-src data:; style-src 'sha256-"), std::string::npos);
  EXPECT_EQ(Count(html, "http://") + Count(html, "https://"),
            Count(html, "xmlns=\"http://www.w3.org/2000/svg\""));
  EXPECT_EQ(html.find(" style="), std::string::npos) << "the policy allows no style attributes";
  EXPECT_EQ(html.find(" src="), std::string::npos);
  EXPECT_EQ(Count(html, "<details>"), 3u) << "collapsed";
  EXPECT_EQ(Count(html, "<figure>"), Count(html, "<figcaption>"));
  EXPECT_EQ(Count(html, "<svg "), Count(html, "<desc "));
  EXPECT_NE(html.find("prefers-color-scheme: dark"), std::string::npos);
}

TEST(EvaluationHtml, StaysSmallWhereConversationsAreLong) {
  ScoredConversation run = RunOfRisks("m", "T1", Constant(1000, 0.5, 0.5));
  run.recorded = false;
  run.texts.assign(1000, {std::string(100'000, 'x'), "y"});
  const Evaluation evaluation = Evaluate({run}, GuardSettings()).value();
  const std::string html = EvaluationHtml(evaluation, {});
  EXPECT_NE(html.find("The first 200 of 1000 turns"), std::string::npos);
  EXPECT_EQ(html.find(std::string(kPageTextBytes + 1, 'x')), std::string::npos);
  EXPECT_NE(html.find(std::string(kPageTextBytes, 'x') + "…"), std::string::npos);
  EXPECT_LT(html.size(), 2u << 20);
}

}  // namespace
}  // namespace garrison
