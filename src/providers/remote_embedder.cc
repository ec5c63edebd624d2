#include "providers/remote_embedder.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <system_error>
#include <thread>
#include <utility>
#include <variant>

#include "providers/failure.h"

namespace garrison {
namespace {

// What a text has usually, where the vendor does not count.
constexpr std::uint64_t kBytesPerToken = 4;

bool IsText(const EmbedInput& input) { return std::holds_alternative<std::string>(input); }

std::uint64_t BoundOf(const EmbedInput& input) {
  if (const auto* text = std::get_if<std::string>(&input)) return text->size();
  return std::get<TokenIds>(input).ids.size();
}

ModelInfo InfoOf(const Vendor& vendor, const RemoteEmbedderOptions& options) {
  ModelInfo info;
  info.provider = vendor.provider();
  info.id = vendor.provider() + (vendor.model().empty() ? "" : "/" + vendor.model());
  info.dimension = options.dimensions.value_or(0);
  info.description = "embeds at " + vendor.provider() + ": texts leave this machine";
  info.compute = "remote-" + vendor.provider();
  info.warnings = options.warnings;
  return info;
}

}  // namespace

std::vector<std::size_t> Apportion(std::uint64_t sum, const std::vector<std::uint64_t>& weights) {
  const std::uint64_t total = std::accumulate(weights.begin(), weights.end(), std::uint64_t{0});
  std::vector<std::size_t> shares;
  std::uint64_t passed = 0, given = 0;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    passed += total == 0 ? 1 : weights[i];
    const double all = static_cast<double>(total == 0 ? weights.size() : total);
    const auto until = static_cast<std::uint64_t>(
        std::llround(static_cast<double>(sum) * (static_cast<double>(passed) / all)));
    shares.push_back(static_cast<std::size_t>(until - given));
    given = until;
  }
  return shares;
}

void NormalizeRows(std::vector<float>& values, std::size_t dimension) {
  for (std::size_t at = 0; at + dimension <= values.size(); at += dimension) {
    const std::span<float> row = std::span(values).subspan(at, dimension);
    double squares = 0;
    for (const float x : row) squares += double{x} * double{x};
    if (squares <= 0) continue;
    const double factor = 1 / std::sqrt(squares);
    for (float& x : row) x = static_cast<float>(x * factor);
  }
}

void CutRows(std::vector<float>& values, std::size_t& dimension, std::size_t to, bool normalize) {
  std::vector<float> cut;
  for (std::size_t at = 0; at + dimension <= values.size(); at += dimension) {
    const auto row = values.begin() + static_cast<std::ptrdiff_t>(at);
    cut.insert(cut.end(), row, row + static_cast<std::ptrdiff_t>(to));
  }
  values = std::move(cut);
  dimension = to;
  if (normalize) NormalizeRows(values, dimension);
}

RemoteEmbedder::RemoteEmbedder(std::shared_ptr<const Vendor> vendor,
                               std::shared_ptr<Upstream> upstream, RemoteEmbedderOptions options)
    : vendor_(std::move(vendor)),
      upstream_(std::move(upstream)),
      options_(std::move(options)),
      info_(InfoOf(*vendor_, options_)) {}

const ModelInfo& RemoteEmbedder::info() const {
  return learned_.load(std::memory_order_acquire) ? learned_info_ : info_;
}

Result<> RemoteEmbedder::CheckInputs(const EmbedRequest& request) const {
  for (std::size_t i = 0; i < request.inputs.size(); ++i) {
    const EmbedInput& input = request.inputs[i];
    if (BoundOf(input) == 0) {
      return FailAt(fmt::format("input[{}]", i), Code::kInvalidArgument,
                    "there is nothing to embed; expected a text that is not empty");
    }
    const auto* text = std::get_if<std::string>(&input);
    if (text != nullptr && !IsUtf8(*text)) {
      return FailAt(fmt::format("input[{}]", i), Code::kInvalidArgument,
                    "expected UTF-8, got bytes that are not");
    }
  }
  return vendor_->Check(request);
}

std::vector<RemoteEmbedder::Piece> RemoteEmbedder::Split(const EmbedRequest& request) const {
  const Vendor::Limits limits = vendor_->limits();
  std::vector<Piece> pieces;
  for (std::size_t i = 0; i < request.inputs.size(); ++i) {
    const std::uint64_t bound = BoundOf(request.inputs[i]);
    const bool fits = !pieces.empty() && pieces.back().count < limits.inputs &&
                      pieces.back().bound + bound <= limits.tokens &&
                      IsText(request.inputs[i]) == IsText(request.inputs[pieces.back().first]);
    if (!fits) pieces.push_back({i, 0, 0, {}});
    ++pieces.back().count;
    pieces.back().bound += bound;
  }
  return pieces;
}

Result<UpstreamVectors> RemoteEmbedder::RunOne(const EmbedPart& part, std::uint64_t bound,
                                               const RequestContext& context,
                                               CallTally& tally) const {
  UpstreamVectors vectors;
  UpstreamCall call;
  call.bound = {.provider = vendor_->provider(),
                .model = vendor_->model(),
                .tokens = bound,
                .messages = part.inputs.size()};
  call.make = [&](const RequestContext& now) { return vendor_->MakeCall(part, now); };
  call.failure = [&](const HttpReply& reply) { return vendor_->Failure(reply); };
  call.accept = [&](const HttpReply& reply) -> Result<AttemptUse> {
    ASSIGN_OR_RETURN(vectors, vendor_->Decode(reply, part));
    RETURN_IF_ERROR(CheckDimension(part.dimensions, vectors.dimension));
    return AttemptUse{.tokens = vectors.tokens, .chat = {}};
  };
  RETURN_IF_ERROR(upstream_->Run(call, context, tally));
  return vectors;
}

