#include "base/cpu.h"

#include <gtest/gtest.h>
#include <sched.h>

#include <fstream>

#include "base/cpu_features.h"

namespace garrison {
namespace {

namespace fs = std::filesystem;

class CpuBudgetTest : public testing::Test {
 protected:
  void SetUp() override {
    root_ = fs::path(testing::TempDir()) /
            testing::UnitTest::GetInstance()->current_test_info()->name();
    fs::remove_all(root_);
    cpu_set_t set;
    ASSERT_EQ(sched_getaffinity(0, sizeof(set), &set), 0);
    affinity_ = static_cast<std::size_t>(CPU_COUNT(&set));
  }
  void TearDown() override { fs::remove_all(root_); }

  void Write(const std::string& path, const std::string& text) {
    fs::create_directories((root_ / path).parent_path());
    std::ofstream(root_ / path) << text;
  }

  fs::path root_;
  std::size_t affinity_ = 1;
};

TEST_F(CpuBudgetTest, WithoutCgroupsTheAffinityCounts) {
  const CpuBudget budget = ReadCpuBudget(root_);
  EXPECT_EQ(budget.allowed_cpus, affinity_);
  EXPECT_EQ(budget.threads, affinity_);
  EXPECT_EQ(budget.quota_cpus, 0);
}

TEST_F(CpuBudgetTest, TheTightestQuotaOfV2AndItsParentsCounts) {
  Write("proc/self/cgroup", "0::/pod/app\n");
  Write("sys/fs/cgroup/pod/app/cpu.max", "max 100000\n");
  Write("sys/fs/cgroup/pod/cpu.max", "50000 100000\n");
  Write("sys/fs/cgroup/cpu.max", "400000 100000\n");
  const CpuBudget budget = ReadCpuBudget(root_);
  EXPECT_DOUBLE_EQ(budget.quota_cpus, 0.5);
  EXPECT_EQ(budget.threads, 1u);
}

TEST_F(CpuBudgetTest, AContainersOwnMountCountsWhenThePathIsHidden) {
  Write("proc/self/cgroup", "0::/not/visible/here\n");
  Write("sys/fs/cgroup/cpu.max", "150000 100000\n");
  EXPECT_DOUBLE_EQ(ReadCpuBudget(root_).quota_cpus, 1.5);
  EXPECT_EQ(ReadCpuBudget(root_).threads, std::min<std::size_t>(2, affinity_));
}

TEST_F(CpuBudgetTest, ReadsV1) {
  Write("proc/self/cgroup", "5:cpu,cpuacct:/docker/abc\n4:memory:/docker/abc\n");
  Write("sys/fs/cgroup/cpu/docker/abc/cpu.cfs_quota_us", "100000\n");
  Write("sys/fs/cgroup/cpu/docker/abc/cpu.cfs_period_us", "100000\n");
  Write("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n");
  Write("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
  EXPECT_DOUBLE_EQ(ReadCpuBudget(root_).quota_cpus, 1.0);
}

TEST_F(CpuBudgetTest, NonsenseCountsAsNoQuota) {
  Write("proc/self/cgroup", "garbage\n::::\n0::/\n");
  for (const char* text : {"", "max", "-5 100000", "x y", "100000 0", "nan 1", "1e999 1"}) {
    Write("sys/fs/cgroup/cpu.max", text);
    EXPECT_EQ(ReadCpuBudget(root_).threads, affinity_) << text;
  }
}

TEST(Isa, AForcedLevelMustExistAndBeKnown) {
  EXPECT_EQ(ChooseIsa("", Isa::kAmx).value(), Isa::kAmx);
  EXPECT_EQ(ChooseIsa("avx2", Isa::kAvx512).value(), Isa::kAvx2);
  EXPECT_EQ(ChooseIsa("baseline", Isa::kNeon).value(), Isa::kBaseline);
  EXPECT_EQ(ChooseIsa("amx", Isa::kAvx2).error().code, Code::kFailedPrecondition);
  EXPECT_EQ(ChooseIsa("avx2", Isa::kNeon).error().code, Code::kFailedPrecondition);
  EXPECT_EQ(ChooseIsa("neon", Isa::kAmx).error().code, Code::kFailedPrecondition);
  EXPECT_EQ(ChooseIsa("sse9", Isa::kAmx).error().code, Code::kInvalidArgument);
}

TEST(Isa, TheDetectedLevelCanBeForced) {
  const Isa detected = DetectIsa();
  EXPECT_EQ(ChooseIsa(IsaName(detected), detected).value(), detected);
}

}  // namespace
}  // namespace garrison
