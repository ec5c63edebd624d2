#include "base/thread_pool.h"

#include <chrono>
#include <utility>

#include "base/check.h"

namespace garrison {

ThreadPool::ThreadPool(std::size_t threads, std::size_t queue_capacity) : queue_(queue_capacity) {
  CHECK(threads > 0);
  workers_.reserve(threads);
  for (std::size_t i = 0; i < threads; ++i) {
    workers_.emplace_back([this] {
      while (auto task = queue_.Pop()) (*task)();
    });
  }
}

ThreadPool::~ThreadPool() { Stop(); }

Result<> ThreadPool::Submit(std::function<void()> task) {
  switch (queue_.TryPush(task)) {
    case QueueStatus::kOk:
      return {};
    case QueueStatus::kClosed:
      return Fail(Code::kUnavailable, "the service is shutting down; send the request elsewhere");
    default: {
      auto failure = Fail(Code::kResourceExhausted,
                          "all {} workers are busy and {} requests wait already; try again shortly",
                          workers_.size(), queue_.capacity());
      failure.value().retry_after = std::chrono::seconds(1);
      return failure;
    }
  }
}

void ThreadPool::Stop() {
  queue_.Close();
  for (std::thread& worker : workers_) {
    if (worker.joinable()) worker.join();
  }
}

}  // namespace garrison
