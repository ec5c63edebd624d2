#include "guard/windows.h"

#include <algorithm>

namespace garrison {
namespace {

bool IsBlank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }
bool ContinuesCharacter(char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; }

// Ends of sentences in Chinese and Japanese, which no blank follows: U+3002, U+FF01, U+FF1F.
std::size_t WideStopAt(std::string_view text, std::size_t at) {
  for (const std::string_view stop : {"\xE3\x80\x82", "\xEF\xBC\x81", "\xEF\xBC\x9F"}) {
    if (text.substr(at).starts_with(stop)) return stop.size();
  }
  return 0;
}

// Where pieces of at most `limit` bytes may begin: after sentences, and inside of longer ones after
// a blank or between characters. Begins with `begin`, ends with `end`.
std::vector<std::size_t> Cuts(std::string_view text, std::size_t begin, std::size_t end,
                              std::size_t limit) {
  std::vector<std::size_t> cuts{begin};
  std::size_t blank = begin;  // after the last one
  for (std::size_t i = begin; i < end;) {
    std::size_t next = i + 1;
    bool stop = text[i] == '\n';
    if (const std::size_t wide = WideStopAt(text, i); wide != 0) {
      next = i + wide;
      stop = true;
    }
    if (IsBlank(text[i])) {
      const char before = i > begin ? text[i - 1] : ' ';
      stop = stop || before == '.' || before == '!' || before == '?';
      blank = next;
    }
    if (stop) {
      cuts.push_back(next);
    } else if (next - cuts.back() >= limit && next < end && !ContinuesCharacter(text[next])) {
      cuts.push_back(blank > cuts.back() ? blank : next);
    }
    i = next;
  }
  if (cuts.back() != end) cuts.push_back(end);
  return cuts;
}

TextWindow WithoutBlanks(std::string_view text, std::size_t begin, std::size_t end) {
  while (begin < end && IsBlank(text[begin])) ++begin;
  while (end > begin && IsBlank(text[end - 1])) --end;
  return {begin, end - begin};
}

}  // namespace

std::vector<TextWindow> CutWindows(std::string_view text) {
  const TextWindow whole = WithoutBlanks(text, 0, text.size());
  if (whole.size == 0) return {};
  if (whole.size <= kWindowBytes) return {whole};
  const std::size_t end = whole.begin + whole.size;
  // Half windows overlap, so n of them reach over about n/2 lengths; sentences leave gaps of up to
  // half a window again.
  const std::size_t limit = std::max(kWindowBytes, 4 * whole.size / kWindowsMax);
  const std::vector<std::size_t> cuts = Cuts(text, whole.begin, end, limit / 2);

  std::vector<TextWindow> windows;
  std::size_t first = 0;
  while (true) {
    std::size_t last = first + 1;
    while (last + 1 < cuts.size() && cuts[last + 1] - cuts[first] <= limit) ++last;
    const TextWindow window = WithoutBlanks(text, cuts[first], cuts[last]);
    if (window.size != 0) windows.push_back(window);
    if (last + 1 == cuts.size()) return windows;
    std::size_t next = first + 1;
    while (next < last && cuts[next] - cuts[first] < limit / 2) ++next;
    first = next;
  }
}

}  // namespace garrison
