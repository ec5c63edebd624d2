// Embeddings of Hugging Face: its router, an Inference Endpoint, text-embeddings-inference.
#pragma once

#include <memory>

#include "core/provider_settings.h"
#include "providers/vendor.h"

namespace garrison {

std::unique_ptr<Vendor> MakeHuggingFaceVendor(const HuggingFaceSettings& settings,
                                              const std::string& model);

}  // namespace garrison
