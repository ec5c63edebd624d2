// UTF-8 checking, folding (NFKC and full case folding) and a coarse classification of code points.
//
// Folding here is for models that compare words; it is not reversible and not a tokenizer.json
// normaliser.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace garrison {

// INVALID_ARGUMENT naming the offset of the first byte that is not part of well-formed UTF-8
// (overlong forms, surrogates and values above U+10FFFF are not).
Result<> CheckUtf8(std::string_view text);

enum class CharKind : std::uint8_t {
  kSeparator,    // white space, punctuation, controls, ASCII symbols
  kWord,         // letters, marks and digits of scripts that are written with spaces
  kIdeographic,  // Han, kana, bopomofo: a word may start at every code point
  kSymbol,       // "Symbol, other": emoji, arrows, (c)
};

// `code_point` as TextFolder gives it.
CharKind KindOf(std::int32_t code_point);

// Reads a text as a stream of folded code points, in linear time and bounded memory.
//
// Text without ASCII white space is folded in pieces of kRunCodePoints; a combination that spans
// two pieces is not composed. Default ignorable code points (soft hyphen, joiners) are dropped.
// Keeps its buffers from one text to the next. Not thread-safe: one per thread.
class TextFolder {
 public:
  static constexpr std::size_t kRunCodePoints = 4096;

  // `text` has passed CheckUtf8 and outlives the last call of Next.
  void Start(std::string_view text);
  // The next folded code points; empty at the end. Valid until the next call.
  std::span<const std::int32_t> Next();

 private:
  std::span<const std::int32_t> FoldAscii(std::size_t bytes);
  std::span<const std::int32_t> FoldRun();

  std::string_view text_;  // what is still to be read
  std::vector<std::int32_t> buffer_;
};

}  // namespace garrison
