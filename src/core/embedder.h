// The port for turning text into vectors.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "core/compute_times.h"
#include "core/model_input.h"
#include "core/request_context.h"

namespace garrison {

struct EmbedRequest {
  std::vector<EmbedInput> inputs;
  LongInput long_input;
  // Name of one of the model's prompts, put before every text; empty: the model's default prompt.
  std::string prompt;
  // Keep the first so many components and normalise again; unset: the model's own dimension.
  std::optional<std::size_t> dimensions;
  // Whether vectors get length 1 (L2); unset: as the model's own files say.
  std::optional<bool> normalize;
};

// Who made vectors that came from elsewhere, and at what price.
struct Served {
  std::string by;         // "openai/text-embedding-3-small"
  unsigned attempts = 0;  // calls that left this machine, those that failed included
  // In 1e-12 USD, of the answers; unset: not known.
  std::optional<std::int64_t> cost_pusd;
  bool tokens_estimated = false;  // the vendor does not count them
  // Mapped here from another model's space: close to what `by` says is the model's, not the same.
  // Nobody may keep it as that model's.
  bool adapted = false;
};

struct Embeddings {
  std::size_t dimension = 0;
  // [inputs, dimension], row-major, in the order of the inputs.
  std::vector<float> values;
  // Tokens of each input that the model read, in the model's own count.
  std::vector<std::size_t> tokens;
  // Tokens that each input has; more than `tokens` where it was truncated.
  std::vector<std::size_t> total_tokens;
  ComputeTimes times;
  std::optional<Served> served;  // unset: made by this machine

  std::size_t size() const { return tokens.size(); }
  std::span<const float> row(std::size_t i) const {
    return std::span(values).subspan(i * dimension, dimension);
  }
};

// A vector for every token, without pooling: the model's last hidden states.
struct TokenVectors {
  std::size_t dimension = 0;
  std::vector<float> values;        // [sum of tokens, dimension], in the order of the inputs
  std::vector<std::size_t> tokens;  // rows of each input
  std::vector<std::size_t> total_tokens;
  ComputeTimes times;
};

// Says which vector space a vector belongs to. Vectors of different `id` or `revision` do not mix.
struct ModelInfo {
  std::string id;        // "builtin:lexical"
  std::string revision;  // content hash of the weights
  std::size_t dimension = 0;
  std::string description;            // one line for people
  std::size_t max_tokens = 0;         // of one pass, with special tokens; 0: no limit
  std::string compute = "cpu-f32";    // "cpu-int8-avx2": what really runs
  std::string family;                 // "bert"
  std::string pooling;                // "mean", "cls", ...; several joined by "+"; of embedders
  std::uint64_t file_bytes = 0;       // of its weights
  bool matryoshka = false;            // trained so that leading components work alone
  std::size_t working_bytes = 0;      // that all passes at once take at most; 0: next to nothing
  std::vector<std::string> warnings;  // sentences for the operator, about how it was loaded
  std::string provider = "local";     // who computes it: this machine, or a service by its name
};

// Implementations are immutable after construction and safe to call from any number of threads.
// The same input gives the same bytes alone and in any batch.
class Embedder {
 public:
  virtual ~Embedder() = default;
  virtual const ModelInfo& info() const = 0;
  // Errors name the input at fault as "input[i]". INVALID_ARGUMENT: not UTF-8, nothing to embed,
  // ids, `dimensions` or `prompt` out of range, too long under LongInput::kError; CANCELLED and
  // DEADLINE_EXCEEDED from `context`. Never a zero vector.
  virtual Result<Embeddings> Embed(const EmbedRequest& request,
                                   const RequestContext& context) const = 0;
  // Errors as Embed(); `dimensions` and `normalize` mean nothing. UNIMPLEMENTED by a model that has
  // no vectors of tokens.
  virtual Result<TokenVectors> EmbedTokens(const EmbedRequest& request,
                                           const RequestContext& context) const {
    static_cast<void>(request);
    static_cast<void>(context);
    return FailAt("model", Code::kUnimplemented, "{} has no vectors of single tokens", info().id);
  }
  // Names all that decides a vector beside the request and info(): files, ways of computing. Equal
  // for two embedders only if they give the same vectors. May read files when it is first called;
  // an error means that nobody can tell, and that vectors must not be kept.
  virtual Result<std::string> Content() const { return info().revision; }
};

}  // namespace garrison
