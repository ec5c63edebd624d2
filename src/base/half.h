// 16-bit floating point (IEEE 754 binary16), for keeping vectors in half the room.
#pragma once

#include <cstdint>

namespace garrison {

// The nearest half, ties to even; infinite from 65520 up.
std::uint16_t HalfOf(float value);
// Exact.
float FloatOfHalf(std::uint16_t half);

}  // namespace garrison
