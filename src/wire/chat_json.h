// JSON within chats that Garrison hands on without understanding it. Shared by the dialects.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "core/chat.h"
#include "wire/fields.h"

namespace garrison {

// A field that is an object, as JSON text. "" when absent; INVALID_ARGUMENT for another type.
Result<std::string> ObjectText(const Fields& fields, const char* name);

// Text that ObjectText made, as JSON again; an empty object for what is none.
nlohmann::ordered_json ObjectOf(std::string_view text);

// The arguments of a tool call as the object that Anthropic wants. Nothing is {}; what is broken is
// wrapped, {"INVALID_JSON": text}, as Anthropic's documents advise: the model sees what it wrote.
nlohmann::ordered_json ToolInput(std::string_view arguments);

// "https://..." or "data:TYPE;base64,...". INVALID_ARGUMENT otherwise.
Result<ChatImage> ImageOfUrl(std::string_view url, const std::string& where);

// The schema of a tool that takes nothing.
inline constexpr std::string_view kNoArguments = R"({"type":"object","properties":{}})";

}  // namespace garrison
