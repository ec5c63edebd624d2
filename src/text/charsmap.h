// SentencePiece's precompiled character map: a trie from short strings to their replacements.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "text/aligned_text.h"

namespace garrison::tokenizers {

class Charsmap {
 public:
  // `encoded` is base64. INVALID_ARGUMENT when it is not, or not a character map.
  static Result<Charsmap> Parse(std::string_view encoded);

  // The reference library's use of it, grapheme by grapheme; false when nothing changed.
  bool Apply(const TextView& in, TextBuffer& out) const;

 private:
  // The replacement of the shortest prefix of `key` that has one.
  std::optional<std::string_view> Find(std::string_view key) const;
  std::size_t PlainRun(std::string_view text, std::size_t at) const;

  std::vector<std::uint32_t> units_;
  std::string values_;                // replacements, each ended by a NUL
  std::array<bool, 128> kept_ascii_;  // stays as it is when it stands alone
};

}  // namespace garrison::tokenizers
