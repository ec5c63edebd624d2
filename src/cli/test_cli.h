// For tests: runs the command line in this process.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "cli/cli.h"
#include "core/settings.h"

namespace garrison {

struct Outcome {
  int code;
  std::string out;
  std::string err;
};

class CliTest : public testing::Test {
 protected:
  Outcome Run(std::vector<std::string> arguments, const std::string& input = "") {
    std::istringstream in(input);
    std::ostringstream out, err;
    Environment environment{in,
                            out,
                            err,
                            false,
                            false,
                            [](const SettingsRequest& request) { return Load(request); },
                            [this](const Settings& settings, const ServeOptions& options) {
                              served_port_ = settings.server.port;
                              served_grpc_port_ = settings.server.grpc_port;
                              port_file_ = options.port_file;
                              grpc_port_file_ = options.grpc_port_file;
                              return Result<>();
                            }};
    if (open_models_) environment.open_models = open_models_;
    std::vector<const char*> argv = {"garrison"};
    for (const std::string& argument : arguments) argv.push_back(argument.c_str());
    const int code = RunCli(static_cast<int>(argv.size()), argv.data(), environment);
    return {code, out.str(), err.str()};
  }

  static Result<LoadedSettings> Load(const SettingsRequest& request) {
    LoadedSettings loaded;
    for (const auto& [name, value] : request.flags) {
      Result<> assigned = AssignSetting(loaded.settings, name, value);
      if (!assigned) return tl::unexpected(At("--set", std::move(assigned).error()));
      loaded.sources[name] = "flag";
    }
    return loaded;
  }

  CliTest() {
    std::string name = (std::filesystem::path(testing::TempDir()) / "garrison-XXXXXX").string();
    EXPECT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  ~CliTest() override { std::filesystem::remove_all(folder_); }

  std::string Path(const std::string& name) const { return (folder_ / name).string(); }

  std::string File(const std::string& name, const std::string& content) const {
    const std::string path = Path(name);
    std::ofstream(path, std::ios::binary) << content;
    return path;
  }

  static std::string Read(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  static std::vector<nlohmann::json> Lines(const std::string& text) {
    std::vector<nlohmann::json> lines;
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);) lines.push_back(nlohmann::json::parse(line));
    return lines;
  }

  // What runs instead of the models of this machine.
  std::function<Result<std::unique_ptr<ModelCatalog>>(const EngineSettings&)> open_models_;
  std::filesystem::path folder_;  // of this test alone
  std::int64_t served_port_ = -1;
  std::int64_t served_grpc_port_ = -1;
  std::string port_file_;
  std::string grpc_port_file_;
};

}  // namespace garrison
