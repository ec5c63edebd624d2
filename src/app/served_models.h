// The models that the service answers with: this machine's, a provider's before them, and the cache
// of vectors before all.
#pragma once

#include <memory>

#include "base/clock.h"
#include "base/log.h"
#include "base/result.h"
#include "core/chat.h"
#include "core/model_catalog.h"
#include "core/settings.h"
#include "gateway/budget.h"
#include "gateway/cached_embedder.h"
#include "providers/providers.h"
#include "server/metrics.h"
#include "storage/tiered_cache.h"

namespace garrison {

class ServedModels {
 public:
  // Takes `local`. Everything else must outlive it. Errors: the settings of the providers.
  static Result<std::unique_ptr<ServedModels>> Open(const Settings& settings,
                                                    std::unique_ptr<ModelCatalog> local,
                                                    Metrics& metrics, const Clock& clock,
                                                    Logger& logger);

  const ModelCatalog& catalog() const {
    return cached_ != nullptr ? *cached_ : remote_ != nullptr ? *remote_ : *local_;
  }
  // Null where nothing is paid for.
  Budget* budget() const { return budget_.get(); }
  // Null where no model chats.
  const ChatCatalog* chat() const { return chat_.get(); }

 private:
  ServedModels() = default;
  Result<> OpenProviders(const Settings& settings, Metrics& metrics, const Clock& clock,
                         Logger& logger);
  void AddProviderMetrics(Metrics& metrics) const;
  void AddCacheMetrics(Metrics& metrics) const;

  std::unique_ptr<ModelCatalog> local_;
  std::shared_ptr<Budget> budget_;
  // Null where nothing runs elsewhere.
  std::unique_ptr<Providers> providers_;
  std::unique_ptr<ModelCatalog> remote_;
  std::unique_ptr<ChatCatalog> chat_;
  // Null without a cache.
  std::unique_ptr<TieredCache> cache_;
  std::unique_ptr<ModelCatalog> cached_;
};

}  // namespace garrison
