#include "cli/cli.h"

#include <filesystem>
#include <fstream>

#include "cli/test_cli.h"

namespace garrison {
namespace {

TEST(ExitCode, EveryErrorFailsAndWrongFlagsAreBadUsage) {
  for (const Code code : kAllCodes) {
    EXPECT_EQ(ExitCodeOf({code, "", "", {}}), 1) << CodeName(code);
    EXPECT_EQ(ExitCodeOf({code, "", "--x", {}}), code == Code::kInvalidArgument ? 2 : 1);
  }
}

TEST_F(CliTest, HelpAndVersionSucceedOnStandardOutput) {
  EXPECT_EQ(Run({"--help"}).code, 0);
  EXPECT_NE(Run({"--help"}).out.find("garrison embed"), std::string::npos);
  for (const char* verb : {"serve", "embed", "similarity", "rerank", "classify", "guard", "bench",
                           "models", "config"}) {
    const Outcome help = Run({verb, "--help"});
    EXPECT_EQ(help.code, 0) << verb;
    EXPECT_EQ(help.err, "") << verb;
  }
  EXPECT_EQ(Run({"version"}).out, "garrison " GARRISON_VERSION "\n");
}

TEST_F(CliTest, BadUsageIsTwoAndSaysSoOnStandardError) {
  for (const std::vector<std::string>& arguments :
       {std::vector<std::string>{},
        {"frobnicate"},
        {"embed", "--no-such"},
        {"embed", "--dtype", "f16", "x"},
        {"guard"},
        {"guard", "check"},
        {"guard", "replay"},
        {"similarity", "one"},
        {"embed", "x", "--input", "-"},
        {"embed", "--set", "nonsense", "x"},
        {"embed", "--set", "no.such=1", "x"},
        {"guard", "replay", "--from-vectors", "x.jsonl"},
        {"guard", "replay", "--from-risk", "x.csv", "--weights", "1,2"},
        {"guard", "replay", "--from-risk", "x.csv", "--epsilon", "0"},
        {"guard", "replay", "--from-risk", "x.csv", "--cumulative", "integral"},
        {"guard", "replay", "--from-risk", "x.csv", "--format", "xml"}}) {
    const Outcome outcome = Run(arguments);
    EXPECT_EQ(outcome.code, 2) << testing::PrintToString(arguments) << outcome.err;
    EXPECT_EQ(outcome.out, "");
    EXPECT_NE(outcome.err, "");
  }
}

TEST_F(CliTest, EmbedGivesTheSameVectorForTextAndForAnyBatch) {
  const auto alone = Lines(Run({"embed", "a small cat"}).out);
  ASSERT_EQ(alone.size(), 1u);
  std::string input;
  for (int i = 0; i < 200; ++i) input += "{\"text\":\"filler " + std::to_string(i) + "\"}\n";
  input += "{\"text\":\"a small cat\"}\n";
  const auto many = Lines(Run({"embed", "--input", "-"}, input).out);
  ASSERT_EQ(many.size(), 201u);
  EXPECT_EQ(many.back()["index"], 200);
  EXPECT_EQ(many.back()["embedding"], alone[0]["embedding"]);
  const std::string file = File("texts.txt", "a small cat\nother\n");
  const auto from_file = Lines(Run({"embed", "--input", file, "--input-format", "text"}).out);
  EXPECT_EQ(from_file.at(0)["embedding"], alone[0]["embedding"]);
}

TEST_F(CliTest, EmbedDimensions) {
  const Outcome outcome = Run({"embed", "--dimensions", "64", "a small cat"});
  EXPECT_NE(outcome.err.find("not trained for fewer dimensions"), std::string::npos);
  const auto lines = Lines(outcome.out);
  EXPECT_EQ(lines.at(0)["embedding"].size(), 64u);
  EXPECT_EQ(Run({"embed", "--dimensions", "5000", "a"}).code, 1);
}

TEST_F(CliTest, EmbedErrorsNameTheLine) {
  const Outcome outcome =
      Run({"embed", "--input", "-"}, "{\"text\":\"good\"}\n\n{\"text\":\"\"}\n");
  EXPECT_EQ(outcome.code, 1);
  EXPECT_NE(outcome.err.find("line 3"), std::string::npos) << outcome.err;
  EXPECT_EQ(Run({"embed", "--input", "/no/such/file"}).code, 1);
  EXPECT_EQ(Run({"embed", "--model", "no-such-model", "x"}).code, 1);
  const Outcome no_model = Run({"embed", "--model", folder_.string(), "x"});
  EXPECT_EQ(no_model.code, 1);
  EXPECT_NE(no_model.err.find("config.json"), std::string::npos) << no_model.err;
}

TEST_F(CliTest, SimilarityOfPairsAndOfArguments) {
  const auto pairs = Lines(Run({"similarity", "--input", "-"},
                               "{\"text\":\"a cat\",\"text_pair\":\"a cat\"}\n{\"text\":\"a "
                               "cat\",\"text_pair\":\"tax law\"}\n")
                               .out);
  ASSERT_EQ(pairs.size(), 2u);
  EXPECT_NEAR(pairs[0]["similarity"].get<double>(), 1, 1e-6);
  EXPECT_LT(pairs[1]["similarity"].get<double>(), 0.5);
  const auto all = Lines(Run({"similarity", "one", "two", "three"}).out);
  ASSERT_EQ(all.size(), 3u);
  EXPECT_EQ(all[2]["a"], 1);
  EXPECT_EQ(all[2]["b"], 2);
  EXPECT_EQ(Run({"similarity", "--input", "-"}, "{\"text\":\"alone\"}\n").code, 1);
}

TEST_F(CliTest, GuardReplayFromRiskPrintsTheRecordedColumns) {
  const std::string file =
      File("risk.csv", "Turn,RiskSeverity_Model,RiskSeverity_User\n1,0.5,0.25\n2,1,0.5\n");
  const Outcome outcome = Run({"guard", "replay", "--from-risk", file});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(outcome.out,
            "Turn,RiskSeverity_Model,RiskRate_Model,ErosionVelocity_Model,CumulativeRisk_Model,z,"
            "Likelihood_Model,RiskSeverity_User,CumulativeRisk_User,RobustnessIndex_rho\n"
            "1,0.5,0,0,0.5,-1.75,0.14804719803168948,0.25,0.25,1.4285714285714286\n"
            "2,1,0.5,0.5,1.5,1,0.7310585786300049,0.5,0.75,1.7647058823529411\n");
}

TEST_F(CliTest, GuardReplayFromVectors) {
  const std::string file = File("vectors.jsonl", "{\"turn\":1,\"user\":[1,0],\"model\":[0,1]}\n");
  const Outcome outcome =
      Run({"guard", "replay", "--from-vectors", file, "--vsafe", "1,0", "--format", "json",
           "--weights", "1,1,1,0", "--cumulative", "trapezoid"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const auto report = nlohmann::json::parse(outcome.out);
  EXPECT_EQ(report["turns"][0]["R_model"], 1.0);
  EXPECT_EQ(report["turns"][0]["R_user"], 0.0);
  const std::string bad = File("bad.jsonl", "{\"model\":[0,1]}\n{\"model\":[0]}\n");
  const Outcome failed = Run({"guard", "replay", "--from-vectors", bad, "--vsafe", "1,0"});
  EXPECT_EQ(failed.code, 1);
  EXPECT_NE(failed.err.find("line 2"), std::string::npos) << failed.err;
}

TEST_F(CliTest, GuardCheckAndTrain) {
  const std::string example = GARRISON_SOURCE_DIR "/examples/eroding_conversation.json";
  for (const char* format : {"table", "json", "csv"}) {
    const Outcome outcome = Run({"guard", "check", example, "--format", format});
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    EXPECT_FALSE(outcome.out.empty());
  }
  std::string texts;
  for (int i = 0; i < 30; ++i) {
    texts +=
        "text number " + std::to_string(i * i) + (i % 2 == 0 ? " about cats\n" : " about law\n");
  }
  const std::string projection = testing::TempDir() + "/projection.json";
  const Outcome trained =
      Run({"guard", "train", "--input", File("train.txt", texts), "--output", projection});
  ASSERT_EQ(trained.code, 0) << trained.err;
  const Outcome checked =
      Run({"guard", "check", example, "--projection", projection, "--format", "json"});
  ASSERT_EQ(checked.code, 0) << checked.err;
  EXPECT_NE(checked.out.find("projection:"), std::string::npos);
  EXPECT_EQ(Run({"guard", "train", "--input", File("few.txt", "one\ntwo\n")}).code, 1);
}

TEST_F(CliTest, GuardTrainTakesPlainLinesAndJsonLines) {
  std::string plain, json;
  for (int i = 0; i < 12; ++i) {
    const std::string text =
        "about topic " + std::to_string(i * 37) + (i % 3 == 0 ? " law" : " tea");
    plain += text + "\n\n";
    json += "{\"text\":\"" + text + "\"}\n";
  }
  const Outcome from_plain = Run({"guard", "train", "--input", "-"}, plain);
  const Outcome from_json = Run({"guard", "train", "--input", "-"}, json);
  ASSERT_EQ(from_plain.code, 0) << from_plain.err;
  EXPECT_EQ(from_plain.out, from_json.out);
  const Outcome as_text = Run({"guard", "train", "--input", "-", "--input-format", "text"}, json);
  EXPECT_NE(as_text.out, from_json.out);
}

TEST_F(CliTest, LimitFileBytesAndInputBytes) {
  const std::string file = File("risk.csv", "Turn,RiskSeverity_Model\n1,0.5\n");
  const Outcome large =
      Run({"guard", "replay", "--from-risk", file, "--set", "limits.file_bytes=10"});
  EXPECT_EQ(large.code, 1);
  EXPECT_NE(large.err.find("larger than the 10 bytes"), std::string::npos) << large.err;
  EXPECT_EQ(Run({"embed", "--set", "limits.input_bytes=4", "five5"}).code, 1);
  EXPECT_EQ(Run({"embed", "--set", "limits.input_bytes=4", "four"}).code, 0);
  EXPECT_NE(
      Run({"embed", "--set", "limits.input_bytes=4", "--input", "-"}, "{\"text\":\"five5\"}\n")
          .err.find("line 1"),
      std::string::npos);
  const std::string chat = File("chat.txt", "User: hello\nModel: hi there\n");
  EXPECT_NE(Run({"guard", "check", chat, "--set", "limits.input_bytes=6"}).err.find("turn 1"),
            std::string::npos);
}

TEST_F(CliTest, ModelsAndConfig) {
  const auto models = Lines(Run({"models", "list", "--json"}).out);
  EXPECT_EQ(models.at(0)["id"], "builtin:lexical");
  const Outcome config = Run({"config", "--set", "server.port=9000"});
  EXPECT_NE(config.out.find("port = 9000  # flag"), std::string::npos);
  EXPECT_NE(config.out.find("bind = \"127.0.0.1\"  # default"), std::string::npos);
}

TEST_F(CliTest, ServePassesItsFlagsOn) {
  EXPECT_EQ(Run({"serve", "--port", "9001", "--port-file", "p"}).code, 0);
  EXPECT_EQ(served_port_, 9001);
  EXPECT_NE(Run({"nope"}).err.find("no verb \"nope\""), std::string::npos);
  EXPECT_EQ(port_file_, "p");
  EXPECT_EQ(Run({"serve", "--grpc-port", "9002", "--grpc-port-file", "g"}).code, 0);
  EXPECT_EQ(served_grpc_port_, 9002);
  EXPECT_EQ(grpc_port_file_, "g");
  EXPECT_EQ(Run({"serve", "--port", "99999"}).code, 2);
}

TEST_F(CliTest, CompletionNamesEveryVerb) {
  const std::string script = Run({"completion", "bash"}).out;
  for (const char* word : {"serve", "embed", "rerank", "--query", "classify", "--raw", "similarity",
                           "guard", "replay", "--from-risk", "--model"}) {
    EXPECT_NE(script.find(word), std::string::npos) << word;
  }
}

TEST_F(CliTest, BenchMeasures) {
  const Outcome outcome = Run({"bench", "--json"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const auto rows = nlohmann::json::parse(outcome.out);
  ASSERT_EQ(rows.size(), 7u);
  for (const auto& row : rows) {
    EXPECT_GT(row["median_us"].get<double>(), 0);
    EXPECT_LE(row["p10_us"].get<double>(), row["median_us"].get<double>());
    EXPECT_LE(row["median_us"].get<double>(), row["p99_us"].get<double>());
  }
}

TEST_F(CliTest, BenchGridMeasuresTokenIds) {
  const Outcome outcome = Run({"bench", "--grid", "2x8", "--json"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const auto rows = nlohmann::json::parse(outcome.out);
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_EQ(rows[0].size(), 6u);
  EXPECT_EQ(rows[0]["batch"], 2);
  EXPECT_EQ(rows[0]["seq"], 8);
  EXPECT_LE(rows[0]["p10_us"].get<double>(), rows[0]["median_us"].get<double>());
  EXPECT_GT(rows[0]["tokens_per_s"].get<double>(), 0);
  for (const char* wrong : {"x", "1x", "0x4", "1x0", "1x16,", "1x16;2x8", "9999999x9999999"}) {
    EXPECT_EQ(Run({"bench", "--grid", wrong}).code, 2) << wrong;
  }
}

TEST_F(CliTest, BenchLimitsAndMemoryMeasure) {
  const auto limits = Run({"bench", "--limits", "--json"});
  ASSERT_EQ(limits.code, 0) << limits.err;
  for (const char* name :
       {"f32_gflops", "bf16_gflops", "int8_gops", "l2_gb_s", "l3_gb_s", "memory_gb_s"}) {
    EXPECT_GT(nlohmann::json::parse(limits.out)[name].get<double>(), 0.01) << name;
  }
  const auto memory = Run({"bench", "--memory", "--json"});
  ASSERT_EQ(memory.code, 0) << memory.err;
  const auto fields = nlohmann::json::parse(memory.out);
  EXPECT_GT(fields["resident_mb"].get<double>(), 1);
  EXPECT_GE(fields["peak_mb"].get<double>(), fields["resident_mb"].get<double>());
  EXPECT_GT(fields["first_result_ms"].get<double>(), 0);
}

TEST_F(CliTest, TokenizeAnswersRows) {
  const auto folder = std::filesystem::path(testing::TempDir()) / "tokenize_model";
  std::filesystem::create_directories(folder);
  std::ofstream(folder / "vocab.txt") << "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\ncat\n##s\n";
  const std::vector<std::string> base = {"tokenize", "--model", folder.string()};
  const auto run = [&](std::vector<std::string> more, const std::string& input = "") {
    more.insert(more.begin(), base.begin(), base.end());
    return Run(std::move(more), input);
  };
  const auto row = [](const std::string& line) { return nlohmann::json::parse(line); };

  const auto texts = run({"A cats"});
  EXPECT_EQ(texts.code, 0) << texts.err;
  EXPECT_EQ(row(texts.out), row(R"({"ids":[2,5,6,7,3],"tokens":["[CLS]","a","cat","##s","[SEP]"],
      "type_ids":[0,0,0,0,0],"offsets":[[0,0],[0,1],[2,5],[5,6],[0,0]],
      "special_tokens_mask":[1,0,0,0,1],"word_ids":[null,0,1,1,null],
      "decoded":"a cats","decoded_all":"[CLS] a cats [SEP]","normalized":"a cats"})"));

  const auto lines = run({"--input", "-", "--input-format", "text"}, "a\ncat\n");
  EXPECT_EQ(lines.code, 0) << lines.err;
  EXPECT_EQ(std::count(lines.out.begin(), lines.out.end(), '\n'), 2);

  const auto cut = run({}, R"({"id":"x","text":"a a a a a","truncation":{"max_length":4}})");
  EXPECT_EQ(row(cut.out)["ids"], row("[2,5,5,3]"));
  EXPECT_EQ(row(cut.out)["overflow"], row("[[2,5,5,3],[2,5,3]]"));
  const auto refused = run({}, R"({"text":"a a","truncation":{"max_length":1}})");
  EXPECT_EQ(refused.code, 0);
  EXPECT_TRUE(row(refused.out).contains("error"));

  const auto batch = run({}, R"({"batch":["a","a a"],"padding":{"strategy":"BatchLongest"}})");
  EXPECT_EQ(row(batch.out)["results"][0]["attention_mask"], row("[1,1,1,0]"));
  EXPECT_EQ(row(run({}, R"({"ids":[5,6,99]})").out)["decoded"], "a cat");

  for (const char* bad : {"{", "[]", R"({"text":1})", R"({"text":"a","padding":3})",
                          R"({"batch":"a"})", R"({"ids":[-1]})"}) {
    const auto failed = run({}, bad);
    EXPECT_EQ(failed.code, 1) << bad;
    EXPECT_NE(failed.err.find("line 1"), std::string::npos) << failed.err;
  }
  EXPECT_EQ(Run({"tokenize", "a"}).code, 2);
  EXPECT_EQ(Run({"tokenize", "--model", "/nowhere", "a"}).code, 1);
}

TEST_F(CliTest, BenchTimesATokenizer) {
  const auto folder = std::filesystem::path(testing::TempDir()) / "bench_model";
  std::filesystem::create_directories(folder);
  std::ofstream(folder / "vocab.txt") << "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\n";
  const std::string lines = File("bench_lines.txt", "a a\n\na");
  const auto timed = Run({"bench", "--tokenizer", folder.string(), "--input", lines, "--json"});
  EXPECT_EQ(timed.code, 0) << timed.err;
  EXPECT_EQ(nlohmann::json::parse(timed.out)["ids"], 7);
  EXPECT_EQ(Run({"bench", "--tokenizer", folder.string()}).code, 2);
}

}  // namespace
}  // namespace garrison
