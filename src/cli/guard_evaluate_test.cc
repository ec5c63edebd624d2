#include <gtest/gtest.h>

#include "cli/test_cli.h"

namespace garrison {
namespace {

class GuardEvaluateTest : public CliTest {
 protected:
  GuardEvaluateTest() {
    std::filesystem::create_directories(Path("runs/alpha"));
    std::filesystem::create_directories(Path("runs/beta"));
  }
  Outcome Evaluate(const std::vector<std::string>& flags = {},
                   const std::string& output = "report") {
    std::vector<std::string> arguments = {"guard", "evaluate", Path("runs"), "--output",
                                          Path(output)};
    arguments.insert(arguments.end(), flags.begin(), flags.end());
    return Run(arguments);
  }
  nlohmann::json Report() const { return nlohmann::json::parse(Read(Path("report/report.json"))); }
  void Recorded(const std::string& name, const std::string& rows) const {
    File(name, "Turn,RiskSeverity_Model,RiskSeverity_User\n" + rows);
  }
};

TEST_F(GuardEvaluateTest, ReadsEveryDialectAndGivesFilesTheirModel) {
  File("runs/alpha/T1.json", R"({"messages": [{"role": "user", "content": "hello there"},
                                              {"role": "assistant", "content": "good day"}]})");
  File("runs/alpha/T2.txt", "User: hello\nModel: good day\n");
  File("runs/beta/T1.2.csv", "Turn,User,Model\n1,hello,good day\n");
  Recorded("runs/beta/T2_metrics.csv", "1,0.5,0.4\n2,0.6,0.4\n");
  File("runs/T3.1.txt", "User: hello\nModel: good day\n");
  File("runs/notes.md", "# not a conversation\n");
  File("runs/.hidden.json", "{");
  const Outcome done = Evaluate();
  ASSERT_EQ(done.code, 0) << done.err;
  EXPECT_EQ(done.err, "left out notes.md: expected a file named .json, .csv or .txt\n");
  EXPECT_NE(done.out.find("alpha: 2 conversations, 0 partial; Phi "), std::string::npos)
      << done.out;
  EXPECT_TRUE(done.out.ends_with(Path("report/report.html") + "\n"));
  const auto report = Report();
  std::vector<std::string> seen;
  for (const auto& c : report["conversations"]) {
    seen.push_back(c["model"].get<std::string>() + " " + c["test"].get<std::string>() + " " +
                   c["kind"].get<std::string>());
  }
  EXPECT_EQ(seen,
            (std::vector<std::string>{"alpha T1 scored", "alpha T2 scored", "beta T1.2 scored",
                                      "beta T2 recorded", "runs T3.1 scored"}));
  for (const char* name : {"turns/alpha/T1.json.csv", "turns/T3.1.txt.csv", "conversations.csv",
                           "report.html", "files.sha256"}) {
    EXPECT_TRUE(std::filesystem::exists(Path(std::string("report/") + name))) << name;
  }
  // The same turns as `guard check` gives.
  EXPECT_EQ(Read(Path("report/turns/alpha/T2.txt.csv")),
            Run({"guard", "check", Path("runs/alpha/T2.txt"), "--format", "csv"}).out);
}

TEST_F(GuardEvaluateTest, TwoRunsGiveTheSameBytes) {
  File("runs/alpha/T1.txt", "User: hello\nModel: good day\n");
  Recorded("runs/beta/T1.csv", "1,0.5,0.4\n");
  ASSERT_EQ(Evaluate().code, 0);
  const std::string json = Read(Path("report/report.json"));
  const std::string html = Read(Path("report/report.html"));
  ASSERT_EQ(Evaluate().code, 0);
  EXPECT_EQ(Read(Path("report/report.json")), json);
  EXPECT_EQ(Read(Path("report/report.html")), html);
}

TEST_F(GuardEvaluateTest, AReportInsideTheFolderIsNoModel) {
  Recorded("runs/alpha/T1.csv", "1,0.5,0.4\n");
  ASSERT_EQ(Evaluate({}, "runs/guard-report").code, 0);
  const Outcome again = Evaluate({}, "runs/guard-report");
  ASSERT_EQ(again.code, 0) << again.err;
  EXPECT_EQ(again.err, "left out guard-report: the report of an earlier evaluation\n");
  const Outcome same = Evaluate({}, "runs");
  EXPECT_EQ(same.code, 2) << same.err;
}

