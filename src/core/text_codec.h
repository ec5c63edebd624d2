// The port for a model's tokenizer: texts to tokens and back.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace garrison {

struct TextToken {
  std::int32_t id = 0;
  std::string text;  // the vocabulary's text of a special token; else what was found in the text
  bool special = false;  // added by the model's template
  // [start, end) in code points of the text; unset for special tokens.
  std::optional<std::pair<std::uint32_t, std::uint32_t>> range;
};

// Immutable; thread-safe.
class TextCodec {
 public:
  virtual ~TextCodec() = default;
  // `prompt` names one of the model's prompts, which is put before the text and counts as part of
  // it; empty: the default prompt. INVALID_ARGUMENT when `text` is not UTF-8, or (where: "prompt")
  // when there is no such prompt.
  virtual Result<std::vector<TextToken>> Tokenize(std::string_view text, const std::string& prompt,
                                                  bool add_special_tokens) const = 0;
  // Ids that are not in the vocabulary are skipped.
  virtual std::string Decode(std::span<const std::int32_t> ids, bool skip_special_tokens) const = 0;
};

}  // namespace garrison
