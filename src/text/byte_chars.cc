#include "text/byte_chars.h"

#include "text/utf8.h"

namespace garrison::tokenizers {
namespace {

// Bytes that are printable in Latin-1 stand for themselves, the others for U+0100 and on, in order.
constexpr bool IsPrintable(unsigned byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

constexpr std::uint32_t kCharsEnd = 0x144;

constexpr std::array<std::uint16_t, 256> MakeByteChars() {
  std::array<std::uint16_t, 256> chars{};
  std::uint16_t next = 0x100;
  for (unsigned byte = 0; byte < 256; ++byte) {
    chars[byte] = IsPrintable(byte) ? static_cast<std::uint16_t>(byte) : next++;
  }
  return chars;
}

constexpr std::array<std::int16_t, kCharsEnd> MakeBytes() {
  std::array<std::int16_t, kCharsEnd> bytes{};
  for (std::int16_t& byte : bytes) byte = -1;
  const auto chars = MakeByteChars();
  for (unsigned byte = 0; byte < 256; ++byte) bytes[chars[byte]] = static_cast<std::int16_t>(byte);
  return bytes;
}

constexpr std::array<std::int16_t, kCharsEnd> kBytes = MakeBytes();

}  // namespace

const std::array<std::uint16_t, 256> kByteChars = MakeByteChars();

std::optional<unsigned char> ByteOf(std::uint32_t character) {
  if (character >= kCharsEnd || kBytes[character] < 0) return std::nullopt;
  return static_cast<unsigned char>(kBytes[character]);
}

void AppendByteChars(const TextView& in, TextBuffer& out) {
  for (std::size_t i = 0; i < in.text.size(); ++i) {
    const std::uint32_t c = kByteChars[static_cast<unsigned char>(in.text[i])];
    AppendChar(out.text, c);
    if (in.ranges != nullptr) {
      out.ranges.insert(out.ranges.end(), EncodedBytes(c), in.ranges[i]);
    }
  }
}

std::optional<std::string> BytesOf(std::string_view token) {
  std::string bytes;
  bytes.reserve(token.size());
  for (std::size_t i = 0; i < token.size();) {
    const Decoded c = DecodeAt(token, i);
    const auto byte = ByteOf(c.code_point);
    if (!byte) return std::nullopt;
    bytes.push_back(static_cast<char>(*byte));
    i += c.bytes;
  }
  return bytes;
}

}  // namespace garrison::tokenizers
