#include "engine/model_config.h"

#include <cmath>
#include <utility>

#include "base/mapped_file.h"
#include "core/json.h"

namespace garrison {
namespace {

constexpr std::size_t kMaxConfigBytes = 16 << 20;
constexpr std::size_t kMaxDepth = 32;

}  // namespace

Result<ModelConfig> ModelConfig::Parse(std::string_view text, std::string file) {
  Result<nlohmann::json> json = ParseJson(text, kMaxDepth);
  if (!json) return tl::unexpected(At(file, std::move(json).error()));
  if (!json->is_object()) {
    return FailAt(std::move(file), Code::kInvalidArgument, "expected an object, got {}",
                  JsonTypeName(*json));
  }
  return ModelConfig(*std::move(json), std::move(file));
}

Result<ModelConfig> ModelConfig::Read(const std::filesystem::path& file) {
  ASSIGN_OR_RETURN(const std::string text, ReadTextFile(file, kMaxConfigBytes));
  return Parse(text, file.string());
}

Result<std::optional<ModelConfig>> ModelConfig::ReadIfThere(const std::filesystem::path& file) {
  std::error_code ignored;
  if (!std::filesystem::exists(file, ignored)) return std::optional<ModelConfig>();
  ASSIGN_OR_RETURN(ModelConfig config, Read(file));
  return std::optional<ModelConfig>(std::move(config));
}

const nlohmann::json* ModelConfig::Find(const char* field) const {
  const auto found = json_.find(field);
  return found == json_.end() || found->is_null() ? nullptr : &*found;
}

Result<std::size_t> ModelConfig::Size(const char* field, std::size_t most) const {
  const nlohmann::json* value = Find(field);
  if (value == nullptr) {
    return FailAt(Place(field), Code::kInvalidArgument, "expected a whole number, got nothing");
  }
  if (!value->is_number_unsigned() || value->get<std::uint64_t>() < 1 ||
      value->get<std::uint64_t>() > most) {
    return FailAt(Place(field), Code::kInvalidArgument,
                  "expected a whole number from 1 to {}, got {}", most,
                  value->dump().substr(0, 40));
  }
  return value->get<std::size_t>();
}

Result<std::size_t> ModelConfig::SizeOr(const char* field, std::size_t most,
                                        std::size_t fallback) const {
  if (Find(field) == nullptr) return fallback;
  return Size(field, most);
}

Result<double> ModelConfig::NumberOr(const char* field, double fallback) const {
  const nlohmann::json* value = Find(field);
  if (value == nullptr) return fallback;
  if (!value->is_number() || !std::isfinite(value->get<double>())) {
    return FailAt(Place(field), Code::kInvalidArgument, "expected a number, got {}",
                  value->dump().substr(0, 40));
  }
  return value->get<double>();
}

Result<bool> ModelConfig::FlagOr(const char* field, bool fallback) const {
  const nlohmann::json* value = Find(field);
  if (value == nullptr) return fallback;
  if (!value->is_boolean()) {
    return FailAt(Place(field), Code::kInvalidArgument, "expected true or false, got {}",
                  value->dump().substr(0, 40));
  }
  return value->get<bool>();
}

Result<std::string> ModelConfig::Text(const char* field) const {
  const nlohmann::json* value = Find(field);
  if (value == nullptr || !value->is_string()) {
    return FailAt(Place(field), Code::kInvalidArgument, "expected a string, got {}",
                  value == nullptr ? "nothing" : value->dump().substr(0, 40));
  }
  return value->get<std::string>();
}

Result<std::string> ModelConfig::TextOr(const char* field, std::string fallback) const {
  if (Find(field) == nullptr) return fallback;
  return Text(field);
}

}  // namespace garrison
