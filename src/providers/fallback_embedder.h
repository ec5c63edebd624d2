// An embedder that others stand in for when it fails, in its own vector space.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/log.h"
#include "core/embedder.h"
#include "providers/adapter.h"
#include "providers/fingerprint.h"
#include "providers/remote_embedder.h"

namespace garrison {

struct FallbackOptions {
  std::vector<FailureClass> on;  // failures after which the next one is asked
  double tolerance = 0.001;      // of fingerprints
};

// Who answers instead. Opened when it is first needed: a local model may be large.
struct Fallback {
  std::string name;  // "azure", "local/mini"
  std::function<Result<std::shared_ptr<const Embedder>>()> open;
};

// A fallback answers only if it is proved to have the primary's vector space: its vectors of the
// probes agree with the primary's, which were stored when the primary last answered. With an
// adapter from its space to the primary's it answers without, and the reply says so.
class FallbackEmbedder final : public Embedder {
 public:
  // `clock` and `logger` must outlive the embedder.
  FallbackEmbedder(std::shared_ptr<const Embedder> primary, std::vector<Fallback> fallbacks,
                   std::vector<Adapter> adapters, std::shared_ptr<FingerprintStore> store,
                   FallbackOptions options, const Clock& clock, Logger& logger);

  const ModelInfo& info() const override { return primary_->info(); }
  // The primary's: what others gave says so (Embeddings::served).
  Result<std::string> Content() const override { return primary_->Content(); }
  // The primary's error, with what became of each fallback, when none could answer.
  Result<Embeddings> Embed(const EmbedRequest& request,
                           const RequestContext& context) const override;

 private:
  struct Slot {
    explicit Slot(Fallback from) : fallback(std::move(from)) {}

    const Fallback fallback;
    std::mutex mutex;
    std::condition_variable_any changed;
    // Guarded by mutex. While somebody opens and proves it, only they touch the rest.
    bool busy = false;
    std::uint64_t space = 0;      // of the primary, that the rest is about
    std::optional<Error> failed;  // the last time, until try_again
    SteadyTime try_again;
    std::shared_ptr<const Embedder> embedder;
    const Adapter* adapter = nullptr;
    bool proved = false;           // the same space, or an adapter
    std::optional<Error> refused;  // proved to be another space
  };
  struct Way {
    std::shared_ptr<const Embedder> embedder;
    const Adapter* adapter = nullptr;
  };

  bool FallsBackOn(const Error& error) const;
  void Learn(const RequestContext& context) const;
  Result<Way> Ready(Slot& slot, const RequestContext& context) const;
  Result<> Open(Slot& slot, const RequestContext& context) const;
  Result<> Prove(Slot& slot, const RequestContext& context) const;
  Result<Embeddings> Ask(Slot& slot, const EmbedRequest& request, const RequestContext& context,
                         CallTally& tally) const;

  const std::shared_ptr<const Embedder> primary_;
  std::vector<std::unique_ptr<Slot>> slots_;  // constant; each has its own synchronisation
  const std::vector<Adapter> adapters_;
  const std::shared_ptr<FingerprintStore> store_;
  const FallbackOptions options_;
  const Clock& clock_;
  Logger& logger_;
  // Changes whenever the primary turns out to have another vector space than was known.
  mutable std::atomic<std::uint64_t> space_ = 0;
  mutable std::mutex learn_mutex_;  // guards the next two
  mutable bool learned_ = false;
  mutable std::optional<SteadyTime> learn_again_;
};

}  // namespace garrison
