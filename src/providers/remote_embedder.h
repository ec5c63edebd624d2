// A vendor's model as an embedder of ours.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>

#include "core/embedder.h"
#include "providers/upstream.h"
#include "providers/vendor.h"

namespace garrison {

struct RemoteEmbedderOptions {
  // Asked for when a request names none; unset: the model's own.
  std::optional<std::size_t> dimensions;
  std::size_t fan_out = 8;  // calls at once for one request
  std::vector<std::string> warnings;
  std::string address;  // of the service, without keys
};

// Requests are split into calls that the vendor takes, made at once, and put together in order.
// Vectors come as the vendor gives them, normalised here where a request asks for it. What one call
// has wrong fails the request: there are never vectors for some of the inputs only.
class RemoteEmbedder final : public Embedder {
 public:
  RemoteEmbedder(std::shared_ptr<const Vendor> vendor, std::shared_ptr<Upstream> upstream,
                 RemoteEmbedderOptions options);

  // The dimension is 0 until the first reply, unless it was set.
  const ModelInfo& info() const override;
  Result<Embeddings> Embed(const EmbedRequest& request,
                           const RequestContext& context) const override;
  // The same, adding its attempts to `tally` even if it fails.
  Result<Embeddings> Embed(const EmbedRequest& request, const RequestContext& context,
                           CallTally& tally) const;
  // The service, since whoever runs it decides what a model's name means, and the dimension asked
  // of it.
  Result<std::string> Content() const override {
    return fmt::format("{} {}", options_.address, options_.dimensions.value_or(0));
  }

 private:
  // A part's place among the inputs, and what came of it.
  struct Piece {
    std::size_t first = 0;
    std::size_t count = 0;
    std::uint64_t bound = 0;  // tokens at most
    Result<UpstreamVectors> vectors;
  };

  Result<> CheckInputs(const EmbedRequest& request) const;
  std::vector<Piece> Split(const EmbedRequest& request) const;
  void RunAll(const EmbedRequest& request, std::optional<std::size_t> dimensions,
              const RequestContext& context, std::vector<Piece>& pieces, CallTally& tally) const;
  Result<UpstreamVectors> RunOne(const EmbedPart& part, std::uint64_t bound,
                                 const RequestContext& context, CallTally& tally) const;
  Result<Embeddings> Merge(const EmbedRequest& request, std::vector<Piece> pieces) const;
  Result<> CheckDimension(std::optional<std::size_t> asked, std::size_t got) const;

  const std::shared_ptr<const Vendor> vendor_;
  const std::shared_ptr<Upstream> upstream_;
  const RemoteEmbedderOptions options_;
  const ModelInfo info_;
  // Written once, before `learned_` becomes true.
  mutable std::once_flag learn_once_;
  mutable ModelInfo learned_info_;
  mutable std::atomic<bool> learned_ = false;
};

// Whole numbers with that sum, in proportion to `weights`; all equal if those are all 0.
std::vector<std::size_t> Apportion(std::uint64_t sum, const std::vector<std::uint64_t>& weights);

// Divides each row by its length. A row without length stays.
void NormalizeRows(std::vector<float>& values, std::size_t dimension);

// The first `to` components of each row.
void CutRows(std::vector<float>& values, std::size_t& dimension, std::size_t to, bool normalize);

}  // namespace garrison
