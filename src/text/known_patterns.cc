// Scanners for the regular expressions that models ship.
#include <algorithm>
#include <array>

#include "text/pattern.h"
#include "text/unicode_tables.h"

namespace garrison::tokenizers {
namespace {

constexpr std::string_view kGpt2 =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
constexpr std::string_view kLlama3 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kQwen2 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kClip =
    R"(<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+)";

constexpr unsigned kKinds = kSpace | kLetter | kNumber;  // 0: neither, "other"

// A text with one look-up per character.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}

  std::size_t size() const { return text_.size(); }
  char At(std::size_t i) const { return i < text_.size() ? text_[i] : '\0'; }
  std::string_view From(std::size_t i) const { return text_.substr(i); }

  struct Char {
    unsigned kind;
    std::uint32_t bytes;
  };
  Char Look(std::size_t i) const {
    const auto byte = static_cast<unsigned char>(text_[i]);
    if (byte < 0x80) return {AsciiKinds()[byte], 1};
    const Decoded c = DecodeAt(text_, i);
    return {CharFlags(c.code_point) & kKinds, c.bytes};
  }
  // The end of the characters of `kind` from `i` on.
  std::size_t SkipKind(std::size_t i, unsigned kind) const {
    while (i < text_.size()) {
      const Char c = Look(i);
      if (c.kind != kind) break;
      i += c.bytes;
    }
    return i;
  }
  std::size_t SkipNewlines(std::size_t i) const {
    while (i < text_.size() && (text_[i] == '\r' || text_[i] == '\n')) ++i;
    return i;
  }

 private:
  static const std::array<std::uint8_t, 128>& AsciiKinds() {
    static const std::array<std::uint8_t, 128> kinds = [] {
      std::array<std::uint8_t, 128> table{};
      for (std::uint32_t c = 0; c < 128; ++c) {
        table[c] = static_cast<std::uint8_t>(CharFlags(c) & kKinds);
      }
      return table;
    }();
    return kinds;
  }

