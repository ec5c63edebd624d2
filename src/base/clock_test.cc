#include "base/clock.h"

#include <gtest/gtest.h>

namespace garrison {
namespace {

TEST(Clock, TimesReadAsThoseOfRfc3339) {
  using std::chrono::milliseconds;
  EXPECT_EQ(FormatUtc(WallTime(milliseconds(784'111'777'042))), "1994-11-06T08:49:37.042Z");
  EXPECT_EQ(ToUnixMs(WallTime(milliseconds(784'111'777'042))), 784'111'777'042);
  EXPECT_EQ(FormatUtc(WallTime()), "1970-01-01T00:00:00.000Z");
  // Before 1970 the parts still add up.
  EXPECT_EQ(FormatUtc(WallTime(milliseconds(-1))), "1969-12-31T23:59:59.999Z");
  EXPECT_EQ(ToUnixMs(WallTime(std::chrono::microseconds(-1))), -1);
}

}  // namespace
}  // namespace garrison
