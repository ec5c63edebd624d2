#include "storage/memory_vectors.h"

#include <algorithm>
#include <utility>

namespace garrison {
namespace {

constexpr std::uint64_t kMostShards = 16;
constexpr std::uint64_t kLeastShardBytes = 1 << 20;
// Key, list and map nodes, allocator: about.
constexpr std::uint64_t kEntryOverhead = 224;

std::uint64_t ShardsFor(std::uint64_t bytes) {
  return std::clamp<std::uint64_t>(bytes / kLeastShardBytes, 1, kMostShards);
}

}  // namespace

std::uint64_t MemoryVectors::BytesOf(std::size_t dimension) {
  return kEntryOverhead + sizeof(float) * dimension;
}

MemoryVectors::MemoryVectors(std::uint64_t bytes) : shard_bytes_(bytes / ShardsFor(bytes)) {
  for (std::uint64_t i = 0; i < ShardsFor(bytes); ++i) {
    shards_.push_back(std::make_unique<Shard>());
  }
}

MemoryVectors::Shard& MemoryVectors::ShardOf(const VectorKey& key) const {
  // Not the bytes that the map inside of the shard hashes by.
  return *shards_[std::to_integer<std::size_t>(key.back()) % shards_.size()];
}

void MemoryVectors::Remove(Shard& shard, std::list<Entry>::iterator entry) {
  shard.bytes -= BytesOf(entry->stored.vector.values.size());
  shard.places.erase(entry->key);
  shard.entries.erase(entry);
}

std::optional<CachedVector> MemoryVectors::Find(const VectorKey& key, UnixMs now) {
  Shard& shard = ShardOf(key);
  const std::lock_guard lock(shard.mutex);
  const auto found = shard.places.find(key);
  if (found == shard.places.end()) return std::nullopt;
  const auto entry = found->second;
  if (entry->stored.IsExpired(now)) {
    Remove(shard, entry);
    return std::nullopt;
  }
  shard.entries.splice(shard.entries.begin(), shard.entries, entry);
  return entry->stored.vector;
}

void MemoryVectors::Store(const VectorKey& key, StoredVector vector) {
  const std::uint64_t size = BytesOf(vector.vector.values.size());
  Shard& shard = ShardOf(key);
  const std::lock_guard lock(shard.mutex);
  if (const auto found = shard.places.find(key); found != shard.places.end()) {
    Remove(shard, found->second);
  }
  if (size > shard_bytes_) return;
  while (shard.bytes + size > shard_bytes_) {
    Remove(shard, std::prev(shard.entries.end()));
    ++shard.evictions;
  }
  shard.entries.push_front({key, std::move(vector)});
  shard.places.emplace(key, shard.entries.begin());
  shard.bytes += size;
}

MemoryVectorsStats MemoryVectors::stats() const {
  MemoryVectorsStats all;
  for (const auto& shard : shards_) {
    const std::lock_guard lock(shard->mutex);
    all.bytes += shard->bytes;
    all.entries += shard->entries.size();
    all.evictions += shard->evictions;
  }
  return all;
}

}  // namespace garrison
