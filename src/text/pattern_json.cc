#include "text/pattern_json.h"

namespace garrison::tokenizers {

Result<std::unique_ptr<Pattern>> ParsePattern(const Fields& fields, std::string_view key) {
  const nlohmann::json* value = fields.Find(key);
  if (value != nullptr && value->is_string()) {
    return Pattern::Literal(value->get_ref<const std::string&>());
  }
  if (value == nullptr) {
    return FailAt(fields.At(key), Code::kInvalidArgument,
                  "expected {{\"String\": ...}} or {{\"Regex\": ...}}, got nothing");
  }
  const Fields pattern(*value, fields.At(key));
  RETURN_IF_ERROR(pattern.Check());
  if (pattern.Find("String") != nullptr) {
    ASSIGN_OR_RETURN(std::string text, pattern.String("String", std::nullopt));
    return Pattern::Literal(std::move(text));
  }
  ASSIGN_OR_RETURN(const std::string expression, pattern.String("Regex", std::nullopt));
  auto made = Pattern::Regex(expression);
  if (!made) return tl::unexpected(At(pattern.At("Regex"), made.error()));
  return made;
}

}  // namespace garrison::tokenizers
