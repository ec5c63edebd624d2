// What the verbs share. Private to cli/.
#pragma once

#include <CLI/App.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/log.h"
#include "base/result.h"
#include "cli/environment.h"
#include "core/model_catalog.h"

namespace garrison {

// State of one run: global flags, and how the chosen verb ended.
struct CommandContext {
  Environment& environment;
  SettingsRequest settings_request;
  Result<> outcome;
  SystemClock clock = {};
  std::unique_ptr<Logger> logger = MakeStderrLogger(LogLevel::kError);
};

// Flags of every verb that runs a model.
struct ModelFlags {
  std::string model;
  std::string dtype;            // not given
  std::int64_t threads = -1;    // not given
  std::string long_input;       // not given
  std::string truncation_side;  // not given
  std::optional<std::string> bf16_layers;
  std::string input;
  std::string input_format = "jsonl";
  bool skip_blank_texts = false;
  std::vector<std::string> texts;
};

// Adds --model, --dtype, --threads and what models do with long inputs.
void AddModelFlags(CLI::App& verb, ModelFlags& flags);
// Adds --input, --input-format and the texts as arguments.
void AddInputFlags(CLI::App& verb, ModelFlags& flags);

// Defaults < file < environment < flags.
Result<LoadedSettings> LoadSettings(const CommandContext& context);
Result<LoadedSettings> LoadSettings(const CommandContext& context, const ModelFlags& flags);

// Their warnings go to stderr.
Result<std::unique_ptr<ModelCatalog>> OpenModels(const CommandContext& context,
                                                 const EngineSettings& engine);

// The model of --model, or the default one, in one of its abilities. FAILED_PRECONDITION when it
// does not have it. OpenEmbedder also takes vendors: --model openai/MODEL, or embeddings.provider
// where there is no --model; it then embeds one word, to learn the dimension.
Result<std::shared_ptr<const Embedder>> OpenEmbedder(const CommandContext& context,
                                                     const Settings& settings);
// Of this machine alone.
Result<std::shared_ptr<const Embedder>> OpenLocalEmbedder(const CommandContext& context,
                                                          const Settings& settings);
// SOURCE of `garrison compare`: a vendor ("openai", "openai/MODEL") or a model as --model names it.
Result<std::shared_ptr<const Embedder>> OpenSource(const CommandContext& context,
                                                   const Settings& settings,
                                                   const std::string& source);
Result<std::shared_ptr<const Reranker>> OpenReranker(const CommandContext& context,
                                                     const Settings& settings);
Result<std::shared_ptr<const Classifier>> OpenClassifier(const CommandContext& context,
                                                         const Settings& settings);

// The model in the first ability that it has: exactly one is set.
struct AnyModel {
  std::shared_ptr<const Embedder> embedder;
  std::shared_ptr<const Reranker> reranker;
  std::shared_ptr<const Classifier> classifier;

  const ModelInfo& info() const;
};
Result<AnyModel> OpenAnyModel(const CommandContext& context, const EngineSettings& engine);

// UNAVAILABLE when standard output cannot be written (closed pipe, full disk).
Result<> CheckOutput(std::ostream& out);

// `garrison bench --tokenizer`: the throughput of the tokenizer in `folder` over the lines of a
// file.
Result<> BenchTokenizer(CommandContext& context, const std::string& folder,
                        const std::string& input, bool json);

// One function per verb: adds it to `app`; its callback stores the outcome in `context`.
void AddEmbed(CLI::App& app, CommandContext& context);
void AddRerank(CLI::App& app, CommandContext& context);
void AddClassify(CLI::App& app, CommandContext& context);
void AddSimilarity(CLI::App& app, CommandContext& context);
void AddTokenize(CLI::App& app, CommandContext& context);
void AddCompare(CLI::App& app, CommandContext& context);
void AddAdapter(CLI::App& app, CommandContext& context);
void AddGuard(CLI::App& app, CommandContext& context);
void AddBench(CLI::App& app, CommandContext& context);
void AddModels(CLI::App& app, CommandContext& context);
void AddModelsVerify(CLI::App& models, CommandContext& context);
void AddConfig(CLI::App& app, CommandContext& context);
void AddServe(CLI::App& app, CommandContext& context);
void AddKeys(CLI::App& app, CommandContext& context);
void AddBudget(CLI::App& app, CommandContext& context);
void AddCache(CLI::App& app, CommandContext& context);
void AddCompletion(CLI::App& app, CommandContext& context);

}  // namespace garrison
