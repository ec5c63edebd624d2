// JSON from outside: bounded, checked, with errors that name the place.
#pragma once

#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace garrison {

// INVALID_ARGUMENT for malformed JSON (with the byte position), invalid UTF-8, or nesting deeper
// than `max_depth`. Of two equal keys the last counts.
Result<nlohmann::json> ParseJson(std::string_view text, std::size_t max_depth);

// "a string", "a number", ...: the type as an error message says it.
std::string_view JsonTypeName(const nlohmann::json& value);

// A list of token ids. INVALID_ARGUMENT (where: `where` or "where[i]") unless every one is a whole
// number from 0 to 2147483647.
Result<std::vector<std::int32_t>> JsonTokenIds(const nlohmann::json& list,
                                               const std::string& where);

// Serialises; strings are known to be UTF-8, and bytes that are not are replaced rather than
// refused.
std::string DumpJson(const nlohmann::ordered_json& value);

}  // namespace garrison
