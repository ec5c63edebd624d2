#include "cli/progress.h"

#include <gtest/gtest.h>

#include <sstream>

namespace garrison {
namespace {

TEST(Progress, DrawsRowsSpeedAndTimeLeft) {
  std::ostringstream err;
  ManualClock clock;
  Progress progress(err, clock, {true, 3000});
  progress.Update(0, 0);
  EXPECT_EQ(err.str(), "");
  clock.Advance(std::chrono::seconds(1));
  progress.Update(100, 1000);
  EXPECT_EQ(err.str(),
            "\r[##########....................]  33 %  100 rows  100 rows/s  ETA 0:00:02\x1b[K");
  progress.Update(101, 1001);  // too soon to draw again
  progress.Finish();
  EXPECT_TRUE(err.str().ends_with("ETA 0:00:02\x1b[K\r\x1b[K")) << err.str();
}

TEST(Progress, WhatWasDoneBeforeIsNoSpeed) {
  std::ostringstream err;
  ManualClock clock;
  Progress progress(err, clock, {true, 4000});
  progress.Update(1000, 2000);
  clock.Advance(std::chrono::seconds(1));
  progress.Update(1010, 3000);
  EXPECT_NE(err.str().find("1010 rows  10 rows/s  ETA 0:00:01"), std::string::npos) << err.str();
}

TEST(Progress, WithoutATotalAndSwitchedOff) {
  std::ostringstream err, silent;
  ManualClock clock;
  Progress progress(err, clock, {true, 0});
  Progress off(silent, clock, {});
  for (int i = 0; i < 3; ++i) {
    clock.Advance(std::chrono::seconds(1));
    progress.Update(10, 1000);
    off.Update(10, 1000);
  }
  off.Finish();
  EXPECT_NE(err.str().find("\r10 rows"), std::string::npos) << err.str();
  EXPECT_EQ(silent.str(), "");
}

}  // namespace
}  // namespace garrison
