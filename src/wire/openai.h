// OpenAI's JSON shapes to and from core types. Pure: no input or output.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "core/chat.h"
#include "core/embedder.h"
#include "core/model_catalog.h"
#include "core/moderation.h"

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

struct OpenAiModerationsCall {
  std::string model;
  std::vector<std::string> texts;
};

// Body of POST /v1/moderations: input is a string, a list of strings, or a list of text parts.
Result<OpenAiModerationsCall> DecodeOpenAiModerations(const nlohmann::json& body);
// Only categories that were measured are there.
std::string EncodeOpenAiModerations(std::span<const Moderation> moderations, std::string_view id,
                                    std::string_view model);

// {"object":"list","data":[...]} and one entry of it. `created` is in seconds since 1970.
std::string EncodeOpenAiModels(std::span<const ModelStatus> models,
                               std::span<const ChatModelStatus> chat, std::int64_t created);
std::string EncodeOpenAiModel(const ModelStatus& model, std::int64_t created);
std::string EncodeOpenAiModel(const ChatModelStatus& model, std::int64_t created);

// {"error":{"message","type","param","code"}} with all four keys, as OpenAI's clients require.
std::string EncodeOpenAiError(const Error& error, std::string_view type);

}  // namespace garrison
