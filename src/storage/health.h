// Whether a database is worth asking: after a failure it is left alone for a while.
#pragma once

#include <chrono>
#include <cstdint>
#include <mutex>
#include <string>

#include "base/clock.h"
#include "base/log.h"
#include "base/result.h"

namespace garrison {

// Thread-safe.
class Health {
 public:
  // `what` begins the lines of the log: "the cache's database cannot be read"; `meanwhile` says
  // what that means for requests.
  Health(std::string what, const Clock& clock, Logger& logger,
         std::string meanwhile = "requests are answered without it")
      : what_(std::move(what)), meanwhile_(std::move(meanwhile)), clock_(clock), logger_(logger) {}

  // False while it is left alone. When the time is over, one caller gets true; the others wait for
  // what it finds.
  bool MayTry();
  // Each failure in a row doubles the time, from kFirstPause to kLongestPause. The first is logged,
  // and one a minute.
  void Failed(const Error& error);
  void Worked();

  bool answers() const;
  std::uint64_t failures() const;
  // When MayTry() is worth calling again.
  SteadyTime next_try() const;

  static constexpr std::chrono::milliseconds kFirstPause{100};
  static constexpr std::chrono::milliseconds kLongestPause{15'000};

 private:
  const std::string what_;
  const std::string meanwhile_;
  const Clock& clock_;
  Logger& logger_;

  mutable std::mutex mutex_;
  // Guarded by mutex_.
  bool failing_ = false;
  bool trying_ = false;  // somebody finds out whether it works again
  std::chrono::milliseconds pause_ = kFirstPause;
  SteadyTime next_try_;
  SteadyTime last_line_;
  std::uint64_t failures_ = 0;
};

}  // namespace garrison
