// `garrison keys`: API keys for the service.
#include "gateway/keys.h"

#include <filesystem>
#include <utility>

#include "base/hash.h"
#include "base/mapped_file.h"
#include "cli/command.h"
#include "core/json.h"

namespace garrison {
namespace {

constexpr std::uint64_t kKeysFileBytesMax = 16 * 1024 * 1024;

struct KeyFlags {
  std::string name;
  std::string scopes = "embed,chat";
  std::int64_t requests_per_minute = 0;
  std::int64_t tokens_per_minute = 0;
  std::string file;
};

// The file with the line at its end; the whole is checked first.
Result<> Append(const std::string& file, const ApiKey& key) {
  std::string text;
  std::error_code ignored;
  if (std::filesystem::exists(file, ignored)) {
    ASSIGN_OR_RETURN(text, ReadTextFile(file, kKeysFileBytesMax));
  }
  if (!text.empty() && text.back() != '\n') text += '\n';
  text += FormatKey(key) + "\n";
  RETURN_IF_ERROR(KeyRing::Parse(text, file));
  return WriteFileAtomically(file, text);
}

Result<> NewKey(CommandContext& context, const KeyFlags& flags) {
  Result<std::vector<Scope>> scopes = ParseScopes(flags.scopes);
  if (!scopes) return tl::unexpected(At("--scopes", std::move(scopes).error()));
  const std::string secret = MakeSecret();
  const ApiKey key = {.name = flags.name,
                      .sha256 = Sha256Hex(secret),
                      .scopes = *std::move(scopes),
                      .requests_per_minute = flags.requests_per_minute,
                      .tokens_per_minute = flags.tokens_per_minute};
  KeyRing alone;
  if (Result<> added = alone.Add(key); !added) {
    return tl::unexpected(At("--name", std::move(added).error()));
  }
  if (!flags.file.empty()) RETURN_IF_ERROR(Append(flags.file, key));
  context.environment.out << DumpJson(nlohmann::ordered_json{
                                 {"name", key.name}, {"key", secret}, {"line", FormatKey(key)}})
                          << "\n";
  return CheckOutput(context.environment.out);
}

}  // namespace

void AddKeys(CLI::App& app, CommandContext& context) {
  CLI::App* keys = app.add_subcommand("keys", "API keys of the service (server.keys_file)");
  keys->require_subcommand(1);
  const auto flags = std::make_shared<KeyFlags>();
  CLI::App* verb = keys->add_subcommand(
      "new", "Make a key: prints it once, and the line for the file, which has its hash only");
  verb->add_option("name", flags->name, "Who it is for, as logs and metrics call it")->required();
  verb->add_option("--scopes", flags->scopes, "embed, chat, admin; default embed,chat");
  verb->add_option("--requests-per-minute", flags->requests_per_minute, "0: no limit")
      ->check(CLI::NonNegativeNumber);
  verb->add_option("--tokens-per-minute", flags->tokens_per_minute, "0: no limit")
      ->check(CLI::NonNegativeNumber);
  verb->add_option("--file", flags->file, "Append the line to this file");
  verb->footer(
      "Examples:\n"
      "  garrison keys new website --file keys.txt\n"
      "  garrison keys new batch --scopes embed --tokens-per-minute 500000 --file keys.txt\n"
      "  garrison serve --set server.keys_file=keys.txt");
  verb->callback([flags, &context] { context.outcome = NewKey(context, *flags); });
}

}  // namespace garrison
