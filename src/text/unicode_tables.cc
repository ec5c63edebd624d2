#include "text/unicode_tables.h"

#include <algorithm>

namespace garrison::tokenizers {

std::uint32_t Compose(std::uint32_t first, std::uint32_t second) {
  using namespace unicode_data;
  constexpr std::uint32_t kLeading = 0x1100, kLeadingCount = 19;
  constexpr std::uint32_t kVowel = 0x1161, kVowelCount = 21;
  constexpr std::uint32_t kTrailing = 0x11A7, kTrailingCount = 28;
  if (first - kLeading < kLeadingCount && second - kVowel < kVowelCount) {
    return kHangulFirst + ((first - kLeading) * kVowelCount + (second - kVowel)) * kTrailingCount;
  }
  if (IsHangulSyllable(first) && (first - kHangulFirst) % kTrailingCount == 0 &&
      second > kTrailing && second - kTrailing < kTrailingCount) {
    return first + (second - kTrailing);
  }
  const std::uint64_t key = (std::uint64_t{first} << 42) | (std::uint64_t{second} << 21);
  const auto* end = kCompositions + kCompositionCount;
  const auto* found = std::lower_bound(kCompositions, end, key);
  if (found == end || (*found >> 21) != (key >> 21)) return 0;
  return static_cast<std::uint32_t>(*found & 0x1FFFFF);
}

}  // namespace garrison::tokenizers
