#include "text/fold.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace garrison {
namespace {

std::u32string Fold(std::string_view text, TextFolder& folder) {
  std::u32string out;
  folder.Start(text);
  for (auto part = folder.Next(); !part.empty(); part = folder.Next()) {
    out.append(part.begin(), part.end());
  }
  return out;
}

std::u32string Fold(std::string_view text) {
  TextFolder folder;
  return Fold(text, folder);
}

TEST(CheckUtf8, AcceptsEveryLength) {
  EXPECT_TRUE(CheckUtf8(""));
  EXPECT_TRUE(CheckUtf8("plain ASCII text that is longer than eight bytes"));
  EXPECT_TRUE(CheckUtf8("\u00E9 \u4F60 \U0001F600 \U0010FFFF \uFFFF"));
  EXPECT_TRUE(CheckUtf8(std::string_view("\0", 1)));
}

TEST(CheckUtf8, NamesTheFirstBadByteAtEveryOffset) {
  const std::vector<std::string> bad = {
      "\x80",
      "\xC0\xAF",
      "\xC1\xBF",
      "\xE0\x9F\xBF",
      "\xED\xA0\x80",
      "\xF0\x8F\x80\x80",
      "\xF4\x90\x80\x80",
      "\xF5\x80\x80\x80",
      "\xFF",
      "\xC3",
      "\xE4\xBD",
      "\xF0\x9F\x98",
      "\xE4x",
  };
  for (const std::string& bytes : bad) {
    for (std::size_t offset = 0; offset < 20; ++offset) {
      for (const char* tail : {"", "x", " some more text"}) {
        const auto result = CheckUtf8(std::string(offset, 'a') + bytes + tail);
        ASSERT_FALSE(result);
        EXPECT_EQ(result.error().code, Code::kInvalidArgument);
        EXPECT_NE(result.error().message.find(fmt::format("byte {} ", offset)), std::string::npos)
            << result.error().message;
      }
    }
  }
}

TEST(TextFolder, FoldsCaseAndCompatibilityForms) {
  EXPECT_EQ(Fold("Hello, World"), U"hello, world");
  EXPECT_EQ(Fold("STRASSE Stra\u00DFe"), U"strasse strasse");
  EXPECT_EQ(Fold("\uFB01ne \uFF21\uFF22"), U"fine ab");
  EXPECT_EQ(Fold("E\u0301"), U"\u00E9");
  EXPECT_EQ(Fold("\u1112\u1161\u11AB"), U"\uD55C");
  EXPECT_EQ(Fold("\uFF76\uFF9E"), U"\u30AC");
  EXPECT_EQ(Fold("so\u00ADft"), U"soft");
  EXPECT_EQ(Fold(""), U"");
  EXPECT_EQ(Fold("\u200B\u00AD"), U"");
}

TEST(TextFolder, DoesNotStopAtARunThatFoldsToNothing) {
  EXPECT_EQ(Fold("\u200B x"), U" x");
  EXPECT_EQ(Fold("\u200B\u200B"), U"");
  std::string text;
  for (std::size_t i = 0; i < TextFolder::kRunCodePoints; ++i) text += "\u200B";
  EXPECT_EQ(Fold(text + "x"), U"x");
}

TEST(TextFolder, ResultDoesNotDependOnWhereTheWindowFalls) {
  for (std::size_t pad = TextFolder::kRunCodePoints - 8; pad < TextFolder::kRunCodePoints + 8;
       ++pad) {
    std::string words;
    while (words.size() < pad) words += words.size() + 1 < pad ? "A " : "A";
    std::u32string expected;
    for (const char c : words) expected += c == 'A' ? U'a' : U' ';
    EXPECT_EQ(Fold(words + " E\u0301COLE x"), expected + U" \u00E9cole x") << pad;
  }
}

TEST(TextFolder, ARunIsCutAtAFixedNumberOfCodePoints) {
  const std::string ascii(TextFolder::kRunCodePoints - 1, 'a');
  // The accent falls into the second piece and stays by itself; with white space before the run it
  // does not.
  EXPECT_EQ(Fold(ascii + "e\u0301").size(), TextFolder::kRunCodePoints + 1);
  EXPECT_EQ(Fold("x " + ascii + "e\u0301").size(), TextFolder::kRunCodePoints + 3);
  EXPECT_EQ(Fold(ascii + " e\u0301").size(), TextFolder::kRunCodePoints + 1);
}

TEST(TextFolder, CanBeUsedAgain) {
  TextFolder folder;
  EXPECT_EQ(Fold("Caf\u00E9", folder), U"caf\u00E9");
  EXPECT_EQ(Fold("\uFDFA", folder).size(), 18U);  // one code point becomes eighteen
  EXPECT_EQ(Fold("Caf\u00E9", folder), U"caf\u00E9");
}

CharKind KindOf(char32_t c) { return garrison::KindOf(static_cast<std::int32_t>(c)); }

TEST(KindOf, TellsWordsFromTheRest) {
  for (const char32_t c : std::u32string_view(U"az09\u00E9\u0430\u0E01\uD55C\u0301\u0660")) {
    EXPECT_EQ(KindOf(c), CharKind::kWord) << static_cast<std::uint32_t>(c);
  }
  for (const char32_t c : std::u32string_view(U" \t\n.,_-+$\u00A0\u2014\u3002\uFF0C")) {
    EXPECT_EQ(KindOf(c), CharKind::kSeparator) << static_cast<std::uint32_t>(c);
  }
  for (const char32_t c : std::u32string_view(U"\u4F60\u306E\u30AC\U00020000")) {
    EXPECT_EQ(KindOf(c), CharKind::kIdeographic) << static_cast<std::uint32_t>(c);
  }
  for (const char32_t c : std::u32string_view(U"\U0001F600\u2764\u00A9")) {
    EXPECT_EQ(KindOf(c), CharKind::kSymbol) << static_cast<std::uint32_t>(c);
  }
}

}  // namespace
}  // namespace garrison
