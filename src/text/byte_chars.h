// GPT-2's alphabet: a printable character for every byte.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "text/aligned_text.h"

namespace garrison::tokenizers {

// The character that stands for each byte.
extern const std::array<std::uint16_t, 256> kByteChars;

// The byte that a character stands for.
std::optional<unsigned char> ByteOf(std::uint32_t character);

// Appends the characters for all bytes of `in`; each has the range of its byte.
void AppendByteChars(const TextView& in, TextBuffer& out);

// The bytes that the characters of `token` stand for; nullopt if one stands for none.
std::optional<std::string> BytesOf(std::string_view token);

}  // namespace garrison::tokenizers
