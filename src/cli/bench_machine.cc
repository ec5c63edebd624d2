// garrison bench --memory and --limits: what a model takes, and what the machine can give.
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <ctime>
#include <thread>

#include "base/mapped_file.h"
#include "cli/bench.h"
#include "core/json.h"
#include "engine/machine_limits.h"
#include "engine/models.h"

namespace garrison {
namespace {

constexpr std::size_t kMaxProcFile = 1 << 20;
constexpr std::int64_t kIdleMs = 200;
constexpr double kMega = 1e6;

using SteadyClock = std::chrono::steady_clock;

double MillisecondsSince(SteadyClock::time_point start) {
  return std::chrono::duration<double, std::milli>(SteadyClock::now() - start).count();
}

// This process's age: field 22 of /proc/self/stat is its start in clock ticks since boot.
Result<double> AgeMs() {
  ASSIGN_OR_RETURN(const std::string stat, ReadTextFile("/proc/self/stat", kMaxProcFile));
  std::size_t at = stat.rfind(')');  // the second field may hold anything
  for (int field = 2; field < 22 && at != std::string::npos; ++field) at = stat.find(' ', at + 1);
  long long ticks = 0;
  if (at == std::string::npos ||
      std::from_chars(stat.data() + at + 1, stat.data() + stat.size(), ticks).ec != std::errc()) {
    return Fail(Code::kInternal, "/proc/self/stat is not as expected");
  }
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  const double seconds = static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
  return 1000 * (seconds - static_cast<double>(ticks) / static_cast<double>(sysconf(_SC_CLK_TCK)));
}

// A line of /proc/self/status, "VmRSS:  1234 kB", in megabytes.
Result<double> StatusMb(std::string_view name) {
  ASSIGN_OR_RETURN(const std::string status, ReadTextFile("/proc/self/status", kMaxProcFile));
  const std::size_t line = status.find(std::string(name) + ":");
  if (line == std::string::npos) {
    return Fail(Code::kUnimplemented, "this system's /proc/self/status has no {}", name);
  }
  const std::size_t digits = status.find_first_of("0123456789", line);
  double kilobytes = 0;
  std::from_chars(status.data() + digits, status.data() + status.size(), kilobytes);
  return kilobytes * 1024 / kMega;
}

Result<> Print(CommandContext& context, const nlohmann::ordered_json& fields, bool json) {
  std::ostream& out = context.environment.out;
  if (json) {
    out << DumpJson(fields) << "\n";
    return CheckOutput(out);
  }
  for (const auto& [name, value] : fields.items()) {
    out << fmt::format(
        "{:<20} {}\n", name,
        value.is_number_float()
            ? fmt::format("{:10.1f}", value.get<double>())
            : fmt::format("{:>10}", value.is_string() ? value.get<std::string>() : value.dump()));
  }
  return CheckOutput(out);
}

}  // namespace

Result<> BenchMemory(CommandContext& context, Settings settings, bool json) {
  settings.engine.idle_ms = kIdleMs;
  const LongInput long_input = LongInputOf(settings.engine);
  const auto start = SteadyClock::now();
  ASSIGN_OR_RETURN(const AnyModel model, OpenAnyModel(context, settings.engine));
  const double load_ms = MillisecondsSince(start);
  const std::size_t most = model.info().max_tokens;
  const auto tokens = [&](std::size_t n) { return most == 0 ? n : std::min(n, most); };
  ASSIGN_OR_RETURN(const auto one, MakeRun(model, long_input, {1, tokens(16), tokens(16)}));
  ASSIGN_OR_RETURN(const double first_ms, AgeMs());
  ASSIGN_OR_RETURN(const double resident, StatusMb("VmRSS"));
  ASSIGN_OR_RETURN(const double anonymous, StatusMb("RssAnon"));
  ASSIGN_OR_RETURN(const double loaded_peak, StatusMb("VmHWM"));
  ASSIGN_OR_RETURN(const auto many, MakeRun(model, long_input, {32, tokens(128), tokens(128)}));
  RETURN_IF_ERROR(many());
  ASSIGN_OR_RETURN(const double busy, StatusMb("VmRSS"));
  ASSIGN_OR_RETURN(const double peak, StatusMb("VmHWM"));
  std::this_thread::sleep_for(std::chrono::milliseconds(3 * kIdleMs));
  ASSIGN_OR_RETURN(const double idle, StatusMb("VmRSS"));
  return Print(context,
               {{"model", model.info().id},
                {"compute", model.info().compute},
                {"load_ms", load_ms},
                {"first_result_ms", first_ms},  // from the process's start, 1x16
                {"resident_mb", resident},      // after it
                {"private_mb", anonymous},      // the rest is files: mapped, shared
                {"loaded_peak_mb", loaded_peak},
                {"busy_mb", busy},  // after 32x128
                {"peak_mb", peak},
                {"working_limit_mb", static_cast<double>(model.info().working_bytes) / kMega},
                {"idle_mb", idle}},
               json);
}

Result<> BenchLimits(CommandContext& context, bool json) {
  ASSIGN_OR_RETURN(const Isa isa, ActiveIsa());
  const MachineLimits limits = MeasureLimits(isa);
  return Print(context,
               {{"isa", IsaName(isa)},
                {"threads", 1},
                {"f32_gflops", limits.f32_gflops},
                {"bf16_gflops", limits.bf16_gflops},
                {"int8_gops", limits.int8_gops},
                {"l2_gb_s", limits.l2_gb_s},
                {"l3_gb_s", limits.l3_gb_s},
                {"memory_gb_s", limits.memory_gb_s}},
               json);
}

}  // namespace garrison
