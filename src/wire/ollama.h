// Ollama's JSON shapes for embeddings and models, to and from core types. Pure: no input or output.
// INVALID_ARGUMENT names the field at fault; unknown fields (options, keep_alive) are ignored.
#pragma once

#include <chrono>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "core/embedder.h"
#include "core/model_catalog.h"

namespace garrison {

struct OllamaEmbedCall {
  std::string model;  // without the tag ":latest"
  EmbedRequest request;
  LongInputChoice choice;
};
// Body of POST /api/embed: {model, input, truncate? = true, dimensions?}. Long inputs are truncated
// unless the client says otherwise, as that API promises.
Result<OllamaEmbedCall> DecodeOllamaEmbed(const nlohmann::json& body);
// {"model","embeddings","total_duration","load_duration","prompt_eval_count"}; nanoseconds.
std::string EncodeOllamaEmbed(const Embeddings& embeddings, std::string_view model,
                              std::chrono::nanoseconds total);

// Body of POST /api/embeddings, the older route: {model, prompt}.
Result<OllamaEmbedCall> DecodeOllamaEmbeddings(const nlohmann::json& body);
// {"embedding":[..]}
std::string EncodeOllamaEmbeddings(const Embeddings& embeddings);

// Body of POST /api/show: {model} or, before, {name}.
Result<std::string> DecodeOllamaShow(const nlohmann::json& body);
// `modified` is a time in RFC 3339.
std::string EncodeOllamaShow(const ModelStatus& model, std::string_view modified);
// Body of GET /api/tags: {"models":[..]}.
std::string EncodeOllamaTags(std::span<const ModelStatus> models, std::string_view modified);

// {"error"}
std::string EncodeOllamaError(const Error& error);

}  // namespace garrison
