#include "core/json.h"

#include <gtest/gtest.h>

#include <string>

namespace garrison {
namespace {

TEST(ParseJson, RefusesWhatIsNotJsonOrTooDeep) {
  EXPECT_TRUE(ParseJson(R"({"a":[1,"]]]["]})", 2));
  EXPECT_FALSE(ParseJson("[[[1]]]", 2));
  EXPECT_FALSE(ParseJson(std::string(1'000'000, '['), 64));
  for (const char* bad :
       {"", "{", "{\"a\":1e999}", "\"\xff\"", "nul", "[1,]", "{} x", "\"a\nb\""}) {
    const auto parsed = ParseJson(bad, 64);
    ASSERT_FALSE(parsed) << bad;
    EXPECT_EQ(parsed.error().code, Code::kInvalidArgument);
  }
}

TEST(DumpJson, NeverFailsOnBytesThatAreNotUtf8) { EXPECT_FALSE(DumpJson("\xff").empty()); }

}  // namespace
}  // namespace garrison
