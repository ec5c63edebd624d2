#include "providers/provider_catalog.h"

#include <algorithm>
#include <filesystem>
#include <utility>
#include <vector>

#include "base/state_file.h"
#include "providers/fallback_embedder.h"

namespace garrison {
namespace {

Result<std::vector<FailureClass>> ClassesOf(const std::string& setting) {
  std::vector<FailureClass> classes;
  for (const std::string& name : SplitSetting(setting)) {
    const std::optional<FailureClass> kind = FailureOf(name);
    if (!kind) {
      return FailAt("embeddings.fallback_on", Code::kInvalidArgument,
                    "there is no class of failures \"{}\"; docs/providers.md lists them", name);
    }
    classes.push_back(*kind);
  }
  return classes;
}

// Of one name in embeddings.fallback.
Result<Fallback> FallbackOf(const std::string& name, Providers& providers,
                            const ModelCatalog& local) {
  if (NamesProvider(name)) {
    // Opened now: what is missing in the settings shows at the start, not when it is needed.
    ASSIGN_OR_RETURN(std::shared_ptr<const Embedder> embedder, providers.Open(name));
    return Fallback{name,
                    [embedder]() -> Result<std::shared_ptr<const Embedder>> { return embedder; }};
  }
  constexpr std::string_view kLocal = "local";
  if (name != kLocal && !name.starts_with("local/")) {
    return FailAt("embeddings.fallback", Code::kInvalidArgument,
                  "expected PROVIDER, PROVIDER/MODEL, local or local/MODEL, got \"{}\"", name);
  }
  const std::string model = name == kLocal ? "" : name.substr(kLocal.size() + 1);
  return Fallback{name, [&local, model] { return local.FindEmbedder(model); }};
}

}  // namespace

Result<std::shared_ptr<const Embedder>> OpenProviderEmbedder(const ProviderSettings& settings,
                                                             Providers& providers,
                                                             const ModelCatalog& local,
                                                             const Clock& clock, Logger& logger) {
  const EmbeddingsSettings& s = settings.embeddings;
  const std::string source = s.provider + (s.model.empty() ? "" : "/" + s.model);
  ASSIGN_OR_RETURN(std::shared_ptr<const Embedder> primary, providers.Open(source));
  const std::vector<std::string> names = SplitSetting(s.fallback);
  if (names.empty()) return primary;

  std::vector<Fallback> fallbacks;
  for (const std::string& name : names) {
    ASSIGN_OR_RETURN(Fallback fallback, FallbackOf(name, providers, local));
    fallbacks.push_back(std::move(fallback));
  }
  std::vector<Adapter> adapters;
  for (const std::string& file : SplitSetting(s.adapters)) {
    ASSIGN_OR_RETURN(Adapter adapter, Adapter::Load(file));
    adapters.push_back(std::move(adapter));
  }
  FallbackOptions options;
  options.tolerance = s.fingerprint_tolerance;
  ASSIGN_OR_RETURN(options.on, ClassesOf(s.fallback_on));
  ASSIGN_OR_RETURN(
      std::shared_ptr<FingerprintStore> store,
      FingerprintStore::Open(s.fingerprints.empty() ? StateFile("fingerprints.json")
                                                    : std::filesystem::path(s.fingerprints)));
  return std::make_shared<const FallbackEmbedder>(std::move(primary), std::move(fallbacks),
                                                  std::move(adapters), std::move(store),
                                                  std::move(options), clock, logger);
}

ProviderCatalog::ProviderCatalog(const ModelCatalog& local, std::shared_ptr<const Embedder> remote)
    : local_(local), remote_(std::move(remote)) {}

bool ProviderCatalog::IsRemote(std::string_view name) const {
  if (name.empty()) return true;
  const std::string& id = remote_->info().id;
  const std::size_t slash = id.find('/');
  if (name == id || name == id.substr(0, slash)) return true;
  if (slash == std::string::npos || name != std::string_view(id).substr(slash + 1)) return false;
  const std::vector<ModelStatus> local = local_.List();
  return std::none_of(local.begin(), local.end(), [&](const ModelStatus& model) {
    return model.info.id == name ||
           std::find(model.aliases.begin(), model.aliases.end(), name) != model.aliases.end();
  });
}

Result<std::shared_ptr<const Embedder>> ProviderCatalog::FindEmbedder(std::string_view name) const {
  if (IsRemote(name)) return remote_;
  return local_.FindEmbedder(name);
}

Result<std::shared_ptr<const Reranker>> ProviderCatalog::FindReranker(std::string_view name) const {
  return local_.FindReranker(name);
}

Result<std::shared_ptr<const Classifier>> ProviderCatalog::FindClassifier(
    std::string_view name) const {
  return local_.FindClassifier(name);
}

Result<std::shared_ptr<const TextCodec>> ProviderCatalog::FindCodec(std::string_view name) const {
  if (!IsRemote(name)) return local_.FindCodec(name);
  return FailAt("model", Code::kFailedPrecondition,
                "{} runs elsewhere and its tokenizer is not here; name a model of this machine",
                remote_->info().id);
}

std::vector<ModelStatus> ProviderCatalog::List() const {
  ModelStatus status;
  status.info = remote_->info();
  status.embeds = true;
  std::vector<ModelStatus> all = {std::move(status)};
  for (ModelStatus& model : local_.List()) all.push_back(std::move(model));
  return all;
}

Result<bool> ProviderCatalog::Load(std::string_view name) const {
  if (IsRemote(name)) return false;
  return local_.Load(name);
}

}  // namespace garrison
