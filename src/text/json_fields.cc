#include "text/json_fields.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "text/fold.h"
#include "text/utf8.h"

namespace garrison::tokenizers {
namespace {

constexpr std::size_t kDepthMax = 64;

// The library parses without recursion; this bound protects what walks the tree by recursion.
bool IsTooDeep(std::string_view text) {
  std::size_t depth = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      if (++depth > kDepthMax) return true;
    } else if (c == ']' || c == '}') {
      depth -= depth > 0 ? 1 : 0;
    }
  }
  return false;
}

}  // namespace

Result<nlohmann::json> ParseTokenizerJson(std::string_view text) {
  RETURN_IF_ERROR(CheckUtf8(text));
  if (IsTooDeep(text)) {
    return Fail(Code::kInvalidArgument, "the JSON is nested deeper than {} levels", kDepthMax);
  }
  try {
    return nlohmann::json::parse(text);
  } catch (const nlohmann::json::parse_error& error) {
    return Fail(Code::kInvalidArgument, "expected JSON; it stops making sense at byte {} of {}",
                std::min(error.byte, text.size()), text.size());
  } catch (const nlohmann::json::exception& error) {
    return Fail(Code::kInvalidArgument, "the JSON holds a number that is out of range");
  }
}

std::string_view JsonTypeName(const nlohmann::json& value) {
  switch (value.type()) {
    case nlohmann::json::value_t::null:
      return "null";
    case nlohmann::json::value_t::object:
      return "an object";
    case nlohmann::json::value_t::array:
      return "a list";
    case nlohmann::json::value_t::string:
      return "a string";
    case nlohmann::json::value_t::boolean:
      return "a boolean";
    default:
      return "a number";
  }
}

Result<> Fields::Check() const {
  if (object_.is_object()) return {};
  return FailAt(where_, Code::kInvalidArgument, "expected an object, got {}",
                JsonTypeName(object_));
}

std::string Fields::At(std::string_view key) const {
  return where_.empty() ? std::string(key) : fmt::format("{}.{}", where_, key);
}

const nlohmann::json* Fields::Find(std::string_view key) const {
  if (!object_.is_object()) return nullptr;
  const auto found = object_.find(key);
  return found == object_.end() || found->is_null() ? nullptr : &*found;
}

tl::unexpected<Error> Fields::Expected(std::string_view key, std::string_view what) const {
  const nlohmann::json* value = Find(key);
  return FailAt(At(key), Code::kInvalidArgument, "expected {}, got {}", what,
                value == nullptr ? "nothing" : JsonTypeName(*value));
}

Result<bool> Fields::Bool(std::string_view key, std::optional<bool> fallback) const {
  const nlohmann::json* value = Find(key);
  if (value == nullptr && fallback) return *fallback;
  if (value == nullptr || !value->is_boolean()) return Expected(key, "true or false");
  return value->get<bool>();
}

Result<std::string> Fields::String(std::string_view key,
                                   std::optional<std::string> fallback) const {
  const nlohmann::json* value = Find(key);
  if (value == nullptr && fallback) return *std::move(fallback);
  if (value == nullptr || !value->is_string()) return Expected(key, "a string");
  return value->get_ref<const std::string&>();
}

Result<std::uint64_t> Fields::Whole(std::string_view key, std::optional<std::uint64_t> fallback,
                                    std::uint64_t most) const {
  const nlohmann::json* value = Find(key);
  if (value == nullptr && fallback) return *fallback;
  if (value == nullptr || !value->is_number_unsigned() || value->get<std::uint64_t>() > most) {
    return Expected(key, fmt::format("a whole number from 0 to {}", most));
  }
  return value->get<std::uint64_t>();
}

Result<std::uint32_t> Fields::Char(std::string_view key,
                                   std::optional<std::uint32_t> fallback) const {
  const nlohmann::json* value = Find(key);
  if (value == nullptr && fallback) return *fallback;
  if (value == nullptr || !value->is_string()) return Expected(key, "a string of one character");
  const auto& text = value->get_ref<const std::string&>();
  if (text.empty() || CharBytes(text[0]) != text.size()) {
    return Expected(key, "a string of one character");
  }
  return DecodeAt(text, 0).code_point;
}

Result<const nlohmann::json*> Fields::List(std::string_view key) const {
  const nlohmann::json* value = Find(key);
  if (value == nullptr || !value->is_array()) return Expected(key, "a list");
  return value;
}

Result<std::size_t> Fields::OneOf(std::string_view key, std::span<const std::string_view> names,
                                  std::optional<std::size_t> fallback) const {
  const nlohmann::json* value = Find(key);
  if (value == nullptr && fallback) return *fallback;
  if (value == nullptr || !value->is_string()) return Expected(key, "a string");
  const auto& text = value->get_ref<const std::string&>();
  const auto found = std::find(names.begin(), names.end(), text);
  if (found == names.end()) {
    return FailAt(At(key), Code::kUnimplemented, "\"{}\" is not known; known are {}", text,
                  fmt::join(names, ", "));
  }
  return static_cast<std::size_t>(found - names.begin());
}

}  // namespace garrison::tokenizers
