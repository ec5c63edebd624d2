// config.json and its neighbours, read field by field with errors that name the field.
#pragma once

#include <cstddef>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace garrison {

// One JSON file of a model folder. Every getter's error has where "FILE: FIELD".
class ModelConfig {
 public:
  // NOT_FOUND, or INVALID_ARGUMENT when it is not a JSON object.
  static Result<ModelConfig> Read(const std::filesystem::path& file);
  // Nullopt when the file is not there.
  static Result<std::optional<ModelConfig>> ReadIfThere(const std::filesystem::path& file);
  // For tests and fuzzing; `file` is used in errors only.
  static Result<ModelConfig> Parse(std::string_view text, std::string file);

  // Whole number in [1, most]; `most` bounds what a hostile file can make us allocate.
  Result<std::size_t> Size(const char* field, std::size_t most) const;
  Result<std::size_t> SizeOr(const char* field, std::size_t most, std::size_t fallback) const;
  Result<double> NumberOr(const char* field, double fallback) const;
  Result<bool> FlagOr(const char* field, bool fallback) const;
  Result<std::string> Text(const char* field) const;
  Result<std::string> TextOr(const char* field, std::string fallback) const;

  const nlohmann::json& json() const { return json_; }
  // Null when absent or JSON null.
  const nlohmann::json* Find(const char* field) const;
  std::string Place(const char* field) const { return file_ + ": " + field; }

 private:
  ModelConfig(nlohmann::json json, std::string file)
      : json_(std::move(json)), file_(std::move(file)) {}

  nlohmann::json json_;
  std::string file_;
};

}  // namespace garrison
