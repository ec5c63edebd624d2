#include "storage/tiered_cache.h"

#include <utility>

namespace garrison {
namespace {
constexpr UnixMs kSecond = 1000;
}

std::string CachePlace(const CacheSettings& settings, const DatabaseSettings& database) {
  return database.url.empty() ? settings.file : database.url;
}

std::unique_ptr<TieredCache> MakeVectorCache(const CacheSettings& settings,
                                             const DatabaseSettings& database, const Clock& clock,
                                             Logger& logger) {
  if (settings.memory_bytes == 0 && CachePlace(settings, database).empty()) return nullptr;
  return std::make_unique<TieredCache>(settings, database, clock, logger);
}

TieredCache::TieredCache(const CacheSettings& settings, const DatabaseSettings& database,
                         const Clock& clock, Logger& logger)
    : clock_(clock),
      time_to_live_(settings.ttl_s * kSecond),
      keeps_texts_(settings.keep_text == "on" && !CachePlace(settings, database).empty()) {
  if (settings.memory_bytes > 0) {
    memory_.emplace(static_cast<std::uint64_t>(settings.memory_bytes));
  }
  if (const std::string place = CachePlace(settings, database); !place.empty()) {
    database_ = std::make_unique<DatabaseVectors>(
        DatabaseVectorsOptions{.place = place,
                               .bytes = static_cast<std::uint64_t>(settings.bytes),
                               .time_to_live = std::chrono::seconds(settings.ttl_s),
                               .precision = settings.precision == "f16" ? VectorPrecision::kFloat16
                                                                        : VectorPrecision::kFloat32,
                               .keep_text = keeps_texts_},
        clock, logger);
  }
}

std::vector<std::optional<CachedVector>> TieredCache::Find(std::span<const VectorKey> keys) {
  std::vector<std::optional<CachedVector>> found(keys.size());
  std::vector<VectorKey> used, missing;
  std::vector<std::size_t> missing_places;
  const UnixMs now = Now();
  for (std::size_t i = 0; i < keys.size(); ++i) {
    if (memory_) found[i] = memory_->Find(keys[i], now);
    if (found[i]) {
      used.push_back(keys[i]);
    } else {
      missing.push_back(keys[i]);
      missing_places.push_back(i);
    }
  }
  memory_hits_ += used.size();
  if (database_ != nullptr && !missing.empty()) {
    std::vector<std::optional<StoredVector>> read = database_->Find(missing);
    for (std::size_t i = 0; i < read.size(); ++i) {
      if (!read[i]) continue;
      used.push_back(missing[i]);
      if (memory_) memory_->Store(missing[i], *read[i]);
      found[missing_places[i]] = std::move(read[i]->vector);
    }
  }
  database_hits_ += used.size() + missing.size() - keys.size();
  misses_ += keys.size() - used.size();
  if (database_ != nullptr && !used.empty()) database_->Use(used);
  return found;
}

void TieredCache::Store(std::vector<NewVector> vectors) {
  if (database_ != nullptr) database_->Store(vectors);
  if (!memory_) return;
  const UnixMs expires = time_to_live_ == 0 ? 0 : Now() + time_to_live_;
  for (NewVector& vector : vectors) {
    memory_->Store(vector.key, {std::move(vector.vector), expires});
  }
}

bool TieredCache::Flush(std::chrono::milliseconds time) {
  return database_ == nullptr || database_->Flush(time);
}

VectorCacheStats TieredCache::stats() const {
  VectorCacheStats stats;
  stats.memory_hits = memory_hits_;
  stats.database_hits = database_hits_;
  stats.misses = misses_;
  if (memory_) {
    const MemoryVectorsStats memory = memory_->stats();
    stats.memory_bytes = memory.bytes;
    stats.memory_entries = memory.entries;
    stats.evictions = memory.evictions;
  }
  if (database_ != nullptr) {
    const DatabaseVectorsStats database = database_->stats();
    stats.errors = database.errors;
    stats.damaged = database.damaged;
    stats.dropped = database.dropped;
    stats.evictions += database.evictions;
    stats.database_bytes = database.totals.bytes;
    stats.database_entries = database.totals.entries;
    stats.database_answers = database.answers;
  }
  return stats;
}

}  // namespace garrison
