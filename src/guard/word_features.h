// What words a text has, as a sparse vector: the plain evidence that an embedding blurs. Words and
// pairs of neighbours, hashed into buckets; no vocabulary to keep.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace garrison {

inline constexpr std::uint32_t kWordBuckets = 1U << 14;

struct SparseValue {
  std::uint32_t index = 0;
  float value = 0;

  bool operator==(const SparseValue&) const = default;
};

// Each word (letters, digits and bytes beyond ASCII, without ASCII case, all digits alike) and each
// two in a row count once; the vector has length 1, or no entries for a text without words. Sorted
// by index, below kWordBuckets. Reads the first 64 KiB. The hash is part of every guard file: it
// never changes.
std::vector<SparseValue> WordFeatures(std::string_view text);

}  // namespace garrison
