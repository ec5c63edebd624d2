#include "base/half.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

namespace garrison {
namespace {

// What the format says, by arithmetic instead of bits.
double ValueOf(std::uint16_t half) {
  const int exponent = half >> 10 & 31;
  const int fraction = half & 1023;
  const double magnitude =
      exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024 + fraction, exponent - 25);
  return (half & 0x8000) != 0 ? -magnitude : magnitude;
}

TEST(HalfTest, EveryFiniteHalfIsTheFloatOfItsValueAndComesBack) {
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
    const auto half = static_cast<std::uint16_t>(bits);
    if ((half & 0x7c00) == 0x7c00) continue;
    ASSERT_EQ(FloatOfHalf(half), ValueOf(half)) << bits;
    ASSERT_EQ(HalfOf(FloatOfHalf(half)), half) << bits;
  }
}

TEST(HalfTest, WhatLiesBetweenTwoHalvesGoesToTheNearerOneAndTiesToTheEvenOne) {
  for (std::uint16_t half = 0; half < 0x7bff; ++half) {
    const double low = ValueOf(half), high = ValueOf(static_cast<std::uint16_t>(half + 1));
    const auto at = [&](double share) { return static_cast<float>(low + share * (high - low)); };
    ASSERT_EQ(HalfOf(at(0.4)), half);
    ASSERT_EQ(HalfOf(at(0.6)), half + 1);
    ASSERT_EQ(HalfOf(at(0.5)), half + half % 2);
  }
}

TEST(HalfTest, JustBesideTheMiddleIsEnoughToTip) {
  for (std::uint16_t half = 0; half < 0x7bff; ++half) {
    const auto next = static_cast<std::uint16_t>(half + 1);
    const auto middle = static_cast<float>((ValueOf(half) + ValueOf(next)) / 2);  // exact
    ASSERT_EQ(HalfOf(std::nextafter(middle, 0.0F)), half);
    ASSERT_EQ(HalfOf(std::nextafter(middle, 1e9F)), next);
  }
  EXPECT_EQ(HalfOf(65519.996F), 0x7bff);
  EXPECT_EQ(HalfOf(-1e30F), 0xfc00);
}

TEST(HalfTest, WhatIsNotFiniteStaysSo) {
  const float infinite = std::numeric_limits<float>::infinity();
  EXPECT_EQ(FloatOfHalf(HalfOf(infinite)), infinite);
  EXPECT_EQ(FloatOfHalf(HalfOf(-infinite)), -infinite);
  EXPECT_EQ(FloatOfHalf(HalfOf(65520)), infinite);
  EXPECT_TRUE(std::isnan(FloatOfHalf(HalfOf(std::numeric_limits<float>::quiet_NaN()))));
}

}  // namespace
}  // namespace garrison
