#include "base/cpu.h"

#include <sched.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <fstream>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>

namespace garrison {
namespace {

namespace fs = std::filesystem;

std::string ReadSmallFile(const fs::path& path) {
  std::ifstream file(path);
  std::string text(4096, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(std::max<std::streamsize>(file.gcount(), 0)));
  return text;
}

std::optional<double> ParseNumber(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(" \n");
  if (begin == std::string_view::npos) return std::nullopt;
  double value = 0;
  const auto [end, error] = std::from_chars(text.data() + begin, text.data() + text.size(), value);
  if (error != std::errc() || end == text.data() + begin) return std::nullopt;
  return value;
}

std::optional<double> Quota(std::string_view quota, std::string_view period) {
  const auto quota_us = ParseNumber(quota);
  const auto period_us = ParseNumber(period);
  if (!quota_us || !period_us || *quota_us <= 0 || *period_us <= 0) return std::nullopt;
  return *quota_us / *period_us;
}

// cpu.max of cgroup v2 is "QUOTA PERIOD" in microseconds, QUOTA may be "max".
std::optional<double> QuotaV2(const fs::path& group) {
  const std::string text = ReadSmallFile(group / "cpu.max");
  const std::size_t space = text.find(' ');
  if (space == std::string::npos) return std::nullopt;
  return Quota(std::string_view(text).substr(0, space), std::string_view(text).substr(space + 1));
}

std::optional<double> QuotaV1(const fs::path& group) {
  return Quota(ReadSmallFile(group / "cpu.cfs_quota_us"),
               ReadSmallFile(group / "cpu.cfs_period_us"));
}

// The tightest quota from `mount`/`group` up to `mount`. Inside a container the path in /proc may
// name a group that the mount does not show; then the mount itself is this process's group.
template <typename Read>
double TightestQuota(const fs::path& mount, fs::path group, Read read) {
  double tightest = 0;
  for (int depth = 0; depth < 64; ++depth) {
    if (const auto quota = read(mount / group)) {
      tightest = tightest == 0 ? *quota : std::min(tightest, *quota);
    }
    if (group.empty()) break;
    group = group.parent_path();
  }
  return tightest;
}

}  // namespace

CpuBudget ReadCpuBudget(const fs::path& root) {
  CpuBudget budget;
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof(set), &set) == 0) {
    budget.allowed_cpus = std::max<std::size_t>(1, static_cast<std::size_t>(CPU_COUNT(&set)));
  }

  std::istringstream groups(ReadSmallFile(root / "proc/self/cgroup"));
  // Lines are "ID:CONTROLLERS:/PATH"; v2 has ID 0 and no controllers.
  for (std::string line; std::getline(groups, line);) {
    const std::size_t first = line.find(':');
    const std::size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos || second + 1 >= line.size()) continue;
    const std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",";
    const fs::path path = fs::path(line.substr(second + 1)).relative_path();
    double quota = 0;
    if (controllers == ",,") {
      quota = TightestQuota(root / "sys/fs/cgroup", path, QuotaV2);
    } else if (controllers.find(",cpu,") != std::string::npos) {
      quota = TightestQuota(root / "sys/fs/cgroup/cpu", path, QuotaV1);
    }
    if (quota > 0) {
      budget.quota_cpus = budget.quota_cpus == 0 ? quota : std::min(budget.quota_cpus, quota);
    }
  }

  budget.threads = budget.allowed_cpus;
  if (budget.quota_cpus > 0) {
    const auto by_quota = static_cast<std::size_t>(std::ceil(std::min(budget.quota_cpus, 4096.0)));
    budget.threads = std::clamp<std::size_t>(by_quota, 1, budget.allowed_cpus);
  }
  return budget;
}

}  // namespace garrison
