#include "base/result.h"

#include <gtest/gtest.h>

#include <memory>
#include <set>
#include <string>

namespace garrison {
namespace {

Result<int> Half(int value) {
  if (value % 2 != 0)
    return FailAt("value", Code::kInvalidArgument, "expected even, got {}", value);
  return value / 2;
}

Result<int> Quarter(int value) {
  ASSIGN_OR_RETURN(const int half, Half(value));
  ASSIGN_OR_RETURN(const int quarter, Half(half));
  return quarter;
}

Result<> CheckQuarter(int value) {
  RETURN_IF_ERROR(Quarter(value));
  return {};
}

TEST(Result, CarriesAValueOrAnErrorThroughCallers) {
  EXPECT_EQ(Quarter(12).value(), 3);
  ASSERT_FALSE(Quarter(6));
  EXPECT_EQ(Quarter(6).error().ToString(), "INVALID_ARGUMENT: value: expected even, got 3");
  EXPECT_TRUE(CheckQuarter(8));
  EXPECT_EQ(CheckQuarter(2).error().code, Code::kInvalidArgument);
}

TEST(Result, MovesWhatCannotBeCopied) {
  Result<std::unique_ptr<int>> made = std::make_unique<int>(5);
  const std::unique_ptr<int> taken = *std::move(made);
  EXPECT_EQ(*taken, 5);
}

TEST(Error, AtPutsTheOuterPlaceFirst) {
  EXPECT_EQ(At("turn 3", Half(1).error()).where, "turn 3: value");
  EXPECT_EQ(At("turn 3", Error{}).where, "turn 3");
}

TEST(Code, NamesAndNumbersAreThoseOfGrpc) {
  std::set<std::string_view> names;
  int expected = 1;
  for (const Code code : kAllCodes) {
    EXPECT_EQ(static_cast<int>(code), expected++);
    names.insert(CodeName(code));
  }
  EXPECT_EQ(names.size(), 16u);
  EXPECT_EQ(CodeName(Code::kUnauthenticated), "UNAUTHENTICATED");
}

}  // namespace
}  // namespace garrison
