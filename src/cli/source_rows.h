// All texts of an input, embedded by two sources. Private to cli/.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/command.h"

namespace garrison {

struct SourceRows {
  std::shared_ptr<const Embedder> embedder;
  std::size_t dimension = 0;
  std::vector<float> values;                    // [texts, dimension], row-major
  std::vector<std::chrono::nanoseconds> calls;  // how long each batch took
  std::size_t tokens = 0;
  bool tokens_estimated = false;
  unsigned attempts = 0;
  std::optional<std::int64_t> cost_pusd;  // unset: not known
  bool normalized = true;                 // every row has length 1, to 1e-3
};

struct TwoSources {
  SourceRows a;
  SourceRows b;
  std::size_t texts = 0;
  std::string texts_sha256;  // in order, each followed by a line feed
};

inline constexpr std::size_t kSourceTextsMax = 200'000;

// Reads texts as `flags` says and embeds each batch by both. INVALID_ARGUMENT for ids and pairs,
// and past kSourceTextsMax.
Result<TwoSources> EmbedBySources(CommandContext& context, const ModelFlags& flags,
                                  const std::string& a, const std::string& b);

}  // namespace garrison
