#include "cli/command.h"

#include <filesystem>
#include <utility>

#include "cli/open_budget.h"
#include "providers/providers.h"

namespace garrison {
namespace {

bool IsVendor(const std::string& model) {
  std::error_code ignored;  // a folder of that name is meant as a folder
  return NamesProvider(model) && !std::filesystem::is_directory(model, ignored);
}

Result<std::shared_ptr<const Embedder>> OpenVendor(const CommandContext& context,
                                                   const Settings& settings,
                                                   const std::string& source) {
  ASSIGN_OR_RETURN(std::shared_ptr<Budget> budget,
                   OpenBudget(settings, context.clock, *context.logger));
  ASSIGN_OR_RETURN(const std::unique_ptr<Providers> providers,
                   Providers::Create(settings.providers, std::move(budget), context.clock));
  ASSIGN_OR_RETURN(std::shared_ptr<const Embedder> embedder, providers->Open(source));
  for (const std::string& warning : embedder->info().warnings) {
    context.environment.err << "warning: " << warning << "\n";
  }
  if (embedder->info().dimension == 0) {
    EmbedRequest request;
    request.inputs.emplace_back("dimension");
    RETURN_IF_ERROR(embedder->Embed(request, RequestContext{}));
  }
  return embedder;
}

}  // namespace

void AddModelFlags(CLI::App& verb, ModelFlags& flags) {
  verb.add_option(
      "--model", flags.model,
      "Model name or folder (default: engine.model); for texts also PROVIDER or PROVIDER/MODEL");
  verb.add_option("--dtype", flags.dtype,
                  "Arithmetic; builtin:lexical computes the same bytes under each")
      ->check(CLI::IsMember({"auto", "f32", "bf16", "int8"}));
  verb.add_option("--threads", flags.threads, "Threads; 0: what cpuset and cgroup allow")
      ->check(CLI::Range(0, 4096));
  verb.add_option("--long-input", flags.long_input,
                  "For an input longer than the model reads: error (default), truncate, or chunk "
                  "(embeds the pieces and takes their mean)")
      ->check(CLI::IsMember({"error", "truncate", "chunk"}));
  verb.add_option("--truncation-side", flags.truncation_side, "The end that truncate cuts off")
      ->check(CLI::IsMember({"right", "left"}));
  verb.add_option("--bf16-layers", flags.bf16_layers,
                  "Layers that int8 keeps in bf16, separated by commas (engine.bf16_layers)");
}

void AddInputFlags(CLI::App& verb, ModelFlags& flags) {
  verb.add_option("--input", flags.input, "File to read, - for standard input");
  verb.add_option("--input-format", flags.input_format,
                  "jsonl: {\"text\":..} or {\"ids\":[..]} per line; text: one text per line")
      ->check(CLI::IsMember({"jsonl", "text"}));
  verb.add_option("texts", flags.texts, "Texts, instead of --input");
}

Result<LoadedSettings> LoadSettings(const CommandContext& context) {
  return LoadSettings(context, ModelFlags{});
}

Result<LoadedSettings> LoadSettings(const CommandContext& context, const ModelFlags& flags) {
  SettingsRequest request = context.settings_request;
  if (!flags.model.empty()) {
    request.flags.emplace_back("engine.model", flags.model);
    // Who names a model means it, whoever embeds otherwise.
    request.flags.emplace_back("embeddings.provider", "local");
  }
  if (flags.threads >= 0) {
    request.flags.emplace_back("engine.threads", std::to_string(flags.threads));
  }
  if (!flags.dtype.empty()) request.flags.emplace_back("engine.dtype", flags.dtype);
  if (!flags.long_input.empty()) {
    request.flags.emplace_back("engine.long_input", flags.long_input);
  }
  if (!flags.truncation_side.empty()) {
    request.flags.emplace_back("engine.truncation_side", flags.truncation_side);
  }
  if (flags.bf16_layers) request.flags.emplace_back("engine.bf16_layers", *flags.bf16_layers);
  Result<LoadedSettings> loaded = context.environment.load_settings(request);
  if (loaded) {
    for (const std::string& warning : loaded->warnings) {
      context.environment.err << "warning: " << warning << "\n";
    }
  }
  return loaded;
}

Result<std::unique_ptr<ModelCatalog>> OpenModels(const CommandContext& context,
                                                 const EngineSettings& engine) {
  ASSIGN_OR_RETURN(std::unique_ptr<ModelCatalog> models, context.environment.open_models(engine));
  for (const ModelStatus& model : models->List()) {
    for (const std::string& warning : model.info.warnings) {
      context.environment.err << "warning: " << warning << "\n";
    }
  }
  return models;
}

Result<std::shared_ptr<const Embedder>> OpenEmbedder(const CommandContext& context,
                                                     const Settings& settings) {
  const EmbeddingsSettings& embeddings = settings.providers.embeddings;
  if (embeddings.provider != "local") {
    return OpenVendor(
        context, settings,
        embeddings.provider + (embeddings.model.empty() ? "" : "/" + embeddings.model));
  }
  if (IsVendor(settings.engine.model)) return OpenVendor(context, settings, settings.engine.model);
  return OpenLocalEmbedder(context, settings);
}

Result<std::shared_ptr<const Embedder>> OpenSource(const CommandContext& context,
                                                   const Settings& settings,
                                                   const std::string& source) {
  if (IsVendor(source)) return OpenVendor(context, settings, source);
  Settings own = settings;
  own.engine.model = source;
  return OpenLocalEmbedder(context, own);
}

Result<std::shared_ptr<const Embedder>> OpenLocalEmbedder(const CommandContext& context,
                                                          const Settings& settings) {
  ASSIGN_OR_RETURN(const std::unique_ptr<ModelCatalog> models,
                   OpenModels(context, settings.engine));
  return models->FindEmbedder("");
}

Result<std::shared_ptr<const Reranker>> OpenReranker(const CommandContext& context,
                                                     const Settings& settings) {
  ASSIGN_OR_RETURN(const std::unique_ptr<ModelCatalog> models,
                   OpenModels(context, settings.engine));
  return models->FindReranker("");
}

Result<std::shared_ptr<const Classifier>> OpenClassifier(const CommandContext& context,
                                                         const Settings& settings) {
  ASSIGN_OR_RETURN(const std::unique_ptr<ModelCatalog> models,
                   OpenModels(context, settings.engine));
  return models->FindClassifier("");
}

const ModelInfo& AnyModel::info() const {
  if (embedder != nullptr) return embedder->info();
  return reranker != nullptr ? reranker->info() : classifier->info();
}

Result<AnyModel> OpenAnyModel(const CommandContext& context, const EngineSettings& engine) {
  ASSIGN_OR_RETURN(const std::unique_ptr<ModelCatalog> models, OpenModels(context, engine));
  AnyModel model;
  auto embedder = models->FindEmbedder("");
  if (embedder) {
    model.embedder = *std::move(embedder);
    return model;
  }
  if (embedder.error().code != Code::kFailedPrecondition) {
    return tl::unexpected(std::move(embedder).error());
  }
  if (auto reranker = models->FindReranker("")) {
    model.reranker = *std::move(reranker);
    return model;
  }
  ASSIGN_OR_RETURN(model.classifier, models->FindClassifier(""));
  return model;
}

Result<> CheckOutput(std::ostream& out) {
  out.flush();
  if (out) return {};
  return Fail(Code::kUnavailable,
              "standard output cannot be written; is the disk full or the pipe closed?");
}

}  // namespace garrison
