// Time as a dependency, so that tests never sleep.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <string>

namespace garrison {

using SteadyTime = std::chrono::steady_clock::time_point;
using WallTime = std::chrono::system_clock::time_point;

using UnixMs = std::int64_t;  // since 1970, UTC
UnixMs ToUnixMs(WallTime time);
// "2026-11-21T10:00:00.000Z"
std::string FormatUtc(WallTime time);

// Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;
  // For durations, deadlines and time-to-live; never goes back.
  virtual SteadyTime Now() const = 0;
  // For timestamps shown to people and other systems.
  virtual WallTime WallNow() const = 0;
};

class SystemClock final : public Clock {
 public:
  SteadyTime Now() const override;
  WallTime WallNow() const override;
};

// Stands still until it is moved.
class ManualClock final : public Clock {
 public:
  SteadyTime Now() const override;
  WallTime WallNow() const override;
  void Advance(std::chrono::nanoseconds by);

 private:
  std::atomic<std::chrono::nanoseconds::rep> elapsed_ns_ = 0;
};

}  // namespace garrison
