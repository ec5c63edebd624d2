#include "guard/windows.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <string>

namespace garrison {
namespace {

std::vector<std::string> Texts(const std::string& text) {
  std::vector<std::string> out;
  for (const TextWindow& window : CutWindows(text))
    out.push_back(text.substr(window.begin, window.size));
  return out;
}

TEST(Windows, AShortTextIsItsOwnWindow) {
  EXPECT_EQ(Texts("  One. Two!\n"), (std::vector<std::string>{"One. Two!"}));
}

TEST(Windows, BlanksHaveNone) {
  EXPECT_TRUE(CutWindows("").empty());
  EXPECT_TRUE(CutWindows(" \n\t").empty());
}

TEST(Windows, SentencesStayWholeAndOverlapByHalf) {
  std::string text;
  for (int i = 0; i < 20; ++i) text += std::string(98, static_cast<char>('a' + i)) + ". ";
  const std::vector<std::string> windows = Texts(text);
  ASSERT_GT(windows.size(), 3u);
  for (const std::string& window : windows) {
    EXPECT_LE(window.size(), kWindowBytes);
    EXPECT_EQ(window.back(), '.');
    EXPECT_EQ((window.size() + 1) % 100, 0u) << window;
  }
  EXPECT_EQ(windows[0].front(), 'a');
  EXPECT_EQ(windows[1].front(), 'e');
  EXPECT_EQ(windows.back().find('t') != std::string::npos, true);
}

TEST(Windows, WideStopsEndSentences) {
  std::string text;
  for (int i = 0; i < 60; ++i)
    text += "\xE4\xBD\xA0\xE5\xA5\xBD\xE4\xBD\xA0\xE5\xA5\xBD\xE3\x80\x82";
  for (const std::string& window : Texts(text)) {
    EXPECT_EQ(window.substr(window.size() - 3), "\xE3\x80\x82");
  }
}

TEST(Windows, AMegabyteHasNoMoreThanTheMost) {
  for (const std::string& unit : {std::string("x"), std::string("word "), std::string("Go. "),
                                  std::string(700, 'y') + ". ", std::string("\xE4\xBD\xA0")}) {
    std::string text;
    while (text.size() < 1'000'000) text += unit;
    const auto windows = CutWindows(text);
    EXPECT_LE(windows.size(), kWindowsMax) << unit;
    EXPECT_GT(windows.size(), kWindowsMax / 4) << unit;
  }
}

RC_GTEST_PROP(Windows, CoverAllThatIsNotBlankInOrderAndCutNoCharacter, ()) {
  const auto parts = *rc::gen::container<std::vector<std::string>>(rc::gen::element<std::string>(
      ". ", "! ", "?\n", " ", "\n", "a", "word", "\xC3\xA9", "\xE3\x80\x82", "\xF0\x9F\x98\x80",
      std::string(300, 'z'), std::string(1000, 'q'), "\t", "e.g. "));
  std::string text;
  for (const std::string& part : parts) text += part;
  std::vector<char> covered(text.size(), 0);
  std::size_t before = 0;
  for (const TextWindow& window : CutWindows(text)) {
    RC_ASSERT(window.size > 0u);
    RC_ASSERT(window.begin + window.size <= text.size());
    RC_ASSERT(window.begin >= before);
    before = window.begin;
    RC_ASSERT((static_cast<unsigned char>(text[window.begin]) & 0xC0) != 0x80);
    const std::size_t end = window.begin + window.size;
    RC_ASSERT(end == text.size() || (static_cast<unsigned char>(text[end]) & 0xC0) != 0x80);
    RC_ASSERT(window.size <= std::max(kWindowBytes, 4 * text.size() / kWindowsMax));
    for (std::size_t i = window.begin; i < end; ++i) covered[i] = 1;
  }
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool blank = text[i] == ' ' || text[i] == '\n' || text[i] == '\t' || text[i] == '\r';
    RC_ASSERT(blank || covered[i]);
  }
}

}  // namespace
}  // namespace garrison
