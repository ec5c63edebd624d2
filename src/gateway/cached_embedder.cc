#include "gateway/cached_embedder.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <iterator>
#include <numeric>
#include <unordered_map>
#include <utility>

#include "base/clock.h"

namespace garrison {
namespace {

// "input[2].text" of a request for some of the inputs -> the same of the whole request.
void TranslatePlace(std::string& where, const std::vector<std::size_t>& inputs) {
  constexpr std::string_view kBegin = "input[";
  if (!where.starts_with(kBegin)) return;
  std::size_t index = 0;
  const char* const end = where.data() + where.size();
  const auto [rest, error] = std::from_chars(where.data() + kBegin.size(), end, index);
  if (error != std::errc() || rest == end || *rest != ']' || index >= inputs.size()) return;
  where = fmt::format("input[{}{}", inputs[index], std::string_view(rest, end));
}

bool IsVector(std::span<const float> values) {
  const auto finite = [](float x) { return std::isfinite(x); };
  const auto nonzero = [](float x) { return x != 0; };
  return std::all_of(values.begin(), values.end(), finite) &&
         std::any_of(values.begin(), values.end(), nonzero);
}

// Two answers to one request.
void AddServed(std::optional<Served>& sum, const Served& part) {
  if (!sum) {
    sum = part;
    return;
  }
  sum->attempts += part.attempts;
  if (sum->cost_pusd && part.cost_pusd) {
    *sum->cost_pusd += *part.cost_pusd;
  } else {
    sum->cost_pusd.reset();
  }
  sum->tokens_estimated |= part.tokens_estimated;
  sum->adapted |= part.adapted;
}

}  // namespace

// One request. Equal inputs share a slot.
struct CachedEmbedder::Work {
  const EmbedRequest& request;
  const RequestContext& context;
  std::vector<std::size_t> slot_of;                  // by input
  std::vector<std::size_t> first_input;              // by slot
  std::vector<VectorKey> keys;                       // by slot
  std::vector<std::optional<CachedVector>> vectors;  // by slot
  std::uint64_t landed = 0;                          // when the cache was last looked into
  std::size_t expected_dimension = 0;                // 0: not known
  std::size_t computed = 0;
  std::uint64_t computed_tokens = 0;
  ComputeTimes times;
  std::optional<Served> served;  // all that was asked of others
  bool keepable = true;          // what was computed last is the model's own
};

CachedEmbedder::CachedEmbedder(std::shared_ptr<const Embedder> inner, const std::string& content,
                               const CacheParts& parts)
    : inner_(std::move(inner)), keys_(inner_->info(), content), parts_(parts) {}

Result<Embeddings> CachedEmbedder::Embed(const EmbedRequest& request,
                                         const RequestContext& context) const {
  if (request.inputs.empty()) return inner_->Embed(request, context);
  Work work{.request = request, .context = context};
  work.expected_dimension = request.dimensions.value_or(info().dimension);
  std::unordered_map<VectorKey, std::size_t, VectorKeyHash> slots;
  for (std::size_t i = 0; i < request.inputs.size(); ++i) {
    const VectorKey key = keys_.KeyOf(request, request.inputs[i]);
    const auto [place, is_new] = slots.try_emplace(key, work.keys.size());
    if (is_new) {
      work.keys.push_back(key);
      work.first_input.push_back(i);
    }
    work.slot_of.push_back(place->second);
  }
  work.vectors.resize(work.keys.size());
  std::vector<std::size_t> all(work.keys.size());
  std::iota(all.begin(), all.end(), std::size_t{0});
  LookUp(work, all);
  RETURN_IF_ERROR(Fetch(work));
  return Assemble(work);
}

void CachedEmbedder::LookUp(Work& work, std::span<const std::size_t> slots) const {
  work.landed = parts_.flights.landed();
  std::vector<VectorKey> keys;
  keys.reserve(slots.size());
  for (const std::size_t slot : slots) keys.push_back(work.keys[slot]);
  std::vector<std::optional<CachedVector>> found = parts_.cache.Find(keys);
  for (std::size_t i = 0; i < slots.size(); ++i) {
    if (!found[i]) continue;
    const std::size_t dimension = found[i]->values.size();
    if (work.expected_dimension != 0 && dimension != work.expected_dimension) continue;
    work.vectors[slots[i]] = std::move(found[i]);
  }
}

// Computes its own part before it waits for others', so that two requests never wait for each
// other.
Result<> CachedEmbedder::Fetch(Work& work) const {
  std::vector<std::size_t> missing;
  for (std::size_t slot = 0; slot < work.vectors.size(); ++slot) {
    if (!work.vectors[slot]) missing.push_back(slot);
  }
  while (!missing.empty()) {
    std::vector<VectorKey> keys;
    keys.reserve(missing.size());
    for (const std::size_t slot : missing) keys.push_back(work.keys[slot]);
    Flights::Claim claim = parts_.flights.Take(keys);
    std::vector<std::size_t> mine;
    mine.reserve(claim.mine().size());
    for (const std::size_t i : claim.mine()) mine.push_back(missing[i]);
    // Somebody may have finished one of these between our look and our claim.
    if (!mine.empty() && parts_.flights.landed() != work.landed) LookUp(work, mine);
    std::vector<std::size_t> wanted;
    for (std::size_t i = 0; i < mine.size(); ++i) {
      if (work.vectors[mine[i]]) {
        claim.Land(i, *work.vectors[mine[i]]);
      } else {
        wanted.push_back(mine[i]);
      }
    }
    if (Result<> computed = Compute(work, wanted); !computed) {
      claim.Fail(computed.error().code);
      return computed;
    }
    Keep(work, wanted);
    // Who waits for the model's own vectors shall not get another one's unawares.
    if (!work.keepable) claim.Fail(Code::kUnavailable);
    for (std::size_t i = 0; work.keepable && i < mine.size(); ++i) {
      claim.Land(i, *work.vectors[mine[i]]);
    }
    std::vector<std::size_t> again;
    RETURN_IF_ERROR(Await(work, claim, missing, again));
    missing = std::move(again);
  }
  return {};
}

// What failed elsewhere is computed here, by ourselves: it may succeed, and if not, the error is
// our own. `again` gets what somebody gave up.
Result<> CachedEmbedder::Await(Work& work, const Flights::Claim& claim,
                               std::span<const std::size_t> slots,
                               std::vector<std::size_t>& again) const {
  if (claim.others().empty()) return {};
  const SystemClock clock;
  const SteadyTime begin = clock.Now();
  std::vector<std::size_t> failed;
  for (const auto& [place, flight] : claim.others()) {
    const std::size_t slot = slots[place];
    ASSIGN_OR_RETURN(Flights::Flight::Outcome outcome, flight->Wait(work.context));
    using End = Flights::Flight::End;
    if (outcome.end == End::kLanded) work.vectors[slot] = std::move(outcome.vector);
    if (outcome.end == End::kFailed) failed.push_back(slot);
    if (outcome.end == End::kAbandoned) again.push_back(slot);
  }
  work.times.queue += clock.Now() - begin;
  RETURN_IF_ERROR(Compute(work, failed));
  Keep(work, failed);
  return {};
}

Result<> CachedEmbedder::Compute(Work& work, std::span<const std::size_t> slots) const {
  if (slots.empty()) return {};
  EmbedRequest part = {.long_input = work.request.long_input,
                       .prompt = work.request.prompt,
                       .dimensions = work.request.dimensions,
                       .normalize = work.request.normalize};
  std::vector<std::size_t> inputs;
  for (const std::size_t slot : slots) {
    inputs.push_back(work.first_input[slot]);
    part.inputs.push_back(work.request.inputs[inputs.back()]);
  }
  Result<Embeddings> embedded = inner_->Embed(part, work.context);
  if (!embedded) {
    Error error = std::move(embedded).error();
    TranslatePlace(error.where, inputs);
    return tl::unexpected(std::move(error));
  }
  const Embeddings& got = *embedded;
  if (got.size() != slots.size() || got.total_tokens.size() != slots.size() ||
      got.values.size() != got.dimension * slots.size()) {
    return FailAt("model", Code::kInternal, "{} gave {} vectors for {} inputs", info().id,
                  got.size(), slots.size());
  }
  for (std::size_t i = 0; i < slots.size(); ++i) {
    const std::span<const float> row = got.row(i);
    work.vectors[slots[i]] =
        CachedVector{{row.begin(), row.end()}, got.tokens[i], got.total_tokens[i]};
    work.computed_tokens += got.tokens[i];
  }
  work.keepable = !got.served || (got.served->by == info().id && !got.served->adapted);
  if (got.served) AddServed(work.served, *got.served);
  work.computed += slots.size();
  work.times.tokenization += got.times.tokenization;
  work.times.queue += got.times.queue;
  work.times.inference += got.times.inference;
  return {};
}

void CachedEmbedder::Keep(const Work& work, std::span<const std::size_t> slots) const {
  if (!work.keepable) return;
  std::vector<NewVector> vectors;
  for (const std::size_t slot : slots) {
    const CachedVector& vector = *work.vectors[slot];
    // No embedder should give such a thing; kept, it would outlive the mistake.
    if (!IsVector(vector.values)) continue;
    NewVector& kept = vectors.emplace_back();
    kept.key = work.keys[slot];
    kept.model = keys_.label();
    kept.vector = vector;
    const EmbedInput& input = work.request.inputs[work.first_input[slot]];
    const auto* text = std::get_if<std::string>(&input);
    if (text != nullptr && parts_.cache.KeepsTexts()) kept.text = *text;
  }
  if (!vectors.empty()) parts_.cache.Store(std::move(vectors));
}

Result<Embeddings> CachedEmbedder::Assemble(Work& work) const {
  Embeddings out;
  out.dimension = work.vectors.front()->values.size();
  for (const std::optional<CachedVector>& vector : work.vectors) {
    // A model that has changed its dimension under the same name: nothing kept of it counts.
    if (vector->values.size() != out.dimension) return inner_->Embed(work.request, work.context);
  }
  out.values.reserve(out.dimension * work.slot_of.size());
  std::uint64_t tokens = 0;
  for (const std::size_t slot : work.slot_of) {
    const CachedVector& vector = *work.vectors[slot];
    out.values.insert(out.values.end(), vector.values.begin(), vector.values.end());
    out.tokens.push_back(vector.tokens);
    out.total_tokens.push_back(vector.total_tokens);
    tokens += vector.tokens;
  }
  out.times = work.times;
  out.served = std::move(work.served);
  if (work.computed == 0) out.served = Served{.by = "cache"};
  if (parts_.on_use) {
    parts_.on_use(info(), {.hits = work.slot_of.size() - work.computed,
                           .misses = work.computed,
                           .saved_tokens = tokens - work.computed_tokens});
  }
  return out;
}

// ---------------------------------------------------------------- the catalogue

CachingCatalog::CachingCatalog(const ModelCatalog& inner, VectorCache& cache, CacheListener on_use,
                               Logger& logger)
    : inner_(inner), parts_{cache, flights_, std::move(on_use)}, logger_(logger) {}

Result<std::shared_ptr<const Embedder>> CachingCatalog::FindEmbedder(std::string_view name) const {
  ASSIGN_OR_RETURN(std::shared_ptr<const Embedder> inner, inner_.FindEmbedder(name));
  if (inner->info().id.starts_with("builtin:")) return inner;
  const Result<std::string> content = inner->Content();
  if (content) return std::make_shared<CachedEmbedder>(std::move(inner), *content, parts_);
  if (!warned_.exchange(true)) {
    logger_.Warning(
        "vectors of {} are not cached, because it cannot be told what they depend on: {}",
        inner->info().id, content.error().ToString());
  }
  return inner;
}

Result<bool> CachingCatalog::Load(std::string_view name) const {
  ASSIGN_OR_RETURN(const bool loaded, inner_.Load(name));
  // What its files hold is read now, while they are those that were loaded, and no request waits.
  static_cast<void>(FindEmbedder(name));
  return loaded;
}

}  // namespace garrison
