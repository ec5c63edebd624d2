// {"String": "..."} or {"Regex": "..."}.
#pragma once

#include <memory>
#include <string_view>

#include "base/result.h"
#include "text/json_fields.h"
#include "text/pattern.h"

namespace garrison::tokenizers {

Result<std::unique_ptr<Pattern>> ParsePattern(const Fields& fields, std::string_view key);

}  // namespace garrison::tokenizers
