// Reading the fields of tokenizer.json: every error names the place.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace garrison::tokenizers {

// INVALID_ARGUMENT for malformed JSON, invalid UTF-8, or nesting deeper than 64 levels.
Result<nlohmann::json> ParseTokenizerJson(std::string_view text);

std::string_view JsonTypeName(const nlohmann::json& value);

// One object of the file and its place there ("normalizer.normalizers[1]").
class Fields {
 public:
  Fields(const nlohmann::json& object, std::string where)
      : object_(object), where_(std::move(where)) {}

  // INVALID_ARGUMENT unless it is an object.
  Result<> Check() const;
  const std::string& where() const { return where_; }
  std::string At(std::string_view key) const;
  // Null when the field is absent or null.
  const nlohmann::json* Find(std::string_view key) const;

  // Without a fallback the field must be there.
  Result<bool> Bool(std::string_view key, std::optional<bool> fallback) const;
  Result<std::string> String(std::string_view key, std::optional<std::string> fallback) const;
  // A whole number from 0 to `most`.
  Result<std::uint64_t> Whole(std::string_view key, std::optional<std::uint64_t> fallback,
                              std::uint64_t most) const;
  // One character.
  Result<std::uint32_t> Char(std::string_view key, std::optional<std::uint32_t> fallback) const;
  // A list of objects or anything else.
  Result<const nlohmann::json*> List(std::string_view key) const;
  // One of `names`; UNIMPLEMENTED with the list otherwise.
  Result<std::size_t> OneOf(std::string_view key, std::span<const std::string_view> names,
                            std::optional<std::size_t> fallback) const;

 private:
  tl::unexpected<Error> Expected(std::string_view key, std::string_view what) const;

  const nlohmann::json& object_;
  const std::string where_;
};

}  // namespace garrison::tokenizers
