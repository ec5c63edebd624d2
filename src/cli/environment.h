// What the command line needs from the program around it.
#pragma once

#include <functional>
#include <iosfwd>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "core/model_catalog.h"
#include "core/settings.h"
#include "engine/models.h"

namespace garrison {

struct SettingsRequest {
  std::optional<std::string>
      file;  // --config; otherwise $GARRISON_CONFIG, otherwise ./garrison.toml if it exists
  // Flags, in the order they were given: dotted setting name and value.
  std::vector<std::pair<std::string, std::string>> flags;
};

struct LoadedSettings {
  Settings settings;
  // Dotted name -> "FILE:LINE", "environment", "flag" or "preset NAME"; absent: the default.
  std::map<std::string, std::string, std::less<>> sources;
  // Sentences about what is probably not meant: a variable that names no setting, a preset without
  // effect.
  std::vector<std::string> warnings;
};

struct ServeOptions {
  // Written with the port of HTTP, and of gRPC, once the service listens; empty: none.
  std::string port_file;
  std::string grpc_port_file;
  // Reads the configuration again, with the same flags.
  std::function<Result<LoadedSettings>()> reload = {};
};

struct Environment {
  std::istream& in;
  std::ostream& out;
  std::ostream& err;
  bool in_is_terminal = false;
  bool color = false;
  std::function<Result<LoadedSettings>(const SettingsRequest&)> load_settings;
  // Returns when the service has been told to stop and has drained.
  std::function<Result<>(const Settings&, const ServeOptions&)> serve;
  bool err_is_terminal = false;
  std::function<Result<std::unique_ptr<ModelCatalog>>(const EngineSettings&)> open_models =
      [](const EngineSettings& engine) { return OpenLocalModels(engine); };
};

}  // namespace garrison
