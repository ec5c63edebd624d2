// What a vector depends on, as 32 bytes: docs/formats/cache.md has the encoding.
#pragma once

#include <string>
#include <string_view>

#include "core/embedder.h"
#include "core/vector_cache.h"

namespace garrison {

// Immutable.
class VectorKeyMaker {
 public:
  // `content` is Embedder::Content() of the model that `info` describes.
  VectorKeyMaker(const ModelInfo& info, std::string_view content);

  // Of `input`, embedded as `request` says; the other inputs do not matter.
  VectorKey KeyOf(const EmbedRequest& request, const EmbedInput& input) const;

  // "PROVIDER/MODEL/REVISION", for people.
  const std::string& label() const { return label_; }

 private:
  std::string prefix_;
  std::string label_;
};

}  // namespace garrison
