// The post-processors of tokenizer.json, reduced to two templates and how ranges are trimmed.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "base/result.h"

namespace garrison::tokenizers {

struct TemplateItem {
  enum class Kind { kFirst, kSecond, kSpecial };
  Kind kind = Kind::kFirst;
  std::int32_t type_id = 0;
  std::vector<std::int32_t> ids;  // of kSpecial
};

struct PostProcessor {
  // `spec` as tokenizer.json has it: an object, or null for none. `where` is its place there.
  static Result<PostProcessor> Parse(const nlohmann::json& spec, const std::string& where);

  std::size_t SpecialTokens(bool is_pair) const;

  std::vector<TemplateItem> single = {{TemplateItem::Kind::kFirst, 0, {}}};
  std::vector<TemplateItem> pair = {{TemplateItem::Kind::kFirst, 0, {}},
                                    {TemplateItem::Kind::kSecond, 1, {}}};
  bool trims_ranges = false;
  bool first_space_added = false;  // the first token's first space was not in the text
  bool has_template = false;
};

}  // namespace garrison::tokenizers
