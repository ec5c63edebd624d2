#include "guard/csv.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "guard/test_support.h"

namespace garrison {
namespace {

TEST(ParseCsv, ReadsQuotesLineEndsAndBlankLines) {
  const auto table =
      ParseCsv("Turn, User ,Model\r\n1,\"a, \"\"b\"\"\nc\",d\r\n\r\n2,,\"\"\n3,x,y", {}).value();
  EXPECT_EQ(table.header, (std::vector<std::string>{"Turn", "User", "Model"}));
  ASSERT_EQ(table.rows.size(), 3u);
  EXPECT_EQ(table.rows[0].line, 2u);
  EXPECT_EQ(table.rows[0].fields, (std::vector<std::string>{"1", "a, \"b\"\nc", "d"}));
  EXPECT_EQ(table.rows[1].line, 5u);
  EXPECT_EQ(table.rows[1].fields, (std::vector<std::string>{"2", "", ""}));
  EXPECT_EQ(table.rows[2].line, 6u);
  EXPECT_EQ(table.Column("Model"), 2u);
  EXPECT_EQ(table.Column("model"), 3u);
}

TEST(ParseCsv, NamesTheLineOfEveryMistake) {
  const auto expect = [](std::string_view text, const std::string& where,
                         const std::string& message) {
    ExpectError(ParseCsv(text, {.columns_max = 3, .rows_max = 2}), Code::kInvalidArgument, where,
                message);
  };
  expect("", "line 1", "header");
  expect("\n \n", "line 1", "header");
  expect("a,b,a\n", "line 1", "twice");
  expect("a,b\n1,2\n\n1\n", "line 4", "expected 2 fields as in the header, got 1");
  expect("a,b\n1,2,3\n", "line 2", "got 3");
  expect("a,b\n1,x\"y\n", "line 2", "a quote stands inside");
  expect("a,b\n1,\"x\ny\" z\n", "line 3", "after a closing quote");
  expect("a,b\n\n1,\"x\ny\n", "line 3", "never closed");
  expect("a,b,c,d\n", "line 1", "at most 3 columns");
  expect("a\n1\n2\n3\n", "line 4", "at most 2 rows");
}

std::string Quote(const std::string& field) {
  std::string quoted = "\"";
  for (const char c : field) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + "\"";
}

RC_GTEST_PROP(ParseCsvProperty, ReadsBackWhatIsQuoted, ()) {
  const auto text =
      rc::gen::container<std::string>(rc::gen::element('a', ',', '"', '\n', '\r', ' '));
  const auto rows = *rc::gen::container<std::vector<std::pair<std::string, std::string>>>(
      rc::gen::pair(text, text));
  std::string csv = "left,right\r\n";
  for (const auto& [left, right] : rows) csv += Quote(left) + "," + Quote(right) + "\r\n";
  const auto table = ParseCsv(csv, {}).value();
  RC_ASSERT(table.rows.size() == rows.size());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    RC_ASSERT(table.rows[i].fields[0] == rows[i].first);
    RC_ASSERT(table.rows[i].fields[1] == rows[i].second);
  }
}

}  // namespace
}  // namespace garrison
