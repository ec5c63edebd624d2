// garrison models list, config, serve, completion.
#include <fmt/ranges.h>

#include <algorithm>
#include <utility>

#include "cli/command.h"
#include "core/json.h"

namespace garrison {
namespace {

std::vector<std::string> AbilitiesOf(const ModelStatus& model) {
  std::vector<std::string> abilities;
  if (model.embeds) abilities.emplace_back("embed");
  if (model.reranks) abilities.emplace_back("rerank");
  if (model.classifies) abilities.emplace_back("classify");
  return abilities;
}

Result<> ListModels(CommandContext& context, bool json) {
  ASSIGN_OR_RETURN(const LoadedSettings loaded, LoadSettings(context));
  ASSIGN_OR_RETURN(const std::unique_ptr<ModelCatalog> models,
                   OpenModels(context, loaded.settings.engine));
  for (const ModelStatus& model : models->List()) {
    const ModelInfo& info = model.info;
    const bool is_loaded = model.state == ModelState::kLoaded;
    if (json) {
      nlohmann::ordered_json entry = {{"id", info.id}, {"capabilities", AbilitiesOf(model)}};
      if (is_loaded) {
        entry["revision"] = info.revision;
        entry["dimension"] = info.dimension;
        entry["description"] = info.description;
      }
      context.environment.out << DumpJson(entry) << "\n";
    } else {
      context.environment.out << fmt::format("{:<20} {:<16} {}\n", info.id,
                                             fmt::join(AbilitiesOf(model), " "), info.description);
    }
  }
  return CheckOutput(context.environment.out);
}

// Basic strings of TOML escape as JSON does, but for DEL and "/".
std::string TomlValue(const SettingField& field) {
  if (!std::holds_alternative<std::string*>(field.value)) {
    const std::string text = FormatSetting(field);
    const bool real = std::holds_alternative<double*>(field.value);
    return real && text.find_first_of(".e") == std::string::npos ? text + ".0" : text;
  }
  return DumpJson(FormatSetting(field));
}

Result<> PrintConfig(CommandContext& context) {
  ASSIGN_OR_RETURN(LoadedSettings loaded, LoadSettings(context));
  std::string section;
  std::ostream& out = context.environment.out;
  VisitSettings(loaded.settings, [&](SettingField& field) {
    const std::size_t dot = field.name.find('.');
    if (field.name.substr(0, dot) != section) {
      out << (section.empty() ? "" : "\n");
      section = field.name.substr(0, dot);
      out << "[" << section << "]\n";
    }
    const auto source = loaded.sources.find(field.name);
    out << "# " << field.meaning << "\n"
        << field.name.substr(dot + 1) << " = " << TomlValue(field) << "  # "
        << (source == loaded.sources.end() ? "default" : source->second) << "\n";
  });
  return CheckOutput(out);
}

struct ServeFlags {
  std::string bind;
  std::string port;
  std::string port_file;
  std::string grpc_port;
  std::string grpc_port_file;
  ModelFlags model;
};

Result<> Serve(CommandContext& context, const ServeFlags& flags) {
  if (!flags.bind.empty()) context.settings_request.flags.emplace_back("server.bind", flags.bind);
  if (!flags.port.empty()) context.settings_request.flags.emplace_back("server.port", flags.port);
  if (!flags.grpc_port.empty()) {
    context.settings_request.flags.emplace_back("server.grpc_port", flags.grpc_port);
  }
  ModelFlags model = flags.model;
  // One model among several here: who embeds is embeddings.provider's to say.
  if (!model.model.empty()) {
    context.settings_request.flags.emplace_back("engine.model", model.model);
    model.model.clear();
  }
  ASSIGN_OR_RETURN(const LoadedSettings loaded, LoadSettings(context, model));
  return context.environment.serve(loaded.settings,
                                   {flags.port_file, flags.grpc_port_file,
                                    [&context, model] { return LoadSettings(context, model); }});
}

// The words that may follow `app`: its verbs and flags.
std::string Words(const CLI::App& app) {
  std::string words;
  for (const CLI::App* verb : app.get_subcommands(nullptr)) words += verb->get_name() + " ";
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) words += "--" + name + " ";
  }
  return words;
}

