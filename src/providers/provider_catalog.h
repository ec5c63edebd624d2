// The models of this machine, and before them the one that the settings say embeds.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/log.h"
#include "core/model_catalog.h"
#include "core/settings.h"
#include "providers/providers.h"

namespace garrison {

// Gives embeddings.provider's embedder, with its fallbacks, for its names; everything else is
// `local`'s, which must outlive the embedder. INVALID_ARGUMENT for settings that do not fit,
// errors of adapter and fingerprint files.
Result<std::shared_ptr<const Embedder>> OpenProviderEmbedder(const ProviderSettings& settings,
                                                             Providers& providers,
                                                             const ModelCatalog& local,
                                                             const Clock& clock, Logger& logger);

// `remote` is the default embedder, and answers to its id, to its provider's name and to its
// model's name alone, unless a local model has that. The default of everything else is `local`'s.
class ProviderCatalog final : public ModelCatalog {
 public:
  // `local` must outlive it.
  ProviderCatalog(const ModelCatalog& local, std::shared_ptr<const Embedder> remote);

  Result<std::shared_ptr<const Embedder>> FindEmbedder(std::string_view name) const override;
  Result<std::shared_ptr<const Reranker>> FindReranker(std::string_view name) const override;
  Result<std::shared_ptr<const Classifier>> FindClassifier(std::string_view name) const override;
  // FAILED_PRECONDITION for the remote model, also when no model is named: ids of another tokenizer
  // would be wrong for it.
  Result<std::shared_ptr<const TextCodec>> FindCodec(std::string_view name) const override;
  std::vector<ModelStatus> List() const override;
  Result<bool> Load(std::string_view name) const override;

 private:
  bool IsRemote(std::string_view name) const;

  const ModelCatalog& local_;
  const std::shared_ptr<const Embedder> remote_;
};

}  // namespace garrison
