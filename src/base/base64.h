// Base64 of RFC 4648 section 4, with padding.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace garrison {

std::string EncodeBase64(std::span<const std::byte> bytes);

// Nothing for another alphabet (that of URLs too), wrong padding or white space. The bits that the
// last character has too many are not looked at.
std::optional<std::string> DecodeBase64(std::string_view text);

}  // namespace garrison
