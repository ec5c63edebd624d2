// A fixed number of worker threads behind one bounded queue.
#pragma once

#include <cstddef>
#include <functional>
#include <thread>
#include <vector>

#include "base/bounded_queue.h"
#include "base/result.h"

namespace garrison {

// Thread-safe. The destructor runs what was accepted, then joins.
class ThreadPool {
 public:
  // REQUIRES: threads > 0, queue_capacity > 0.
  ThreadPool(std::size_t threads, std::size_t queue_capacity);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  // Never waits. RESOURCE_EXHAUSTED when the queue is full, UNAVAILABLE after Stop(); in both cases
  // the task is destroyed without having run. Tasks must not throw.
  Result<> Submit(std::function<void()> task);

  // Refuses new tasks, runs the accepted ones and joins. May be called more than once, from one
  // thread.
  void Stop();

  std::size_t queued() const { return queue_.size(); }
  std::size_t threads() const { return workers_.size(); }

 private:
  BoundedQueue<std::function<void()>> queue_;
  std::vector<std::thread> workers_;
};

}  // namespace garrison
