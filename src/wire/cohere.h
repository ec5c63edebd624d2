// The rerank shapes of Cohere (v1, v2) and Jina, which share one reply, and Infinity's classify.
// Pure: no input or output. INVALID_ARGUMENT names the field at fault; unknown fields are ignored.
#pragma once

#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "core/embedder.h"
#include "core/reranker.h"

namespace garrison {

struct CohereRerankCall {
  std::string model;
  RerankRequest request;
  LongInputChoice choice;
  std::size_t top_n = 0;          // at most the documents
  bool return_documents = false;  // as {"text": ..}, the form that both clients read
  bool raw_scores = false;        // logits instead of their sigmoid; an addition of ours
};

// {model?, query, documents: [text or {text}], top_n?, return_documents?, rank_fields?,
// max_tokens_per_doc?, raw_scores?}. A document that is an object is its "text", or the fields that
// rank_fields names, one per line. Who gives max_tokens_per_doc has agreed to truncation.
Result<CohereRerankCall> DecodeCohereRerank(const nlohmann::json& body);

// {"id","object","model","results":[{"index","relevance_score","document"?}],"usage","meta"}.
std::string EncodeCohereRerank(const CohereRerankCall& call, const Relevance& relevance,
                               const ModelInfo& model, std::string_view id);

// {"message"}
std::string EncodeCohereError(const Error& error);

struct ClassifyCall {
  std::string model;
  std::vector<SequenceInput> inputs;
  bool raw_scores = false;
};
// {model?, input: text or list, raw_scores?}
Result<ClassifyCall> DecodeClassify(const nlohmann::json& body);
// {"object":"classify","data":[[{"score","label"}]],"model","usage","id","created"}
std::string EncodeClassify(const ClassifyCall& call, const Classifications& classes,
                           std::span<const std::string> labels, const ModelInfo& model,
                           std::string_view id, std::int64_t created);

}  // namespace garrison
