// The ports for cross-encoders: how well a document answers a query, which class a text belongs to.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "core/compute_times.h"
#include "core/embedder.h"
#include "core/model_input.h"
#include "core/request_context.h"

namespace garrison {

struct RerankRequest {
  std::string query;                   // UTF-8
  std::vector<std::string> documents;  // UTF-8
  LongInput long_input;                // kChunk is refused; only documents are cut
};

struct Relevance {
  std::vector<float> logits;  // one per document or pair, in their order
  std::vector<float> scores;  // sigmoid of the logits
  std::vector<std::size_t> tokens;
  std::vector<std::size_t> total_tokens;
  ComputeTimes times;
};

// Implementations are immutable after construction and safe to call from any number of threads.
// The same input gives the same bytes alone and in any batch.
class Reranker {
 public:
  virtual ~Reranker() = default;
  virtual const ModelInfo& info() const = 0;
  // The query is tokenised once. Errors name "query" or "documents[i]"; codes as Embedder::Embed.
  virtual Result<Relevance> Rerank(const RerankRequest& request,
                                   const RequestContext& context) const = 0;
  // Pairs (query, document) or ready token ids, one score each. Errors name "input[i]".
  virtual Result<Relevance> Score(std::span<const SequenceInput> pairs, const LongInput& long_input,
                                  const RequestContext& context) const = 0;
};

struct Classifications {
  std::size_t labels = 0;
  // [inputs, labels], row-major, in the order of the inputs.
  std::vector<float> logits;
  std::vector<float> scores;  // softmax or sigmoid, as the model says
  std::vector<std::size_t> tokens;
  std::vector<std::size_t> total_tokens;
  ComputeTimes times;
};

// As Reranker.
class Classifier {
 public:
  virtual ~Classifier() = default;
  virtual const ModelInfo& info() const = 0;
  virtual const std::vector<std::string>& labels() const = 0;
  // True: several labels may hold at once (sigmoid); false: exactly one does (softmax).
  virtual bool multi_label() const = 0;
  // Errors name "input[i]"; LongInput::kChunk is refused.
  virtual Result<Classifications> Classify(std::span<const SequenceInput> inputs,
                                           const LongInput& long_input,
                                           const RequestContext& context) const = 0;
};

}  // namespace garrison
