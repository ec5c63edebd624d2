// Hugging Face's feature extraction: the router's API, its endpoints, and
// text-embeddings-inference's /embed.
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

struct HuggingFaceOptions {
  std::optional<bool> normalize;  // unset: as the model is set up there
  std::string prompt_name;        // empty: the model's default
  bool truncate = false;          // false: inputs that are too long are an error
  LongInput::Side side = LongInput::Side::kRight;
};

// `inputs` are texts.
std::string EncodeUpstreamHuggingFace(std::span<const EmbedInput> inputs,
                                      const HuggingFaceOptions& options);

// The rank of the answer varies. [inputs][dimension] is what is wanted; [dimension] is taken as the
// vector of a single input, and [inputs][1][dimension] as a vector each. With more rows in the
// middle these are vectors of tokens, which a model that pools does not return: they are refused,
// because how to pool them is not known. There is no usage.
Result<UpstreamVectors> DecodeUpstreamHuggingFace(std::string_view body, std::size_t count);

// Error bodies: {"error":"text","error_type"?}, {"error":{"message"}} or {"message"}.
UpstreamFailure DecodeUpstreamHuggingFaceFailure(int status, std::string_view body,
                                                 std::span<const std::string> secrets);

}  // namespace garrison
