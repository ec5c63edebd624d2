// Time and chance as dependencies of calls to vendors, so that tests neither sleep nor vary.
#pragma once

#include <chrono>
#include <functional>
#include <stop_token>

#include "base/clock.h"

namespace garrison {

struct Chance {
  const Clock& clock;
  // Returns after that time, or at once when the stop is requested. Any thread.
  std::function<void(std::chrono::nanoseconds, const std::stop_token&)> wait;
  // Evenly from [0, 1). Any thread.
  std::function<double()> random;
};

// The real ones.
Chance SystemChance(const Clock& clock);

}  // namespace garrison
