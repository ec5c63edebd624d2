// Cuts a message into overlapping windows of sentences, so that one bad passage of a long text is
// not averaged away among the rest.
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

namespace garrison {

struct TextWindow {
  std::size_t begin = 0;  // bytes
  std::size_t size = 0;

  bool operator==(const TextWindow&) const = default;
};

// About 200 tokens of English.
inline constexpr std::size_t kWindowBytes = 800;
// A longer text gets longer windows instead of more of them.
inline constexpr std::size_t kWindowsMax = 64;

// Windows of whole sentences of at most kWindowBytes where the text has sentences so short, each
// beginning about half a window after the one before; a longer sentence is cut at a blank, and
// without one between two characters. Together they cover all that is not blank; a text that fits
// in one is that one. Nothing for a text of blanks. `text` must be UTF-8.
std::vector<TextWindow> CutWindows(std::string_view text);

}  // namespace garrison
