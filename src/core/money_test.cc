#include "core/money.h"

#include <gtest/gtest.h>

#include <limits>

namespace garrison {
namespace {

TEST(Money, IsReadExactly) {
  EXPECT_EQ(ParseUsd("0.05").value(), 50'000'000'000);
  EXPECT_EQ(ParseUsd("200").value(), 200 * kPusdPerUsd);
  EXPECT_EQ(ParseUsd("-1.5").value(), -1'500'000'000'000);
  EXPECT_EQ(ParseUsd("0.000000000001").value(), 1);
  // No double holds this one.
  EXPECT_EQ(ParseUsd("9007199.254740993001").value(), 9'007'199'254'740'993'001);
  EXPECT_EQ(ParseUsd("9223372.036854775807").value(), std::numeric_limits<Pusd>::max());
}

TEST(Money, WhatIsNoAmountIsRefused) {
  for (const char* odd :
       {"", ".", "1.", ".5", "-", "+1", "1e3", "0x1", "1,5", " 1", "1 ", "nan", "0.0000000000001",
        "9223372.036854775808", "99999999999999999999", "1.2.3", "--1"}) {
    const Result<Pusd> amount = ParseUsd(odd);
    ASSERT_FALSE(amount) << odd;
    EXPECT_EQ(amount.error().code, Code::kInvalidArgument);
  }
}

TEST(Money, IsWrittenExactly) {
  EXPECT_EQ(FormatUsd(50'000'000'000), "0.050000000000");
  EXPECT_EQ(FormatUsd(-1), "-0.000000000001");
  EXPECT_EQ(FormatUsd(std::numeric_limits<Pusd>::min()), "-9223372.036854775808");
  EXPECT_EQ(ShortUsd(50'000'000'000), "0.05");
  EXPECT_EQ(ShortUsd(200 * kPusdPerUsd), "200.00");
  EXPECT_EQ(ShortUsd(31'500'000), "0.0000315");
  for (const Pusd amount : {Pusd{0}, Pusd{1}, Pusd{-7}, Pusd{123'456'789'012'345'678}}) {
    EXPECT_EQ(ParseUsd(FormatUsd(amount)).value(), amount);
    EXPECT_EQ(ParseUsd(ShortUsd(amount)).value(), amount);
  }
}

TEST(Money, BoundsThatDoNotFitStayAtTheMost) {
  constexpr Pusd kMost = std::numeric_limits<Pusd>::max();
  EXPECT_EQ(AddCapped(kMost, 1), kMost);
  EXPECT_EQ(AddCapped(kMost - 1, 1), kMost);
  EXPECT_EQ(AddCapped(2, 3), 5);
  EXPECT_EQ(MultiplyCapped(3'000'000, 1'000), 3'000'000'000);
  EXPECT_EQ(MultiplyCapped(2, std::numeric_limits<std::uint64_t>::max()), kMost);
  EXPECT_EQ(MultiplyCapped(0, std::numeric_limits<std::uint64_t>::max()), 0);
  EXPECT_EQ(MultiplyCapped(kMost, 1), kMost);
}

}  // namespace
}  // namespace garrison
