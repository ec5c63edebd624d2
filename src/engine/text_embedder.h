// Embeddings from a model folder: encoder, pooling, dense layers, normalisation.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "core/embedder.h"
#include "engine/sequence_model.h"

namespace garrison {

class TextEmbedder final : public Embedder {
 public:
  // REQUIRES: the folder is not a classifier. INVALID_ARGUMENT when a dense layer's weights do not
  // fit.
  static Result<std::shared_ptr<const TextEmbedder>> Load(
      std::shared_ptr<const SequenceModel> model);

  const ModelInfo& info() const override { return info_; }
  // Rows have length 1 where the model's folder says Normalize, or `dimensions` is given.
  Result<Embeddings> Embed(const EmbedRequest& request,
                           const RequestContext& context) const override;
  Result<TokenVectors> EmbedTokens(const EmbedRequest& request,
                                   const RequestContext& context) const override;
  Result<std::string> Content() const override;

 private:
  Result<PreparedInputs> Prepare(const EmbedRequest& request) const;
  explicit TextEmbedder(std::shared_ptr<const SequenceModel> model) : model_(std::move(model)) {}
  Result<> Finish(const Sequence& sequence, const float* rows, std::size_t stride,
                  std::size_t tokens, bool normalize, std::span<float> out) const;

  const std::shared_ptr<const SequenceModel> model_;
  ModelInfo info_;
  std::vector<PackedLinear> dense_;
  mutable std::once_flag content_once_;
  mutable Result<std::string> content_;  // written once, under the flag
};

}  // namespace garrison
