// Times what the budget adds to a paid call: admission and settlement, as many callers at once do
// it; and with them the mark that it leaves, which only a call has that waited for its turn.
//
//   garrison_ledger_bench [postgres://...]    without: SQLite in the present folder, whose disk
//                                             every commit waits for; then in memory, which shows
//                                             what is not the disk's time
#include <fmt/core.h>
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "base/check.h"
#include "gateway/budget.h"
#include "storage/database_ledger.h"

namespace garrison {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds kTime{5};

double CpuSeconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

double Milliseconds(Clock::duration time) {
  return std::chrono::duration<double, std::milli>(time).count();
}

Budget::Counts Run(Budget& budget, std::size_t callers, bool waits, std::vector<double>& times) {
  std::vector<std::vector<double>> each(callers);
  {
    std::vector<std::jthread> threads;
    const Clock::time_point end = Clock::now() + kTime;
    for (std::size_t t = 0; t < callers; ++t) {
      threads.emplace_back([&, t] {
        const RequestContext context{.id = fmt::format("caller-{}", t), .client = "bench"};
        const AttemptBound bound{.provider = "openai",
                                 .model = "gpt-4o-mini",
                                 .kind = "chat",
                                 .tokens = 1000,
                                 .messages = 2,
                                 .output_tokens = 100,
                                 .leaves = !waits};
        while (Clock::now() < end) {
          const Clock::time_point begin = Clock::now();
          const Result<std::uint64_t> ticket = budget.Admit(bound, context);
          CHECK(ticket.has_value());
          if (waits) CHECK(budget.MarkSent(*ticket).has_value());
          // Here the vendor would be asked.
          budget.Settle(*ticket, {.tokens = {}, .chat = ChatUsage{.input = 300, .output = 80}});
          each[t].push_back(Milliseconds(Clock::now() - begin));
        }
      });
    }
  }
  for (const std::vector<double>& some : each) times.insert(times.end(), some.begin(), some.end());
  return budget.counts();
}

void Measure(const std::string& place, bool waits) {
  const SystemClock clock;
  const std::unique_ptr<Logger> logger = MakeStderrLogger(LogLevel::kWarning);
  BudgetSettings settings;
  settings.month_usd = settings.day_usd = settings.hour_usd = "1000000";
  std::atomic<std::uint64_t> id =
      static_cast<std::uint64_t>(std::chrono::system_clock::now().time_since_epoch().count());
  for (const std::size_t callers : {1, 16, 64}) {
    const BudgetRules rules = BudgetRules::Create(settings).value();
    DatabaseLedger ledger({.place = place}, WatchBudget(rules, *logger), clock, *logger);
    Budget budget(ledger, rules, PriceBook::BuiltIn(), {}, clock, *logger, [&id] { return ++id; });
    std::vector<double> times;
    const double cpu = CpuSeconds();
    const Budget::Counts counts = Run(budget, callers, waits, times);
    CHECK(ledger.Flush(std::chrono::seconds(30)));
    const double used = CpuSeconds() - cpu;
    std::sort(times.begin(), times.end());
    const auto calls = static_cast<double>(counts.settled);
    fmt::print(
        "{:>3} callers: {:>7.0f} calls/s, {:>5.1f} us CPU a call, {:>5.1f} operations a "
        "commit, p50 {:>6.2f} ms, p99 {:>6.2f} ms\n",
        callers, calls / std::chrono::duration<double>(kTime).count(), used / calls * 1e6,
        static_cast<double>(ledger.stats().operations) /
            static_cast<double>(ledger.stats().commits),
        times[times.size() / 2], times[times.size() * 99 / 100]);
  }
}

// SQLite in a new folder below `parent`.
void MeasureFolder(const std::string& parent, bool waits) {
  std::string folder = parent + "/garrison-ledger-XXXXXX";
  CHECK(mkdtemp(folder.data()) != nullptr);
  Measure(folder + "/ledger.db", waits);
  std::filesystem::remove_all(folder);
}

int Main(const std::string& database) {
  for (const bool waits : {false, true}) {
    fmt::print("{}\n", waits ? "waited for its turn: marked as it leaves" : "leaves at once");
    if (!database.empty()) {
      Measure(database, waits);
      continue;
    }
    MeasureFolder(".", waits);
    fmt::print("  in memory\n");
    MeasureFolder("/dev/shm", waits);
  }
  return 0;
}

}  // namespace
}  // namespace garrison

int main(int argc, char** argv) { return garrison::Main(argc > 1 ? argv[1] : ""); }
