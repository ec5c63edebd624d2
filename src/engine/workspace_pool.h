// Workspaces of forward passes between their uses. Private to engine/.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "engine/encoder.h"

namespace garrison {

// Lends at most `limit` at once, so that the memory of all passes together is bounded. Keeps as
// many as were in use at once, and gives their memory back to the system when none was asked for
// during `idle`. Thread-safe.
class WorkspacePool {
 public:
  // REQUIRES: limit > 0.
  WorkspacePool(std::size_t limit, std::chrono::milliseconds idle);
  ~WorkspacePool();
  WorkspacePool(const WorkspacePool&) = delete;
  WorkspacePool& operator=(const WorkspacePool&) = delete;

  // Waits for its turn while all are in use: who came first is served first, so that a large
  // request and a small one take turns. A thread must not hold one and take another.
  std::unique_ptr<EncoderWorkspace> Take();
  void Return(std::unique_ptr<EncoderWorkspace> workspace);

  // Callers of Take() without one yet.
  std::size_t waiting() const;
  // Of those not in use.
  std::size_t bytes() const;

 private:
  using Clock = std::chrono::steady_clock;

  void FreeWhenIdle();

  const std::size_t limit_;
  const std::chrono::milliseconds idle_;

  mutable std::mutex mutex_;          // guards the rest
  std::condition_variable changed_;   // for the thread
  std::condition_variable returned_;  // for those who wait in Take()
  std::uint64_t next_ticket_ = 0;
  std::uint64_t next_served_ = 0;
  std::size_t lent_ = 0;
  std::vector<std::unique_ptr<EncoderWorkspace>> free_;
  Clock::time_point last_used_;
  bool resting_ = false;  // the thread waits for a workspace, not for a time
  bool stop_ = false;

  std::thread thread_;  // last: it uses the others
};

}  // namespace garrison
