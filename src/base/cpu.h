// How many processors this process may really use.
#pragma once

#include <cstddef>
#include <filesystem>

namespace garrison {

struct CpuBudget {
  std::size_t allowed_cpus = 1;  // processors in the scheduling affinity (cpuset)
  double quota_cpus = 0;         // cgroup v1/v2 CPU quota in processors; 0: no quota
  // Processors in all, possibly less than one.
  double cpus() const {
    const auto allowed = static_cast<double>(allowed_cpus);
    return quota_cpus > 0 && quota_cpus < allowed ? quota_cpus : allowed;
  }
  std::size_t threads = 1;  // what a compute pool should use: min of both, rounded up, at least 1
};

// Reads the affinity of the calling process and the quotas of its cgroup and every parent.
// `root` is prefixed to /proc and /sys, for tests; unreadable files count as no quota.
CpuBudget ReadCpuBudget(const std::filesystem::path& root = "/");

}  // namespace garrison
