#include "storage/health.h"

#include <algorithm>

namespace garrison {
namespace {
constexpr std::chrono::seconds kBetweenLines{60};
}

bool Health::MayTry() {
  const std::lock_guard lock(mutex_);
  if (!failing_) return true;
  const SteadyTime now = clock_.Now();
  if (now < next_try_) return false;
  next_try_ = now + pause_;
  trying_ = true;
  return true;
}

void Health::Failed(const Error& error) {
  bool tell = false;
  {
    const std::lock_guard lock(mutex_);
    ++failures_;
    const SteadyTime now = clock_.Now();
    // Several that began before the first failure are one.
    if (!failing_ || trying_) {
      trying_ = false;
      pause_ = failing_ ? std::min(2 * pause_, kLongestPause) : kFirstPause;
      next_try_ = now + pause_;
    }
    tell = !failing_ || now >= last_line_ + kBetweenLines;
    if (tell) last_line_ = now;
    failing_ = true;
  }
  if (tell) {
    logger_.Warning("{}: {}; {}, and it is tried again", what_, error.ToString(), meanwhile_);
  }
}

void Health::Worked() {
  {
    const std::lock_guard lock(mutex_);
    if (!failing_) return;
    failing_ = trying_ = false;
    pause_ = kFirstPause;
  }
  logger_.Info("{}: no longer; it answers again", what_);
}

bool Health::answers() const {
  const std::lock_guard lock(mutex_);
  return !failing_;
}

std::uint64_t Health::failures() const {
  const std::lock_guard lock(mutex_);
  return failures_;
}

SteadyTime Health::next_try() const {
  const std::lock_guard lock(mutex_);
  return failing_ ? next_try_ : SteadyTime::min();
}

}  // namespace garrison
