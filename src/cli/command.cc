#include "cli/command.h"

#include <utility>

#include "engine/models.h"

namespace garrison {

void AddModelFlags(CLI::App& verb, ModelFlags& flags) {
  verb.add_option("--model", flags.model, "Model name or folder (default: engine.model)");
  verb.add_option("--dtype", flags.dtype,
                  "Arithmetic; builtin:lexical computes the same bytes under each")
      ->check(CLI::IsMember({"auto", "f32", "bf16", "int8"}));
  verb.add_option("--threads", flags.threads, "Threads; 0: what cpuset and cgroup allow")
      ->check(CLI::Range(0, 4096));
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
  if (!flags.model.empty()) request.flags.emplace_back("engine.model", flags.model);
  if (flags.threads >= 0) {
    request.flags.emplace_back("engine.threads", std::to_string(flags.threads));
  }
  if (!flags.dtype.empty()) request.flags.emplace_back("engine.dtype", flags.dtype);
  Result<LoadedSettings> loaded = context.environment.load_settings(request);
  if (loaded) {
    for (const std::string& warning : loaded->warnings) {
      context.environment.err << "warning: " << warning << "\n";
    }
  }
  return loaded;
}

Result<std::shared_ptr<const Embedder>> OpenEmbedder(const Settings& settings) {
  ASSIGN_OR_RETURN(const std::unique_ptr<ModelCatalog> models, OpenLocalModels(settings.engine));
  return models->FindEmbedder("");
}

Result<> CheckOutput(std::ostream& out) {
  out.flush();
  if (out) return {};
  return Fail(Code::kUnavailable,
              "standard output cannot be written; is the disk full or the pipe closed?");
}

}  // namespace garrison
