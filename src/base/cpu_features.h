// Which instruction sets this machine has, and which one the kernels may use.
#pragma once

#include <string_view>

#include "base/result.h"

namespace garrison {

// Ordered on x86-64: each level includes the ones before it. kNeon is the one level of aarch64.
enum class Isa { kBaseline, kAvx2, kAvx512, kAvx512Vnni, kAmx, kNeon };

// "baseline", "avx2", "avx512", "avx512-vnni", "amx", "neon".
std::string_view IsaName(Isa isa);

// The best level of this machine that the operating system lets a process use.
Isa DetectIsa();

// `detected` unless `forced` (the value of GARRISON_ISA, may be empty) names a lower level.
// INVALID_ARGUMENT for an unknown name, FAILED_PRECONDITION for a level this machine lacks.
Result<Isa> ChooseIsa(std::string_view forced, Isa detected);

}  // namespace garrison
