// The port for finding models by name.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "core/embedder.h"
#include "core/reranker.h"

namespace garrison {

// Thread-safe.
class ModelCatalog {
 public:
  virtual ~ModelCatalog() = default;
  // An empty name means the default model. NOT_FOUND names the models there are;
  // FAILED_PRECONDITION for a model that does not embed, naming what it can do.
  virtual Result<std::shared_ptr<const Embedder>> FindEmbedder(std::string_view name) const = 0;
  // As FindEmbedder. FAILED_PRECONDITION when the model has no such head, naming what it can do.
  virtual Result<std::shared_ptr<const Reranker>> FindReranker(std::string_view name) const = 0;
  virtual Result<std::shared_ptr<const Classifier>> FindClassifier(std::string_view name) const = 0;
  virtual std::vector<ModelInfo> List() const = 0;
};

}  // namespace garrison
