#include "base/worker_team.h"

#include "base/check.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace garrison {
namespace {

constexpr std::uint64_t kIndexBits = 20;
constexpr std::uint64_t kIndexMask = (std::uint64_t{1} << kIndexBits) - 1;

std::uint64_t GenerationOf(std::uint64_t state) { return state >> (2 * kIndexBits); }
std::uint64_t CountOf(std::uint64_t state) { return state >> kIndexBits & kIndexMask; }
std::uint64_t NextOf(std::uint64_t state) { return state & kIndexMask; }

// One forward pass asks for many short pieces of work in a row, and sleeping takes longer than most
// of them: about 50 us.
constexpr int kSpins = 4000;

void Pause() {
#if defined(__x86_64__)
  _mm_pause();
#else
  std::this_thread::yield();
#endif
}

}  // namespace

WorkerTeam::WorkerTeam(std::size_t threads, double cpus)
    : spins_(cpus < static_cast<double>(threads) ? 0 : kSpins) {
  CHECK(threads > 0);
  helpers_.reserve(threads - 1);
  for (std::size_t i = 1; i < threads; ++i) helpers_.emplace_back([this] { Help(); });
}

WorkerTeam::~WorkerTeam() {
  stop_ = true;
  wake_.fetch_add(1);
  wake_.notify_all();
  for (std::thread& helper : helpers_) helper.join();
}

void WorkerTeam::Run(std::size_t count, FunctionRef<void(std::size_t)> task) {
  CHECK(count <= kIndexMask);
  if (count < 2 || helpers_.empty() || !owner_.try_lock()) {
    for (std::size_t i = 0; i < count; ++i) task(i);
    return;
  }
  const std::lock_guard release(owner_, std::adopt_lock);
  Share(count, task);
}

bool WorkerTeam::TryRun(std::size_t count, FunctionRef<void(std::size_t)> task) {
  CHECK(count <= kIndexMask);
  if (!owner_.try_lock()) return false;
  const std::lock_guard release(owner_, std::adopt_lock);
  Share(count, task);
  return true;
}

void WorkerTeam::Share(std::size_t count, FunctionRef<void(std::size_t)> task) {
  done_.store(0, std::memory_order_relaxed);
  task_.store(&task, std::memory_order_relaxed);
  const std::uint64_t generation =
      (GenerationOf(state_.load(std::memory_order_relaxed)) + 1) & 0xffffff;
  state_.store(generation << (2 * kIndexBits) | count << kIndexBits, std::memory_order_release);
  wake_.fetch_add(1, std::memory_order_release);
  wake_.notify_all();
  Work(generation);
  for (int spin = 0; spin < spins_ && done_.load(std::memory_order_acquire) != count; ++spin) {
    Pause();
  }
  for (std::size_t done = 0; (done = done_.load(std::memory_order_acquire)) != count;) {
    done_.wait(done, std::memory_order_acquire);
  }
}

void WorkerTeam::Work(std::uint64_t generation) {
  std::uint64_t state = state_.load(std::memory_order_acquire);
  while (GenerationOf(state) == generation && NextOf(state) < CountOf(state)) {
    if (!state_.compare_exchange_weak(state, state + 1, std::memory_order_acq_rel)) continue;
    // The claimed index keeps the caller inside Run(), so the task is alive.
    (*task_.load(std::memory_order_relaxed))(NextOf(state));
    if (done_.fetch_add(1, std::memory_order_acq_rel) + 1 == CountOf(state)) done_.notify_all();
    state = state_.load(std::memory_order_acquire);
  }
}

void WorkerTeam::Help() {
  std::uint32_t seen = 0;
  while (true) {
    for (int spin = 0; spin < spins_ && wake_.load(std::memory_order_acquire) == seen; ++spin) {
      Pause();
    }
    wake_.wait(seen, std::memory_order_acquire);
    seen = wake_.load(std::memory_order_acquire);
    if (stop_) return;
    Work(GenerationOf(state_.load(std::memory_order_acquire)));
  }
}

}  // namespace garrison
