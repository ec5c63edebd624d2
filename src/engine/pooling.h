// From the vectors of a sequence's tokens to one vector: sentence-transformers' Pooling module.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "engine/model_config.h"

namespace garrison {

// In the order in which sentence-transformers concatenates them.
enum class PoolingMode : std::uint8_t {
  kCls,           // the first token
  kMax,           // largest value of each component
  kMean,          //
  kMeanSqrtLen,   // sum / sqrt(tokens)
  kWeightedMean,  // position p (from 1) weighs p
  kLastToken,
};

struct PoolingSpec {
  std::vector<PoolingMode> modes{PoolingMode::kMean};
  bool include_prompt = true;  // false: all modes but kCls leave the prompt's tokens out
};

// 1_Pooling/config.json. UNIMPLEMENTED for a mode that is not known.
Result<PoolingSpec> ReadPooling(const ModelConfig& config);
// "mean", "cls", "max", "mean_sqrt_len", "weightedmean", "lasttoken"; several joined by "+".
Result<PoolingSpec> ParsePooling(std::string_view text);

// As ParsePooling() reads it.
std::string PoolingName(const PoolingSpec& spec);

// rows [tokens, stride], `skip` leading tokens left out where the mode says so;
// out [modes * hidden]. Sums run in token order in double precision. REQUIRES: skip < tokens.
void Pool(const PoolingSpec& spec, const float* rows, std::size_t stride, std::size_t tokens,
          std::size_t hidden, std::size_t skip, std::span<float> out);

// L2; leaves a zero vector as it is.
void NormalizeVector(std::span<float> vector);

}  // namespace garrison