// The first piece on this thread, the others beside it.
void RemoteEmbedder::RunAll(const EmbedRequest& request, std::optional<std::size_t> dimensions,
                            const RequestContext& context, std::vector<Piece>& pieces,
                            CallTally& tally) const {
  std::stop_source stop;
  const std::stop_callback forward(context.stop, [&stop] { stop.request_stop(); });
  std::atomic<std::size_t> next = 0;
  const auto work = [&] {
    RequestContext own = context;
    own.stop = stop.get_token();
    for (std::size_t i = next++; i < pieces.size(); i = next++) {
      Piece& piece = pieces[i];
      if (stop.stop_requested()) {
        piece.vectors = Fail(Code::kCancelled, "another part of the request failed");
        continue;
      }
      const EmbedPart part{std::span(request.inputs).subspan(piece.first, piece.count), dimensions,
                           request.normalize, request.prompt, request.long_input};
      piece.vectors = RunOne(part, piece.bound, own, tally);
      if (!piece.vectors) stop.request_stop();
    }
  };
  std::vector<std::jthread> threads;
  const std::size_t others = std::min(pieces.size(), options_.fan_out) - 1;
  try {
    for (std::size_t i = 0; i < others; ++i) threads.emplace_back(work);
  } catch (const std::system_error&) {
    // There are too many threads: those that run, and this one, do it.
  }
  work();
}

Result<> RemoteEmbedder::CheckDimension(std::optional<std::size_t> asked, std::size_t got) const {
  if (asked) {
    if (*asked == got) return {};
    return Fail(Code::kUnavailable, "vectors of dimension {} were asked for, {} came", *asked, got);
  }
  const std::size_t known = info().dimension;
  if (known == 0 || known == got || options_.dimensions) return {};
  return Fail(Code::kUnavailable, "vectors had dimension {} before, now {}; has the model changed?",
              known, got);
}

Result<Embeddings> RemoteEmbedder::Merge(const EmbedRequest& request,
                                         std::vector<Piece> pieces) const {
  Embeddings merged;
  Served served;
  for (Piece& piece : pieces) {
    UpstreamVectors& vectors = *piece.vectors;
    if (merged.dimension == 0) merged.dimension = vectors.dimension;
    if (vectors.dimension != merged.dimension) {
      Error error{Code::kUnavailable,
                  fmt::format("one call gave vectors of dimension {}, another {}", merged.dimension,
                              vectors.dimension)};
      return tl::unexpected(TransportError(vendor_->provider(), FailureClass::kBadReply, error));
    }
    merged.values.insert(merged.values.end(), vectors.values.begin(), vectors.values.end());
    if (!vectors.tokens) served.tokens_estimated = true;
    std::vector<std::uint64_t> bounds;
    for (std::size_t i = 0; i < piece.count; ++i) {
      bounds.push_back(BoundOf(request.inputs[piece.first + i]));
    }
    if (vectors.tokens) {
      for (const std::size_t share : Apportion(*vectors.tokens, bounds)) {
        merged.tokens.push_back(share);
      }
    } else {
      for (std::size_t i = 0; i < piece.count; ++i) {
        const bool text = IsText(request.inputs[piece.first + i]);
        const std::uint64_t each =
            text ? (bounds[i] + kBytesPerToken - 1) / kBytesPerToken : bounds[i];
        merged.tokens.push_back(static_cast<std::size_t>(each));
      }
    }
  }
  merged.total_tokens = merged.tokens;
  served.by = info().id;
  merged.served = std::move(served);
  return merged;
}

Result<Embeddings> RemoteEmbedder::Embed(const EmbedRequest& request,
                                         const RequestContext& context) const {
  CallTally tally;
  return Embed(request, context, tally);
}

Result<Embeddings> RemoteEmbedder::Embed(const EmbedRequest& request, const RequestContext& context,
                                         CallTally& tally) const {
  RETURN_IF_ERROR(CheckInputs(request));
  const std::optional<std::size_t> wanted =
      request.dimensions ? request.dimensions : options_.dimensions;
  EmbedRequest whole = request;
  whole.dimensions = wanted;
  if (!request.dimensions) RETURN_IF_ERROR(vendor_->Check(whole));
  const std::optional<std::size_t> asked = vendor_->cuts_here() ? std::nullopt : wanted;
  std::vector<Piece> pieces = Split(request);
  if (!pieces.empty()) RunAll(request, asked, context, pieces, tally);
  const Error* first = nullptr;
  for (const Piece& piece : pieces) {
    if (piece.vectors) continue;
    // What was stopped because of another says nothing.
    if (first == nullptr || first->code == Code::kCancelled) first = &piece.vectors.error();
  }
  if (first != nullptr) return tl::unexpected(*first);
  ASSIGN_OR_RETURN(Embeddings merged, Merge(request, std::move(pieces)));
  merged.served->attempts = tally.attempts;
  if (tally.priced) merged.served->cost_pusd = tally.cost;
  if (wanted && vendor_->cuts_here() && merged.dimension != *wanted) {
    if (*wanted > merged.dimension) {
      return FailAt("dimensions", Code::kInvalidArgument, "expected at most {}, got {}",
                    merged.dimension, *wanted);
    }
    CutRows(merged.values, merged.dimension, *wanted, request.normalize != false);
  } else if (request.normalize == true) {
    NormalizeRows(merged.values, merged.dimension);
  }
  if (!request.dimensions) {
    std::call_once(learn_once_, [&] {
      learned_info_ = info_;
      learned_info_.dimension = merged.dimension;
      learned_.store(true, std::memory_order_release);
    });
  }
  return merged;
}

}  // namespace garrison
