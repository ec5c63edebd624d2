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

TEST(InputLine, Queries) {
  const auto parse = [](std::string_view line) {
    return ParseInputLine(line, {}, LineForm::kInputOrQueries);
  };
  const auto record = parse(R"({"query":"q","documents":["a","b"]})");
  ASSERT_TRUE(record);
  EXPECT_TRUE(record->is_query);
  EXPECT_EQ(Text(record->input), "q");
  EXPECT_EQ(record->documents, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(parse(R"({"query":"q","texts":["a"]})")->documents.size(), 1u);
  EXPECT_FALSE(parse(R"({"text":"q"})")->is_query);
  EXPECT_EQ(parse(R"({"query":1,"documents":["a"]})").error().where, "query");
  EXPECT_EQ(parse(R"({"query":"q"})").error().where, "documents");
  EXPECT_EQ(parse(R"({"query":"q","documents":"a"})").error().where, "documents");
  EXPECT_EQ(parse(R"({"query":"q","texts":[]})").error().where, "texts");
  EXPECT_EQ(parse(R"({"query":"q","texts":["a",2]})").error().where, "texts[1]");
  EXPECT_EQ(ParseInputLine(R"({"query":"q","texts":["a"]})", {}).error().where, "text");
}

TEST(InputLine, AsOneSequence) {
  const auto sequence = [](std::string_view line) { return SequenceOf(*ParseInputLine(line, {})); };
  EXPECT_EQ(std::get<std::string>(*sequence(R"({"text":"a"})")), "a");
  EXPECT_EQ(std::get<TextPair>(*sequence(R"({"text":"a","text_pair":"b"})")).text_pair, "b");
  EXPECT_EQ(std::get<TokenIds>(*sequence(R"({"ids":[1],"type_ids":[1]})")).type_ids.size(), 1u);
  EXPECT_EQ(sequence(R"({"ids":[1],"ids_pair":[2]})").error().where, "ids_pair");
}

TEST(InputReader, SkipsLinesThatWereReadBefore) {
  std::istringstream in("{\"text\":\n\n{\"text\":\"b\"}\n");
  InputReader reader(in, {}, {});
  EXPECT_TRUE(*reader.Skip(2));
  EXPECT_EQ((**reader.Next()).line, 3u);
  EXPECT_FALSE(*reader.Skip(4));
}

TEST(InputReader, JsonLinesSkipBlankLinesAndCountThem) {
  std::istringstream in("{\"text\":\"a\"}\r\n\n  \n{\"text\":\"b\"}");
  InputReader reader(in, {}, {});
  EXPECT_EQ(Text((**reader.Next()).input), "a");
  const auto second = reader.Next();
  EXPECT_EQ((*second)->line, 4u);
  EXPECT_EQ(Text((*second)->input), "b");
  EXPECT_EQ(*reader.Next(), std::nullopt);
}

TEST(InputReader, TextLinesMayNotBeBlank) {
  std::istringstream in("one\ntwo words\n\nthree\n");
  InputReader reader(in, {.json_lines = false}, {});
  EXPECT_EQ(Text((**reader.Next()).input), "one");
  EXPECT_EQ(Text((**reader.Next()).input), "two words");
  EXPECT_EQ(reader.Next().error().code, Code::kInvalidArgument);
  EXPECT_EQ(reader.line(), 3u);
  EXPECT_EQ((**reader.Next()).line, 4u);
}

TEST(InputReader, BlankTextsAreSkippedOnRequest) {
  std::istringstream in("\xEF\xBB\xBFone\n\n \ntwo\n\n");
  InputReader reader(in, {.json_lines = false, .skip_blank_texts = true}, {});
  EXPECT_EQ(Text((**reader.Next()).input), "one");
  EXPECT_EQ((**reader.Next()).line, 4u);
  EXPECT_EQ(*reader.Next(), std::nullopt);
}

TEST(InputReader, AFolderIsAnErrorNotAnEmptyFile) {
  std::ifstream folder(testing::TempDir());
  InputReader reader(folder, {}, {});
  EXPECT_EQ(reader.Next().error().code, Code::kUnavailable);
}

TEST(InputReader, ErrorsNameTheLine) {
  std::istringstream in("{\"text\":\"a\"}\n{\"text\":5}\n");
  InputReader reader(in, {}, {});
  ASSERT_TRUE(reader.Next());
  EXPECT_EQ(reader.Next().error().where, "text");
  EXPECT_EQ(reader.line(), 2u);
}

TEST(InputReader, LimitInputBytesHoldsForOneEndlessLine) {
  LimitSettings limits;
  limits.input_bytes = 1000;
  std::istringstream in(std::string(10'000'000, 'x') + "\nnext\n");
  InputReader reader(in, {.json_lines = false}, limits);
  EXPECT_EQ(reader.Next().error().code, Code::kInvalidArgument);
  EXPECT_LT(in.tellg(), 100'000);
  EXPECT_EQ(Text((**reader.Next()).input), "next");
  EXPECT_EQ(reader.line(), 2u);
  EXPECT_EQ(reader.bytes(), 10'000'006u);
}

}  // namespace
}  // namespace garrison
