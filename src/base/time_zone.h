// Local time of a place, from the system's time zone files (TZif, RFC 8536). The C library knows
// one zone for the whole process only.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace garrison {

// Immutable.
class TimeZone {
 public:
  // "UTC", an offset such as "+02:00", or a name such as "Europe/Berlin". NOT_FOUND when this
  // machine has no such file, DATA_LOSS when it is none.
  static Result<TimeZone> Load(std::string_view name);
  // The bytes of a TZif file.
  static Result<TimeZone> Parse(std::string_view bytes);

  // Seconds that local time is ahead of UTC. `unix_seconds` since 1970.
  std::int32_t OffsetAt(std::int64_t unix_seconds) const;

 private:
  // The rule for what comes after the last transition: a POSIX TZ string with two changes a year.
  struct Change {
    int month = 0;      // 1..12; 0: `day` counts from 1 January
    int week = 0;       // 1..5; 5 is the last
    int day = 0;        // of the week, 0 is Sunday; or of the year
    bool leap = false;  // days of the year count 29 February
    std::int32_t second = 7200;
  };
  struct Rule {
    std::int32_t standard = 0;
    std::int32_t daylight = 0;
    bool has_daylight = false;
    Change begin, end;
  };
  static bool ParseRule(std::string_view text, Rule& rule);
  static std::int64_t SecondOfYear(const Change& change, std::int64_t year);

  std::vector<std::int64_t> times_;
  std::vector<std::int32_t> offsets_;  // after each time
  std::int32_t first_ = 0;             // before all of them
  Rule rule_;
};

}  // namespace garrison
