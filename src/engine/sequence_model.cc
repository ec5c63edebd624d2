#include "engine/sequence_model.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "base/cpu.h"
#include "base/hash.h"
#include "tensor/content_hash.h"
#include "tensor/packed_weights.h"

namespace garrison {
namespace {

// Tokens that go through the encoder together: enough to pay for streaming the weights once, few
// enough that their activations stay in cache.
constexpr std::size_t kMostPassTokens = 256;
// Below this, sharing out the tokenising costs more than it saves.
constexpr std::size_t kTextsPerShare = 16;
constexpr std::size_t kFileNameDigits = 32;

Truncation CutTo(std::size_t tokens, LongInput::Side side) {
  return {
      .max_length = tokens,
      .strategy = Truncation::Strategy::kLongestFirst,
      .side = side == LongInput::Side::kLeft ? Truncation::Side::kLeft : Truncation::Side::kRight,
      .overflow = false};
}

std::string InputPlace(std::size_t input) { return fmt::format("input[{}]", input); }

// Everything that packed layers are made from. The number changes with the way they are made.
std::string PackedKey(const std::string& content, const EncoderSpec& spec,
                      const ComputeOptions& compute) {
  const Kernels& kernels = KernelsFor(compute.isa);
  std::vector<std::string> bf16_layers = compute.bf16_layers;
  std::sort(bf16_layers.begin(), bf16_layers.end());
  return fmt::format(
      "packing 3, weights {}, {} {}, panels {} {} {}, sums {}, first token {}, bf16 {}", content,
      IsaName(kernels.isa), ComputeTypeName(compute.type), kernels.panel.columns,
      kernels.panel.int8_depth, kernels.panel.bf16_depth, kernels.int8_sum_limit,
      spec.first_token_only ? "only" : "and all", fmt::join(bf16_layers, " "));
}

std::function<void(const PassCounts&)> OnPass(const PassListener& listener,
                                              const std::string& model) {
  if (!listener) return {};
  return [listener, model](const PassCounts& since) { listener(model, since); };
}

Pieces Window(const Pieces& pieces, std::size_t first, std::size_t count) {
  const auto from = pieces.ids.begin() + static_cast<std::ptrdiff_t>(first);
  return {.ids = {from, from + static_cast<std::ptrdiff_t>(count)}};
}

// In the words of OpenAI's API, which its clients look for.
tl::unexpected<Error> ContextLengthExceeded(std::size_t most, std::size_t requested,
                                            std::string_view choices) {
  auto failure = Fail(Code::kInvalidArgument,
                      "This model's maximum context length is {} tokens, however you requested {} "
                      "tokens; shorten the input, or choose long_input {}",
                      most, requested, choices);
  failure.value().reason = "context_length_exceeded";
  return failure;
}

}  // namespace

Result<std::shared_ptr<const SequenceModel>> SequenceModel::Load(ModelFolder folder,
                                                                 const Options& options) {
  std::shared_ptr<SequenceModel> model(new SequenceModel(std::move(folder), options));
  RETURN_IF_ERROR(model->LoadEncoder(options));
  return std::shared_ptr<const SequenceModel>(std::move(model));
}

SequenceModel::SequenceModel(ModelFolder folder, const Options& options)
    : folder_(std::move(folder)),
      compute_(options.compute),
      memo_folder_(options.cache),
      team_(std::make_unique<WorkerTeam>(options.threads, ReadCpuBudget().cpus())),
      workspaces_(options.idle),
      passes_(std::make_unique<PassQueue>(
          PassQueue::Options{.lanes = options.threads,
                             .most_tokens = kMostPassTokens,
                             .on_pass = OnPass(options.on_pass, folder_.name)},
          *team_, clock_,
          [this](std::span<const Sequence* const> sequences, States states, bool alone,
                 PassQueue::Deliver deliver) {
            return ComputePass(sequences, states, alone, deliver);
          })) {}

Result<> SequenceModel::LoadEncoder(const Options& options) {
  const SafeTensors& weights = *folder_.weights;
  PackedLayers layers;
  const auto load = [&]() -> Result<> {
    ASSIGN_OR_RETURN(encoder_, Encoder::Load(weights, folder_.encoder, compute_, &layers));
    return {};
  };
  if (options.cache.empty()) return load();
  const PanelLayout& layout = KernelsFor(compute_.isa).panel;
  ASSIGN_OR_RETURN(const std::string content, ContentHash(weights.paths(), options.cache));
  const std::string key = PackedKey(content, folder_.encoder, compute_);
  const std::filesystem::path file =
      options.cache / (Sha256Hex(key).substr(0, kFileNameDigits) + ".packed");
  Result<PackedLayers> kept = ReadPackedWeights(file, key, layout);
  if (kept) layers = *std::move(kept);
  const std::size_t found = layers.size();
  RETURN_IF_ERROR(load());
  if (layers.size() > found) {
    const Result<> written = WritePackedWeights(file, key, layers);
    if (!written) {
      warnings_.push_back(fmt::format(
          "packed weights cannot be kept, every start will pack them anew: {}; name another folder "
          "in engine.cache, or off",
          written.error().message));
    }
    PrunePackedWeights(options.cache, options.cache_bytes);
    if (written) kept = ReadPackedWeights(file, key, layout);
    if (written && kept) {
      // From here on as every later start: the pages of the file instead of our own.
      layers = *std::move(kept);
      RETURN_IF_ERROR(load());
    }
  }
  weights.DropPages();
  return {};
}

std::string SequenceModel::ComputeName() const {
  return fmt::format("cpu-{}-{}", ComputeTypeName(compute_.type), IsaName(encoder_->kernels().isa));
}

Result<std::string> SequenceModel::Content() const {
  // Counts up when the same files give other vectors than before.
  constexpr int kGeneration = 1;
  ASSIGN_OR_RETURN(const std::vector<std::filesystem::path> files, ContentFiles(folder_.root));
  ASSIGN_OR_RETURN(const std::string hash, ContentHash(files, memo_folder_));
  std::vector<std::string> bf16_layers = compute_.bf16_layers;
  std::sort(bf16_layers.begin(), bf16_layers.end());
  return fmt::format("engine {}, files {}, {}, bf16 {}", kGeneration, hash, ComputeName(),
                     fmt::join(bf16_layers, " "));
}

std::size_t SequenceModel::WorkingBytes() const {
  const std::size_t longest = encoder_->spec().max_tokens();
  return team_->threads() *
         encoder_->WorkspaceBytes(std::max(kMostPassTokens, longest), longest, team_->threads());
}

ModelInfo SequenceModel::Info() const {
  ModelInfo info;
  info.id = folder_.name;
  info.revision = folder_.revision;
  info.max_tokens = folder_.max_text_tokens;
  info.compute = ComputeName();
  info.family = folder_.encoder.family;
  if (!folder_.classifier) info.pooling = PoolingName(folder_.pooling);
  for (const std::filesystem::path& path : folder_.weights->paths()) {
    std::error_code unknown;
    const std::uintmax_t bytes = std::filesystem::file_size(path, unknown);
    if (!unknown) info.file_bytes += bytes;
  }
  info.matryoshka = folder_.matryoshka;
  info.working_bytes = WorkingBytes();
  info.warnings = warnings_;
  return info;
}

// ---------------------------------------------------------------- inputs to sequences

Result<> SequenceModel::CheckTokenizer() const {
  if (folder_.tokenizer != nullptr) return {};
  return Fail(Code::kFailedPrecondition,
              "{} has no tokenizer files (tokenizer.json, vocab.txt, vocab.json with merges.txt); "
              "add one, or send token ids",
              folder_.root.string());
}

Result<> SequenceModel::AddPieces(const Pieces& first, const Pieces* second,
                                  const LongInput& long_input, std::size_t input,
                                  PreparedInputs& out) const {
  const Tokenizer& tokenizer = *folder_.tokenizer;
  const std::size_t most = folder_.max_text_tokens;
  const std::size_t special = tokenizer.SpecialTokens(second != nullptr);
  const std::size_t content = first.ids.size() + (second == nullptr ? 0 : second->ids.size());
  const std::size_t total = content + special;
  out.total_tokens[input] = total;
  out.tokens[input] = total;
  Encoding encoding;
  const auto add = [&](const Pieces& one, const std::optional<Truncation>& truncation) -> Result<> {
    RETURN_IF_ERROR(tokenizer.Assemble(one, second, true, truncation, encoding));
    out.sequences.push_back({input, encoding.ids, encoding.type_ids, 0});
    return {};
  };
  if (total <= most) return add(first, std::nullopt);
  if (special >= most) {
    return Fail(Code::kInvalidArgument, "the model reads {} tokens, {} of them special ones", most,
                special);
  }
  switch (long_input.policy) {
    case LongInput::Policy::kError:
      return ContextLengthExceeded(most, total,
                                   second == nullptr ? "truncate or chunk" : "truncate");
    case LongInput::Policy::kTruncate:
      RETURN_IF_ERROR(add(first, CutTo(most, long_input.side)));
      out.tokens[input] = out.sequences.back().ids.size();
      return {};
    case LongInput::Policy::kChunk:
      break;
  }
  if (second != nullptr) {
    return ContextLengthExceeded(most, total, "truncate, as pairs cannot be read in chunks");
  }
  const std::size_t step = most - special;
  for (std::size_t at = 0; at < content; at += step) {
    RETURN_IF_ERROR(add(Window(first, at, std::min(step, content - at)), std::nullopt));
  }
  return {};
}

Result<> SequenceModel::PrepareText(const std::string& text, const std::string* pair,
                                    std::string_view prompt, const LongInput& long_input,
                                    std::size_t input, Tokenizer::Scratch& scratch,
                                    PreparedInputs& out) const {
  RETURN_IF_ERROR(CheckTokenizer());
  const Tokenizer& tokenizer = *folder_.tokenizer;
  Pieces first;
  if (prompt.empty()) {
    RETURN_IF_ERROR(tokenizer.Tokenize(text, false, scratch, first));
  } else {
    RETURN_IF_ERROR(tokenizer.Tokenize(std::string(prompt) + text, false, scratch, first));
  }
  if (pair != nullptr) {
    Pieces second;
    RETURN_IF_ERROR(tokenizer.Tokenize(*pair, false, scratch, second));
    return AddPieces(first, &second, long_input, input, out);
  }
  if (first.ids.empty()) {
    return Fail(Code::kInvalidArgument, "the text is empty: the tokenizer finds nothing in it");
  }
  RETURN_IF_ERROR(AddPieces(first, nullptr, long_input, input, out));
  if (prompt.empty() || folder_.pooling.include_prompt) return {};
  // As sentence-transformers counts it: the prompt on its own, without the closing special token.
  Pieces alone;
  RETURN_IF_ERROR(tokenizer.Tokenize(prompt, false, scratch, alone));
  Encoding encoding;
  RETURN_IF_ERROR(tokenizer.Assemble(alone, nullptr, true, std::nullopt, encoding));
  std::size_t length = encoding.ids.size();
  if (length > 0 && encoding.special.back() != 0) --length;
  Sequence& sequence = out.sequences.back();
  sequence.prompt_tokens = std::min(length, sequence.ids.size() - 1);
  return {};
}

Result<> SequenceModel::PrepareIds(const TokenIds& tokens, const LongInput& long_input,
                                   std::size_t input, PreparedInputs& out) const {
  const std::size_t most = encoder_->spec().max_tokens();
  const std::size_t total = tokens.ids.size();
  out.total_tokens[input] = total;
  out.tokens[input] = std::min(total, most);
  const auto add = [&](std::size_t first, std::size_t count) -> Result<> {
    const auto ids = std::span(tokens.ids).subspan(first, count);
    auto types = std::span(tokens.type_ids);
    if (types.size() == total) types = types.subspan(first, count);
    RETURN_IF_ERROR(encoder_->CheckIds(ids, types));
    out.sequences.push_back({input, {ids.begin(), ids.end()}, {types.begin(), types.end()}, 0});
    return {};
  };
  if (total <= most) return add(0, total);
  if (long_input.policy == LongInput::Policy::kError) {
    return ContextLengthExceeded(most, total, "truncate or chunk");
  }
  if (long_input.policy == LongInput::Policy::kTruncate) {
    return add(long_input.side == LongInput::Side::kLeft ? total - most : 0, most);
  }
  out.tokens[input] = total;
  for (std::size_t at = 0; at < total; at += most) {
    RETURN_IF_ERROR(add(at, std::min(most, total - at)));
  }
  return {};
}

Result<PreparedInputs> SequenceModel::Prepare(std::span<const SequenceInput> inputs,
                                              std::string_view prompt,
                                              const LongInput& long_input) const {
  const SteadyTime start = clock_.Now();
  const std::size_t shares =
      std::clamp<std::size_t>(inputs.size() / kTextsPerShare, 1, 4 * team_->threads());
  std::vector<PreparedInputs> parts(shares);
  std::vector<std::optional<Error>> errors(shares);
  team_->Run(shares, [&](std::size_t share) {
    Tokenizer::Scratch scratch;
    PreparedInputs& part = parts[share];
    part.tokens.resize(inputs.size());
    part.total_tokens.resize(inputs.size());
    const std::size_t end = inputs.size() * (share + 1) / shares;
    for (std::size_t i = inputs.size() * share / shares; i < end; ++i) {
      const auto prepare = [&]() -> Result<> {
        if (const auto* ids = std::get_if<TokenIds>(&inputs[i])) {
          return PrepareIds(*ids, long_input, i, part);
        }
        if (const auto* pair = std::get_if<TextPair>(&inputs[i])) {
          return PrepareText(pair->text, &pair->text_pair, prompt, long_input, i, scratch, part);
        }
        return PrepareText(std::get<std::string>(inputs[i]), nullptr, prompt, long_input, i,
                           scratch, part);
      };
      Result<> prepared = prepare();
      if (prepared) continue;
      errors[share] = At(InputPlace(i), std::move(prepared).error());
      return;
    }
  });
  PreparedInputs all;
  all.tokens.resize(inputs.size());
  all.total_tokens.resize(inputs.size());
  for (std::size_t share = 0; share < shares; ++share) {
    if (errors[share]) return tl::unexpected(*std::move(errors[share]));
    for (Sequence& sequence : parts[share].sequences) {
      all.tokens[sequence.input] = parts[share].tokens[sequence.input];
      all.total_tokens[sequence.input] = parts[share].total_tokens[sequence.input];
      all.sequences.push_back(std::move(sequence));
    }
  }
  all.time = clock_.Now() - start;
  return all;
}

Result<PreparedInputs> SequenceModel::PreparePairs(const std::string& query,
                                                   std::span<const std::string> documents,
                                                   const LongInput& long_input) const {
  const SteadyTime start = clock_.Now();
  RETURN_IF_ERROR(CheckTokenizer());
  Tokenizer::Scratch scratch;
  Pieces first;
  Result<> tokenized = folder_.tokenizer->Tokenize(query, false, scratch, first);
  if (!tokenized) return tl::unexpected(At("query", std::move(tokenized).error()));
  if (first.ids.empty()) {
    return FailAt("query", Code::kInvalidArgument,
                  "the query is empty: the tokenizer finds nothing in it");
  }
  PreparedInputs out;
  out.tokens.resize(documents.size());
  out.total_tokens.resize(documents.size());
  Pieces second;
  for (std::size_t i = 0; i < documents.size(); ++i) {
    const auto add = [&]() -> Result<> {
      RETURN_IF_ERROR(folder_.tokenizer->Tokenize(documents[i], false, scratch, second));
      return AddPieces(first, &second, long_input, i, out);
    };
    Result<> added = add();
    if (!added) {
      return tl::unexpected(At(fmt::format("documents[{}]", i), std::move(added).error()));
    }
  }
  out.time = clock_.Now() - start;
  return out;
}

// ---------------------------------------------------------------- sequences to hidden states

Result<ComputeTimes> SequenceModel::Run(const PreparedInputs& prepared,
                                        const RequestContext& context, States states,
                                        const PassQueue::Take& take) const {
  const SteadyTime ready = clock_.Now();
  ASSIGN_OR_RETURN(const PassQueue::Times times,
                   passes_->Run(prepared.sequences, states, context, take));
  return ComputeTimes{prepared.time, times.first - ready, times.end - times.first};
}

Result<> SequenceModel::ComputePass(std::span<const Sequence* const> sequences, States states,
                                    bool alone, PassQueue::Deliver deliver) const {
  const bool all_tokens = states == States::kAll;
  const bool first_only = encoder_->spec().first_token_only && !all_tokens;
  std::unique_ptr<EncoderWorkspace> workspace = workspaces_.Take();
  TokenBatch& batch = workspace->batch;
  batch.Clear();
  for (const Sequence* sequence : sequences) batch.Add(sequence->ids, sequence->type_ids);
  // Alone, the threads share the layers of this pass.
  Result<> computed =
      encoder_->Forward(batch, *workspace, alone ? team_.get() : nullptr, nullptr, all_tokens);
  const std::size_t stride = encoder_->stride();
  for (std::size_t s = 0; computed && s < batch.sequences(); ++s) {
    const std::size_t row = first_only ? s : batch.starts[s];
    deliver(s, workspace->hidden.data() + row * stride, stride,
            first_only ? 1 : batch.starts[s + 1] - batch.starts[s]);
  }
  workspaces_.Return(std::move(workspace));
  return computed;
}

}  // namespace garrison
