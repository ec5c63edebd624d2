#include "guard/text_scan.h"

#include "guard/test_support.h"

namespace garrison {
namespace {

TEST(CheckPlainText, TakesUtf8OfEveryLength) {
  EXPECT_TRUE(CheckPlainText("").has_value());
  EXPECT_TRUE(CheckPlainText("plain\ttext\r\n").has_value());
  EXPECT_TRUE(CheckPlainText("\u00e9 \u20ac \U0001F600 \U0010FFFF \uD7FF \uE000").has_value());
}

TEST(CheckPlainText, NamesTheLineOfWhatIsNoText) {
  using namespace std::string_literals;
  ExpectError(CheckPlainText("one\ntwo\0"s), Code::kInvalidArgument, "line 2", "NUL");
  for (const std::string bad :
       {"\x80", "\xC0\xAF", "\xC1\xBF", "\xC3", "\xC3(", "\xE0\x80\xAF", "\xE2\x82", "\xED\xA0\x80",
        "\xF0\x80\x80\x80", "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xFF\xFE"}) {
    ExpectError(CheckPlainText("first\n\n" + bad), Code::kInvalidArgument, "line 3", "UTF-8");
  }
}

TEST(ParseDouble, TakesWholeNumbersTextsOnly) {
  EXPECT_EQ(ParseDouble(" 1.5\t"), 1.5);
  EXPECT_EQ(ParseDouble("+2e-3"), 0.002);
  EXPECT_EQ(ParseDouble("-0.07900840138280296"), -0.07900840138280296);
  for (const char* bad : {"", " ", "1,5", "0x10", "1.5 2", "+-1", "one", "1e", "1e999"}) {
    EXPECT_FALSE(ParseDouble(bad).has_value()) << bad;
  }
}

TEST(ParseWhole, RefusesFractionsAndWhatIsNotANumber) {
  EXPECT_EQ(ParseWhole("3"), 3);
  EXPECT_EQ(ParseWhole("3.0"), 3);
  EXPECT_EQ(ParseWhole("-4"), -4);
  for (const char* bad : {"3.5", "nan", "inf", "1e300", ""}) {
    EXPECT_FALSE(ParseWhole(bad).has_value()) << bad;
  }
}

TEST(SplitLines, KnowsBothLineEnds) {
  EXPECT_EQ(SplitLines("a\r\n\nb"), (std::vector<std::string_view>{"a", "", "b"}));
  EXPECT_EQ(SplitLines("a\n"), (std::vector<std::string_view>{"a"}));
  EXPECT_TRUE(SplitLines("").empty());
}

TEST(Excerpt, NeverCutsACharacter) {
  EXPECT_EQ(Excerpt("short"), "short");
  EXPECT_EQ(Excerpt("ab\u20accd", 3), "ab...");
  EXPECT_EQ(Excerpt("ab\u20accd", 5), "ab\u20ac...");
}

}  // namespace
}  // namespace garrison
