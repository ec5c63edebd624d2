// Conversations with Anthropic's models on Bedrock.
#pragma once

#include <memory>
#include <string>

#include "core/provider_settings.h"
#include "providers/aws_credentials.h"
#include "providers/chat_vendor.h"

namespace garrison {

// INVALID_ARGUMENT for a model that is none of Anthropic's, or an address that is none. An ARN is
// taken as it is: that of a profile does not name its model.
Result<std::unique_ptr<ChatVendor>> MakeBedrockChatVendor(
    const BedrockSettings& settings, const std::string& model,
    std::shared_ptr<AwsCredentialSource> credentials, const Clock& clock);

}  // namespace garrison
