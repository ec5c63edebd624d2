#include "cli/text_input.h"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

namespace garrison {
namespace {

std::string Text(const EmbedInput& input) { return std::get<std::string>(input); }

TEST(InputLine, TextAndPair) {
  const auto record = ParseInputLine(R"({"text":"a","text_pair":"b","more":1})", {});
  ASSERT_TRUE(record);
  EXPECT_EQ(Text(record->input), "a");
  EXPECT_EQ(Text(*record->pair), "b");
}

TEST(InputLine, Ids) {
  const auto record = ParseInputLine(R"({"ids":[1,2],"type_ids":[0,1],"ids_pair":[3]})", {});
  ASSERT_TRUE(record);
  EXPECT_EQ(std::get<TokenIds>(record->input).ids, (std::vector<std::int32_t>{1, 2}));
  EXPECT_EQ(std::get<TokenIds>(record->input).type_ids, (std::vector<std::int32_t>{0, 1}));
  EXPECT_EQ(std::get<TokenIds>(*record->pair).ids, (std::vector<std::int32_t>{3}));
}

TEST(InputLine, ErrorsNameTheField) {
  const auto where = [](std::string_view line) { return ParseInputLine(line, {}).error().where; };
  EXPECT_EQ(where("[]"), "");
  EXPECT_EQ(where("{}"), "text");
  EXPECT_EQ(where(R"({"text":1})"), "text");
  EXPECT_EQ(where(R"({"text":"a","text_pair":1})"), "text_pair");
  EXPECT_EQ(where(R"({"text":"a","ids":[1]})"), "ids");
  EXPECT_EQ(where(R"({"ids":"a"})"), "ids");
  EXPECT_EQ(where(R"({"ids":[1,-2]})"), "ids[1]");
  EXPECT_EQ(where(R"({"ids":[1.5]})"), "ids[0]");
  EXPECT_EQ(where(R"({"ids":[4294967296]})"), "ids[0]");
  EXPECT_EQ(where(R"({"ids":[1],"type_ids":[0,0]})"), "type_ids");
  EXPECT_EQ(where(R"({"ids":[1],"ids_pair":{}})"), "ids_pair");
}

TEST(InputReader, JsonLinesSkipBlankLinesAndCountThem) {
  std::istringstream in("{\"text\":\"a\"}\r\n\n  \n{\"text\":\"b\"}");
  InputReader reader(in, true, false, {});
  EXPECT_EQ(Text((**reader.Next()).input), "a");
  const auto second = reader.Next();
  EXPECT_EQ((*second)->line, 4u);
  EXPECT_EQ(Text((*second)->input), "b");
  EXPECT_EQ(*reader.Next(), std::nullopt);
}

TEST(InputReader, TextLinesMayNotBeBlank) {
  std::istringstream in("one\ntwo words\n\nthree\n");
  InputReader reader(in, false, false, {});
  EXPECT_EQ(Text((**reader.Next()).input), "one");
  EXPECT_EQ(Text((**reader.Next()).input), "two words");
  EXPECT_EQ(reader.Next().error().where, "line 3");
}

TEST(InputReader, BlankTextsAreSkippedOnRequest) {
  std::istringstream in("\xEF\xBB\xBFone\n\n \ntwo\n\n");
  InputReader reader(in, false, true, {});
  EXPECT_EQ(Text((**reader.Next()).input), "one");
  EXPECT_EQ((**reader.Next()).line, 4u);
  EXPECT_EQ(*reader.Next(), std::nullopt);
}

TEST(InputReader, AFolderIsAnErrorNotAnEmptyFile) {
  std::ifstream folder(testing::TempDir());
  InputReader reader(folder, true, false, {});
  EXPECT_EQ(reader.Next().error().code, Code::kUnavailable);
}

TEST(InputReader, ErrorsNameTheLine) {
  std::istringstream in("{\"text\":\"a\"}\n{\"text\":5}\n");
  InputReader reader(in, true, false, {});
  ASSERT_TRUE(reader.Next());
  EXPECT_EQ(reader.Next().error().where, "line 2: text");
}

TEST(InputReader, LimitInputBytesHoldsForOneEndlessLine) {
  LimitSettings limits;
  limits.input_bytes = 1000;
  std::istringstream in(std::string(10'000'000, 'x'));
  InputReader reader(in, false, false, limits);
  EXPECT_EQ(reader.Next().error().where, "line 1");
  EXPECT_LT(in.tellg(), 100'000);
}

}  // namespace
}  // namespace garrison
