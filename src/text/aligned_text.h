// A text on its way through the normalisers, and for each of its bytes the range of the original
// text that the byte stands for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "text/tokenizer.h"
#include "text/utf8.h"

namespace garrison::tokenizers {

// Half-open range of bytes.
struct Span {
  std::uint32_t begin = 0;
  std::uint32_t end = 0;
};

struct TextView {
  std::string_view text;
  const TextRange* ranges = nullptr;  // one per byte; null when nobody asked for ranges
  std::uint32_t base = 0;             // where the view begins in the original text

  TextView Sub(std::size_t begin, std::size_t end) const {
    return {text.substr(begin, end - begin), ranges == nullptr ? nullptr : ranges + begin,
            ranges == nullptr || begin >= text.size() ? base : ranges[begin].start};
  }
};

struct TextBuffer {
  std::string text;
  std::vector<TextRange> ranges;

  void Clear() {
    text.clear();
    ranges.clear();
  }
  TextView View(const TextView& source) const {
    return {text, source.ranges == nullptr ? nullptr : ranges.data(), source.base};
  }
};

// Writes a changed copy of a view, with the reference library's rule for ranges: a character is put
// with a change. 0: it replaces the next character of the source; n < 0: and n more are dropped
// after it; above 0: it is new, and shares the range of what stands before it in the source.
class Rewriter {
 public:
  Rewriter(const TextView& in, TextBuffer& out) : in_(in), out_(out) { out_.Clear(); }

  void Put(std::uint32_t c, int change) {
    AppendChar(out_.text, c);
    if (in_.ranges == nullptr) return;
    out_.ranges.insert(out_.ranges.end(), EncodedBytes(c), RangeFor(change));
    if (change <= 0) Skip(1U + static_cast<std::size_t>(-change));
  }
  // The next `bytes` of the source as they are.
  void Copy(std::string_view bytes) {
    out_.text.append(bytes);
    if (in_.ranges == nullptr) return;
    out_.ranges.insert(out_.ranges.end(), in_.ranges + at_, in_.ranges + at_ + bytes.size());
    at_ += bytes.size();
  }
  // A character instead of the next one, with that one's range.
  void Replace(std::uint32_t c) { Put(c, 0); }
  // Drops the next `characters` of the source.
  void Skip(std::size_t characters) {
    if (in_.ranges == nullptr) return;
    for (; characters > 0 && at_ < in_.text.size(); --characters) at_ += CharBytes(in_.text[at_]);
  }

 private:
  TextRange RangeFor(int change) const {
    if (change > 0) return at_ == 0 ? TextRange{in_.base, in_.base} : in_.ranges[at_ - 1];
    if (at_ >= in_.text.size()) return in_.text.empty() ? TextRange{} : in_.ranges[at_ - 1];
    return in_.ranges[at_];
  }

  const TextView& in_;
  TextBuffer& out_;
  std::size_t at_ = 0;
};

}  // namespace garrison::tokenizers
