#include "guard/training_rows.h"

#include <gtest/gtest.h>

namespace garrison {
namespace {

const LimitSettings kLimits;

constexpr const char* kTurn =
    R"({"user":"u","model":"m","user_harmful":1,"reply_risky":0,"complies":null,"group":"g","source":"s"})";
constexpr const char* kDialogue =
    R"({"id":"d1","turns":[{"user":"u","model":"m"},{"user":"v","model":null}],"label":"attack","onset":2,"group":"g","source":"s","split":"train"})";

std::string TurnError(const std::string& jsonl) {
  const auto rows = ParseTrainingTurns(jsonl, kLimits);
  return rows ? "" : rows.error().ToString();
}

std::string DialogueError(const std::string& jsonl) {
  const auto rows = ParseTrainingDialogues(jsonl, true, kLimits);
  return rows ? "" : rows.error().ToString();
}

TEST(TrainingRows, SplitsAreThoseOfTheFormat) {
  EXPECT_EQ(SplitOf("a"), Split::kTrain);
  EXPECT_EQ(SplitOf("how do i pick a lock"), Split::kTest);
  int counts[3] = {};
  for (int i = 0; i < 10'000; ++i) ++counts[static_cast<int>(SplitOf(std::to_string(i)))];
  EXPECT_NEAR(counts[0], 5000, 250);
  EXPECT_NEAR(counts[1], 2000, 200);
  EXPECT_NEAR(counts[2], 3000, 230);
}

TEST(TrainingRows, ReadsTurns) {
  const auto rows = ParseTrainingTurns(std::string(kTurn) + "\n\n", kLimits);
  ASSERT_TRUE(rows) << rows.error().ToString();
  ASSERT_EQ(rows->size(), 1u);
  EXPECT_EQ((*rows)[0].user, "u");
  EXPECT_EQ((*rows)[0].labels[0], true);
  EXPECT_EQ((*rows)[0].labels[1], false);
  EXPECT_FALSE((*rows)[0].labels[2].has_value());
  EXPECT_EQ((*rows)[0].language, "en");
  EXPECT_EQ((*rows)[0].split, SplitOf("g"));
}

TEST(TrainingRows, ReadsDialogues) {
  const auto rows = ParseTrainingDialogues(kDialogue, true, kLimits);
  ASSERT_TRUE(rows) << rows.error().ToString();
  EXPECT_TRUE((*rows)[0].attack);
  EXPECT_EQ((*rows)[0].turns[1].number, 2);
  EXPECT_FALSE((*rows)[0].turns[1].model.has_value());
  EXPECT_TRUE(ParseTrainingDialogues(R"({"id":"x","turns":[{"user":"u"}]})", false, kLimits));
}

TEST(TrainingRows, NamesThePlaceOfWhatIsWrong) {
  const auto has = [](const std::string& error, const char* part) {
    EXPECT_NE(error.find(part), std::string::npos) << error;
  };
  has(TurnError(std::string(kTurn) + "\n{"), "line 2");
  has(TurnError("[]"), "expected an object");
  has(TurnError(R"({"group":"g","source":"s"})"), "got neither");
  has(TurnError(R"({"user":"  ","group":"g","source":"s"})"), "an empty one");
  has(TurnError(R"({"user":7,"group":"g","source":"s"})"), "line 1: user");
  has(TurnError(R"({"user":"u","user_harmful":2,"group":"g","source":"s"})"),
      "expected 0, 1 or null");
  has(TurnError(R"({"user":"u","reply_risky":1,"group":"g","source":"s"})"), "reply_risky");
  has(TurnError(R"({"model":"m","complies":1,"group":"g","source":"s"})"), "complies");
  has(TurnError(R"({"user":"u","source":"s"})"), "group");
  has(TurnError(R"({"user":"u","group":"g","source":"s","split":"dev"})"), "split");
  has(TurnError(""), "at least one row");
  has(TurnError(R"({"user":"u","group":"g","source":"s","split":"train"})"
                "\n"
                R"({"user":"w","group":"g","source":"s","split":"test"})"),
      "one split for all rows");
  has(DialogueError(std::string(kDialogue) + "\n" + kDialogue), "twice");
  has(DialogueError(R"({"id":"x","turns":[],"label":"benign","group":"g","source":"s"})"), "turns");
  has(DialogueError(R"({"id":"x","turns":[{}],"label":"benign","group":"g","source":"s"})"),
      "turns[0]");
  has(DialogueError(R"({"id":"x","turns":[{"user":"u"}],"label":"bad","group":"g","source":"s"})"),
      "label");
  std::string many = R"({"id":"x","turns":[)";
  for (int i = 0; i < 101; ++i) many += std::string(i == 0 ? "" : ",") + R"({"user":"u"})";
  has(DialogueError(many + R"(],"label":"benign","group":"g","source":"s"})"), "1 to 100");
}

}  // namespace
}  // namespace garrison
