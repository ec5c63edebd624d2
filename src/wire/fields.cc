#include "wire/fields.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <iterator>
#include <limits>
#include <numeric>
#include <utility>

#include "core/json.h"

namespace garrison {

using Json = nlohmann::json;

tl::unexpected<Error> WrongType(std::string where, std::string_view expected, const Json& got) {
  return FailAt(std::move(where), Code::kInvalidArgument, "expected {}, got {}", expected,
                JsonTypeName(got));
}

Result<Fields> Fields::Of(const Json& body, std::string prefix) {
  if (!body.is_object()) {
    std::string where = prefix.substr(0, prefix.empty() ? 0 : prefix.size() - 1);
    return WrongType(std::move(where), "a JSON object", body);
  }
  return Fields(body, std::move(prefix));
}

const Json* Fields::Find(const char* name) const {
  const auto field = body_->find(name);
  return field == body_->end() || field->is_null() ? nullptr : &*field;
}

tl::unexpected<Error> Fields::Missing(const char* name, std::string_view expected) const {
  return FailAt(Place(name), Code::kInvalidArgument, "the field is missing; expected {}", expected);
}

Result<std::string> Fields::Text(const char* name) const {
  const Json* field = Find(name);
  if (field == nullptr) return Missing(name, "a string");
  if (!field->is_string()) return WrongType(Place(name), "a string", *field);
  return field->get<std::string>();
}

Result<std::string> Fields::TextOr(const char* name, std::string fallback) const {
  if (Find(name) == nullptr) return fallback;
  return Text(name);
}

Result<std::optional<bool>> Fields::Flag(const char* name) const {
  const Json* field = Find(name);
  if (field == nullptr) return std::optional<bool>();
  if (!field->is_boolean()) return WrongType(Place(name), "true or false", *field);
  return std::optional(field->get<bool>());
}

Result<bool> Fields::FlagOr(const char* name, bool fallback) const {
  ASSIGN_OR_RETURN(const std::optional<bool> flag, Flag(name));
  return flag.value_or(fallback);
}

Result<std::optional<std::size_t>> Fields::Count(const char* name) const {
  const Json* field = Find(name);
  if (field == nullptr) return std::optional<std::size_t>();
  if (!field->is_number_integer()) return WrongType(Place(name), "a whole number", *field);
  if (!field->is_number_unsigned() || field->get<std::uint64_t>() == 0) {
    return FailAt(Place(name), Code::kInvalidArgument, "expected at least 1, got {}",
                  field->dump());
  }
  return std::optional(static_cast<std::size_t>(field->get<std::uint64_t>()));
}

Result<std::optional<std::uint32_t>> Fields::Count32(const char* name) const {
  ASSIGN_OR_RETURN(const std::optional<std::size_t> count, Count(name));
  if (!count) return std::optional<std::uint32_t>();
  constexpr std::size_t kMost = std::numeric_limits<std::uint32_t>::max();
  if (*count > kMost) {
    return FailAt(Place(name), Code::kInvalidArgument, "expected at most {}, got {}", kMost,
                  *count);
  }
  return std::optional(static_cast<std::uint32_t>(*count));
}

Result<std::optional<double>> Fields::Number(const char* name, double low, double high) const {
  const Json* field = Find(name);
  if (field == nullptr) return std::optional<double>();
  if (!field->is_number()) return WrongType(Place(name), "a number", *field);
  const double value = field->get<double>();
  if (!(value >= low && value <= high)) {
    return FailAt(Place(name), Code::kInvalidArgument, "expected a number from {} to {}, got {}",
                  low, high, field->dump());
  }
  return std::optional(value);
}

Result<const Json*> Fields::List(const char* name) const {
  const Json* field = Find(name);
  if (field != nullptr && !field->is_array()) return WrongType(Place(name), "a list", *field);
  return field;
}

Result<> Fields::Refuse(const char* name, std::string_view why) const {
  const Json* field = Find(name);
  if (field == nullptr || (field->is_boolean() && !field->get<bool>()) ||
      (field->is_structured() && field->empty())) {
    return {};
  }
  return FailAt(Place(name), Code::kInvalidArgument, "{}", why);
}

Result<std::vector<std::string>> Fields::Texts(const char* name) const {
  const Json* field = Find(name);
  if (field == nullptr) return Missing(name, "a list of strings");
  if (!field->is_array()) return WrongType(Place(name), "a list of strings", *field);
  std::vector<std::string> texts;
  texts.reserve(field->size());
  for (std::size_t i = 0; i < field->size(); ++i) {
    const Json& text = (*field)[i];
    if (!text.is_string()) {
      return WrongType(fmt::format("{}[{}]", Place(name), i), "a string", text);
    }
    texts.push_back(text.get<std::string>());
  }
  return texts;
}

Result<std::vector<EmbedInput>> Fields::Inputs(const char* name) const {
  constexpr std::string_view kExpected = "a string, a list of strings or a list of token ids";
  const Json* field = Find(name);
  if (field == nullptr) return Missing(name, kExpected);
  std::vector<EmbedInput> inputs;
  if (field->is_string()) {
    inputs.emplace_back(field->get<std::string>());
    return inputs;
  }
  if (!field->is_array()) return WrongType(Place(name), kExpected, *field);
  if (field->empty()) {
    return FailAt(Place(name), Code::kInvalidArgument,
                  "expected at least one text, got an empty list");
  }
  const auto add_ids = [&](const Json& list, const std::string& where) -> Result<> {
    TokenIds tokens;
    ASSIGN_OR_RETURN(tokens.ids, JsonTokenIds(list, where));
    inputs.emplace_back(std::move(tokens));
    return {};
  };
  if (field->front().is_number()) {
    RETURN_IF_ERROR(add_ids(*field, Place(name)));
    return inputs;
  }
  inputs.reserve(field->size());
  for (std::size_t i = 0; i < field->size(); ++i) {
    const Json& input = (*field)[i];
    const std::string where = fmt::format("{}[{}]", Place(name), i);
    if (input.is_string()) {
      inputs.emplace_back(input.get<std::string>());
    } else if (input.is_array()) {
      RETURN_IF_ERROR(add_ids(input, where));
    } else {
      return WrongType(where, "a string or a list of token ids", input);
    }
  }
  return inputs;
}

std::vector<std::size_t> Ranking(std::span<const float> scores) {
  std::vector<std::size_t> order(scores.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return scores[a] > scores[b]; });
  return order;
}

void AppendFloats(std::span<const float> values, std::string& json) {
  fmt::format_to(std::back_inserter(json), "[{}]", fmt::join(values, ","));
}

}  // namespace garrison
