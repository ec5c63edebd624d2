// The tables for every instruction set, compiled from one source by Highway.
//
// Highway rather than hand-written intrinsics: one text for SSSE3, AVX2, AVX-512 and NEON, compiled
// with per-function target attributes, so that no inline function of another header is compiled
// with instructions that the machine may lack.
#include "kernels/kernels.h"

#include <array>

// Detected with more features than the kernels use (AES, VBMI); the levels that remain are ours.
#define HWY_DISABLED_TARGETS (HWY_SSE4 | HWY_AVX3_DL)
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/kernels.cc"
#include <hwy/foreach_target.h>
// These must follow foreach_target.h: they are compiled once per target.
#include <hwy/highway.h>

#include "kernels/activation-inl.h"
#include "kernels/amx-inl.h"
#include "kernels/attention-inl.h"
#include "kernels/limits-inl.h"
#include "kernels/linear-inl.h"
#include "kernels/rows-inl.h"

HWY_BEFORE_NAMESPACE();
namespace garrison {
namespace HWY_NAMESPACE {

// The level of this target, without the extensions of AVX-512.
inline constexpr Isa kPlain = HWY_TARGET == HWY_AVX3   ? Isa::kAvx512
                              : HWY_TARGET == HWY_AVX2 ? Isa::kAvx2
                              : HWY_ARCH_ARM_A64       ? Isa::kNeon
                                                       : Isa::kBaseline;

template <Isa kIsa>
constexpr Kernels MakeTable() {
  constexpr bool kVnni = kIsa != kPlain;
  constexpr bool kWhole = kVnni || !HWY_ARCH_X86;  // products of 8 bits are summed in 32
  Kernels kernels{
      .isa = kIsa,
      .panel = {.columns = kPanelColumns},
      .int8_steps = kWhole ? 255 : 192,
      .int8_sum_limit = kWhole ? kNoSumLimit : 170,
      .linear = &Linear<kVnni>,
      .quantize_rows = &QuantizeRows < kWhole ? 255 : 192 >,
      .quantize_rows_fine = kWhole ? nullptr : &QuantizeRows<kFineSteps>,
      .round_rows = nullptr,
      .layer_norm = &LayerNorm,
      .attention = &Attention,
      .attention_bf16 = &Attention,
      .attention_scratch = &AttentionScratch,
      .activate = &Activate,
      .multiply_registers = &MultiplyRegisters<kVnni>,
      .read_memory = &ReadMemory,
  };
#if HWY_ARCH_X86 && HWY_TARGET == HWY_AVX3
  if (kIsa == Isa::kAmx) {
    kernels.panel.int8_depth = 64;
    kernels.panel.bf16_depth = 32;
    kernels.linear = &LinearOnTiles;
    kernels.round_rows = &RoundRows;
    kernels.attention_bf16 = &AttentionOnTiles;
    kernels.attention_scratch = &TileAttentionScratch;
    kernels.multiply_registers = &MultiplyTileRegisters;
  }
#endif
  return kernels;
}

const Kernels& TableFor(Isa isa) {
#if HWY_ARCH_X86 && HWY_TARGET == HWY_AVX3
  static constexpr Kernels kVnni = MakeTable<Isa::kAvx512Vnni>();
  static constexpr Kernels kAmx = MakeTable<Isa::kAmx>();
  if (isa == Isa::kAvx512Vnni) return kVnni;
  if (isa == Isa::kAmx) return kAmx;
#else
  static_cast<void>(isa);
#endif
  static constexpr Kernels kTable = MakeTable<kPlain>();
  return kTable;
}

}  // namespace HWY_NAMESPACE
}  // namespace garrison
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace garrison {
namespace {

#if HWY_ARCH_X86
HWY_EXPORT(TableFor);

const Kernels& TableOf(std::int64_t target, Isa isa) {
  hwy::ChosenTarget chosen;
  chosen.Update(target);
  return (*HWY_DISPATCH_TABLE(TableFor)[chosen.GetIndex()])(isa);
}
#endif

}  // namespace

const Kernels& KernelsFor(Isa isa) {
#if HWY_ARCH_X86
  switch (isa) {
    case Isa::kBaseline:
    case Isa::kNeon:
      return TableOf(HWY_STATIC_TARGET, isa);
    case Isa::kAvx2:
      return TableOf(HWY_AVX2, isa);
    case Isa::kAvx512:
    case Isa::kAvx512Vnni:
    case Isa::kAmx:
      return TableOf(HWY_AVX3, isa);
  }
  return TableOf(HWY_STATIC_TARGET, isa);
#else
  return HWY_STATIC_DISPATCH(TableFor)(isa);
#endif
}

std::span<const Isa> KernelIsas() {
#if HWY_ARCH_X86
  static constexpr std::array kLevels = {Isa::kBaseline, Isa::kAvx2, Isa::kAvx512, Isa::kAvx512Vnni,
                                         Isa::kAmx};
  const Isa best = KernelsFor(DetectIsa()).isa;
  std::size_t count = 0;
  while (count < kLevels.size() && kLevels[count] <= best) ++count;
  return std::span(kLevels).first(count);
#else
  static const std::array kLevels = {HWY_STATIC_DISPATCH(TableFor)(Isa::kNeon).isa};
  return kLevels;
#endif
}

}  // namespace garrison
#endif  // HWY_ONCE
