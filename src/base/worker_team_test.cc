#include "base/worker_team.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

namespace garrison {
namespace {

TEST(WorkerTeam, RunsEveryIndexOnce) {
  // Spinning and sleeping at once.
  for (const auto& [threads, cpus] : {std::pair{1UL, 1.0}, std::pair{2UL, 2.0}, std::pair{2UL, 0.5},
                                      std::pair{5UL, 5.0}, std::pair{5UL, 2.0}}) {
    WorkerTeam team(threads, cpus);
    for (std::size_t round = 0; round < 2000; ++round) {
      const std::size_t count = round % 17;
      std::vector<std::atomic<int>> ran(count);
      team.Run(count, [&](std::size_t i) { ran[i].fetch_add(1); });
      for (const auto& times : ran) ASSERT_EQ(times.load(), 1);
    }
  }
}

TEST(WorkerTeam, SeveralCallersAtOnceAllFinish) {
  WorkerTeam team(3, 1.5);
  std::atomic<std::size_t> total{0};
  std::vector<std::thread> callers;
  for (int c = 0; c < 4; ++c) {
    callers.emplace_back([&] {
      for (int round = 0; round < 500; ++round) {
        team.Run(7, [&](std::size_t i) { total.fetch_add(i); });
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(total.load(), 4U * 500U * 21U);
}

TEST(WorkerTeam, TryRunDoesNothingWhileAnotherHasTheTeam) {
  WorkerTeam team(2, 2);
  std::atomic<bool> inside{false};
  std::atomic<bool> leave{false};
  std::thread owner([&] {
    team.Run(2, [&](std::size_t) {
      inside = true;
      while (!leave) std::this_thread::yield();
    });
  });
  while (!inside) std::this_thread::yield();
  std::atomic<int> ran{0};
  EXPECT_FALSE(team.TryRun(3, [&](std::size_t) { ++ran; }));
  EXPECT_EQ(ran, 0);
  leave = true;
  owner.join();
  EXPECT_TRUE(team.TryRun(3, [&](std::size_t) { ++ran; }));
  EXPECT_EQ(ran, 3);
}

}  // namespace
}  // namespace garrison
