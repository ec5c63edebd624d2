// Vectors in memory: the most recently used ones, up to a number of bytes.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <vector>

#include "storage/vector_row.h"

namespace garrison {

struct MemoryVectorsStats {
  std::uint64_t bytes = 0;
  std::uint64_t entries = 0;
  std::uint64_t evictions = 0;
};

// Thread-safe. Cut into shards by key, each with its own lock and its share of the bytes, so that
// requests seldom wait for one another; a vector larger than a share is not kept.
class MemoryVectors {
 public:
  explicit MemoryVectors(std::uint64_t bytes);

  // What is found counts as just used; what has expired is removed.
  std::optional<CachedVector> Find(const VectorKey& key, UnixMs now);
  void Store(const VectorKey& key, StoredVector vector);
  MemoryVectorsStats stats() const;

  // What one vector of this dimension takes, with its place in the index.
  static std::uint64_t BytesOf(std::size_t dimension);

 private:
  struct Entry {
    VectorKey key;
    StoredVector stored;
  };
  struct Shard {
    mutable std::mutex mutex;
    // Guarded by mutex. The most recently used first.
    std::list<Entry> entries;
    std::unordered_map<VectorKey, std::list<Entry>::iterator, VectorKeyHash> places;
    std::uint64_t bytes = 0;
    std::uint64_t evictions = 0;
  };

  Shard& ShardOf(const VectorKey& key) const;
  static void Remove(Shard& shard, std::list<Entry>::iterator entry);

  const std::uint64_t shard_bytes_;
  std::vector<std::unique_ptr<Shard>> shards_;  // constant; each has its own lock
};

}  // namespace garrison
