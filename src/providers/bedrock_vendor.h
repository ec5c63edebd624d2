// Embeddings of Amazon Titan on Bedrock: one text a call, signed.
#pragma once

#include <memory>
#include <string>

#include "core/provider_settings.h"
#include "providers/aws_credentials.h"
#include "providers/vendor.h"

namespace garrison {

// INVALID_ARGUMENT for a model that is no Titan text embedding, or an address that is none.
Result<std::unique_ptr<Vendor>> MakeBedrockVendor(const BedrockSettings& settings,
                                                  const std::string& model,
                                                  std::shared_ptr<AwsCredentialSource> credentials,
                                                  const Clock& clock);

}  // namespace garrison
