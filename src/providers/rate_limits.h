// How much a vendor still takes, by what its replies say in x-ratelimit-{limit,remaining,reset}-
// {requests,tokens}. Without such headers there is no limit.
#pragma once

#include <chrono>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "net/http.h"

namespace garrison {

// "12ms", "6m0s", "1h2m3.5s", or plain seconds. Nullopt for anything else.
std::optional<std::chrono::nanoseconds> ParseResetTime(std::string_view text);

// Thread-safe. The caller tells the time.
class RateLimits {
 public:
  // What the vendor said last, at `now`.
  void Learn(const std::vector<HttpHeader>& headers, SteadyTime now);

  // Zero: the call may be made, and is counted. Otherwise: ask again after that time.
  std::chrono::nanoseconds TryTake(std::uint64_t tokens, SteadyTime now);
  // Takes back a call that was counted and is not made.
  void Give(std::uint64_t tokens, SteadyTime now);

 private:
  // Refilled evenly up to `limit`, which it reaches at `full_at`.
  struct Bucket {
    double limit = 0;  // 0: not known
    double left = 0;
    double per_second = 0;
    SteadyTime at;

    void Set(double limit_now, double left_now, std::chrono::nanoseconds reset, SteadyTime now);
    std::chrono::nanoseconds Wait(double need, SteadyTime now) const;
    void Take(double need, SteadyTime now);
    void Give(double need, SteadyTime now);
    double LeftAt(SteadyTime now) const;
  };

  std::mutex mutex_;  // guards the rest
  Bucket requests_;
  Bucket tokens_;
};

}  // namespace garrison
