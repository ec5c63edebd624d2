// garrison embed into files: formats, bad lines, continuing. What a kill does is in
// tests/bulk_test.py.
#include <filesystem>

#include "cli/bulk_state.h"
#include "cli/test_cli.h"
#include "core/test_reranker.h"

namespace garrison {
namespace {

class EmbedOutputTest : public CliTest {
 protected:
  EmbedOutputTest() {
    open_models_ = [](const EngineSettings&) -> Result<std::unique_ptr<ModelCatalog>> {
      return std::make_unique<TestModels>(
          std::shared_ptr<const Embedder>(std::make_shared<TestEmbedder>()));
    };
  }

  // Lines of which every tenth is bad in one of several ways.
  static std::string Input(int lines) {
    std::string input;
    for (int i = 0; i < lines; ++i) {
      const std::string letters(static_cast<std::size_t>(i % 7 + 1),
                                static_cast<char>('a' + i % 26));
      if (i % 40 == 9) {
        input += "{\"text\":\"123\"}\n";  // the model finds no letters
      } else if (i % 40 == 19) {
        input += "{\"text\":\n";
      } else if (i % 40 == 29) {
        input += "{\"text\":\"\xff\"}\n";
      } else if (i % 40 == 39) {
        input += "{\"text\":\"a\",\"text_pair\":\"b\"}\n";
      } else {
        input += "{\"text\":\"" + letters + " word\"}\n";
      }
    }
    return input;
  }
};

TEST_F(EmbedOutputTest, BadLinesAreSetAsideAndTheOthersKeepTheirPlace) {
  const std::string output = Path("rows.jsonl"), errors = Path("errors.jsonl");
  const Outcome outcome = Run(
      {"embed", "--input", File("in.jsonl", Input(1000)), "--output", output, "--errors", errors});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(outcome.out, "");
  EXPECT_NE(outcome.err.find("100 bad inputs"), std::string::npos) << outcome.err;
  const auto rows = Lines(Read(output));
  ASSERT_EQ(rows.size(), 900u);
  EXPECT_EQ(rows[8]["index"], 8);
  EXPECT_EQ(rows[9]["index"], 10);
  EXPECT_EQ(rows.back()["index"], 998);
  const auto bad = Lines(Read(errors));
  ASSERT_EQ(bad.size(), 100u);
  for (std::size_t i = 0; i < bad.size(); ++i) {
    EXPECT_EQ(bad[i]["line"], 10 * (i + 1));
    EXPECT_EQ(bad[i]["error"]["code"], "INVALID_ARGUMENT");
  }
}

TEST_F(EmbedOutputTest, WithoutAnErrorFileTheFirstBadLineStops) {
  const std::string output = Path("rows.csv");
  const Outcome outcome =
      Run({"embed", "--input", File("in.jsonl", Input(100)), "--output", output});
  EXPECT_EQ(outcome.code, 1);
  EXPECT_NE(outcome.err.find("line 10"), std::string::npos) << outcome.err;
  // What came before is there, and the run goes on from there when bad lines are allowed.
  const std::string errors = Path("errors.jsonl");
  const std::vector<std::string> again = {"embed", "--input",  Path("in.jsonl"), "--output",
                                          output,  "--errors", errors,           "--resume"};
  ASSERT_EQ(Run(again).code, 0);
  const std::string joined = Read(output);
  ASSERT_EQ(
      Run({"embed", "--input", Path("in.jsonl"), "--output", output, "--errors", errors}).code, 0);
  EXPECT_EQ(joined, Read(output));
  EXPECT_EQ(joined.substr(0, 19), "index,tokens,e0,e1,");
}

TEST_F(EmbedOutputTest, ResumeCutsWhatCameAfterTheCheckpoint) {
  for (const char* name : {"rows.jsonl", "rows.csv", "rows.npy"}) {
    const std::string output = Path(name), errors = Path("errors.jsonl");
    const std::string half = Input(500), whole = Input(1500);
    const std::vector<std::string> run = {"embed", "--input",  Path("in"), "--output",
                                          output,  "--errors", errors,     "--resume"};
    File("in", half);
    ASSERT_EQ(Run(run).code, 0);
    for (const std::string& file : {output, errors}) {
      std::ofstream(file, std::ios::app | std::ios::binary) << "{\"index\":49,\"tok";
    }
    File("in", whole);
    const Outcome second = Run(run);
    ASSERT_EQ(second.code, 0) << second.err;
    EXPECT_NE(second.err.find("150 bad inputs"), std::string::npos) << second.err;
    const std::string joined = Read(output), joined_errors = Read(errors);
    ASSERT_EQ(Run({"embed", "--input", Path("in"), "--output", output, "--errors", errors}).code,
              0);
    EXPECT_EQ(joined, Read(output)) << name;
    EXPECT_EQ(joined_errors, Read(errors)) << name;
    // A finished run has nothing left to do.
    ASSERT_EQ(Run(run).code, 0);
    EXPECT_EQ(joined, Read(output)) << name;
    std::filesystem::remove(output);
    std::filesystem::remove(StateFileOf(output));
  }
}

TEST_F(EmbedOutputTest, ResumeRefusesWhatDoesNotFit) {
  const std::string output = Path("rows.jsonl");
  std::vector<std::string> run = {"embed",    "--input", File("in", "{\"text\":\"a\"}\n"),
                                  "--output", output,    "--resume"};
  ASSERT_EQ(Run(run).code, 0);
  const std::string good = Read(output);
  const auto refused = [&](const std::vector<std::string>& more, const std::string& words) {
    std::vector<std::string> arguments = run;
    arguments.insert(arguments.end(), more.begin(), more.end());
    const Outcome outcome = Run(arguments);
    EXPECT_EQ(outcome.code, 1);
    EXPECT_NE(outcome.err.find(words), std::string::npos) << outcome.err;
    EXPECT_EQ(Read(output), good);
  };
  refused({"--dimensions", "5"}, "dimensions 26");
  refused({"--prompt", "query"}, "prompt \"\"");
  refused({"--long-input", "truncate"}, "long_input");
  refused({"--output-format", "csv"}, "format \"jsonl\"");
  File("in", "");
  refused({}, "the same input");
  std::ofstream(output) << "{}";
  EXPECT_NE(Run(run).err.find("DATA_LOSS"), std::string::npos);
  std::ofstream(StateFileOf(output)) << "{}";
  EXPECT_NE(Run(run).err.find("DATA_LOSS"), std::string::npos);
  std::filesystem::remove(StateFileOf(output));
  EXPECT_NE(Run(run).err.find("rows.jsonl.state"), std::string::npos);
}

TEST_F(EmbedOutputTest, FlagsThatDoNotFitTogether) {
  const std::string input = File("in", "{\"text\":\"a\"}\n");
  for (const std::vector<std::string>& flags :
       {std::vector<std::string>{"--resume"},
        {"--output-format", "npy"},
        {"--output", Path("a.csv"), "--output-type", "int8"},
        {"--output", Path("a.npy"), "--output-type", "float64"},
        {"--output", input},
        {"--errors", input},
        {"--output", "/dev/null", "--output-format", "npy"}}) {
    std::vector<std::string> arguments = {"embed", "--input", input};
    arguments.insert(arguments.end(), flags.begin(), flags.end());
    EXPECT_EQ(Run(arguments).code, 2) << testing::PrintToString(flags);
  }
  EXPECT_EQ(Run({"embed", "--output", Path("a"), "--resume", "text"}).code, 2);
  EXPECT_EQ(Read(input), "{\"text\":\"a\"}\n");
}

TEST_F(EmbedOutputTest, AnErrorOfTheModelItselfIsNoBadLine) {
  const Outcome outcome = Run({"embed", "--errors", Path("errors.jsonl"), "--input", "-"},
                              "{\"text\":\"a\"}\n{\"text\":\"fail\"}\n");
  EXPECT_EQ(outcome.code, 1);
  EXPECT_NE(outcome.err.find("INTERNAL"), std::string::npos) << outcome.err;
}

}  // namespace
}  // namespace garrison
