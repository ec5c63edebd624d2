#include "app/load_settings.h"

#include <toml++/toml.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <utility>
#include <vector>

#include "base/mapped_file.h"

namespace garrison {
namespace {

constexpr std::uint64_t kFileBytesMax = 1 << 20;
constexpr std::string_view kOwnPrefix = "GARRISON_";
constexpr const char* kDefaultFile = "garrison.toml";

struct Entry {
  std::string name;
  std::string value;
  std::string source;  // as LoadedSettings::sources
  std::string place;   // for an error
};

std::string NodeText(const toml::node& node) {
  if (const auto* text = node.as_string()) return text->get();
  if (const auto* integer = node.as_integer()) return std::to_string(integer->get());
  if (const auto* real = node.as_floating_point()) return fmt::format("{}", real->get());
  return {};
}

Result<std::vector<Entry>> Flatten(const toml::table& table, const std::string& file) {
  std::vector<Entry> entries;
  for (const auto& [section, content] : table) {
    const auto place = [&](const toml::node& node) {
      return fmt::format("{}:{}", file, node.source().begin.line);
    };
    const auto* fields = content.as_table();
    if (fields == nullptr) {
      return FailAt(place(content), Code::kInvalidArgument,
                    "expected a [section], got a value for \"{}\"", section.str());
    }
    for (const auto& [key, value] : *fields) {
      const std::string name = fmt::format("{}.{}", section.str(), key.str());
      if (!value.is_string() && !value.is_integer() && !value.is_floating_point()) {
        return FailAt(fmt::format("{} {}", place(value), name), Code::kInvalidArgument,
                      "expected a string or a number");
      }
      entries.push_back(
          {name, NodeText(value), place(value), fmt::format("{} {}", place(value), name)});
    }
  }
  return entries;
}

constexpr std::string_view kPreset = "guard.preset";
constexpr std::array kPresetThresholds = {std::string_view("guard.alert_likelihood"),
                                          std::string_view("guard.alert_erosion")};

// Puts one layer over the ones before. Within a layer a preset comes first, wherever it stands, so
// that thresholds beside it override it.
Result<> ApplyLayer(const std::vector<Entry>& entries, LoadedSettings& loaded) {
  const auto apply = [&loaded](const Entry& entry) -> Result<> {
    Result<> assigned = AssignSetting(loaded.settings, entry.name, entry.value);
    if (!assigned) {
      Error error = std::move(assigned).error();
      error.where = entry.place;
      return tl::unexpected(std::move(error));
    }
    loaded.sources[entry.name] = entry.source;
    return {};
  };
  bool preset_given = false;
  for (const Entry& entry : entries) {
    if (entry.name != kPreset) continue;
    preset_given = true;
    RETURN_IF_ERROR(apply(entry));
    for (const std::string_view threshold : kPresetThresholds) {
      loaded.sources[std::string(threshold)] = "preset " + entry.value;
    }
  }
  for (const Entry& entry : entries) {
    if (entry.name == kPreset) continue;
    RETURN_IF_ERROR(apply(entry));
    const bool overrides = std::find(kPresetThresholds.begin(), kPresetThresholds.end(),
                                     entry.name) != kPresetThresholds.end();
    if (!preset_given || !overrides) continue;
    loaded.warnings.push_back(fmt::format("{} = {} ({}) overrides the preset beside it", entry.name,
                                          entry.value, entry.source));
  }
  return {};
}

Result<> ApplyFile(const SettingsRequest& request, const Variables& variables,
                   LoadedSettings& loaded) {
  const auto named = variables.find("GARRISON_CONFIG");
  std::string file;
  if (request.file) {
    file = *request.file;
  } else if (named != variables.end() && !named->second.empty()) {
    file = named->second;
  } else {
    std::error_code ignored;
    if (!std::filesystem::exists(kDefaultFile, ignored)) return {};
    file = kDefaultFile;
  }
  ASSIGN_OR_RETURN(const std::string text, ReadTextFile(file, kFileBytesMax));
  return ApplyToml(text, file, loaded);
}

struct Alias {
  std::string_view variable;
  std::string_view setting;
};

// What vendors' own tools call it. GARRISON_... wins where both are set.
constexpr std::array kAliases = {
    Alias{"EMBEDDINGS_PROVIDER", "embeddings.provider"},
    Alias{"EMBEDDINGS_MODEL", "embeddings.model"},
    Alias{"OPENAI_API_KEY", "openai.api_key"},
    Alias{"OPENAI_BASE_URL", "openai.base_url"},
    Alias{"OPENAI_ORG_ID", "openai.organization"},
    Alias{"OPENAI_PROJECT_ID", "openai.project"},
    // Not ANTHROPIC_BASE_URL: on many machines it names the gateway that clients are to use.
    Alias{"ANTHROPIC_API_KEY", "anthropic.api_key"},
    Alias{"DEEPSEEK_API_KEY", "deepseek.api_key"},
    Alias{"HF_TOKEN", "huggingface.token"},
    Alias{"AZURE_OPENAI_ENDPOINT", "azure.endpoint"},
    Alias{"AZURE_OPENAI_API_KEY", "azure.api_key"},
    Alias{"AWS_DEFAULT_REGION", "bedrock.region"},
    Alias{"AWS_REGION", "bedrock.region"},  // after the one above: it wins
    Alias{"AWS_BEARER_TOKEN_BEDROCK", "bedrock.bearer_token"},
    Alias{"AWS_ACCESS_KEY_ID", "bedrock.access_key_id"},
    Alias{"AWS_SECRET_ACCESS_KEY", "bedrock.secret_access_key"},
    Alias{"AWS_SESSION_TOKEN", "bedrock.session_token"},
    Alias{"AWS_PROFILE", "bedrock.profile"},
    Alias{"AWS_SHARED_CREDENTIALS_FILE", "bedrock.credentials_file"},
    Alias{"AWS_CONTAINER_CREDENTIALS_FULL_URI", "bedrock.container_uri"},
    Alias{"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "bedrock.container_path"},
    Alias{"AWS_CONTAINER_AUTHORIZATION_TOKEN", "bedrock.container_token"},
    Alias{"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "bedrock.container_token_file"},
    Alias{"AWS_EC2_METADATA_SERVICE_ENDPOINT", "bedrock.metadata_endpoint"},
    Alias{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "tracing.endpoint"},
    Alias{"OTEL_EXPORTER_OTLP_HEADERS", "tracing.headers"},
    Alias{"OTEL_SERVICE_NAME", "tracing.service_name"},
};

Result<> ApplyEnvironment(const Variables& variables, LoadedSettings& loaded) {
  std::map<std::string, std::string> names;  // variable -> setting
  VisitSettings(loaded.settings, [&](SettingField& field) {
    names.emplace(EnvironmentName(field.name), field.name);
  });
  std::vector<Entry> entries;
  for (const Alias& alias : kAliases) {
    const auto found = variables.find(std::string(alias.variable));
    if (found == variables.end() || found->second.empty()) continue;
    entries.push_back({std::string(alias.setting), found->second, "environment", found->first});
  }
  for (const auto& [variable, value] : variables) {
    if (!variable.starts_with(kOwnPrefix)) continue;
    const auto name = names.find(variable);
    if (name != names.end()) {
      entries.push_back({name->second, value, "environment", variable});
    } else if (variable != "GARRISON_CONFIG" && variable != "GARRISON_ISA") {
      loaded.warnings.push_back(
          fmt::format("{} names no setting; `garrison config` lists all of them", variable));
    }
  }
  return ApplyLayer(std::move(entries), loaded);
}

}  // namespace

bool IsSettingsVariable(std::string_view name) {
  return name.starts_with(kOwnPrefix) ||
         std::any_of(kAliases.begin(), kAliases.end(),
                     [&](const Alias& alias) { return alias.variable == name; });
}

Result<> ApplyToml(std::string_view text, const std::string& name, LoadedSettings& loaded) {
  toml::table table;
  try {
    table = toml::parse(text, name);
  } catch (const toml::parse_error& error) {
    return FailAt(fmt::format("{}:{}", name, error.source().begin.line), Code::kInvalidArgument,
                  "expected TOML: {}", error.description());
  }
  ASSIGN_OR_RETURN(std::vector<Entry> entries, Flatten(table, name));
  return ApplyLayer(std::move(entries), loaded);
}

Result<LoadedSettings> LoadLayeredSettings(const SettingsRequest& request,
                                           const Variables& variables) {
  LoadedSettings loaded;
  RETURN_IF_ERROR(ApplyFile(request, variables, loaded));
  RETURN_IF_ERROR(ApplyEnvironment(variables, loaded));
  std::vector<Entry> flags;
  for (const auto& [name, value] : request.flags) {
    flags.push_back({name, value, "flag", "--set " + name});
  }
  RETURN_IF_ERROR(ApplyLayer(std::move(flags), loaded));
  RETURN_IF_ERROR(CheckSettings(loaded.settings));
  return loaded;
}

}  // namespace garrison
