#include "guard/markup.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "guard/text_scan.h"

namespace garrison {
namespace {

constexpr const char* kReplaced = "\xEF\xBF\xBD";

TEST(EscapeMarkup, LeavesNothingToInterpret) {
  EXPECT_EQ(EscapeMarkup("<script>alert(\"1\")</script>"),
            "&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;");
  EXPECT_EQ(EscapeMarkup("]]> & 'x'"), "]]&gt; &amp; &#39;x&#39;");
  EXPECT_EQ(EscapeMarkup("a\tb\nc"), "a\tb\nc");
  EXPECT_EQ(EscapeMarkup(""), "");
}

TEST(EscapeMarkup, ShowsWhatWouldHide) {
  EXPECT_EQ(EscapeMarkup(std::string_view("a\0b", 3)), std::string("a") + kReplaced + "b");
  EXPECT_EQ(EscapeMarkup("\x1B[31m\r\x7F"),
            std::string(kReplaced) + "[31m" + kReplaced + kReplaced);
  EXPECT_EQ(EscapeMarkup("\xC2\x85"), kReplaced) << "a C1 control";
  EXPECT_EQ(EscapeMarkup("\xC2\xA0"), "\xC2\xA0");
  for (const char* turning : {"\xE2\x80\xAA", "\xE2\x80\xAE", "\xE2\x81\xA6", "\xE2\x81\xA9"}) {
    EXPECT_EQ(EscapeMarkup(turning), kReplaced);
  }
  EXPECT_EQ(EscapeMarkup("\xEF\xBF\xBF"), kReplaced);
  EXPECT_EQ(EscapeMarkup("\xFF\xC3"), std::string(kReplaced) + kReplaced);
  EXPECT_EQ(EscapeMarkup("\u0645\u0631 \u65E5\u672C \U0001F642"),
            "\u0645\u0631 \u65E5\u672C \U0001F642")
      << "written from right to left, but honest";
}

TEST(EscapeMarkup, CutsAtACharacter) {
  EXPECT_EQ(EscapeMarkup("abc", 3), "abc");
  EXPECT_EQ(EscapeMarkup("abcd", 3), "abc…");
  EXPECT_EQ(EscapeMarkup("aé<", 2), "a…");
  EXPECT_EQ(EscapeMarkup("<<<<", 2), "&lt;&lt;…") << "bytes of the text, not of the markup";
  EXPECT_EQ(EscapeMarkup("é", 0), "…");
}

RC_GTEST_PROP(EscapeMarkupProperty, AnyBytesBecomeHarmlessUtf8, (const std::string& bytes)) {
  const std::string out = EscapeMarkup(bytes);
  RC_ASSERT(out.find_first_of("<>\"'") == std::string::npos);
  RC_ASSERT(CheckPlainText(out).has_value());
}

}  // namespace
}  // namespace garrison
