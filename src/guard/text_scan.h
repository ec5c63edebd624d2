// What the guard's readers of untrusted text share: encoding checks, places, numbers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace garrison {

// 1-based line of the byte at `offset`.
std::size_t LineAt(std::string_view text, std::size_t offset);

// "line 7"
std::string LineName(std::size_t line);

std::string_view WithoutBom(std::string_view text);

// Without leading and trailing spaces, tabs and line ends.
std::string_view Trim(std::string_view text);

// ASCII only.
std::string Lower(std::string_view text);

// Bytes of the well-formed UTF-8 character at the start of `text`, which is not empty; 0 if there
// is none.
std::size_t Utf8Length(std::string_view text);

// INVALID_ARGUMENT (where: "line N") unless it is UTF-8 without NUL.
Result<> CheckPlainText(std::string_view text);

// Lines without their "\n" or "\r\n"; a last line without an end counts. `text` must outlive them.
std::vector<std::string_view> SplitLines(std::string_view text);

// The whole of `text` (trimmed) as a number; empty if it is none. Takes "nan" and "inf" as well,
// which the caller has to refuse by name.
std::optional<double> ParseDouble(std::string_view text);
// A whole number, also when written "3.0".
std::optional<std::int64_t> ParseWhole(std::string_view text);

// For messages: the text itself, cut after `bytes_max` bytes at a character.
std::string Excerpt(std::string_view text, std::size_t bytes_max = 40);

}  // namespace garrison
