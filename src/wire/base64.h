// Base64 of RFC 4648 section 4, with padding.
#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace garrison {

std::string EncodeBase64(std::span<const std::byte> bytes);

}  // namespace garrison
