// An encoder with its tokenizer: from inputs to hidden states, in groups that fit the cache and
// share the machine's threads. The heads (embedder, reranker, classifier) stand on top.
#pragma once

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "base/worker_team.h"
#include "core/compute_times.h"
#include "core/embedder.h"
#include "core/model_input.h"
#include "core/request_context.h"
#include "engine/encoder.h"
#include "engine/model_folder.h"
#include "engine/pass_queue.h"
#include "engine/workspace_pool.h"

namespace garrison {

// What a request's inputs became.
struct PreparedInputs {
  std::vector<Sequence> sequences;        // in the order of the inputs; several for a chunked one
  std::vector<std::size_t> tokens;        // per input: tokens that the model reads
  std::vector<std::size_t> total_tokens;  // per input: tokens it has
  std::chrono::nanoseconds time{0};       // that preparing took
};

// Immutable after loading; thread-safe.
class SequenceModel {
 public:
  struct Options {
    ComputeOptions compute;
    std::size_t threads = 1;
    // Where packed weights are kept from one start to the next; empty: nowhere. One that cannot be
    // written is a warning.
    std::filesystem::path cache;
    std::uint64_t cache_bytes = 0;
    // Working memory unused for so long goes back to the system.
    std::chrono::milliseconds idle{10'000};
    PassListener on_pass = {};
  };

  static Result<std::shared_ptr<const SequenceModel>> Load(ModelFolder folder,
                                                           const Options& options);

  // Tokenises and cuts to length. `prompt` is put before every text. Errors name "input[i]".
  Result<PreparedInputs> Prepare(std::span<const SequenceInput> inputs, std::string_view prompt,
                                 const LongInput& long_input) const;
  // The query is tokenised once. Errors name "query" or "documents[i]".
  Result<PreparedInputs> PreparePairs(const std::string& query,
                                      std::span<const std::string> documents,
                                      const LongInput& long_input) const;

  // Calls take(s, rows, stride, tokens) with the last hidden state of every sequence, from several
  // threads at once, in no order, together with what other requests wait for. Stops at the first
  // error, and when `context` ends. Returns where the time went.
  using States = PassQueue::States;
  Result<ComputeTimes> Run(const PreparedInputs& prepared, const RequestContext& context,
                           States states, const PassQueue::Take& take) const;

  const ModelFolder& folder() const { return folder_; }
  const Encoder& encoder() const { return *encoder_; }
  // All passes together never take more working memory than this, whatever is asked of them.
  std::size_t WorkingBytes() const;
  // "cpu-int8-avx2"
  std::string ComputeName() const;
  // Everything but the dimension and what the head says of itself.
  ModelInfo Info() const;
  // Names everything that decides what it computes: its folder's files, the way of computing.
  // Errors of ContentHash. Reads the files unless it is remembered what they hold.
  Result<std::string> Content() const;
  // For layers of heads.
  const ComputeOptions& compute() const { return compute_; }

 private:
  SequenceModel(ModelFolder folder, const Options& options);
  Result<> LoadEncoder(const Options& options);
  Result<> PrepareText(const std::string& text, const std::string* pair, std::string_view prompt,
                       const LongInput& long_input, std::size_t input, Tokenizer::Scratch& scratch,
                       PreparedInputs& out) const;
  Result<> AddPieces(const Pieces& first, const Pieces* second, const LongInput& long_input,
                     std::size_t input, PreparedInputs& out) const;
  Result<> PrepareIds(const TokenIds& ids, const LongInput& long_input, std::size_t input,
                      PreparedInputs& out) const;
  Result<> CheckTokenizer() const;
  Result<> ComputePass(std::span<const Sequence* const> sequences, States states, bool alone,
                       PassQueue::Deliver deliver) const;

  const ModelFolder folder_;
  const ComputeOptions compute_;
  const std::filesystem::path memo_folder_;  // for ContentHash; empty: none
  std::unique_ptr<const Encoder> encoder_;
  std::unique_ptr<WorkerTeam> team_;  // own synchronisation
  const SystemClock clock_;
  std::vector<std::string> warnings_;  // of Load()
  mutable WorkspacePool workspaces_;   // own synchronisation
  std::unique_ptr<PassQueue> passes_;  // own synchronisation; uses the others
};

}  // namespace garrison
