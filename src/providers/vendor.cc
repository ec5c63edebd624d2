#include "providers/vendor.h"

#include <fmt/format.h>

#include <string_view>
#include <variant>

namespace garrison {

Result<> CheckTextsOnly(std::string_view provider, const EmbedRequest& request) {
  for (std::size_t i = 0; i < request.inputs.size(); ++i) {
    if (std::holds_alternative<std::string>(request.inputs[i])) continue;
    return FailAt(fmt::format("input[{}]", i), Code::kInvalidArgument,
                  "expected a text, got token ids, which {} does not take", provider);
  }
  return {};
}

Result<> CheckNoPrompt(std::string_view provider, const EmbedRequest& request) {
  if (request.prompt.empty()) return {};
  return FailAt("prompt", Code::kInvalidArgument,
                "{} knows no prompts by name; put the prompt's words before the text", provider);
}

}  // namespace garrison
