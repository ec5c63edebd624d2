// Sequence classification from a model folder: rerankers and classifiers.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/reranker.h"
#include "engine/sequence_model.h"

namespace garrison {

class CrossEncoder final : public Reranker, public Classifier {
 public:
  // REQUIRES: the folder is a classifier. INVALID_ARGUMENT when the head's weights do not fit.
  static Result<std::shared_ptr<const CrossEncoder>> Load(
      std::shared_ptr<const SequenceModel> model);

  const ModelInfo& info() const override { return info_; }
  const std::vector<std::string>& labels() const override;
  bool multi_label() const override;

  Result<Relevance> Rerank(const RerankRequest& request,
                           const RequestContext& context) const override;
  Result<Relevance> Score(std::span<const SequenceInput> pairs, const LongInput& long_input,
                          const RequestContext& context) const override;
  Result<Classifications> Classify(std::span<const SequenceInput> inputs,
                                   const LongInput& long_input,
                                   const RequestContext& context) const override;

  // One label: its logit is a relevance.
  bool reranks() const { return labels().size() == 1; }

 private:
  explicit CrossEncoder(std::shared_ptr<const SequenceModel> model) : model_(std::move(model)) {}
  Result<> LoadHead();
  // [sequences, labels]
  Result<std::vector<float>> Logits(const PreparedInputs& prepared, const RequestContext& context,
                                    ComputeTimes& times) const;
  Result<Relevance> ToRelevance(PreparedInputs prepared, const RequestContext& context) const;
  const ClassifierSpec& spec() const { return *model_->folder().classifier; }

  const std::shared_ptr<const SequenceModel> model_;
  ModelInfo info_;
  PackedLinear inner_, outer_;
  Activation activation_ = Activation::kTanh;
};

}  // namespace garrison
