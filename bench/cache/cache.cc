// Times the cache of vectors: a hit in memory and in the database, and taking over a file of them.
//
//   garrison_cache_bench [postgres://...]    without: SQLite in a temporary folder
#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <vector>

#include "base/check.h"
#include "gateway/vector_key.h"
#include "storage/tiered_cache.h"
#include "storage/vector_export.h"

namespace garrison {
namespace {

constexpr std::size_t kVectors = 100'000;
constexpr std::size_t kHot = 10'000;
constexpr std::size_t kLookups = 20'000;
constexpr std::size_t kDimension = 384;

using Clock = std::chrono::steady_clock;

double Microseconds(Clock::duration time) {
  return std::chrono::duration<double, std::micro>(time).count();
}

std::string TextOf(std::size_t i) {
  return fmt::format("text {}: how do I look after the tomato plants on my balcony in july", i);
}

void Print(const std::string& what, std::vector<double> times) {
  std::sort(times.begin(), times.end());
  fmt::print("{:<44} p50 {:>8.2f} us  p99 {:>8.2f} us\n", what, times[times.size() / 2],
             times[times.size() * 99 / 100]);
}

std::vector<NewVector> MakeVectors(const VectorKeyMaker& keys, std::size_t from, std::size_t to) {
  std::mt19937 random(static_cast<std::uint32_t>(from));
  std::vector<NewVector> vectors;
  for (std::size_t i = from; i < to; ++i) {
    NewVector& vector = vectors.emplace_back();
    vector.key = keys.KeyOf({}, TextOf(i));
    vector.model = keys.label();
    vector.vector.tokens = vector.vector.total_tokens = 20;
    for (std::size_t d = 0; d < kDimension; ++d) {
      vector.vector.values.push_back(static_cast<float>(random()) * 0x1p-32F);
    }
  }
  return vectors;
}

// Hits of random keys, one at a time, as a request for one text makes them: with the key's making.
void TimeHits(const std::string& what, TieredCache& cache, const VectorKeyMaker& keys,
              std::size_t known) {
  std::mt19937 random(1);
  std::vector<double> lookups, whole;
  for (std::size_t n = 0; n < kLookups + kLookups / 10; ++n) {
    const EmbedInput input = TextOf(random() % known);
    const auto begin = Clock::now();
    const VectorKey key = keys.KeyOf({}, input);
    const auto made = Clock::now();
    const auto found = cache.Find(std::span(&key, 1));
    const auto end = Clock::now();
    CHECK(found[0].has_value());
    if (n < kLookups / 10) continue;
    lookups.push_back(Microseconds(end - made));
    whole.push_back(Microseconds(end - begin));
  }
  Print(what, std::move(lookups));
  Print(what + ", with the key", std::move(whole));
}

void TimeImport(const std::string& place, const std::filesystem::path& folder) {
  const std::string file = (folder / "vectors.garrvec").string();
  VectorTable table = VectorTable::Open(place, {}).value();
  {
    std::ofstream out(file, std::ios::binary);
    const auto begin = Clock::now();
    const ExportCounts counts = ExportVectors(table, [&](std::string_view bytes) -> Result<> {
                                  out << bytes;
                                  return {};
                                }).value();
    fmt::print("{:<44} {:>8.2f} s\n", fmt::format("export of {} vectors", counts.vectors),
               Microseconds(Clock::now() - begin) / 1e6);
  }
  const bool postgres = place.starts_with("postgres");
  if (postgres) CHECK(table.RemoveModel("local/bench/r1").has_value());
  VectorTable other =
      postgres ? std::move(table) : VectorTable::Open((folder / "other.db").string(), {}).value();
  const auto begin = Clock::now();
  const ImportCounts counts = ImportVectors(file, other, 1).value();
  CHECK(counts.vectors == kVectors);
  fmt::print("{:<44} {:>8.2f} s\n",
             fmt::format("import of {} x {} vectors", counts.vectors, kDimension),
             Microseconds(Clock::now() - begin) / 1e6);
}

int Run(const std::string& url) {
  std::string name = (std::filesystem::temp_directory_path() / "garrison-bench-XXXXXX").string();
  CHECK(mkdtemp(name.data()) != nullptr);
  const std::filesystem::path folder = name;
  const SystemClock clock;
  const std::unique_ptr<Logger> logger = MakeStderrLogger(LogLevel::kWarning);
  const VectorKeyMaker keys(
      {.id = "bench", .revision = "r1", .dimension = kDimension, .compute = "cpu-f32-avx2"}, "c");
  CacheSettings settings;
  const DatabaseSettings none, database{url};
  const std::string place = url.empty() ? (folder / "vectors.db").string() : url;
  {
    TieredCache memory(settings, none, clock, *logger);
    memory.Store(MakeVectors(keys, 0, kHot));
    TimeHits("hit in memory", memory, keys, kHot);
  }
  {
    settings.memory_bytes = 0;
    if (url.empty()) settings.file = place;
    TieredCache kept(settings, database, clock, *logger);
    for (std::size_t i = 0; i < kVectors; i += kHot) {
      kept.Store(MakeVectors(keys, i, i + kHot));
      CHECK(kept.Flush(std::chrono::minutes(1)));
    }
    TimeHits(url.empty() ? "hit in SQLite" : "hit in PostgreSQL", kept, keys, kVectors);
  }
  TimeImport(place, folder);
  std::filesystem::remove_all(folder);
  return 0;
}

}  // namespace
}  // namespace garrison

int main(int argc, char** argv) { return garrison::Run(argc > 1 ? argv[1] : ""); }
