// The cache of vectors: memory over a database, either of which may be missing.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/clock.h"
#include "base/log.h"
#include "core/settings.h"
#include "core/vector_cache.h"
#include "storage/database_vectors.h"
#include "storage/memory_vectors.h"

namespace garrison {

class TieredCache final : public VectorCache {
 public:
  // `clock` and `logger` must outlive it.
  TieredCache(const CacheSettings& settings, const DatabaseSettings& database, const Clock& clock,
              Logger& logger);

  std::vector<std::optional<CachedVector>> Find(std::span<const VectorKey> keys) override;
  void Store(std::vector<NewVector> vectors) override;
  bool KeepsTexts() const override { return keeps_texts_; }
  VectorCacheStats stats() const override;

  // As DatabaseVectors::Flush; true without a database.
  bool Flush(std::chrono::milliseconds time);

 private:
  UnixMs Now() const { return ToUnixMs(clock_.WallNow()); }

  const Clock& clock_;
  const UnixMs time_to_live_;  // 0: for ever
  const bool keeps_texts_;
  std::optional<MemoryVectors> memory_;
  std::unique_ptr<DatabaseVectors> database_;
  std::atomic<std::uint64_t> memory_hits_ = 0;
  std::atomic<std::uint64_t> database_hits_ = 0;
  std::atomic<std::uint64_t> misses_ = 0;
};

// The database that the settings name: a URL, a file, or empty.
std::string CachePlace(const CacheSettings& settings, const DatabaseSettings& database);
// Null when the settings want neither tier.
std::unique_ptr<TieredCache> MakeVectorCache(const CacheSettings& settings,
                                             const DatabaseSettings& database, const Clock& clock,
                                             Logger& logger);

}  // namespace garrison