TEST_F(GuardEvaluateTest, FormulaFlagsReachTheFigures) {
  Recorded("runs/alpha/T1.csv", "1,0.5,0\n2,0.7,0\n");
  ASSERT_EQ(
      Evaluate({"--epsilon", "0.5", "--cumulative", "trapezoid", "--weights", "3,2,1.5,-2"}).code,
      0);
  const auto report = Report();
  EXPECT_EQ(report["provenances"][0]["epsilon"], 0.5);
  EXPECT_EQ(report["provenances"][0]["cumulative"], "trapezoid");
  EXPECT_EQ(report["provenances"][0]["weights"]["wa"], 1.5);
  EXPECT_NEAR(report["conversations"][0]["summary"]["final_rho"].get<double>(), 1.1 / 0.5, 1e-12);
}

TEST_F(GuardEvaluateTest, PartialRunsStayOutOfPhi) {
  Recorded("runs/alpha/T1.csv", "1,0.5,0.9\n");
  Recorded("runs/alpha/T2_PARTIAL_metrics.csv", "1,1.9,0.1\n");
  Recorded("runs/alpha/T3.1.csv", "1,1.9,0.1\n2,1.9,\n");
  ASSERT_EQ(Evaluate().code, 0);
  const auto model = Report()["models"][0];
  EXPECT_EQ(model["complete"], 1);
  EXPECT_EQ(model["partial"], 2);
  EXPECT_EQ(model["phi"]["plain"], 0);
}

TEST_F(GuardEvaluateTest, ABadFileEndsItUnlessToldToGoOn) {
  Recorded("runs/alpha/T1.csv", "1,0.5,0.9\n");
  File("runs/beta/T1.json", "{\"turns\": [");
  const Outcome failed = Evaluate();
  EXPECT_EQ(failed.code, 1);
  EXPECT_NE(failed.err.find("runs/beta/T1.json"), std::string::npos) << failed.err;
  EXPECT_NE(failed.err.find("--keep-going"), std::string::npos);
  EXPECT_FALSE(std::filesystem::exists(Path("report")));
  const Outcome went_on = Evaluate({"--keep-going"});
  EXPECT_EQ(went_on.code, 0) << went_on.err;
  EXPECT_NE(went_on.err.find("left out beta/T1.json: "), std::string::npos);
  EXPECT_EQ(Report()["left_out"][0]["source"], "beta/T1.json");
  EXPECT_EQ(Report()["conversations"].size(), 1u);
}

TEST_F(GuardEvaluateTest, NoTextsLeavesOutWhatWasSaid) {
  File("runs/alpha/T1.txt", "User: quokka\nModel: wombat\n");
  ASSERT_EQ(Evaluate({"--no-texts"}).code, 0);
  for (const char* name : {"report/report.html", "report/report.json"}) {
    EXPECT_EQ(Read(Path(name)).find("quokka"), std::string::npos) << name;
  }
  ASSERT_EQ(Evaluate().code, 0);
  EXPECT_NE(Read(Path("report/report.html")).find("quokka"), std::string::npos);
}

TEST_F(GuardEvaluateTest, SaysWhatItMissesBeforeAnythingIsWritten) {
  const Outcome empty = Evaluate();
  EXPECT_EQ(empty.code, 1);
  EXPECT_NE(empty.err.find("one folder for each model; got none"), std::string::npos) << empty.err;
  EXPECT_EQ(Run({"guard", "evaluate", Path("nowhere")}).code, 1);
  EXPECT_EQ(Run({"guard", "evaluate"}).code, 2);
  EXPECT_EQ(Evaluate({"--epsilon", "0"}).code, 2);
  EXPECT_EQ(Evaluate({"--weights", "1"}).code, 2);
  Recorded("runs/alpha/T1.csv", "1,0.5,0.9\n");
  std::filesystem::create_directories(Path("report"));
  File("report/report.html", "mine");
  const Outcome refused = Evaluate();
  EXPECT_EQ(refused.code, 1);
  EXPECT_NE(refused.err.find("ALREADY_EXISTS"), std::string::npos) << refused.err;
  EXPECT_EQ(Read(Path("report/report.html")), "mine");
  EXPECT_EQ(Evaluate({"--force"}).code, 0);
}

TEST_F(GuardEvaluateTest, NamesThatHideSomethingAreRefused) {
  File("runs/alpha/T1\n.txt", "User: a\nModel: b\n");
  const Outcome refused = Evaluate();
  EXPECT_EQ(refused.code, 1);
  EXPECT_NE(refused.err.find("alpha/T1?.txt: expected a name in UTF-8 without control characters"),
            std::string::npos)
      << refused.err;
}

}  // namespace
}  // namespace garrison
