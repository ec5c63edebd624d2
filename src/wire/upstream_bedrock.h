// Amazon Titan text embeddings as Bedrock's InvokeModel takes and gives them: one text a call.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "wire/upstream.h"

namespace garrison {

// Version 1 takes the text and nothing else; version 2 dimensions and normalize.
enum class TitanVersion { kV1, kV2 };

std::string EncodeUpstreamTitan(TitanVersion version, std::string_view text,
                                std::optional<std::size_t> dimensions,
                                std::optional<bool> normalize);

// The float vector of "embedding", or of "embeddingsByType". UNAVAILABLE when there is only a
// binary one.
Result<UpstreamVectors> DecodeUpstreamTitan(std::string_view body);

// `error_type` is the header x-amzn-ErrorType ("ThrottlingException:http://..."), which tells what
// the status does not: ServiceQuotaExceeded is a 400, ModelNotReady a 429. Bodies: {"message"}.
UpstreamFailure DecodeUpstreamBedrockFailure(int status, std::string_view error_type,
                                             std::string_view body,
                                             std::span<const std::string> secrets);

}  // namespace garrison
