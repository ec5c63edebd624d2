// The port for keeping vectors, so that the same text need not be embedded, or paid, twice.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/hash.h"

namespace garrison {

// SHA-256 over everything that decides a vector: docs/formats/cache.md.
using VectorKey = Sha256Digest;

struct VectorKeyHash {
  // Any eight bytes of a SHA-256 are as good a hash as others.
  std::size_t operator()(const VectorKey& key) const {
    std::size_t hash = 0;
    std::memcpy(&hash, key.data(), sizeof(hash));
    return hash;
  }
};

struct CachedVector {
  std::vector<float> values;
  // As Embeddings has them for its input.
  std::size_t tokens = 0;
  std::size_t total_tokens = 0;

  bool operator==(const CachedVector&) const = default;
};

struct NewVector {
  VectorKey key{};
  // For people and for statistics: "PROVIDER/MODEL/REVISION".
  std::string model;
  // Kept only where the operator asked for it; empty for token ids.
  std::string text;
  CachedVector vector;
};

// Since the start of this process, but for what is held.
struct VectorCacheStats {
  std::uint64_t memory_hits = 0;
  std::uint64_t database_hits = 0;
  std::uint64_t misses = 0;
  std::uint64_t evictions = 0;  // to make room, in both tiers
  std::uint64_t errors = 0;     // calls of the database that failed
  std::uint64_t damaged = 0;    // rows that were not what had been written
  std::uint64_t dropped = 0;    // vectors that were not kept: the database was away or too slow
  std::uint64_t memory_bytes = 0;
  std::uint64_t memory_entries = 0;
  // As of the last time they were counted.
  std::uint64_t database_bytes = 0;
  std::uint64_t database_entries = 0;
  bool database_answers = false;
};

// Thread-safe. Never fails: what cannot be read is not there, what cannot be kept is not kept.
class VectorCache {
 public:
  virtual ~VectorCache() = default;
  // One for each key, in their order.
  virtual std::vector<std::optional<CachedVector>> Find(std::span<const VectorKey> keys) = 0;
  // Found from now on; on disk some time later.
  virtual void Store(std::vector<NewVector> vectors) = 0;
  // Whether texts are worth handing over.
  virtual bool KeepsTexts() const = 0;
  virtual VectorCacheStats stats() const = 0;
};

}  // namespace garrison
