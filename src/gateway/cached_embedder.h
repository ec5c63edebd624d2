// Embedders that look into the cache of vectors first.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/log.h"
#include "core/embedder.h"
#include "core/model_catalog.h"
#include "core/vector_cache.h"
#include "gateway/flights.h"
#include "gateway/vector_key.h"

namespace garrison {

// How one request went.
struct CacheUse {
  std::uint64_t hits = 0;    // inputs that did not have to be computed
  std::uint64_t misses = 0;  // vectors that were computed
  std::uint64_t saved_tokens = 0;
};
// Called with the model's name from any thread.
using CacheListener = std::function<void(const ModelInfo& model, const CacheUse& use)>;

// What cached embedders share. Must outlive them.
struct CacheParts {
  VectorCache& cache;
  Flights& flights;
  CacheListener on_use;  // may be empty
};

// Asks the inner embedder for what the cache does not have, in one call; every input gets the
// vector of its own text. What other requests are computing is waited for. Errors are never kept.
// The answer's times are those of what was computed, and waited for.
class CachedEmbedder final : public Embedder {
 public:
  CachedEmbedder(std::shared_ptr<const Embedder> inner, const std::string& content,
                 const CacheParts& parts);

  const ModelInfo& info() const override { return inner_->info(); }
  Result<Embeddings> Embed(const EmbedRequest& request,
                           const RequestContext& context) const override;
  // As the inner one.
  Result<TokenVectors> EmbedTokens(const EmbedRequest& request,
                                   const RequestContext& context) const override {
    return inner_->EmbedTokens(request, context);
  }
  Result<std::string> Content() const override { return inner_->Content(); }

 private:
  struct Work;

  Result<> Fetch(Work& work) const;
  Result<> Await(Work& work, const Flights::Claim& claim, std::span<const std::size_t> slots,
                 std::vector<std::size_t>& again) const;
  void LookUp(Work& work, std::span<const std::size_t> slots) const;
  Result<> Compute(Work& work, std::span<const std::size_t> slots) const;
  void Keep(const Work& work, std::span<const std::size_t> slots) const;
  Result<Embeddings> Assemble(Work& work) const;

  const std::shared_ptr<const Embedder> inner_;
  const VectorKeyMaker keys_;
  const CacheParts& parts_;
};

// The models of another catalogue, their embedders cached. Not so the built-in ones: computing
// their vectors is cheaper than looking them up.
class CachingCatalog final : public ModelCatalog {
 public:
  // All must outlive it.
  CachingCatalog(const ModelCatalog& inner, VectorCache& cache, CacheListener on_use,
                 Logger& logger);

  Result<std::shared_ptr<const Embedder>> FindEmbedder(std::string_view name) const override;
  Result<std::shared_ptr<const Reranker>> FindReranker(std::string_view name) const override {
    return inner_.FindReranker(name);
  }
  Result<std::shared_ptr<const Classifier>> FindClassifier(std::string_view name) const override {
    return inner_.FindClassifier(name);
  }
  Result<std::shared_ptr<const TextCodec>> FindCodec(std::string_view name) const override {
    return inner_.FindCodec(name);
  }
  std::vector<ModelStatus> List() const override { return inner_.List(); }
  Result<bool> Load(std::string_view name) const override;

 private:
  const ModelCatalog& inner_;
  mutable Flights flights_;  // own synchronisation
  const CacheParts parts_;
  Logger& logger_;
  mutable std::atomic<bool> warned_ = false;
};

}  // namespace garrison
