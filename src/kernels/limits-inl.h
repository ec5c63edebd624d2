// What the machine does at best: products on registers alone, and reading memory. Included once per
// Highway target.
#if defined(GARRISON_KERNELS_LIMITS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef GARRISON_KERNELS_LIMITS_INL_H_
#undef GARRISON_KERNELS_LIMITS_INL_H_
#else
#define GARRISON_KERNELS_LIMITS_INL_H_
#endif

#include "kernels/amx-inl.h"
#include "kernels/linear-inl.h"

HWY_BEFORE_NAMESPACE();
namespace garrison {
namespace HWY_NAMESPACE {

// As many sums as hide an instruction's latency.
inline constexpr std::size_t kSums = 8;

// The compiler must think that the value changes here.
template <typename Vector>
HWY_INLINE void Obscure(Vector& value) {
#if HWY_ARCH_X86
  asm volatile("" : "+v"(value.raw));
#else
  asm volatile("" : "+w"(value.raw));
#endif
}

inline std::size_t MultiplyFloats(std::size_t rounds) {
  const FloatTag d;
  Float a = hn::Set(d, 1.5F);
  const Float b = hn::Set(d, 0.25F);
  Float sums[kSums];
#pragma GCC unroll 16
  for (Float& sum : sums) sum = hn::Zero(d);
  for (std::size_t i = 0; i < rounds; ++i) {
    Obscure(a);
#pragma GCC unroll 16
    for (Float& sum : sums) sum = hn::MulAdd(a, b, sum);
  }
#pragma GCC unroll 16
  for (Float& sum : sums) Obscure(sum);
  return rounds * kSums * kLanes * 2;
}

template <bool kVnni>
std::size_t MultiplyCodes(std::size_t rounds) {
  const IntTag d;
  Int a0 = hn::Set(d, 0x01020304);
  Int a1 = hn::Set(d, 0x05060708);
  const Int b = hn::Set(d, 0x04030201);
  Int sums[kSums];
#pragma GCC unroll 16
  for (Int& sum : sums) sum = hn::Zero(d);
  for (std::size_t i = 0; i < rounds; ++i) {
#pragma GCC unroll 16
    for (Int& sum : sums) {
      Obscure(a0);
      Obscure(a1);
      AddQuads<kVnni>(a0, b, a1, b, sum);
    }
  }
#pragma GCC unroll 16
  for (Int& sum : sums) Obscure(sum);
  return rounds * kSums * kLanes * 8 * 2;
}

// bf16 weights are widened and multiplied as floats.
template <bool kVnni>
std::size_t MultiplyRegisters(ComputeType type, std::size_t rounds) {
  return type == ComputeType::kInt8 ? MultiplyCodes<kVnni>(rounds) : MultiplyFloats(rounds);
}

#if HWY_ARCH_X86 && HWY_TARGET == HWY_AVX3
inline std::size_t MultiplyTileRegisters(ComputeType type, std::size_t rounds) {
  if (type != ComputeType::kInt8 && type != ComputeType::kBf16) return MultiplyFloats(rounds);
  const Tiles tiles;
  ClearSums<true>();
  asm volatile("tilezero %tmm4\n\ttilezero %tmm5\n\ttilezero %tmm6\n\ttilezero %tmm7");
  for (std::size_t i = 0; i < rounds; ++i) {
    if (type == ComputeType::kInt8) {
      asm volatile(
          "tdpbusd %tmm6, %tmm4, %tmm0\n\ttdpbusd %tmm7, %tmm4, %tmm1\n\t"
          "tdpbusd %tmm6, %tmm5, %tmm2\n\ttdpbusd %tmm7, %tmm5, %tmm3");
    } else {
      asm volatile(
          "tdpbf16ps %tmm6, %tmm4, %tmm0\n\ttdpbf16ps %tmm7, %tmm4, %tmm1\n\t"
          "tdpbf16ps %tmm6, %tmm5, %tmm2\n\ttdpbf16ps %tmm7, %tmm5, %tmm3");
    }
  }
  const std::size_t depth = type == ComputeType::kInt8 ? kTileBytes : kTileBytes / 2;
  return rounds * kBlockSide * kBlockSide * depth * 2;
}
#endif

inline void ReadMemory(std::span<const float> values) {
  const FloatTag d;
  Float sums[4] = {hn::Zero(d), hn::Zero(d), hn::Zero(d), hn::Zero(d)};
  for (std::size_t i = 0; i + 4 * kLanes <= values.size(); i += 4 * kLanes) {
#pragma GCC unroll 4
    for (std::size_t j = 0; j < 4; ++j) {
      sums[j] = hn::Add(sums[j], hn::LoadU(d, values.data() + i + j * kLanes));
    }
  }
#pragma GCC unroll 4
  for (Float& sum : sums) Obscure(sum);
}

}  // namespace HWY_NAMESPACE
}  // namespace garrison
HWY_AFTER_NAMESPACE();

#endif
