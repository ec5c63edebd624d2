#include "engine/workspace_pool.h"

#include <malloc.h>

#include <utility>

namespace garrison {

WorkspacePool::WorkspacePool(std::chrono::milliseconds idle)
    : idle_(idle), thread_([this] { FreeWhenIdle(); }) {}

WorkspacePool::~WorkspacePool() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_one();
  thread_.join();
}

std::unique_ptr<EncoderWorkspace> WorkspacePool::Take() {
  const std::lock_guard lock(mutex_);
  if (free_.empty()) return std::make_unique<EncoderWorkspace>();
  std::unique_ptr<EncoderWorkspace> workspace = std::move(free_.back());
  free_.pop_back();
  return workspace;
}

void WorkspacePool::Return(std::unique_ptr<EncoderWorkspace> workspace) {
  bool wake = false;
  {
    const std::lock_guard lock(mutex_);
    free_.push_back(std::move(workspace));
    last_used_ = Clock::now();
    wake = std::exchange(resting_, false);
  }
  if (wake) changed_.notify_one();
}

std::size_t WorkspacePool::bytes() const {
  const std::lock_guard lock(mutex_);
  std::size_t total = 0;
  for (const auto& workspace : free_) total += workspace->bytes();
  return total;
}

void WorkspacePool::FreeWhenIdle() {
  std::unique_lock lock(mutex_);
  while (!stop_) {
    if (free_.empty()) {
      resting_ = true;
      changed_.wait(lock, [this] { return stop_ || !resting_; });
      continue;
    }
    changed_.wait_until(lock, last_used_ + idle_, [this] { return stop_; });
    if (stop_ || Clock::now() < last_used_ + idle_) continue;
    std::vector<std::unique_ptr<EncoderWorkspace>> freed = std::exchange(free_, {});
    lock.unlock();
    freed.clear();
    malloc_trim(0);
    lock.lock();
  }
}

}  // namespace garrison
