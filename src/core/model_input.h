// What a text model reads, and what happens when it is too long.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace garrison {

// One input as the model itself sees it: special tokens included, nothing is added. `type_ids` is
// empty or as long as `ids`.
struct TokenIds {
  std::vector<std::int32_t> ids;
  std::vector<std::int32_t> type_ids;
};

struct TextPair {
  std::string text;
  std::string text_pair;
};

using EmbedInput = std::variant<std::string, TokenIds>;               // text is UTF-8
using SequenceInput = std::variant<std::string, TextPair, TokenIds>;  // texts are UTF-8

// For an input with more tokens than the model can read at once.
struct LongInput {
  enum class Policy {
    kError,     // INVALID_ARGUMENT naming both counts
    kTruncate,  // reads what fits
    kChunk,     // embeds consecutive pieces and takes their mean, weighted by tokens
  };
  enum class Side { kRight, kLeft };  // the end that is cut off

  Policy policy = Policy::kError;
  Side side = Side::kRight;
};

// What a request itself says about it; unset: as the settings say.
struct LongInputChoice {
  std::optional<LongInput::Policy> policy;
  std::optional<LongInput::Side> side;
};

}  // namespace garrison
