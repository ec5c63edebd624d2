// Vectors in a database: read by the requests themselves, written by one thread in groups.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/log.h"
#include "core/vector_cache.h"
#include "storage/health.h"
#include "storage/vector_row.h"
#include "storage/vector_table.h"

namespace garrison {

struct DatabaseVectorsOptions {
  std::string place;                     // a file, or a postgres:// URL
  std::uint64_t bytes = 0;               // of rows; the least recently used go first
  std::chrono::seconds time_to_live{0};  // 0: for ever
  VectorPrecision precision = VectorPrecision::kFloat32;
  bool keep_text = false;
  // From the first vector to the commit; more of them come together meanwhile.
  std::chrono::milliseconds linger{20};
};

struct DatabaseVectorsStats {
  std::uint64_t errors = 0;
  std::uint64_t damaged = 0;
  std::uint64_t dropped = 0;
  std::uint64_t evictions = 0;
  VectorTotals totals;  // as of the last count
  bool answers = false;
};

// Thread-safe. Never fails and never waits long: a database that does not answer is left alone for
// a while, and what was to be written meanwhile is kept up to kMostPendingBytes.
class DatabaseVectors {
 public:
  // `clock` and `logger` must outlive it. The destructor writes what is pending: begins no
  // statement after a second, and none when the last one failed.
  DatabaseVectors(DatabaseVectorsOptions options, const Clock& clock, Logger& logger);
  ~DatabaseVectors();
  DatabaseVectors(const DatabaseVectors&) = delete;
  DatabaseVectors& operator=(const DatabaseVectors&) = delete;

  // One for each key. Rows that are not what was written are removed.
  std::vector<std::optional<StoredVector>> Find(std::span<const VectorKey> keys);
  void Store(const std::vector<NewVector>& vectors);
  // These were used once more.
  void Use(std::span<const VectorKey> keys);

  // Waits until all that was handed over before is committed. False when it was not in time.
  bool Flush(std::chrono::milliseconds time);

  DatabaseVectorsStats stats() const;

  static constexpr std::uint64_t kMostPendingBytes = 64 << 20;

 private:
  struct Pending {
    std::unordered_map<VectorKey, VectorRow, VectorKeyHash> rows;
    std::uint64_t row_bytes = 0;
    std::unordered_map<VectorKey, VectorUse, VectorKeyHash> uses;
    std::vector<VectorKey> damaged;

    bool empty() const { return rows.empty() && uses.empty() && damaged.empty(); }
  };

  std::optional<VectorTable> TakeReader();
  void GiveReader(VectorTable table);
  void DropReaders();

  void WriteLoop();
  bool WaitForWork(std::unique_lock<std::mutex>& lock);
  Result<> WriteGroup(Pending& group);
  Result<> KeepHouse();
  void PutBack(Pending group);

  UnixMs Now() const { return ToUnixMs(clock_.WallNow()); }

  const DatabaseVectorsOptions options_;
  const Clock& clock_;
  const SystemClock steady_;  // of threads that wait for real
  Health reading_;
  Health writing_;

  mutable std::mutex readers_mutex_;
  std::condition_variable reader_free_;
  // Guarded by readers_mutex_.
  std::vector<VectorTable> readers_;
  std::size_t readers_open_ = 0;

  mutable std::mutex mutex_;
  std::condition_variable work_;
  std::condition_variable idle_;
  // Guarded by mutex_.
  Pending pending_;
  bool busy_ = false;
  bool hurry_ = false;
  bool closing_ = false;
  SteadyTime closing_end_;
  SteadyTime uses_due_;
  DatabaseVectorsStats stats_;

  // Of the writer's thread alone.
  std::optional<VectorTable> writer_table_;
  std::uint64_t estimated_bytes_ = 0;
  SteadyTime house_due_;
  bool wrote_ = false;

  std::thread writer_;
};

}  // namespace garrison
