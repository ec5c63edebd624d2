// The port for finding models by name.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "core/embedder.h"
#include "core/reranker.h"
#include "core/text_codec.h"

namespace garrison {

enum class ModelState { kUnloaded, kLoading, kLoaded, kFailed };

struct ModelStatus {
  // Of a model that is not loaded only the id is certain.
  ModelInfo info;
  ModelState state = ModelState::kLoaded;
  std::string error;  // of kFailed
  // As far as its files say, for one that is not loaded.
  bool embeds = false;
  bool reranks = false;
  bool classifies = false;
  std::vector<std::string> labels;   // of one that classifies and is loaded
  std::vector<std::string> aliases;  // other names it answers to
};

// Thread-safe. Find* loads a model that is not loaded yet; callers that come meanwhile wait.
class ModelCatalog {
 public:
  virtual ~ModelCatalog() = default;
  // An empty name means the default model. NOT_FOUND names the models there are;
  // FAILED_PRECONDITION for a model that does not embed, naming what it can do.
  virtual Result<std::shared_ptr<const Embedder>> FindEmbedder(std::string_view name) const = 0;
  // As FindEmbedder. FAILED_PRECONDITION when the model has no such head, naming what it can do.
  virtual Result<std::shared_ptr<const Reranker>> FindReranker(std::string_view name) const = 0;
  virtual Result<std::shared_ptr<const Classifier>> FindClassifier(std::string_view name) const = 0;
  // Of the tokenizer that the model reads texts with. FAILED_PRECONDITION when it has none.
  virtual Result<std::shared_ptr<const TextCodec>> FindCodec(std::string_view name) const = 0;

  // The default model first.
  virtual std::vector<ModelStatus> List() const = 0;
  // Makes a model ready before it is asked for. True: this call loaded it; false: it was there.
  virtual Result<bool> Load(std::string_view name) const = 0;
};

}  // namespace garrison
