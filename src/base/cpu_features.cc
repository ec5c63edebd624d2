#include "base/cpu_features.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include <array>

namespace garrison {
namespace {

struct NamedIsa {
  Isa isa;
  std::string_view name;
};
constexpr std::array kIsas = {
    NamedIsa{Isa::kBaseline, "baseline"}, NamedIsa{Isa::kAvx2, "avx2"},
    NamedIsa{Isa::kAvx512, "avx512"},     NamedIsa{Isa::kAvx512Vnni, "avx512-vnni"},
    NamedIsa{Isa::kAmx, "amx"},           NamedIsa{Isa::kNeon, "neon"},
};

#if defined(__x86_64__)
// Linux hands out the AMX tile state only to a process that asks for it (arch_prctl
// ARCH_REQ_XCOMP_PERM, feature 18 = XTILEDATA).
bool RequestAmxPermission() {
  constexpr long kArchReqXcompPerm = 0x1023;
  constexpr long kXtileData = 18;
  return syscall(SYS_arch_prctl, kArchReqXcompPerm, kXtileData) == 0;
}

bool HasAmxInt8AndBf16() {
  unsigned int eax = 0, ebx = 0, ecx = 0, edx = 0;
  if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) == 0) return false;
  constexpr unsigned int kBf16 = 1u << 22, kTile = 1u << 24, kInt8 = 1u << 25;
  return (edx & kBf16) != 0 && (edx & kTile) != 0 && (edx & kInt8) != 0;
}
#endif

}  // namespace

std::string_view IsaName(Isa isa) {
  for (const NamedIsa& known : kIsas) {
    if (known.isa == isa) return known.name;
  }
  return "unknown";
}

Isa DetectIsa() {
#if defined(__x86_64__)
  // __builtin_cpu_supports also asks XGETBV whether the operating system saves the registers.
  __builtin_cpu_init();
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return Isa::kBaseline;
  if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") ||
      !__builtin_cpu_supports("avx512vl") || !__builtin_cpu_supports("avx512dq")) {
    return Isa::kAvx2;
  }
  if (!__builtin_cpu_supports("avx512vnni")) return Isa::kAvx512;
  return HasAmxInt8AndBf16() && RequestAmxPermission() ? Isa::kAmx : Isa::kAvx512Vnni;
#elif defined(__aarch64__)
  return Isa::kNeon;
#else
  return Isa::kBaseline;
#endif
}

Result<Isa> ChooseIsa(std::string_view forced, Isa detected) {
  if (forced.empty()) return detected;
  for (const NamedIsa& known : kIsas) {
    if (known.name != forced) continue;
    const bool available = known.isa == detected || known.isa == Isa::kBaseline ||
                           (detected != Isa::kNeon && known.isa < detected);
    if (available) return known.isa;
    return FailAt("GARRISON_ISA", Code::kFailedPrecondition,
                  "this machine has {}, not {}; unset it or name a lower level", IsaName(detected),
                  forced);
  }
  return FailAt("GARRISON_ISA", Code::kInvalidArgument,
                "expected baseline, avx2, avx512, avx512-vnni, amx or neon, got \"{}\"", forced);
}

}  // namespace garrison
