// OpenAI's JSON shapes to and from core types. Pure: no input or output.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "core/embedder.h"

namespace garrison {

enum class EmbeddingEncoding { kFloat, kBase64 };

struct OpenAiEmbeddingsCall {
  std::string model;  // as the client named it; empty: the default model
  EmbedRequest request;
  EmbeddingEncoding encoding = EmbeddingEncoding::kFloat;
};

// Body of POST /v1/embeddings: input is a string, a list of strings, a list of token ids, or a list
// of lists of token ids. Fields it does not know are ignored. INVALID_ARGUMENT names the field at
// fault.
Result<OpenAiEmbeddingsCall> DecodeOpenAiEmbeddings(const nlohmann::json& body);

// base64 is that of little-endian float32.
std::string EncodeOpenAiEmbeddings(const Embeddings& embeddings, const ModelInfo& model,
                                   EmbeddingEncoding encoding);

// {"object":"list","data":[...]} and one entry of it. `created` is in seconds since 1970.
std::string EncodeOpenAiModels(std::span<const ModelInfo> models, std::int64_t created);
std::string EncodeOpenAiModel(const ModelInfo& model, std::int64_t created);

// {"error":{"message","type","param","code"}} with all four keys, as OpenAI's clients require.
std::string EncodeOpenAiError(const Error& error, std::string_view type);

}  // namespace garrison
