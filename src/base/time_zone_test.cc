#include "base/time_zone.h"

#include <gtest/gtest.h>
#include <time.h>

#include <cstdlib>
#include <filesystem>

#include "base/mapped_file.h"

namespace garrison {
namespace {

// The C library is the reference.
std::int64_t OffsetOfLibc(const char* zone, std::int64_t seconds) {
  setenv("TZ", zone, 1);  // NOLINT(concurrency-mt-unsafe): one thread
  tzset();
  const time_t time = static_cast<time_t>(seconds);
  tm local{};
  localtime_r(&time, &local);
  return local.tm_gmtoff;
}

TEST(TimeZone, AgreesWithTheCLibraryFrom1970To2100) {
  if (!std::filesystem::exists("/usr/share/zoneinfo/Europe/Berlin")) {
    GTEST_SKIP() << "tzdata is not installed";
  }
  constexpr std::int64_t kEnd = 4'102'444'800;  // 2100
  for (const char* name :
       {"UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe",
        "America/Sao_Paulo", "Pacific/Auckland", "Africa/Casablanca", "Asia/Tehran"}) {
    const Result<TimeZone> zone = TimeZone::Load(name);
    ASSERT_TRUE(zone) << name << zone.error().ToString();
    for (std::int64_t t = 0; t < kEnd; t += 7 * 3600 + 1801) {
      ASSERT_EQ(zone->OffsetAt(t), OffsetOfLibc(name, t)) << name << " " << t;
    }
  }
}

TEST(TimeZone, ChangesToTheSecond) {
  if (!std::filesystem::exists("/usr/share/zoneinfo/Europe/Berlin")) {
    GTEST_SKIP() << "tzdata is not installed";
  }
  const TimeZone berlin = TimeZone::Load("Europe/Berlin").value();
  constexpr std::int64_t kSpring2026 = 1'774'746'000;  // 29 March, 01:00 UTC
  EXPECT_EQ(berlin.OffsetAt(kSpring2026 - 1), 3600);
  EXPECT_EQ(berlin.OffsetAt(kSpring2026), 7200);
}

TEST(TimeZone, OffsetsAreTakenAsTheyAre) {
  EXPECT_EQ(TimeZone::Load("+05:30").value().OffsetAt(0), 19'800);
  EXPECT_EQ(TimeZone::Load("-08:00").value().OffsetAt(0), -28'800);
}

TEST(TimeZone, WhatIsNoneIsRefused) {
  for (const char* odd : {"", "../etc/passwd", "/etc/passwd", "Europe/../x", "+2", "+99:00", "a b"})
    EXPECT_EQ(TimeZone::Load(odd).error().code, Code::kInvalidArgument) << odd;
  EXPECT_EQ(TimeZone::Load("Mars/Olympus").error().code, Code::kNotFound);
  EXPECT_FALSE(TimeZone::Parse(""));
  EXPECT_FALSE(TimeZone::Parse("TZif2"));
}

TEST(TimeZone, DamagedFilesAreRefusedOrRead) {
  if (!std::filesystem::exists("/usr/share/zoneinfo/Europe/Berlin")) {
    GTEST_SKIP() << "tzdata is not installed";
  }
  const std::string whole = ReadTextFile("/usr/share/zoneinfo/Europe/Berlin", 1 << 20).value();
  for (std::size_t cut = 0; cut < whole.size(); ++cut) {
    const Result<TimeZone> zone = TimeZone::Parse(std::string_view(whole).substr(0, cut));
    if (zone) static_cast<void>(zone->OffsetAt(1'800'000'000));
  }
  for (std::size_t i = 0; i < whole.size(); ++i) {
    std::string damaged = whole;
    damaged[i] = static_cast<char>(damaged[i] ^ 0x81);
    const Result<TimeZone> zone = TimeZone::Parse(damaged);
    if (zone) static_cast<void>(zone->OffsetAt(1'800'000'000));
  }
}

}  // namespace
}  // namespace garrison
