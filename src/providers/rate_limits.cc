#include "providers/rate_limits.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <string>

#include "providers/failure.h"

namespace garrison {
namespace {

std::optional<double> Number(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !(value >= 0) || value > 1e12) {
    return std::nullopt;
  }
  return value;
}

}  // namespace

std::optional<std::chrono::nanoseconds> ParseResetTime(std::string_view text) {
  double seconds = 0;
  if (text.empty()) return std::nullopt;
  while (!text.empty()) {
    double value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || !(value >= 0) || value > 1e6) return std::nullopt;
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    double unit = 1;
    std::size_t length = 1;
    if (text.starts_with("ms")) {
      unit = 1e-3;
      length = 2;
    } else if (text.starts_with("h")) {
      unit = 3600;
    } else if (text.starts_with("m")) {
      unit = 60;
    } else if (text.empty()) {
      length = 0;
    } else if (!text.starts_with("s")) {
      return std::nullopt;
    }
    text.remove_prefix(length);
    seconds += value * unit;
  }
  constexpr double kLongest = 24 * 3600;
  return std::chrono::nanoseconds(static_cast<std::int64_t>(std::min(seconds, kLongest) * 1e9));
}

void RateLimits::Bucket::Set(double limit_now, double left_now, std::chrono::nanoseconds reset,
                             SteadyTime now) {
  limit = limit_now;
  left = std::min(left_now, limit_now);
  const double seconds = std::max(1e-3, std::chrono::duration<double>(reset).count());
  // A full bucket says nothing of its rate; any will do.
  per_second = std::max(limit - left, 1.0) / seconds;
  at = now;
}

double RateLimits::Bucket::LeftAt(SteadyTime now) const {
  const double seconds = std::chrono::duration<double>(now - at).count();
  return std::min(limit, left + std::max(0.0, seconds) * per_second);
}

std::chrono::nanoseconds RateLimits::Bucket::Wait(double need, SteadyTime now) const {
  if (limit == 0) return {};
  // More than there ever is goes when the bucket is full; the vendor judges.
  const double missing = std::min(need, limit) - LeftAt(now);
  if (missing <= 1e-9) return {};
  const double seconds = std::min(missing / per_second, 3600.0);
  return std::chrono::nanoseconds(static_cast<std::int64_t>(std::ceil(seconds * 1e9)));
}

void RateLimits::Bucket::Take(double need, SteadyTime now) {
  if (limit == 0) return;
  left = std::max(0.0, LeftAt(now) - need);
  at = now;
}

void RateLimits::Bucket::Give(double need, SteadyTime now) {
  if (limit == 0) return;
  left = std::min(limit, LeftAt(now) + need);
  at = now;
}

void RateLimits::Learn(const std::vector<HttpHeader>& headers, SteadyTime now) {
  const std::lock_guard lock(mutex_);
  const auto learn = [&](const std::string& kind, Bucket& bucket) {
    const auto limit = Number(FindHeader(headers, "x-ratelimit-limit-" + kind));
    const auto left = Number(FindHeader(headers, "x-ratelimit-remaining-" + kind));
    const auto reset = ParseResetTime(FindHeader(headers, "x-ratelimit-reset-" + kind));
    if (limit && left && reset && *limit > 0) bucket.Set(*limit, *left, *reset, now);
  };
  learn("requests", requests_);
  learn("tokens", tokens_);
}

std::chrono::nanoseconds RateLimits::TryTake(std::uint64_t tokens, SteadyTime now) {
  const std::lock_guard lock(mutex_);
  const auto need = static_cast<double>(tokens);
  const auto wait = std::max(requests_.Wait(1, now), tokens_.Wait(need, now));
  if (wait > std::chrono::nanoseconds(0)) return wait;
  requests_.Take(1, now);
  tokens_.Take(need, now);
  return {};
}

void RateLimits::Give(std::uint64_t tokens, SteadyTime now) {
  const std::lock_guard lock(mutex_);
  requests_.Give(1, now);
  tokens_.Give(static_cast<double>(tokens), now);
}

}  // namespace garrison
