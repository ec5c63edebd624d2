#include "cli/cli.h"

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <string>
#include <utility>

#include "cli/command.h"

namespace garrison {
namespace {

constexpr int kDone = 0;
constexpr int kFailed = 1;
constexpr int kBadUsage = 2;

void AddGlobalFlags(CLI::App& app, SettingsRequest& request) {
  app.add_option_function<std::string>(
      "--config", [&request](const std::string& file) { request.file = file; },
      "Configuration file (default: $GARRISON_CONFIG, or garrison.toml here if it exists)");
  app.add_option_function<std::vector<std::string>>(
         "--set",
         [&request](const std::vector<std::string>& settings) {
           for (const std::string& setting : settings) {
             const std::size_t equals = setting.find('=');
             if (equals == std::string::npos) {
               throw CLI::ValidationError("--set", "expected NAME=VALUE, got \"" + setting + "\"");
             }
             request.flags.emplace_back(setting.substr(0, equals), setting.substr(equals + 1));
           }
         },
         "One setting, NAME=VALUE as `garrison config` names it; may be repeated")
      ->allow_extra_args(false);
}

}  // namespace

int ExitCodeOf(const Error& error) {
  return error.code == Code::kInvalidArgument && error.where.starts_with("--") ? kBadUsage
                                                                               : kFailed;
}

int RunCli(int argc, const char* const* argv, Environment& environment) {
  CLI::App app("Garrison: small models on your own machine, behind one API.", "garrison");
  app.set_version_flag("--version", GARRISON_VERSION);
  app.require_subcommand(1);
  app.fallthrough();
  app.footer(
      "Examples:\n"
      "  garrison embed \"a cat sat on the mat\"\n"
      "  garrison embed --input texts.jsonl --output vectors.npy\n"
      "  garrison rerank --model models/reranker --query \"why do cats purr\" \"the larynx\" "
      "\"dogs bark\"\n"
      "  garrison guard check conversation.json\n"
      "  garrison serve\n"
      "`garrison VERB --help` tells more about one verb.");

  CommandContext context{environment, {}, {}, {}};
  AddGlobalFlags(app, context.settings_request);
  AddServe(app, context);
  AddEmbed(app, context);
  AddSimilarity(app, context);
  AddCompare(app, context);
  AddAdapter(app, context);
  AddTokenize(app, context);
  AddRerank(app, context);
  AddClassify(app, context);
  AddGuard(app, context);
  AddBench(app, context);
  AddModels(app, context);
  AddKeys(app, context);
  AddBudget(app, context);
  AddCache(app, context);
  AddConfig(app, context);
  CLI::App* version = app.add_subcommand("version", "Print the version");
  version->footer("Example:\n  garrison version");
  version->callback([&context] {
    context.environment.out << "garrison " GARRISON_VERSION "\n";
    context.outcome = CheckOutput(context.environment.out);
  });
  AddCompletion(app, context);

  try {
    app.parse(argc, argv);
  } catch (const CLI::RequiredError& error) {
    const std::vector<std::string> unknown = app.remaining(true);
    if (unknown.empty())
      return app.exit(error, environment.out, environment.err) == 0 ? kDone : kBadUsage;
    environment.err << "garrison: there is no verb \"" << unknown.front()
                    << "\"; `garrison --help` lists them\n";
    return kBadUsage;
  } catch (const CLI::ParseError& error) {
    return app.exit(error, environment.out, environment.err) == 0 ? kDone : kBadUsage;
  }
  if (context.outcome) return kDone;
  environment.err << "garrison: " << context.outcome.error().ToString() << "\n";
  return ExitCodeOf(context.outcome.error());
}

}  // namespace garrison
