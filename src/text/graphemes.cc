#include "text/graphemes.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>

#include "text/unicode_tables.h"
#include "text/utf8.h"

namespace garrison::tokenizers {
namespace {

struct Range {
  std::uint32_t first, last;
};

// Indic_Conjunct_Break=Consonant and Linker (Unicode 15.1); the system's library is older.
constexpr std::array kConsonants = {
    Range{0x0915, 0x0939}, Range{0x0958, 0x095F}, Range{0x0978, 0x097F}, Range{0x0995, 0x09A8},
    Range{0x09AA, 0x09B0}, Range{0x09B2, 0x09B2}, Range{0x09B6, 0x09B9}, Range{0x09DC, 0x09DD},
    Range{0x09DF, 0x09DF}, Range{0x09F0, 0x09F1}, Range{0x0A95, 0x0AA8}, Range{0x0AAA, 0x0AB0},
    Range{0x0AB2, 0x0AB3}, Range{0x0AB5, 0x0AB9}, Range{0x0AF9, 0x0AF9}, Range{0x0B15, 0x0B28},
    Range{0x0B2A, 0x0B30}, Range{0x0B32, 0x0B33}, Range{0x0B35, 0x0B39}, Range{0x0B5C, 0x0B5D},
    Range{0x0B5F, 0x0B5F}, Range{0x0B71, 0x0B71}, Range{0x0C15, 0x0C28}, Range{0x0C2A, 0x0C39},
    Range{0x0C58, 0x0C5A}, Range{0x0D15, 0x0D3A},
};
constexpr std::array<std::uint32_t, 6> kLinkers = {0x094D, 0x09CD, 0x0ACD, 0x0B4D, 0x0C4D, 0x0D4D};

bool IsConsonant(std::uint32_t c) {
  return c >= kConsonants.front().first && c <= kConsonants.back().last &&
         std::any_of(kConsonants.begin(), kConsonants.end(),
                     [&](const Range& range) { return c >= range.first && c <= range.last; });
}
bool IsLinker(std::uint32_t c) {
  return std::find(kLinkers.begin(), kLinkers.end(), c) != kLinkers.end();
}

// Up to U+FFFF the measured table says what is absorbed; extenders and spacing marks need no
// telling apart, because neither has a boundary before it.
int BreakClass(std::uint32_t c) {
  if (c == 0x200D) return UTF8PROC_BOUNDCLASS_ZWJ;
  if (c < 0x80) {
    if (c == '\r') return UTF8PROC_BOUNDCLASS_CR;
    if (c == '\n') return UTF8PROC_BOUNDCLASS_LF;
    return c < 0x20 || c == 0x7F ? UTF8PROC_BOUNDCLASS_CONTROL : UTF8PROC_BOUNDCLASS_OTHER;
  }
  const int found =
      static_cast<int>(utf8proc_get_property(static_cast<utf8proc_int32_t>(c))->boundclass);
  if (c > 0xFFFF) return found;
  if (Is(c, kAbsorbed)) return UTF8PROC_BOUNDCLASS_EXTEND;
  const bool mark = found == UTF8PROC_BOUNDCLASS_EXTEND || found == UTF8PROC_BOUNDCLASS_SPACINGMARK;
  return mark ? UTF8PROC_BOUNDCLASS_OTHER : found;
}

bool IsControl(int kind) {
  return kind == UTF8PROC_BOUNDCLASS_CONTROL || kind == UTF8PROC_BOUNDCLASS_CR ||
         kind == UTF8PROC_BOUNDCLASS_LF;
}

// GB6 to GB8: within a Hangul syllable.
bool JoinsHangul(int left, int right) {
  const bool vowel_or_trail = right == UTF8PROC_BOUNDCLASS_V || right == UTF8PROC_BOUNDCLASS_T;
  if (left == UTF8PROC_BOUNDCLASS_L) {
    return right == UTF8PROC_BOUNDCLASS_L || right == UTF8PROC_BOUNDCLASS_V ||
           right == UTF8PROC_BOUNDCLASS_LV || right == UTF8PROC_BOUNDCLASS_LVT;
  }
  if (left == UTF8PROC_BOUNDCLASS_LV || left == UTF8PROC_BOUNDCLASS_V) return vowel_or_trail;
  return (left == UTF8PROC_BOUNDCLASS_LVT || left == UTF8PROC_BOUNDCLASS_T) &&
         right == UTF8PROC_BOUNDCLASS_T;
}

// What the rules that look further back than one character need to know.
struct Context {
  int last = 0;
  bool flag_open = false;   // an odd number of regional indicators
  bool pictograph = false;  // pictograph, extenders, and perhaps a joiner
  bool consonant = false;   // consonant, extenders and linkers
  bool linked = false;      // ... with a linker

  void Take(std::uint32_t c, int kind) {
    const bool extends = kind == UTF8PROC_BOUNDCLASS_EXTEND || kind == UTF8PROC_BOUNDCLASS_ZWJ;
    flag_open = kind == UTF8PROC_BOUNDCLASS_REGIONAL_INDICATOR && !flag_open;
    if (kind == UTF8PROC_BOUNDCLASS_EXTENDED_PICTOGRAPHIC) {
      pictograph = true;
    } else if (!extends || last == UTF8PROC_BOUNDCLASS_ZWJ) {
      pictograph = false;
    }
    if (IsConsonant(c)) {
      consonant = true;
      linked = false;
    } else if (!extends) {
      consonant = linked = false;
    } else if (IsLinker(c)) {
      linked = consonant;
    }
    last = kind;
  }

  bool Joins(std::uint32_t c, int kind) const {
    if (last == UTF8PROC_BOUNDCLASS_CR) return kind == UTF8PROC_BOUNDCLASS_LF;
    if (IsControl(last) || IsControl(kind)) return false;
    if (kind == UTF8PROC_BOUNDCLASS_EXTEND || kind == UTF8PROC_BOUNDCLASS_ZWJ ||
        kind == UTF8PROC_BOUNDCLASS_SPACINGMARK || last == UTF8PROC_BOUNDCLASS_PREPEND) {
      return true;
    }
    if (JoinsHangul(last, kind)) return true;
    if (linked && IsConsonant(c)) return true;
    if (kind == UTF8PROC_BOUNDCLASS_EXTENDED_PICTOGRAPHIC) {
      return pictograph && last == UTF8PROC_BOUNDCLASS_ZWJ;
    }
    return kind == UTF8PROC_BOUNDCLASS_REGIONAL_INDICATOR && flag_open;
  }
};

}  // namespace

std::size_t ClusterEnd(std::string_view text, std::size_t at) {
  Context context;
  const Decoded first = DecodeAt(text, at);
  context.Take(first.code_point, BreakClass(first.code_point));
  std::size_t end = at + first.bytes;
  while (end < text.size()) {
    const Decoded next = DecodeAt(text, end);
    const int kind = BreakClass(next.code_point);
    if (!context.Joins(next.code_point, kind)) break;
    context.Take(next.code_point, kind);
    end += next.bytes;
  }
  return end;
}

}  // namespace garrison::tokenizers
