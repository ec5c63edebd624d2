#include "providers/chance.h"

#include <condition_variable>
#include <mutex>
#include <random>

namespace garrison {
namespace {

void Wait(std::chrono::nanoseconds time, const std::stop_token& stop) {
  std::mutex mutex;
  std::condition_variable_any condition;
  std::unique_lock lock(mutex);
  condition.wait_for(lock, stop, time, [] { return false; });
}

double Random() {
  thread_local std::minstd_rand generator(std::random_device{}());
  return std::uniform_real_distribution<double>(0, 1)(generator);
}

}  // namespace

Chance SystemChance(const Clock& clock) { return {clock, Wait, Random}; }

}  // namespace garrison
