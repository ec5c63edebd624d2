// The port for finding models by name.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "core/embedder.h"

namespace garrison {

// Thread-safe.
class ModelCatalog {
 public:
  virtual ~ModelCatalog() = default;
  // An empty name means the default model. NOT_FOUND names the models there are; UNIMPLEMENTED for
  // a kind of model that this version cannot run.
  virtual Result<std::shared_ptr<const Embedder>> FindEmbedder(std::string_view name) const = 0;
  virtual std::vector<ModelInfo> List() const = 0;
};

}  // namespace garrison
