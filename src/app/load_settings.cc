#include "app/load_settings.h"

#include <toml++/toml.h>

#include <algorithm>
#include <filesystem>
#include <utility>
#include <vector>

#include "base/mapped_file.h"

namespace garrison {
namespace {

constexpr std::uint64_t kFileBytesMax = 1 << 20;
constexpr const char* kDefaultFile = "garrison.toml";

struct Entry {
  std::string name;
  std::string value;
  std::string source;  // "FILE:LINE"
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
      entries.push_back({name, NodeText(value), place(value)});
    }
  }
  // A preset comes before the thresholds that may override it, wherever it stands in the file.
  std::stable_partition(entries.begin(), entries.end(),
                        [](const Entry& entry) { return entry.name == "guard.preset"; });
  return entries;
}

Result<> Assign(LoadedSettings& loaded, const std::string& name, const std::string& value,
                const std::string& source, std::string_view error_place) {
  Result<> assigned = AssignSetting(loaded.settings, name, value);
  if (!assigned) {
    Error error = std::move(assigned).error();
    error.where = error_place;
    return tl::unexpected(std::move(error));
  }
  loaded.sources[name] = source;
  return {};
}

Result<> ApplyFile(const SettingsRequest& request, const ReadVariable& variable,
                   LoadedSettings& loaded) {
  std::string file;
  if (request.file) {
    file = *request.file;
  } else if (const char* named = variable("GARRISON_CONFIG")) {
    file = named;
  } else {
    std::error_code ignored;
    if (!std::filesystem::exists(kDefaultFile, ignored)) return {};
    file = kDefaultFile;
  }
  ASSIGN_OR_RETURN(const std::string text, ReadTextFile(file, kFileBytesMax));
  return ApplyToml(text, file, loaded);
}

Result<> ApplyEnvironment(const ReadVariable& variable, LoadedSettings& loaded) {
  std::vector<std::string> names;
  VisitSettings(loaded.settings, [&](SettingField& field) { names.emplace_back(field.name); });
  for (const std::string& name : names) {
    const std::string variable_name = EnvironmentName(name);
    if (const char* value = variable(variable_name)) {
      RETURN_IF_ERROR(Assign(loaded, name, value, "environment", variable_name));
    }
  }
  return {};
}

}  // namespace

Result<> ApplyToml(std::string_view text, const std::string& name, LoadedSettings& loaded) {
  toml::table table;
  try {
    table = toml::parse(text, name);
  } catch (const toml::parse_error& error) {
    return FailAt(fmt::format("{}:{}", name, error.source().begin.line), Code::kInvalidArgument,
                  "expected TOML: {}", error.description());
  }
  ASSIGN_OR_RETURN(const std::vector<Entry> entries, Flatten(table, name));
  for (const Entry& entry : entries) {
    RETURN_IF_ERROR(Assign(loaded, entry.name, entry.value, entry.source,
                           fmt::format("{} {}", entry.source, entry.name)));
  }
  return {};
}

Result<LoadedSettings> LoadLayeredSettings(const SettingsRequest& request,
                                           const ReadVariable& variable) {
  LoadedSettings loaded;
  RETURN_IF_ERROR(ApplyFile(request, variable, loaded));
  RETURN_IF_ERROR(ApplyEnvironment(variable, loaded));
  for (const auto& [name, value] : request.flags) {
    RETURN_IF_ERROR(Assign(loaded, name, value, "flag", "--set " + name));
  }
  RETURN_IF_ERROR(CheckSettings(loaded.settings));
  return loaded;
}

}  // namespace garrison
