// Defaults < garrison.toml < environment < flags.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "base/result.h"
#include "cli/environment.h"

namespace garrison {

// Environment variables: those for which IsSettingsVariable().
using Variables = std::map<std::string, std::string>;

// True for GARRISON_..., and for the names that vendors' own tools have for a setting
// (OPENAI_API_KEY).
bool IsSettingsVariable(std::string_view name);

// INVALID_ARGUMENT (where: "FILE:LINE NAME", the variable, or "--set NAME") for a wrong value or an
// unknown name; NOT_FOUND when a file was named that does not exist.
Result<LoadedSettings> LoadLayeredSettings(const SettingsRequest& request,
                                           const Variables& variables);

// Puts the settings of a TOML text over `loaded`; `name` is the file's, for messages. Split off for
// the fuzzer.
Result<> ApplyToml(std::string_view text, const std::string& name, LoadedSettings& loaded);

}  // namespace garrison
