#include "base/clock.h"

#include <fmt/chrono.h>

namespace garrison {

UnixMs ToUnixMs(WallTime time) {
  return std::chrono::floor<std::chrono::milliseconds>(time.time_since_epoch()).count();
}

std::string FormatUtc(WallTime time) {
  const auto second = std::chrono::floor<std::chrono::seconds>(time);
  const UnixMs ms = std::chrono::floor<std::chrono::milliseconds>(time - second).count();
  return fmt::format("{:%FT%T}.{:03}Z", fmt::gmtime(std::chrono::system_clock::to_time_t(second)),
                     ms);
}

SteadyTime SystemClock::Now() const { return std::chrono::steady_clock::now(); }
WallTime SystemClock::WallNow() const { return std::chrono::system_clock::now(); }

SteadyTime ManualClock::Now() const {
  return SteadyTime(std::chrono::hours(1) + std::chrono::nanoseconds(elapsed_ns_.load()));
}
WallTime ManualClock::WallNow() const {
  // 2026-01-01T00:00:00Z.
  return WallTime(std::chrono::seconds(1767225600)) +
         std::chrono::duration_cast<WallTime::duration>(
             std::chrono::nanoseconds(elapsed_ns_.load()));
}
void ManualClock::Advance(std::chrono::nanoseconds by) { elapsed_ns_ += by.count(); }

}  // namespace garrison
