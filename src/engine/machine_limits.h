// What this machine does at best, measured, for benches to compare with.
#pragma once

#include "base/cpu_features.h"

namespace garrison {

// Of one thread. Products count as two operations. Reading goes over buffers of 512 KiB, 8 MiB
// and 256 MiB, which are the second and third cache and the memory of most machines.
struct MachineLimits {
  double f32_gflops = 0;
  double bf16_gflops = 0;
  double int8_gops = 0;
  double l2_gb_s = 0;
  double l3_gb_s = 0;
  double memory_gb_s = 0;
};

// With the instructions of `isa`, which this machine must have. Takes about a second.
MachineLimits MeasureLimits(Isa isa);

}  // namespace garrison
