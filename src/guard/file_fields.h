// Reads the files that training leaves (projections, guards): JSON of which nothing is believed
// before it was looked at. Every error is INVALID_ARGUMENT, `where` the field.
#pragma once

#include <cstddef>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace garrison {

template <typename... Args>
tl::unexpected<Error> BadFile(std::string where, fmt::format_string<Args...> format,
                              Args&&... args) {
  return FailAt(std::move(where), Code::kInvalidArgument, "{}; retrain with garrison guard train",
                fmt::format(format, std::forward<Args>(args)...));
}

// `size` numbers from `min` to `max`; NaN is none.
Result<> CheckFileNumbers(const std::vector<double>& values, std::size_t size, double min,
                          double max, std::string_view name);
// 1 to 512 bytes without control characters.
Result<> CheckFileName(std::string_view text, std::string_view where);
// 64 lower-case hexadecimal digits.
Result<> CheckFileSha256(std::string_view text, std::string_view where);

// An object whose fields are all taken, each with its type checked.
class FileFields {
 public:
  // `value` must outlive it. `path`: of the object, "" for the root.
  static Result<FileFields> Of(const nlohmann::json& value, std::string path);

  // "model.id"
  std::string At(std::string_view key) const;
  bool Has(const char* key) const { return value_->contains(key); }

  Result<const nlohmann::json*> Get(const char* key);
  Result<FileFields> Object(const char* key);
  Result<std::string> Text(const char* key);
  // 0 to `max`.
  Result<std::size_t> Count(const char* key, std::size_t max);
  // `min` to `max`.
  Result<double> Number(const char* key, double min, double max);
  // At most `max` of any size.
  Result<std::vector<double>> Numbers(const char* key, std::size_t max);
  static Result<std::vector<double>> NumbersOf(const nlohmann::json& value,
                                               const std::string& where, std::size_t max);
  // Base64 of `size` little-endian floats, all finite.
  Result<std::vector<float>> Floats(const char* key, std::size_t size);

  // Call last: a field that nobody asked for is a mistake or a newer format.
  Result<> CheckNoOthers(std::initializer_list<std::string_view> known) const;

 private:
  FileFields(const nlohmann::json& value, std::string path)
      : value_(&value), path_(std::move(path)) {}

  const nlohmann::json* value_;
  std::string path_;
  std::size_t taken_ = 0;
};

// What FileFields::Floats reads.
std::string EncodeFloats(const float* values, std::size_t size);

}  // namespace garrison
