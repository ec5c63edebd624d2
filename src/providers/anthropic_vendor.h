// Conversations with Anthropic's models at Anthropic itself, and what tells its models apart.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "core/provider_settings.h"
#include "providers/chat_vendor.h"

namespace garrison {

// What a model takes, by its name there or at Bedrock. Models that are not known take everything:
// the vendor refuses what is not so.
AnthropicForm AnthropicFormOf(std::string_view model);

std::unique_ptr<ChatVendor> MakeAnthropicVendor(const AnthropicSettings& settings,
                                                const std::string& model);

}  // namespace garrison
