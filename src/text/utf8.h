// UTF-8 that has been checked (CheckUtf8): no bounds beyond the end of a character are looked at.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace garrison::tokenizers {

inline bool IsAscii(char c) { return static_cast<unsigned char>(c) < 0x80; }
inline bool IsTail(char c) { return (static_cast<unsigned char>(c) & 0xC0U) == 0x80U; }

inline std::size_t CharBytes(char lead) {
  const auto c = static_cast<unsigned char>(lead);
  return c < 0x80 ? 1 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;
}

struct Decoded {
  std::uint32_t code_point;
  std::uint32_t bytes;
};

inline Decoded DecodeAt(std::string_view text, std::size_t at) {
  const auto* p = reinterpret_cast<const unsigned char*>(text.data() + at);
  const std::uint32_t c = p[0];
  if (c < 0x80) return {c, 1};
  if (c < 0xE0) return {((c & 0x1FU) << 6) | (p[1] & 0x3FU), 2};
  if (c < 0xF0) return {((c & 0x0FU) << 12) | ((p[1] & 0x3FU) << 6) | (p[2] & 0x3FU), 3};
  return {((c & 0x07U) << 18) | ((p[1] & 0x3FU) << 12) | ((p[2] & 0x3FU) << 6) | (p[3] & 0x3FU), 4};
}

// The character that ends at `end` (> 0).
inline Decoded DecodeBefore(std::string_view text, std::size_t end) {
  std::size_t at = end - 1;
  while (at > 0 && IsTail(text[at])) --at;
  return DecodeAt(text, at);
}

inline std::uint32_t EncodedBytes(std::uint32_t c) {
  return c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
}

inline void AppendChar(std::string& out, std::uint32_t c) {
  const auto byte = [](std::uint32_t value) { return static_cast<char>(value); };
  if (c < 0x80) {
    out.push_back(byte(c));
  } else if (c < 0x800) {
    const char bytes[] = {byte(0xC0 | (c >> 6)), byte(0x80 | (c & 0x3F))};
    out.append(bytes, 2);
  } else if (c < 0x10000) {
    const char bytes[] = {byte(0xE0 | (c >> 12)), byte(0x80 | ((c >> 6) & 0x3F)),
                          byte(0x80 | (c & 0x3F))};
    out.append(bytes, 3);
  } else {
    const char bytes[] = {byte(0xF0 | (c >> 18)), byte(0x80 | ((c >> 12) & 0x3F)),
                          byte(0x80 | ((c >> 6) & 0x3F)), byte(0x80 | (c & 0x3F))};
    out.append(bytes, 4);
  }
}

// Bytes of ASCII that `text` has from `at` on.
inline std::size_t AsciiRun(std::string_view text, std::size_t at) {
  std::size_t i = at;
  while (text.size() - i >= 8) {
    std::uint64_t eight = 0;
    std::memcpy(&eight, text.data() + i, 8);
    if ((eight & 0x8080808080808080U) != 0) break;
    i += 8;
  }
  while (i < text.size() && IsAscii(text[i])) ++i;
  return i - at;
}

inline std::size_t CountChars(std::string_view text) {
  std::size_t count = 0;
  for (const char c : text) count += IsTail(c) ? 0 : 1;
  return count;
}

}  // namespace garrison::tokenizers
