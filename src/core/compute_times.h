// Where the time of a model's answer went.
#pragma once

#include <chrono>

namespace garrison {

// Wall time; zero for a stage that the model does not have.
struct ComputeTimes {
  std::chrono::nanoseconds tokenization{0};
  std::chrono::nanoseconds queue{0};  // from ready tokens to the first pass
  std::chrono::nanoseconds inference{0};
};

}  // namespace garrison