  const std::string_view text_;
};

// The end of 's, 't, 're, 've, 'm, 'll, 'd at `i`; `i` if there is none.
std::size_t ContractionEnd(const Scanner& text, std::size_t i) {
  const char a = text.At(i + 1);
  if (a == 's' || a == 't' || a == 'm' || a == 'd') return i + 2;
  const char b = text.At(i + 2);
  if ((a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l')) return i + 3;
  return i;
}

char LowerAscii(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

// The same without regard to case; U+017F counts as an s.
std::size_t AnyCaseContractionEnd(const Scanner& text, std::size_t i) {
  const char a = LowerAscii(text.At(i + 1));
  if (a == 's' || a == 't' || a == 'm' || a == 'd') return i + 2;
  if (text.From(i + 1).starts_with("\u017F")) return i + 3;
  const char b = LowerAscii(text.At(i + 2));
  if ((a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l')) return i + 3;
  return i;
}

// \s+(?!\S)|\s+ at `i`, which is white space: all of the run at the end of the text, else all but
// its last character, which is left to begin the next match.
std::size_t SpaceEnd(const Scanner& text, std::size_t i) {
  const std::size_t end = text.SkipKind(i, kSpace);
  if (end == text.size()) return end;
  const std::size_t last = end - DecodeBefore(text.From(0), end).bytes;
  return last > i ? last : end;
}

std::size_t NextGpt2(const Scanner& text, std::size_t i) {
  if (text.At(i) == '\'') {
    if (const std::size_t end = ContractionEnd(text, i); end > i) return end;
  }
  Scanner::Char c = text.Look(i);
  if (text.At(i) == ' ' && i + 1 < text.size()) {
    c = text.Look(i + 1);
    if (c.kind != kSpace) return text.SkipKind(i + 1 + c.bytes, c.kind);
    return SpaceEnd(text, i);
  }
  if (c.kind == kSpace) return SpaceEnd(text, i);
  return text.SkipKind(i + c.bytes, c.kind);
}

template <int kDigits>
std::size_t NextLlama3(const Scanner& text, std::size_t i) {
  const char lead = text.At(i);
  if (lead == '\'') {
    if (const std::size_t end = AnyCaseContractionEnd(text, i); end > i) return end;
  }
  const Scanner::Char c = text.Look(i);
  const std::size_t next = i + c.bytes;
  if (c.kind == kLetter) return text.SkipKind(next, kLetter);
  if (c.kind == kNumber) {
    std::size_t end = next;
    for (int digits = 1; digits < kDigits && end < text.size(); ++digits) {
      const Scanner::Char digit = text.Look(end);
      if (digit.kind != kNumber) break;
      end += digit.bytes;
    }
    return end;
  }
  const unsigned next_kind = next < text.size() ? text.Look(next).kind : unsigned{kSpace};
  if (lead != '\r' && lead != '\n' && next_kind == kLetter) return text.SkipKind(next, kLetter);
  if (c.kind == 0) return text.SkipNewlines(text.SkipKind(next, 0));
  if (lead == ' ' && next_kind == 0) return text.SkipNewlines(text.SkipKind(next, 0));
  // White space: up to its last line break, if it has one.
  const std::size_t end = text.SkipKind(i, kSpace);
  for (std::size_t at = end; at > i; --at) {
    if (text.At(at - 1) == '\r' || text.At(at - 1) == '\n') return at;
  }
  return SpaceEnd(text, i);
}

std::size_t NextClip(const Scanner& text, std::size_t i) {
  const char lead = text.At(i);
  if (lead == '<') {
    for (const std::string_view special : {"<|startoftext|>", "<|endoftext|>"}) {
      if (text.From(i).starts_with(special)) return i + special.size();
    }
  }
  if (lead == '\'') {
    if (const std::size_t end = ContractionEnd(text, i); end > i) return end;
  }
  const Scanner::Char c = text.Look(i);
  if (c.kind == kNumber) return i + c.bytes;
  return text.SkipKind(i + c.bytes, c.kind);
}

using Next = std::size_t (*)(const Scanner&, std::size_t);

template <Next kNext, bool kSkipsSpace>
class ScannerPattern : public Pattern {
 public:
  Result<> Find(std::string_view text, std::vector<Span>& matches) const override {
    const Scanner scanner(text);
    for (std::size_t i = 0; i < text.size();) {
      if constexpr (kSkipsSpace) {
        i = scanner.SkipKind(i, kSpace);
        if (i == text.size()) break;
      }
      const std::size_t end = kNext(scanner, i);
      matches.push_back({static_cast<std::uint32_t>(i), static_cast<std::uint32_t>(end)});
      i = end;
    }
    return {};
  }
};

// \s+
class SpacesPattern : public Pattern {
 public:
  Result<> Find(std::string_view text, std::vector<Span>& matches) const override {
    const Scanner scanner(text);
    for (std::size_t i = 0; i < text.size();) {
      const Scanner::Char c = scanner.Look(i);
      std::size_t end = i + c.bytes;
      if (c.kind == kSpace) {
        end = scanner.SkipKind(end, kSpace);
        matches.push_back({static_cast<std::uint32_t>(i), static_cast<std::uint32_t>(end)});
      }
      i = end;
    }
    return {};
  }
};

// " {2,}"
class WideGapPattern : public Pattern {
 public:
  Result<> Find(std::string_view text, std::vector<Span>& matches) const override {
    for (std::size_t at = text.find("  "); at != std::string_view::npos; at = text.find("  ", at)) {
      const std::size_t end = std::min(text.find_first_not_of(' ', at), text.size());
      matches.push_back({static_cast<std::uint32_t>(at), static_cast<std::uint32_t>(end)});
      at = end;
    }
    return {};
  }
};

}  // namespace

std::unique_ptr<Pattern> Gpt2Pattern() {
  return std::make_unique<ScannerPattern<NextGpt2, false>>();
}

std::unique_ptr<Pattern> KnownPattern(std::string_view expression) {
  if (expression == kGpt2) return Gpt2Pattern();
  if (expression == kLlama3) return std::make_unique<ScannerPattern<NextLlama3<3>, false>>();
  if (expression == kQwen2) return std::make_unique<ScannerPattern<NextLlama3<1>, false>>();
  if (expression == kClip) return std::make_unique<ScannerPattern<NextClip, true>>();
  if (expression == R"(\s+)") return std::make_unique<SpacesPattern>();
  if (expression == " {2,}") return std::make_unique<WideGapPattern>();
  return nullptr;
}

}  // namespace garrison::tokenizers
