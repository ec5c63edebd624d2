#include "providers/circuit_breaker.h"

#include <algorithm>

namespace garrison {

std::optional<std::chrono::milliseconds> CircuitBreaker::TryPass(SteadyTime now) {
  const std::lock_guard lock(mutex_);
  if (!open_) return std::nullopt;
  if (now < until_) return std::chrono::ceil<std::chrono::milliseconds>(until_ - now);
  if (probing_) return std::chrono::milliseconds(1000);
  probing_ = true;
  return std::nullopt;
}

void CircuitBreaker::Succeeded() {
  const std::lock_guard lock(mutex_);
  failures_ = 0;
  open_ = probing_ = false;
  open_for_ = std::chrono::milliseconds(0);
}

void CircuitBreaker::Failed(SteadyTime now, bool at_once) {
  const std::lock_guard lock(mutex_);
  ++failures_;
  if (open_ && !probing_) return;  // a call that began before it opened
  if (!probing_ && !at_once && failures_ < options_.failures) return;
  open_for_ = probing_ ? std::min(open_for_ * 2, options_.open_time * 10) : options_.open_time;
  open_ = true;
  probing_ = false;
  until_ = now + open_for_;
}

void CircuitBreaker::Abstained() {
  const std::lock_guard lock(mutex_);
  probing_ = false;
}

CircuitBreaker::State CircuitBreaker::state(SteadyTime now) const {
  const std::lock_guard lock(mutex_);
  if (!open_) return State::kClosed;
  return now < until_ ? State::kOpen : State::kHalfOpen;
}

}  // namespace garrison
