// Workspaces of forward passes between their uses. Private to engine/.
#pragma once

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "engine/encoder.h"

namespace garrison {

// Keeps as many as were in use at once, and gives their memory back to the system when none was
// asked for during `idle`. Thread-safe.
class WorkspacePool {
 public:
  explicit WorkspacePool(std::chrono::milliseconds idle);
  ~WorkspacePool();
  WorkspacePool(const WorkspacePool&) = delete;
  WorkspacePool& operator=(const WorkspacePool&) = delete;

  std::unique_ptr<EncoderWorkspace> Take();
  void Return(std::unique_ptr<EncoderWorkspace> workspace);

  // Of those not in use.
  std::size_t bytes() const;

 private:
  using Clock = std::chrono::steady_clock;

  void FreeWhenIdle();

  const std::chrono::milliseconds idle_;

  mutable std::mutex mutex_;         // guards the rest
  std::condition_variable changed_;  // for the thread
  std::vector<std::unique_ptr<EncoderWorkspace>> free_;
  Clock::time_point last_used_;
  bool resting_ = false;  // the thread waits for a workspace, not for a time
  bool stop_ = false;

  std::thread thread_;  // last: it uses the others
};

}  // namespace garrison
