#include "engine/machine_limits.h"

#include <algorithm>
#include <chrono>
#include <vector>

#include "kernels/kernels.h"

namespace garrison {
namespace {

constexpr int kTries = 5;  // the best counts: others were disturbed
constexpr std::chrono::milliseconds kTry{25};

// The most units a second that `work` does; it returns how many it did.
template <typename Work>
double Rate(const Work& work) {
  using Clock = std::chrono::steady_clock;
  double best = 0;
  for (int i = 0; i < kTries; ++i) {
    const auto start = Clock::now();
    double done = 0;
    while (Clock::now() - start < kTry) done += static_cast<double>(work());
    best = std::max(best, done / std::chrono::duration<double>(Clock::now() - start).count());
  }
  return best;
}

}  // namespace

MachineLimits MeasureLimits(Isa isa) {
  const Kernels& kernels = KernelsFor(isa);
  const auto products = [&](ComputeType type) {
    constexpr std::size_t kRounds = 20'000;
    return 1e-9 * Rate([&] { return kernels.multiply_registers(type, kRounds); });
  };
  const auto reads = [&](std::size_t bytes) {
    const std::vector<float> values(bytes / sizeof(float), 1.0F);
    kernels.read_memory(values);
    return 1e-9 * Rate([&] {
             kernels.read_memory(values);
             return bytes;
           });
  };
  return {.f32_gflops = products(ComputeType::kF32),
          .bf16_gflops = products(ComputeType::kBf16),
          .int8_gops = products(ComputeType::kInt8),
          .l2_gb_s = reads(std::size_t{512} << 10),
          .l3_gb_s = reads(std::size_t{8} << 20),
          .memory_gb_s = reads(std::size_t{256} << 20)};
}

}  // namespace garrison
