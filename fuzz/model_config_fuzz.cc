// Any bytes as a config.json of an encoder and of a pooling module. What is accepted lies within
// the bounds that the engine allocates by.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "engine/encoder_spec.h"
#include "engine/model_config.h"
#include "engine/pooling.h"

namespace {

using garrison::Code;
using garrison::EncoderSpec;

void CheckError(const garrison::Error& error) {
  CHECK(error.code == Code::kInvalidArgument || error.code == Code::kUnimplemented);
  CHECK(error.where.starts_with("config.json"));
  CHECK(!error.message.empty());
}

bool Within(std::size_t value, std::size_t least, std::size_t most) {
  return value >= least && value <= most;
}

void CheckSpec(const EncoderSpec& spec) {
  CHECK(Within(spec.hidden, 1, garrison::kMaxWidth));
  CHECK(Within(spec.layers, 1, garrison::kMaxLayers));
  CHECK(Within(spec.heads, 1, spec.hidden));
  CHECK(spec.head_size() * spec.heads == spec.hidden);
  CHECK(Within(spec.feed_forward, 1, 4 * garrison::kMaxWidth));
  CHECK(Within(spec.vocabulary, 1, garrison::kMaxVocabulary));
  CHECK(Within(spec.position_rows, 1, garrison::kMaxPositions));
  CHECK(Within(spec.token_types, 0, garrison::kMaxWidth));
  CHECK(Within(spec.relative_buckets, 0, garrison::kMaxWidth));
  CHECK(Within(spec.max_tokens(), 1, spec.position_rows));
  CHECK(spec.epsilon >= 0 && spec.epsilon <= 1);
  CHECK(spec.pad_id >= 0);
  // The row of the padding id is looked up when positions count from it.
  CHECK(spec.positions == garrison::PositionScheme::kFromZero ||
        static_cast<std::size_t>(spec.pad_id) < spec.position_rows);
  CHECK(!spec.family.empty() && !spec.prefix.empty());
}

// Pools three tokens of two components, one of them a prompt's.
void CheckPooling(const garrison::PoolingSpec& spec) {
  CHECK(Within(spec.modes.size(), 1, 6));
  CHECK(std::is_sorted(spec.modes.begin(), spec.modes.end()));
  const std::vector<float> rows = {1, 2, 3, 4, 5, 6};
  std::vector<float> out(2 * spec.modes.size());
  garrison::Pool(spec, rows.data(), 2, 3, 2, 1, out);
  for (const float value : out) CHECK(value >= 1 && value <= 12);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto config = garrison::ModelConfig::Parse(text, "config.json");
  if (!config) {
    CheckError(config.error());
    return 0;
  }
  const auto spec = garrison::ReadEncoderSpec(*config);
  if (spec) {
    CheckSpec(*spec);
  } else {
    CheckError(spec.error());
  }
  const auto pooling = garrison::ReadPooling(*config);
  if (pooling) {
    CheckPooling(*pooling);
  } else {
    CheckError(pooling.error());
  }
  return 0;
}
