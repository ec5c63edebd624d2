#include "guard/file_fields.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <span>

#include "base/base64.h"
#include "core/json.h"
#include "guard/text_scan.h"

namespace garrison {

using nlohmann::json;

static_assert(std::endian::native == std::endian::little, "floats are kept as they lie in memory");

Result<> CheckFileNumbers(const std::vector<double>& values, std::size_t size, double min,
                          double max, std::string_view name) {
  if (values.size() != size) {
    return BadFile(std::string(name), "expected {} numbers, got {}", size, values.size());
  }
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (!(values[i] >= min && values[i] <= max)) {
      return BadFile(fmt::format("{}[{}]", name, i), "expected a number from {} to {}, got {}", min,
                     max, values[i]);
    }
  }
  return {};
}

Result<> CheckFileName(std::string_view text, std::string_view where) {
  constexpr std::size_t kBytesMax = 512;
  const bool control =
      std::any_of(text.begin(), text.end(), [](char c) { return c >= 0 && c < ' '; });
  if (!text.empty() && text.size() <= kBytesMax && !control) return {};
  return BadFile(std::string(where), "expected a name of 1 to {} bytes", kBytesMax);
}

Result<> CheckFileSha256(std::string_view text, std::string_view where) {
  const auto hex = [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); };
  if (text.size() == 64 && std::all_of(text.begin(), text.end(), hex)) return {};
  return BadFile(std::string(where), "expected 64 lower-case hexadecimal digits");
}

Result<FileFields> FileFields::Of(const json& value, std::string path) {
  if (!value.is_object()) return BadFile(path, "expected an object, got {}", JsonTypeName(value));
  return FileFields(value, std::move(path));
}

std::string FileFields::At(std::string_view key) const {
  return path_.empty() ? std::string(key) : fmt::format("{}.{}", path_, key);
}

Result<const json*> FileFields::Get(const char* key) {
  if (!Has(key)) return BadFile(At(key), "expected this field, got none");
  ++taken_;
  return &(*value_)[key];
}

Result<FileFields> FileFields::Object(const char* key) {
  ASSIGN_OR_RETURN(const json* value, Get(key));
  return Of(*value, At(key));
}

Result<std::string> FileFields::Text(const char* key) {
  ASSIGN_OR_RETURN(const json* value, Get(key));
  if (!value->is_string()) {
    return BadFile(At(key), "expected a string, got {}", JsonTypeName(*value));
  }
  return value->get<std::string>();
}

Result<std::size_t> FileFields::Count(const char* key, std::size_t max) {
  ASSIGN_OR_RETURN(const json* value, Get(key));
  if (!value->is_number_unsigned() || value->get<std::uint64_t>() > max) {
    return BadFile(At(key), "expected a whole number from 0 to {}, got {}", max,
                   Excerpt(value->dump()));
  }
  return value->get<std::size_t>();
}

Result<double> FileFields::Number(const char* key, double min, double max) {
  ASSIGN_OR_RETURN(const json* value, Get(key));
  if (!value->is_number() || !(value->get<double>() >= min && value->get<double>() <= max)) {
    return BadFile(At(key), "expected a number from {} to {}, got {}", min, max,
                   Excerpt(value->dump()));
  }
  return value->get<double>();
}

Result<std::vector<double>> FileFields::Numbers(const char* key, std::size_t max) {
  ASSIGN_OR_RETURN(const json* value, Get(key));
  return NumbersOf(*value, At(key), max);
}

Result<std::vector<double>> FileFields::NumbersOf(const json& value, const std::string& where,
                                                  std::size_t max) {
  if (!value.is_array()) {
    return BadFile(where, "expected a list of numbers, got {}", JsonTypeName(value));
  }
  if (value.size() > max) {
    return BadFile(where, "expected at most {} numbers, got {}", max, value.size());
  }
  std::vector<double> numbers;
  numbers.reserve(value.size());
  for (const json& number : value) {
    if (!number.is_number()) {
      return BadFile(fmt::format("{}[{}]", where, numbers.size()), "expected a number, got {}",
                     JsonTypeName(number));
    }
    numbers.push_back(number.get<double>());
  }
  return numbers;
}

Result<std::vector<float>> FileFields::Floats(const char* key, std::size_t size) {
  ASSIGN_OR_RETURN(const std::string text, Text(key));
  const std::optional<std::string> bytes = DecodeBase64(text);
  if (!bytes || bytes->size() != size * sizeof(float)) {
    return BadFile(At(key), "expected {} numbers in base64, got {}", size,
                   bytes ? fmt::format("{} bytes", bytes->size()) : "something else");
  }
  std::vector<float> values(size);
  if (size != 0) std::memcpy(values.data(), bytes->data(), bytes->size());
  if (!std::all_of(values.begin(), values.end(),
                   [](float value) { return std::isfinite(value); })) {
    return BadFile(At(key), "expected finite numbers");
  }
  return values;
}

Result<> FileFields::CheckNoOthers(std::initializer_list<std::string_view> known) const {
  if (value_->size() == taken_) return {};
  for (const auto& [key, value] : value_->items()) {
    if (std::find(known.begin(), known.end(), key) == known.end()) {
      return BadFile(At(Excerpt(key)), "this field is unknown");
    }
  }
  return {};
}

std::string EncodeFloats(const float* values, std::size_t size) {
  return EncodeBase64(std::as_bytes(std::span(values, size)));
}

}  // namespace garrison
