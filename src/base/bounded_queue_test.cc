#include "base/bounded_queue.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <numeric>
#include <thread>
#include <vector>

namespace garrison {
namespace {

SteadyTime Past() { return std::chrono::steady_clock::now() - std::chrono::seconds(1); }
SteadyTime Later() { return std::chrono::steady_clock::now() + std::chrono::seconds(60); }

TEST(BoundedQueue, KeepsOrderAndRefusesMoreThanItsCapacity) {
  BoundedQueue<int> queue(2);
  int one = 1, two = 2, three = 3;
  EXPECT_EQ(queue.TryPush(one), QueueStatus::kOk);
  EXPECT_EQ(queue.TryPush(two), QueueStatus::kOk);
  EXPECT_EQ(queue.TryPush(three), QueueStatus::kFull);
  EXPECT_EQ(queue.Push(three, Past()), QueueStatus::kTimedOut);
  EXPECT_EQ(queue.Pop(), 1);
  EXPECT_EQ(queue.Push(three, Past()), QueueStatus::kOk);
  EXPECT_EQ(queue.Pop(), 2);
  EXPECT_EQ(queue.Pop(), 3);
  std::optional<int> none;
  EXPECT_EQ(queue.Pop(none, Past()), QueueStatus::kTimedOut);
  EXPECT_FALSE(none);
}

TEST(BoundedQueue, ARefusedValueStaysWithTheCaller) {
  BoundedQueue<std::unique_ptr<int>> queue(1);
  auto first = std::make_unique<int>(1);
  auto second = std::make_unique<int>(2);
  ASSERT_EQ(queue.TryPush(first), QueueStatus::kOk);
  ASSERT_EQ(queue.TryPush(second), QueueStatus::kFull);
  ASSERT_NE(second, nullptr);
  queue.Close();
  ASSERT_EQ(queue.TryPush(second), QueueStatus::kClosed);
  ASSERT_EQ(queue.Push(second, Later()), QueueStatus::kClosed);
  EXPECT_EQ(*second, 2);
}

TEST(BoundedQueue, CloseDeliversWhatWasAcceptedThenEnds) {
  BoundedQueue<int> queue(4);
  int value = 7;
  ASSERT_EQ(queue.TryPush(value), QueueStatus::kOk);
  queue.Close();
  EXPECT_EQ(queue.Pop(), 7);
  EXPECT_EQ(queue.Pop(), std::nullopt);
}

TEST(BoundedQueue, CloseWakesAWaitingConsumerAndProducer) {
  BoundedQueue<int> empty(1);
  std::thread consumer([&] { EXPECT_EQ(empty.Pop(), std::nullopt); });
  BoundedQueue<int> full(1);
  int one = 1;
  ASSERT_EQ(full.TryPush(one), QueueStatus::kOk);
  std::thread producer([&] {
    int two = 2;
    EXPECT_EQ(full.Push(two, Later()), QueueStatus::kClosed);
  });
  empty.Close();
  full.Close();
  consumer.join();
  producer.join();
}

TEST(BoundedQueue, LosesNothingBetweenManyThreads) {
  constexpr int kProducers = 4, kConsumers = 3, kEach = 2000;
  BoundedQueue<int> queue(8);
  std::atomic<long> sum = 0;
  std::vector<std::thread> consumers, producers;
  for (int i = 0; i < kConsumers; ++i) {
    consumers.emplace_back([&] {
      while (auto value = queue.Pop()) sum += *value;
    });
  }
  for (int i = 0; i < kProducers; ++i) {
    producers.emplace_back([&] {
      for (int value = 1; value <= kEach; ++value) {
        int copy = value;
        EXPECT_EQ(queue.Push(copy, Later()), QueueStatus::kOk);
      }
    });
  }
  for (auto& thread : producers) thread.join();
  queue.Close();
  for (auto& thread : consumers) thread.join();
  EXPECT_EQ(sum.load(), static_cast<long>(kProducers) * kEach * (kEach + 1) / 2);
}

}  // namespace
}  // namespace garrison
