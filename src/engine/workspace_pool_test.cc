#include "engine/workspace_pool.h"

#include <gtest/gtest.h>

#include <thread>

namespace garrison {
namespace {

using std::chrono::milliseconds;

TEST(WorkspacePool, KeepsWhatWasInUseAtOnce) {
  WorkspacePool pool(std::chrono::hours(1));
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
  WorkspacePool pool(milliseconds(20));
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

}  // namespace
}  // namespace garrison