// `verbs` gets every path of verbs, between bars: |guard|guard check|
void AddCases(const CLI::App& app, const std::string& path, std::string& cases,
              std::string& verbs) {
  cases += fmt::format("    \"{}\") words=\"{}\" ;;\n", path, Words(app));
  for (const CLI::App* verb : app.get_subcommands(nullptr)) {
    const std::string verb_path = path + (path.empty() ? "" : " ") + verb->get_name();
    verbs += verb_path + "|";
    AddCases(*verb, verb_path, cases, verbs);
  }
}

std::string BashCompletion(const CLI::App& app) {
  std::string cases, verbs = "|";
  AddCases(app, "", cases, verbs);
  return fmt::format(
      "# bash completion for garrison: source <(garrison completion bash)\n"
      "_garrison() {{\n"
      "  local current=\"${{COMP_WORDS[COMP_CWORD]}}\" path=\"\" words=\"\" word\n"
      "  local verbs=\"{}\"\n"
      "  for word in \"${{COMP_WORDS[@]:1:COMP_CWORD-1}}\"; do\n"
      "    case \"$verbs\" in *\"|${{path:+$path }}$word|\"*) path=\"${{path:+$path }}$word\" ;; "
      "esac\n"
      "  done\n"
      "  case \"$path\" in\n{}"
      "  esac\n"
      "  words=\"$words --config --set\"\n"
      "  COMPREPLY=($(compgen -W \"$words\" -- \"$current\"))\n"
      "  [ ${{#COMPREPLY[@]}} -gt 0 ] || COMPREPLY=($(compgen -f -- \"$current\"))\n"
      "}}\n"
      "complete -o filenames -F _garrison garrison\n",
      verbs, cases);
}

}  // namespace

void AddModels(CLI::App& app, CommandContext& context) {
  CLI::App* verb = app.add_subcommand("models", "The models of this machine");
  verb->require_subcommand(1);
  verb->footer(
      "Examples:\n  garrison models list\n  garrison models verify models/minilm --dtype int8");
  CLI::App* list = verb->add_subcommand("list", "List them");
  auto json = std::make_shared<bool>(false);
  list->add_flag("--json", *json, "One JSON line each");
  list->footer("Example:\n  garrison models list --json");
  list->callback([json, &context] { context.outcome = ListModels(context, *json); });
  AddModelsVerify(*verb, context);
}

void AddConfig(CLI::App& app, CommandContext& context) {
  CLI::App* verb = app.add_subcommand("config", "Print the effective configuration as TOML");
  verb->footer(
      "Each value is followed by where it comes from. Order: defaults < file < environment < "
      "flags.\n"
      "Examples:\n"
      "  garrison config > garrison.toml\n"
      "  GARRISON_SERVER_PORT=9000 garrison config | grep port");
  verb->callback([&context] { context.outcome = PrintConfig(context); });
}

void AddServe(CLI::App& app, CommandContext& context) {
  auto flags = std::make_shared<ServeFlags>();
  CLI::App* verb = app.add_subcommand("serve", "Serve the HTTP API until SIGTERM or Ctrl-C");
  verb->add_option("--bind", flags->bind, "Address to listen on (default 127.0.0.1)");
  verb->add_option("--port", flags->port, "Port to listen on (default 8000); 0: any free one");
  verb->add_option("--port-file", flags->port_file, "Write the port to this file once it listens");
  verb->add_option("--grpc-port", flags->grpc_port,
                   "Port for gRPC (default: none); 0: any free one");
  verb->add_option("--grpc-port-file", flags->grpc_port_file,
                   "Write the port of gRPC to this file");
  AddModelFlags(*verb, flags->model);
  verb->footer(
      "Examples:\n"
      "  garrison serve\n"
      "  garrison serve --port 9000 --set limits.body_bytes=1000000\n"
      "  garrison serve --grpc-port 8001\n"
      "  curl localhost:8000/v1/embeddings -d '{\"input\":\"hello\"}'");
  verb->callback([flags, &context] { context.outcome = Serve(context, *flags); });
}

void AddCompletion(CLI::App& app, CommandContext& context) {
  CLI::App* verb = app.add_subcommand("completion", "Print the completion script of a shell");
  verb->require_subcommand(1);
  CLI::App* bash = verb->add_subcommand("bash", "For bash: source <(garrison completion bash)");
  bash->footer("Example:\n  source <(garrison completion bash)");
  bash->callback([&app, &context] {
    context.environment.out << BashCompletion(app);
    context.outcome = CheckOutput(context.environment.out);
  });
}

}  // namespace garrison
