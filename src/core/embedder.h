// The port for turning text into vectors.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "base/result.h"
#include "core/request_context.h"

namespace garrison {

// One text that is already tokenised with the model's own tokens. `type_ids` is empty or as long as
// `ids`.
struct TokenIds {
  std::vector<std::int32_t> ids;
  std::vector<std::int32_t> type_ids;
};

using EmbedInput = std::variant<std::string, TokenIds>;  // text is UTF-8

struct EmbedRequest {
  std::vector<EmbedInput> inputs;
  // Keep the first so many components and normalise again; unset: the model's own dimension.
  std::optional<std::size_t> dimensions;
};

struct Embeddings {
  std::size_t dimension = 0;
  // [inputs, dimension], row-major, in the order of the inputs; every row has length 1 (L2).
  std::vector<float> values;
  // Tokens of each input, in the model's own count.
  std::vector<std::size_t> tokens;

  std::size_t size() const { return tokens.size(); }
  std::span<const float> row(std::size_t i) const {
    return std::span(values).subspan(i * dimension, dimension);
  }
};

// Says which vector space a vector belongs to. Vectors of different `id` or `revision` do not mix.
struct ModelInfo {
  std::string id;        // "builtin:lexical"
  std::string revision;  // content hash of the weights
  std::size_t dimension = 0;
  std::string description;  // one line for people
};

// Implementations are immutable after construction and safe to call from any number of threads.
// The same input gives the same bytes alone and in any batch.
class Embedder {
 public:
  virtual ~Embedder() = default;
  virtual const ModelInfo& info() const = 0;
  // Errors name the input at fault as "input[i]". INVALID_ARGUMENT: not UTF-8, nothing to embed,
  // ids or `dimensions` out of range; CANCELLED and DEADLINE_EXCEEDED from `context`. Never a zero
  // vector.
  virtual Result<Embeddings> Embed(const EmbedRequest& request,
                                   const RequestContext& context) const = 0;
};

}  // namespace garrison
