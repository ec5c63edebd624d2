// Leaves a vendor alone that failed again and again, and lets one call find out whether it is back.
#pragma once

#include <chrono>
#include <mutex>
#include <optional>

#include "base/clock.h"

namespace garrison {

// Thread-safe. The caller tells the time.
class CircuitBreaker {
 public:
  struct Options {
    unsigned failures = 5;                        // in a row
    std::chrono::milliseconds open_time{30'000};  // doubles with each failed probe, up to tenfold
  };
  enum class State { kClosed, kOpen, kHalfOpen };

  explicit CircuitBreaker(const Options& options) : options_(options) {}

  // Nullopt: call. Otherwise not, for that long. Who may call must report: one call alone passes
  // while half open.
  std::optional<std::chrono::milliseconds> TryPass(SteadyTime now);
  void Succeeded();
  // `at_once`: no further failure is needed (no money left).
  void Failed(SteadyTime now, bool at_once);
  // The call ended in a way that says nothing about the vendor (cancelled, a bad request).
  void Abstained();

  State state(SteadyTime now) const;

 private:
  const Options options_;
  mutable std::mutex mutex_;  // guards the rest
  unsigned failures_ = 0;
  bool open_ = false;
  bool probing_ = false;
  std::chrono::milliseconds open_for_{0};
  SteadyTime until_;
};

}  // namespace garrison
