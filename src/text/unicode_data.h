// The arrays of unicode_data.cc; read them through unicode_tables.h. Two stages: the index gives a
// block of 128 code points. Maps give a place in kPool: a length and so many code points.
#pragma once

#include <cstddef>
#include <cstdint>

namespace garrison::unicode_data {

extern const std::uint8_t kFlagsIndex[8704];
extern const std::uint16_t kFlags[];
extern const std::uint8_t kClassesIndex[8704];
extern const std::uint8_t kClasses[];
extern const std::uint8_t kCanonicalIndex[8704];
extern const std::uint16_t kCanonical[];
extern const std::uint8_t kCompatibleIndex[8704];
extern const std::uint16_t kCompatible[];
extern const std::uint8_t kLowerIndex[8704];
extern const std::uint16_t kLower[];
extern const std::uint32_t kPool[];
// first << 42 | second << 21 | composed, in order.
extern const std::uint64_t kCompositions[];
extern const std::size_t kCompositionCount;

}  // namespace garrison::unicode_data
