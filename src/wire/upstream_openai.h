// The embeddings of OpenAI's API as a client sees them: also Azure's, and everyone's who speaks it.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "core/model_input.h"
#include "wire/upstream.h"

namespace garrison {

// Body of POST /embeddings; the inputs are all texts or all ids. An empty model is left out (Azure
// names it in the URL).
std::string EncodeUpstreamOpenAi(std::string_view model, std::span<const EmbedInput> inputs,
                                 std::optional<std::size_t> dimensions);

// Of a reply with status 200 to `count` inputs; the order of `data` is not trusted.
Result<UpstreamVectors> DecodeUpstreamOpenAi(std::string_view body, std::size_t count);

// Of any other status. Error bodies: {"error":{"message","type","param","code"}}.
UpstreamFailure DecodeUpstreamOpenAiFailure(int status, std::string_view body,
                                            std::span<const std::string> secrets);

}  // namespace garrison
