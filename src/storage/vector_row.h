// One vector as the database and export files keep it: docs/formats/cache.md.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "core/vector_cache.h"

namespace garrison {

struct StoredVector {
  CachedVector vector;
  UnixMs expires_at = 0;  // 0: never

  bool IsExpired(UnixMs now) const { return expires_at != 0 && expires_at <= now; }
};

enum class VectorPrecision : std::uint8_t { kFloat32 = 1, kFloat16 = 2 };
std::string_view PrecisionName(VectorPrecision precision);  // "f32", "f16"

using RowChecksum = std::array<std::byte, 16>;

struct VectorRow {
  VectorKey key{};
  std::string model;
  VectorPrecision precision = VectorPrecision::kFloat32;
  std::uint64_t dimension = 0;
  std::vector<std::byte> blob;  // the numbers, little-endian
  std::uint64_t tokens = 0;
  std::uint64_t total_tokens = 0;
  UnixMs created_at = 0;
  UnixMs expires_at = 0;
  std::optional<std::string> text;

  bool operator==(const VectorRow&) const = default;

  // Of all but the text, which no look-up gives out.
  RowChecksum Checksum() const;
  // What it takes of cache.bytes: about what it takes on disk.
  std::uint64_t Bytes() const;
  // Empty when size and dimension do not fit together.
  std::optional<StoredVector> Decode() const;
};

// In the wanted precision, but f32 where a value is too large for f16. The times are the caller's.
VectorRow MakeRow(const NewVector& from, VectorPrecision wanted, bool keep_text);

}  // namespace garrison
