#include "app/served_models.h"

#include <utility>

#include "cli/open_budget.h"
#include "providers/chat_catalog.h"
#include "providers/provider_catalog.h"

namespace garrison {

Result<std::unique_ptr<ServedModels>> ServedModels::Open(const Settings& settings,
                                                         std::unique_ptr<ModelCatalog> local,
                                                         Metrics& metrics, const Clock& clock,
                                                         Logger& logger) {
  auto models = std::unique_ptr<ServedModels>(new ServedModels());
  models->local_ = std::move(local);
  RETURN_IF_ERROR(models->OpenProviders(settings, metrics, clock, logger));
  models->cache_ = MakeVectorCache(settings.cache, settings.database, clock, logger);
  if (models->cache_ != nullptr) {
    const auto count = [&metrics, prices = settings.providers](const ModelInfo& model,
                                                               const CacheUse& use) {
      const double token_pusd = static_cast<double>(TokenPrice(prices, model.provider).value_or(0));
      metrics.CountCacheUse(model.id, use.hits, use.misses, use.saved_tokens,
                            static_cast<double>(use.saved_tokens) * token_pusd * 1e-12);
    };
    models->cached_ =
        std::make_unique<CachingCatalog>(models->catalog(), *models->cache_, count, logger);
    models->AddCacheMetrics(metrics);
    // What a model's key is made of is read now, not by the first request.
    static_cast<void>(models->cached_->Load(""));
  }
  return models;
}

Result<> ServedModels::OpenProviders(const Settings& settings, Metrics& metrics, const Clock& clock,
                                     Logger& logger) {
  const ProviderSettings& s = settings.providers;
  const bool embeds = s.embeddings.provider != "local";
  // Only where it was asked for: a key alone, which may be there for embeddings, opens no other way
  // to spend money.
  const bool chats = !s.chat.model.empty() || !s.chat.aliases.empty();
  if (!embeds && !chats) return {};
  ASSIGN_OR_RETURN(budget_, OpenBudget(settings, clock, logger));
  for (const std::string& warning : budget_->PriceWarnings(clock.WallNow())) {
    logger.Warning("price {}", warning);
  }
  ASSIGN_OR_RETURN(providers_, Providers::Create(s, budget_, clock));
  AddProviderMetrics(metrics);
  if (embeds) {
    ASSIGN_OR_RETURN(std::shared_ptr<const Embedder> embedder,
                     OpenProviderEmbedder(s, *providers_, *local_, clock, logger));
    logger.Info("requests that name no model are embedded by {}: their texts leave this machine",
                embedder->info().id);
    remote_ = std::make_unique<ProviderCatalog>(*local_, std::move(embedder));
  }
  if (chats) {
    ASSIGN_OR_RETURN(chat_, MakeChatCatalog(s, *providers_, clock, logger));
    logger.Info("conversations are answered elsewhere{}: they leave this machine",
                s.chat.model.empty() ? "" : ", by " + s.chat.model + " unless they name a model");
  }
  return {};
}

void ServedModels::AddProviderMetrics(Metrics& metrics) const {
  const auto add = [&](const char* name, const char* help, auto read) {
    metrics.AddGauge(name, help, [read] { return static_cast<double>(read()); });
  };
  add("garrison_upstream_attempts", "Calls to vendors, since the start.",
      [this] { return budget_->counts().admitted; });
  add("garrison_upstream_answered", "Those with an answer that could be used, since the start.",
      [this] { return budget_->counts().settled; });
  add("garrison_upstream_unsure",
      "Those without one that may have cost money all the same, since the start.",
      [this] { return budget_->counts().disputed; });
  add("garrison_upstream_tokens", "Tokens that vendors counted, since the start.",
      [this] { return budget_->counts().tokens; });
  add("garrison_budget_refused", "Calls that the budget refused, since the start.",
      [this] { return budget_->counts().refused; });
  add("garrison_budget_spent_usd",
      "What calls cost since the start, disputed ones at their bounds.", [this] {
        return static_cast<double>(budget_->counts().spent) / static_cast<double>(kPusdPerUsd);
      });
  add("garrison_ledger_pending", "Ends of calls that the ledger has not recorded yet.",
      [this] { return budget_->ledger_stats().pending; });
  add("garrison_ledger_failures", "Times that the ledger's database failed, since the start.",
      [this] { return budget_->ledger_stats().failures; });
  add("garrison_upstream_circuits_open", "Vendors left alone because they failed too often.",
      [this] { return providers_->open_circuits(); });
}

void ServedModels::AddCacheMetrics(Metrics& metrics) const {
  const auto value = [this](std::uint64_t VectorCacheStats::* member) {
    return [this, member] { return static_cast<double>(cache_->stats().*member); };
  };
  using Stats = VectorCacheStats;
  metrics.AddCounter("garrison_cache_errors_total", "Calls of the cache's database that failed.",
                     value(&Stats::errors));
  metrics.AddCounter("garrison_cache_damaged_total",
                     "Rows of the cache that were not what had been written.",
                     value(&Stats::damaged));
  metrics.AddCounter("garrison_cache_dropped_total",
                     "Vectors that could not be kept: the database was away or too slow.",
                     value(&Stats::dropped));
  metrics.AddCounter("garrison_cache_evictions_total", "Vectors that had to make room.",
                     value(&Stats::evictions));
  metrics.AddGauge("garrison_cache_bytes", "Memory that cached vectors take.",
                   value(&Stats::memory_bytes));
  metrics.AddGauge("garrison_cache_entries", "Vectors cached in memory.",
                   value(&Stats::memory_entries));
  metrics.AddGauge("garrison_cache_database_bytes",
                   "Size of the vectors in the database, when last counted.",
                   value(&Stats::database_bytes));
  metrics.AddGauge("garrison_cache_database_entries", "Vectors in the database, when last counted.",
                   value(&Stats::database_entries));
}

}  // namespace garrison
