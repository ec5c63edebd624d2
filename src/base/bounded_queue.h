// The one place where threads meet: a queue with a capacity, deadlines and an end.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <mutex>
#include <optional>
#include <utility>

#include "base/check.h"
#include "base/clock.h"

namespace garrison {

enum class QueueStatus { kOk, kFull, kTimedOut, kClosed };

// Thread-safe, any number of producers and consumers, first in first out.
template <typename T>
class BoundedQueue {
 public:
  explicit BoundedQueue(std::size_t capacity) : capacity_(capacity) { CHECK(capacity > 0); }

  // Never waits: kFull leaves `value` untouched.
  QueueStatus TryPush(T& value) {
    {
      const std::lock_guard lock(mutex_);
      if (closed_) return QueueStatus::kClosed;
      if (items_.size() >= capacity_) return QueueStatus::kFull;
      items_.push_back(std::move(value));
    }
    not_empty_.notify_one();
    return QueueStatus::kOk;
  }

  // Waits for room until `deadline`; kTimedOut and kClosed leave `value` untouched.
  QueueStatus Push(T& value, SteadyTime deadline) {
    {
      std::unique_lock lock(mutex_);
      if (!not_full_.wait_until(lock, deadline,
                                [this] { return closed_ || items_.size() < capacity_; })) {
        return QueueStatus::kTimedOut;
      }
      if (closed_) return QueueStatus::kClosed;
      items_.push_back(std::move(value));
    }
    not_empty_.notify_one();
    return QueueStatus::kOk;
  }

  // Waits for an item until `deadline`. Items that were pushed before Close() still come out.
  QueueStatus Pop(std::optional<T>& value, SteadyTime deadline) {
    {
      std::unique_lock lock(mutex_);
      if (!not_empty_.wait_until(lock, deadline, [this] { return closed_ || !items_.empty(); })) {
        return QueueStatus::kTimedOut;
      }
      if (items_.empty()) return QueueStatus::kClosed;
      value.emplace(std::move(items_.front()));
      items_.pop_front();
    }
    not_full_.notify_one();
    return QueueStatus::kOk;
  }

  // Waits for an item or for Close(); nullopt once closed and empty.
  std::optional<T> Pop() {
    std::optional<T> value;
    {
      std::unique_lock lock(mutex_);
      not_empty_.wait(lock, [this] { return closed_ || !items_.empty(); });
      if (items_.empty()) return std::nullopt;
      value.emplace(std::move(items_.front()));
      items_.pop_front();
    }
    not_full_.notify_one();
    return value;
  }

  // Refuses further pushes and wakes everybody. May be called more than once.
  void Close() {
    {
      const std::lock_guard lock(mutex_);
      closed_ = true;
    }
    not_empty_.notify_all();
    not_full_.notify_all();
  }

  std::size_t size() const {
    const std::lock_guard lock(mutex_);
    return items_.size();
  }
  std::size_t capacity() const { return capacity_; }

 private:
  const std::size_t capacity_;

  mutable std::mutex mutex_;
  std::condition_variable not_empty_;
  std::condition_variable not_full_;
  // Guarded by mutex_.
  std::deque<T> items_;
  bool closed_ = false;
};

}  // namespace garrison
