#include "engine/workspace_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

namespace garrison {
namespace {

using std::chrono::milliseconds;

TEST(WorkspacePool, KeepsWhatWasInUseAtOnce) {
  WorkspacePool pool(2, std::chrono::hours(1));
  auto first = pool.Take();
  auto second = pool.Take();
  first->hidden.Reserve(1000);
  second->hidden.Reserve(500);
  const EncoderWorkspace* const kept = second.get();
  pool.Return(std::move(first));
  pool.Return(std::move(second));
  EXPECT_EQ(pool.bytes(), 1500 * sizeof(float));
  EXPECT_EQ(pool.Take().get(), kept);
}

TEST(WorkspacePool, GivesMemoryBackWhenIdleAndGoesOn) {
  WorkspacePool pool(1, milliseconds(20));
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  for (int round = 0; round < 3; ++round) {
    auto workspace = pool.Take();
    EXPECT_EQ(workspace->bytes(), 0U);
    workspace->hidden.Reserve(1 << 20);
    pool.Return(std::move(workspace));
    while (pool.bytes() > 0 && std::chrono::steady_clock::now() < deadline) {
      std::this_thread::yield();
    }
    ASSERT_EQ(pool.bytes(), 0U);
  }
}

TEST(WorkspacePool, LendsNoMoreThanItsLimitAndServesInOrder) {
  constexpr std::size_t kLimit = 3;
  WorkspacePool pool(kLimit, std::chrono::hours(1));
  std::atomic<std::size_t> lent{0};
  std::atomic<std::size_t> most{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 200; ++i) {
        auto workspace = pool.Take();
        const std::size_t now = ++lent;
        for (std::size_t seen = most; now > seen && !most.compare_exchange_weak(seen, now);) {
        }
        std::this_thread::yield();
        --lent;
        pool.Return(std::move(workspace));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(most, kLimit);
}

// Otherwise a thread with much to do would take its workspace back before a waiter woke.
TEST(WorkspacePool, AWaiterComesBeforeTheNextTakeOfTheOneItWaitsFor) {
  WorkspacePool pool(1, std::chrono::hours(1));
  auto mine = pool.Take();
  std::atomic<bool> served{false};
  std::thread waiter([&] {
    auto theirs = pool.Take();
    served = true;
    pool.Return(std::move(theirs));
  });
  while (pool.waiting() == 0) std::this_thread::yield();
  pool.Return(std::move(mine));
  mine = pool.Take();
  EXPECT_TRUE(served);
  waiter.join();
  pool.Return(std::move(mine));
}

}  // namespace
}  // namespace garrison
