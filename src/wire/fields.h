// Reading a JSON object's fields with errors that name them. Shared by the dialects.
#pragma once

#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "core/embedder.h"

namespace garrison {

// "expected {what}, got a number", INVALID_ARGUMENT.
tl::unexpected<Error> WrongType(std::string where, std::string_view expected,
                                const nlohmann::json& got);

// A view of one object; fields that are null count as absent, unknown ones are ignored.
class Fields {
 public:
  // INVALID_ARGUMENT unless `body` is an object. `prefix` is put before the names in errors.
  static Result<Fields> Of(const nlohmann::json& body, std::string prefix = "");

  // Null when absent.
  const nlohmann::json* Find(const char* name) const;
  std::string Place(const char* name) const { return prefix_ + name; }

  // INVALID_ARGUMENT when absent.
  Result<std::string> Text(const char* name) const;
  Result<std::string> TextOr(const char* name, std::string fallback) const;
  Result<bool> FlagOr(const char* name, bool fallback) const;
  Result<std::optional<bool>> Flag(const char* name) const;
  // A whole number of at least 1.
  Result<std::optional<std::size_t>> Count(const char* name) const;
  // The same, at most 2^32 - 1.
  Result<std::optional<std::uint32_t>> Count32(const char* name) const;
  // A number from `low` to `high`.
  Result<std::optional<double>> Number(const char* name, double low, double high) const;
  // INVALID_ARGUMENT unless it is a list; null when absent.
  Result<const nlohmann::json*> List(const char* name) const;
  // INVALID_ARGUMENT, saying `why`, when the field is there and holds anything but false, an empty
  // list or an empty object.
  Result<> Refuse(const char* name, std::string_view why) const;
  // A list of strings. INVALID_ARGUMENT when absent.
  Result<std::vector<std::string>> Texts(const char* name) const;

  // A string, a list of token ids, or a list of both: what the embedding routes of OpenAI and TEI
  // take. INVALID_ARGUMENT for an empty list.
  Result<std::vector<EmbedInput>> Inputs(const char* name) const;

 private:
  Fields(const nlohmann::json& body, std::string prefix)
      : body_(&body), prefix_(std::move(prefix)) {}
  tl::unexpected<Error> Missing(const char* name, std::string_view expected) const;

  const nlohmann::json* body_;
  std::string prefix_;
};

// Indexes of `scores` from the highest to the lowest; equal ones keep their order.
std::vector<std::size_t> Ranking(std::span<const float> scores);

// "[0.1,2]": the shortest digits that read back as the same floats.
void AppendFloats(std::span<const float> values, std::string& json);

}  // namespace garrison
