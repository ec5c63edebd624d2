#include "engine/workspace_pool.h"

#include <malloc.h>

#include <utility>

#include "base/check.h"

namespace garrison {

WorkspacePool::WorkspacePool(std::size_t limit, std::chrono::milliseconds idle)
    : limit_(limit), idle_(idle), thread_([this] { FreeWhenIdle(); }) {
  CHECK(limit > 0);
}

WorkspacePool::~WorkspacePool() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_one();
  thread_.join();
}

std::unique_ptr<EncoderWorkspace> WorkspacePool::Take() {
  std::unique_lock lock(mutex_);
  const std::uint64_t ticket = next_ticket_++;
  returned_.wait(lock, [&] { return ticket == next_served_ && lent_ < limit_; });
  ++next_served_;
  ++lent_;
  if (lent_ < limit_ && next_served_ < next_ticket_) returned_.notify_all();
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
    --lent_;
    if (next_served_ < next_ticket_) returned_.notify_all();
    last_used_ = Clock::now();
    wake = std::exchange(resting_, false);
  }
  if (wake) changed_.notify_one();
}

std::size_t WorkspacePool::waiting() const {
  const std::lock_guard lock(mutex_);
  return static_cast<std::size_t>(next_ticket_ - next_served_);
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
