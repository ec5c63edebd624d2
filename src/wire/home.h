// The shapes of the two home-grown services that Garrison replaces: a model manager (embeddings,
// rerank, classify-pattern) and a model registry (models/load, models/infer). Pure: no input or
// output. INVALID_ARGUMENT names the field at fault; unknown fields are ignored.
#pragma once

#include <chrono>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "core/embedder.h"
#include "core/model_catalog.h"
#include "core/reranker.h"

namespace garrison {

// Body of POST /embeddings: {texts, normalize? = true}.
Result<EmbedRequest> DecodeHomeEmbeddings(const nlohmann::json& body);
// {"embeddings","model_name","processing_time"}; seconds.
std::string EncodeHomeEmbeddings(const Embeddings& embeddings, const ModelInfo& model,
                                 std::chrono::duration<double> time);

struct HomeRerankCall {
  RerankRequest request;
  std::vector<nlohmann::ordered_json> candidates;  // as they came
  std::size_t top_k = 0;                           // at most the candidates
};
// {query, candidates: [text, or an object with a text, description or content], top_k? = 10}
Result<HomeRerankCall> DecodeHomeRerank(const nlohmann::json& body);
// {"ranked_candidates","model_name","processing_time"}: the candidates, each with "score".
std::string EncodeHomeRerank(const HomeRerankCall& call, const Relevance& relevance,
                             const ModelInfo& model, std::chrono::duration<double> time);

// Body of POST /models/load: {modelId}; huggingFaceId and modelType are not needed.
Result<std::string> DecodeHomeLoad(const nlohmann::json& body);
std::string EncodeHomeLoad(std::string_view model, bool loaded_now);

struct HomeInferCall {
  std::string model;
  // One of: texts to embed or classify, or a query with documents.
  std::vector<std::string> texts;
  bool single = false;
  std::string query;
  std::vector<std::string> documents;
};
// Body of POST /models/infer: {modelId, input: text, list of texts, or {query, documents}}.
Result<HomeInferCall> DecodeHomeInfer(const nlohmann::json& body);
// {"output","confidence","latency_ms"}; `confidence` below 0: none, null.
std::string EncodeHomeInfer(nlohmann::ordered_json output, double confidence,
                            std::chrono::duration<double> time);

// Body of GET /models/status.
std::string EncodeHomeStatus(std::span<const ModelStatus> models, std::string_view models_folder);

// {"detail"}
std::string EncodeHomeError(const Error& error);

}  // namespace garrison
