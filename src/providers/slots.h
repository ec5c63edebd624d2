// How many calls to one vendor may be under way at once.
#pragma once

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <mutex>

#include "base/clock.h"
#include "core/request_context.h"

namespace garrison {

// Thread-safe. Waiting ends with the request's deadline or stop.
class Slots {
 public:
  explicit Slots(std::size_t count) : free_(count) {}

  Result<> Take(const RequestContext& context, const Clock& clock) {
    std::unique_lock lock(mutex_);
    while (free_ == 0) {
      const SteadyTime now = clock.Now();
      RETURN_IF_ERROR(context.Check(now));
      // A far deadline would overflow where the time to wait is added to that of now.
      const auto time =
          std::min<std::chrono::nanoseconds>(context.deadline - now, std::chrono::hours(1));
      freed_.wait_for(lock, context.stop, time, [this] { return free_ > 0; });
    }
    --free_;
    return {};
  }

  // Without waiting.
  bool TryTake() {
    const std::lock_guard lock(mutex_);
    if (free_ == 0) return false;
    --free_;
    return true;
  }

  void Give() {
    {
      const std::lock_guard lock(mutex_);
      ++free_;
    }
    freed_.notify_one();
  }

 private:
  std::mutex mutex_;
  std::condition_variable_any freed_;
  std::size_t free_;  // guarded by mutex_
};

}  // namespace garrison
