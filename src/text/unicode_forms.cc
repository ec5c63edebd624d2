#include "text/unicode_forms.h"

#include <algorithm>

#include "text/unicode_tables.h"

namespace garrison::tokenizers {
namespace {

// Orders the marks at the end of `out`, from the last starter on.
void SortMarks(std::vector<FormChar>& out) {
  auto first = out.end();
  while (first != out.begin() && std::prev(first)->combining_class != 0) --first;
  std::stable_sort(first, out.end(), [](const FormChar& a, const FormChar& b) {
    return a.combining_class < b.combining_class;
  });
}

// Recomposes `chars` in place; canonical composition, first starter first.
void ComposeAll(std::vector<FormChar>& chars) {
  std::size_t written = 0;
  constexpr std::size_t kNone = static_cast<std::size_t>(-1);
  std::size_t starter = kNone;
  int last_class = -1;  // of what stands between the starter and here; -1: nothing
  for (std::size_t i = 0; i < chars.size(); ++i) {
    const FormChar c = chars[i];
    if (starter != kNone && last_class < static_cast<int>(c.combining_class)) {
      const std::uint32_t composed = Compose(chars[starter].code_point, c.code_point);
      if (composed != 0) {
        chars[starter].code_point = composed;
        chars[starter].change += c.change - 1;
        continue;
      }
    }
    if (c.combining_class == 0) {
      starter = written;
      last_class = -1;
    } else {
      last_class = c.combining_class;
    }
    chars[written++] = c;
  }
  chars.resize(written);
}

}  // namespace

void Decompose(std::uint32_t c, bool compatible, std::vector<FormChar>& out) {
  const auto push = [&](std::uint32_t code_point, int change) {
    const std::uint8_t combining = CombiningClass(code_point);
    if (combining == 0) SortMarks(out);
    out.push_back({code_point, combining, change});
  };
  if (IsHangulSyllable(c)) {
    constexpr std::uint32_t kLeading = 0x1100, kVowel = 0x1161, kTrailing = 0x11A7;
    const std::uint32_t index = c - kHangulFirst;
    push(kLeading + index / 588, 0);
    push(kVowel + index % 588 / 28, 1);
    if (index % 28 != 0) push(kTrailing + index % 28, 1);
    return;
  }
  const auto sequence = compatible ? Compatible(c) : Canonical(c);
  if (sequence.empty()) return push(c, 0);
  for (std::size_t i = 0; i < sequence.size(); ++i) push(sequence[i], i == 0 ? 0 : 1);
}

bool ApplyForm(UnicodeForm form, const TextView& in, TextBuffer& out) {
  const bool compatible = form == UnicodeForm::kNfkc || form == UnicodeForm::kNfkd;
  const bool compose = form == UnicodeForm::kNfc || form == UnicodeForm::kNfkc;
  unsigned touched = compatible ? kReshapes : kDecomposes;
  if (compose) touched = kComposes | (compatible ? unsigned{kReshapes} : 0U);
  Rewriter writer(in, out);
  std::vector<FormChar> run;
  bool changed = false;
  std::size_t copied = 0;    // up to here everything is in `out`
  std::size_t previous = 0;  // where the last character that is not touched begins
  const std::string_view text = in.text;
  for (std::size_t i = 0; i < text.size();) {
    if (const std::size_t ascii = AsciiRun(text, i); ascii > 0) {
      i += ascii;
      previous = i - 1;
      continue;
    }
    const Decoded c = DecodeAt(text, i);
    if (!Is(c.code_point, touched)) {
      previous = i;
      i += c.bytes;
      continue;
    }
    // What stands before may compose with this run.
    const std::size_t start = compose && previous >= copied && previous < i ? previous : i;
    writer.Copy(text.substr(copied, start - copied));
    run.clear();
    std::size_t end = start;
    while (end < text.size()) {
      const Decoded next = DecodeAt(text, end);
      if (end >= i && !Is(next.code_point, touched)) break;
      Decompose(next.code_point, compatible, run);
      end += next.bytes;
    }
    SortMarks(run);
    if (compose) ComposeAll(run);
    for (const FormChar& put : run) writer.Put(put.code_point, put.change);
    changed = true;
    copied = previous = i = end;
  }
  if (!changed) return false;
  writer.Copy(text.substr(copied));
  return true;
}

}  // namespace garrison::tokenizers
