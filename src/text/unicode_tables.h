// Unicode as the reference tokenizer library sees it: its steps follow different versions of the
// standard, so the tables were measured on it (tools/unicode/make_tables.py).
#pragma once

#include <cstdint>
#include <span>

#include "text/unicode_data.h"

namespace garrison::tokenizers {

// The order is that of make_tables.py.
enum CharFlag : std::uint16_t {
  kBertRemoved = 1 << 0,
  kBertSpace = 1 << 1,
  kChinese = 1 << 2,      // BERT puts spaces around it
  kAccent = 1 << 3,       // BERT drops it after decomposition
  kSpace = 1 << 4,        // White_Space
  kPunct = 1 << 5,        // BERT's punctuation
  kLetter = 1 << 6,       // \p{L}
  kNumber = 1 << 7,       // \p{N}
  kWordChar = 1 << 8,     // \w
  kAbsorbed = 1 << 9,     // up to U+FFFF: no grapheme boundary before it
  kComposes = 1 << 10,    // NFC changes it, or it may join what stands before it
  kDecomposes = 1 << 11,  // NFD changes or moves it
  kReshapes = 1 << 12,  // NFKD changes or moves it
  kLowers = 1 << 13,      // has a lower case
  kCombines = 1 << 14,    // combining class other than 0
};

inline std::uint16_t CharFlags(std::uint32_t c) {
  using namespace unicode_data;
  return kFlags[(std::uint32_t{kFlagsIndex[c >> 7]} << 7) | (c & 127)];
}
inline bool Is(std::uint32_t c, unsigned flags) { return (CharFlags(c) & flags) != 0; }

inline std::uint8_t CombiningClass(std::uint32_t c) {
  using namespace unicode_data;
  return kClasses[(std::uint32_t{kClassesIndex[c >> 7]} << 7) | (c & 127)];
}

namespace table_internal {
inline std::span<const std::uint32_t> Sequence(std::uint16_t place) {
  return {unicode_data::kPool + place + 1, unicode_data::kPool[place]};
}
}  // namespace table_internal

// Full decomposition or lower case; empty when the code point stays as it is. Hangul syllables are
// not in the tables.
inline std::span<const std::uint32_t> Canonical(std::uint32_t c) {
  using namespace unicode_data;
  return table_internal::Sequence(
      kCanonical[(std::uint32_t{kCanonicalIndex[c >> 7]} << 7) | (c & 127)]);
}
inline std::span<const std::uint32_t> Compatible(std::uint32_t c) {
  using namespace unicode_data;
  return table_internal::Sequence(
      kCompatible[(std::uint32_t{kCompatibleIndex[c >> 7]} << 7) | (c & 127)]);
}
inline std::span<const std::uint32_t> Lower(std::uint32_t c) {
  using namespace unicode_data;
  return table_internal::Sequence(kLower[(std::uint32_t{kLowerIndex[c >> 7]} << 7) | (c & 127)]);
}

// The canonical composition of two code points, Hangul too; 0 if there is none.
std::uint32_t Compose(std::uint32_t first, std::uint32_t second);

inline constexpr std::uint32_t kHangulFirst = 0xAC00;
inline constexpr std::uint32_t kHangulCount = 11172;

inline bool IsHangulSyllable(std::uint32_t c) { return c - kHangulFirst < kHangulCount; }

}  // namespace garrison::tokenizers
