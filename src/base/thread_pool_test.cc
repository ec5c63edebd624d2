#include "base/thread_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <latch>

namespace garrison {
namespace {

TEST(ThreadPool, RunsEverythingItAcceptedBeforeItStops) {
  std::atomic<int> ran = 0;
  {
    ThreadPool pool(2, 100);
    for (int i = 0; i < 100; ++i) {
      while (!pool.Submit([&] { ++ran; })) std::this_thread::yield();
    }
  }
  EXPECT_EQ(ran.load(), 100);
}

TEST(ThreadPool, RefusesWhenItsQueueIsFullAndSaysWhenToRetry) {
  std::latch started(1), release(1);
  ThreadPool pool(1, 1);
  ASSERT_TRUE(pool.Submit([&] {
    started.count_down();
    release.wait();
  }));
  started.wait();
  ASSERT_TRUE(pool.Submit([] {}));
  const Result<> third = pool.Submit([] { ADD_FAILURE() << "a refused task must not run"; });
  ASSERT_FALSE(third);
  EXPECT_EQ(third.error().code, Code::kResourceExhausted);
  EXPECT_TRUE(third.error().retry_after.has_value());
  release.count_down();
}

TEST(ThreadPool, RefusesAfterStop) {
  ThreadPool pool(1, 1);
  pool.Stop();
  const Result<> late = pool.Submit([] {});
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code, Code::kUnavailable);
}

}  // namespace
}  // namespace garrison
