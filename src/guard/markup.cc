#include "guard/markup.h"

#include "guard/text_scan.h"

namespace garrison {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

// What stands for an ASCII character; empty: itself.
std::string_view EntityOf(char c) {
  switch (c) {
    case '&':
      return "&amp;";
    case '<':
      return "&lt;";
    case '>':
      return "&gt;";
    case '"':
      return "&quot;";
    case '\'':
      return "&#39;";
    case '\t':
    case '\n':
      return "";
    default:
      return static_cast<unsigned char>(c) < 0x20 || c == 0x7F ? kReplacement : "";
  }
}

// Whether a character of two bytes or more is one that no page should carry: C1 controls, the
// directional embeddings, overrides and isolates, U+FFFE and U+FFFF.
bool IsHidden(std::string_view character) {
  if (character.size() == 2 && character[0] == '\xC2') {
    return static_cast<unsigned char>(character[1]) < 0xA0;
  }
  if (character.size() != 3) return false;
  const auto third = static_cast<unsigned char>(character[2]);
  if (character.starts_with("\xE2\x80")) return third >= 0xAA && third <= 0xAE;
  if (character.starts_with("\xE2\x81")) return third >= 0xA6 && third <= 0xA9;
  return character.starts_with("\xEF\xBF") && third >= 0xBE;
}

}  // namespace

std::string EscapeMarkup(std::string_view text) {
  std::string out;
  out.reserve(text.size() + text.size() / 8);
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t length = Utf8Length(text.substr(i));
    const std::string_view character = text.substr(i, length);
    if (length == 0) {
      out += kReplacement;
    } else if (length == 1) {
      const std::string_view entity = EntityOf(character[0]);
      out += entity.empty() ? character : entity;
    } else {
      out += IsHidden(character) ? kReplacement : character;
    }
    i += length == 0 ? 1 : length;
  }
  return out;
}

std::string EscapeMarkup(std::string_view text, std::size_t bytes_max) {
  if (text.size() <= bytes_max) return EscapeMarkup(text);
  std::size_t end = 0;
  while (end < text.size()) {
    const std::size_t length = Utf8Length(text.substr(end));
    const std::size_t step = length == 0 ? 1 : length;
    if (end + step > bytes_max) break;
    end += step;
  }
  return EscapeMarkup(text.substr(0, end)) + "…";
}

}  // namespace garrison
