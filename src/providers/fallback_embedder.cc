#include "providers/fallback_embedder.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "base/hash.h"
#include "providers/failure.h"

namespace garrison {
namespace {

constexpr std::chrono::minutes kLearnAgain{1};
constexpr std::chrono::seconds kProveAgain{2};

// Whoever runs a service decides what a model's name means there.
std::string ContentOf(const Embedder& embedder) {
  return Sha256Hex(embedder.Content().value_or(""));
}

Result<Embeddings> EmbedCounting(const Embedder& embedder, const EmbedRequest& request,
                                 const RequestContext& context, CallTally& tally) {
  if (const auto* remote = dynamic_cast<const RemoteEmbedder*>(&embedder)) {
    return remote->Embed(request, context, tally);
  }
  return embedder.Embed(request, context);
}

Result<> CheckAdaptable(const EmbedRequest& request) {
  const bool ids = std::any_of(request.inputs.begin(), request.inputs.end(), [](const auto& input) {
    return std::holds_alternative<TokenIds>(input);
  });
  if (!ids && request.prompt.empty()) return {};
  return Fail(Code::kFailedPrecondition,
              "token ids and prompts belong to one model; another one cannot stand in for it");
}

}  // namespace

FallbackEmbedder::FallbackEmbedder(std::shared_ptr<const Embedder> primary,
                                   std::vector<Fallback> fallbacks, std::vector<Adapter> adapters,
                                   std::shared_ptr<FingerprintStore> store, FallbackOptions options,
                                   const Clock& clock, Logger& logger)
    : primary_(std::move(primary)),
      adapters_(std::move(adapters)),
      store_(std::move(store)),
      options_(std::move(options)),
      clock_(clock),
      logger_(logger) {
  for (Fallback& fallback : fallbacks)
    slots_.push_back(std::make_unique<Slot>(std::move(fallback)));
}

bool FallbackEmbedder::FallsBackOn(const Error& error) const {
  const std::optional<FailureClass> kind = FailureClassOf(error);
  return kind && std::find(options_.on.begin(), options_.on.end(), *kind) != options_.on.end();
}

// While the primary answers, so that its space is known when it does not.
void FallbackEmbedder::Learn(const RequestContext& context) const {
  const std::unique_lock lock(learn_mutex_, std::try_to_lock);
  if (!lock || learned_) return;
  const SteadyTime now = clock_.Now();
  if (learn_again_ && now < *learn_again_) return;
  learn_again_ = now + kLearnAgain;
  Result<Fingerprint> taken = TakeFingerprint(*primary_, context);
  if (!taken) {
    logger_.Warning("the vector space of {} could not be learned, and fallbacks wait for it: {}",
                    info().id, taken.error().ToString());
    return;
  }
  learned_ = true;
  taken->content = ContentOf(*primary_);
  if (const std::optional<Fingerprint> before =
          store_->Find(primary_->info(), ContentOf(*primary_))) {
    const Result<> same = CheckSameSpace(*before, *taken, options_.tolerance);
    if (same) return;
    logger_.Warning(
        "{} has changed since its fingerprint was stored, and vectors from before do not go with "
        "those of now: {}",
        info().id, same.error().message);
  }
  if (Result<> stored = store_->Put(*std::move(taken)); !stored) {
    logger_.Warning("the fingerprint of {} is kept in memory alone: {}", info().id,
                    stored.error().ToString());
  }
  ++space_;  // whatever was proved or refused was so by what was known before
}

Result<> FallbackEmbedder::Prove(Slot& slot, const RequestContext& context) const {
  const ModelInfo& own = slot.embedder->info();
  for (const Adapter& adapter : adapters_) {
    if (!adapter.CheckModels(own, primary_->info())) continue;
    slot.adapter = &adapter;
    return {};
  }
  const std::optional<Fingerprint> space = store_->Find(primary_->info(), ContentOf(*primary_));
  if (!space) {
    return Fail(
        Code::kFailedPrecondition,
        "the vector space of {} is not known yet, so nothing can be proved to have the same",
        info().id);
  }
  ASSIGN_OR_RETURN(const Fingerprint probe, TakeFingerprint(*slot.embedder, context));
  Result<> same = CheckSameSpace(*space, probe, options_.tolerance);
  if (!same) slot.refused = same.error();
  return same;
}

Result<> FallbackEmbedder::Open(Slot& slot, const RequestContext& context) const {
  if (slot.embedder == nullptr) {
    ASSIGN_OR_RETURN(slot.embedder, slot.fallback.open());
  }
  RETURN_IF_ERROR(Prove(slot, context));
  logger_.Info("{} may stand in for {}: {}", slot.embedder->info().id, info().id,
               slot.adapter == nullptr ? "the same vector space" : "by an adapter");
  return {};
}

Result<FallbackEmbedder::Way> FallbackEmbedder::Ready(Slot& slot,
                                                      const RequestContext& context) const {
  std::unique_lock lock(slot.mutex);
  while (slot.busy) {
    slot.changed.wait_until(lock, context.stop, context.deadline, [&] { return !slot.busy; });
    RETURN_IF_ERROR(context.Check(clock_.Now()));
  }
  if (const std::uint64_t now = space_; slot.space != now) {
    slot.space = now;
    slot.proved = false;
    slot.adapter = nullptr;
    slot.refused.reset();
    slot.failed.reset();
  }
  if (slot.refused) return tl::unexpected(*slot.refused);
  if (slot.proved) return Way{slot.embedder, slot.adapter};
  if (slot.failed && clock_.Now() < slot.try_again) return tl::unexpected(*slot.failed);
  slot.busy = true;
  lock.unlock();
  Result<> opened = Open(slot, context);
  lock.lock();
  slot.busy = false;
  slot.changed.notify_all();
  slot.failed.reset();
  if (opened) {
    slot.proved = true;
    return Way{slot.embedder, slot.adapter};
  }
  // What this request gave up says nothing to the others.
  if (context.Check(clock_.Now())) {
    slot.failed = opened.error();
    slot.try_again = clock_.Now() + kProveAgain;
  }
  return tl::unexpected(std::move(opened).error());
}

Result<Embeddings> FallbackEmbedder::Ask(Slot& slot, const EmbedRequest& request,
                                         const RequestContext& context, CallTally& tally) const {
  ASSIGN_OR_RETURN(const Way way, Ready(slot, context));
  EmbedRequest own = request;
  if (way.adapter != nullptr) {
    RETURN_IF_ERROR(CheckAdaptable(request));
    own.dimensions.reset();
    own.normalize.reset();
  }
  ASSIGN_OR_RETURN(Embeddings rows, EmbedCounting(*way.embedder, own, context, tally));
  if (!rows.served) rows.served.emplace();
  rows.served->by = way.embedder->info().id;
  rows.served->attempts = tally.attempts;
  if (tally.priced) rows.served->cost_pusd = tally.cost;
  if (way.adapter == nullptr) return rows;
  if (rows.dimension != way.adapter->data().from.dimension) {
    return Fail(Code::kFailedPrecondition, "the adapter takes {} dimensions, {} gave {}",
                way.adapter->data().from.dimension, way.embedder->info().id, rows.dimension);
  }
  rows.values = way.adapter->Apply(rows.values);
  rows.dimension = way.adapter->data().to.dimension;
  rows.served->adapted = true;
  if (request.dimensions && *request.dimensions < rows.dimension) {
    CutRows(rows.values, rows.dimension, *request.dimensions, request.normalize != false);
  } else if (request.dimensions && *request.dimensions > rows.dimension) {
    return FailAt("dimensions", Code::kInvalidArgument, "expected at most {}, got {}",
                  rows.dimension, *request.dimensions);
  } else if (request.normalize == true) {
    NormalizeRows(rows.values, rows.dimension);
  }
  return rows;
}

Result<Embeddings> FallbackEmbedder::Embed(const EmbedRequest& request,
                                           const RequestContext& context) const {
  CallTally tally;
  Result<Embeddings> first = EmbedCounting(*primary_, request, context, tally);
  if (first) {
    Learn(context);
    return first;
  }
  if (!FallsBackOn(first.error())) return first;
  std::string tried;
  for (const auto& slot : slots_) {
    RETURN_IF_ERROR(context.Check(clock_.Now()));
    Result<Embeddings> rows = Ask(*slot, request, context, tally);
    if (rows) {
      // The vendor's own words may repeat what it was sent.
      logger_.Warning("{} answered for {}: {}", rows->served->by, info().id, first.error().reason);
      return rows;
    }
    tried += fmt::format("; fallback {}: {}", slot->fallback.name, rows.error().message);
  }
  Error error = first.error();
  error.message += tried;
  return tl::unexpected(std::move(error));
}

}  // namespace garrison
