// The program: reads the configuration, wires the objects together, runs one command.
#include <pthread.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <ctime>
#include <future>
#include <iostream>
#include <map>

#include "app/load_settings.h"
#include "app/service.h"
#include "base/mapped_file.h"
#include "cli/cli.h"

namespace garrison {
namespace {

LogLevel ParseLogLevel(const std::string& name) {
  if (name == "debug") return LogLevel::kDebug;
  if (name == "warning") return LogLevel::kWarning;
  if (name == "error") return LogLevel::kError;
  return name == "off" ? LogLevel::kOff : LogLevel::kInfo;
}

// The signals that stop the service, or have it read its configuration again. Blocked before any
// thread starts, so that all inherit the mask and only the wait below receives them.
sigset_t Signals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGHUP);
  return signals;
}

// Drains, unless another signal comes. Returns the number of requests that were cut off.
std::size_t StopOrHurry(Service& service, const sigset_t& signals) {
  std::future<std::size_t> stopped =
      std::async(std::launch::async, [&service] { return service.Stop(); });
  constexpr timespec kPoll{0, 20'000'000};
  while (stopped.wait_for(std::chrono::seconds(0)) != std::future_status::ready) {
    const int signal = sigtimedwait(&signals, nullptr, &kPoll);
    if (signal == SIGTERM || signal == SIGINT) service.HurryStop();
  }
  return stopped.get();
}

// What differs and is not taken over while the service runs.
std::string NeedingRestart(Settings before, Settings after) {
  std::map<std::string, std::string> old_values;
  VisitSettings(before, [&](const SettingField& field) {
    old_values.emplace(field.name, FormatSetting(field));
  });
  std::string names;
  VisitSettings(after, [&](const SettingField& field) {
    const bool taken = field.name == "log.level" || field.name == "server.keys_file" ||
                       old_values.find(std::string(field.name))->second == FormatSetting(field);
    if (!taken) names += fmt::format("{}{}", names.empty() ? "" : ", ", field.name);
  });
  return names;
}

// Keys, certificates, log.level, and the access log; what fails leaves the keys and the level as
// they were.
void Reload(Service& service, const Settings& settings, const ServeOptions& options,
            Logger& logger) {
  const auto reload = [&]() -> Result<> {
    ASSIGN_OR_RETURN(const LoadedSettings loaded, options.reload());
    RETURN_IF_ERROR(service.Reload(loaded.settings));
    logger.SetLevel(ParseLogLevel(loaded.settings.log.level));
    const std::string others = NeedingRestart(settings, loaded.settings);
    if (!others.empty()) logger.Warning("these settings need a restart: {}", others);
    return {};
  };
  if (const Result<> done = reload(); !done) {
    logger.Error("configuration not reloaded: {}", done.error().ToString());
    return;
  }
  logger.Info("API keys, certificates, log level and access log reloaded");
}

Result<> Serve(const Settings& settings, const ServeOptions& options) {
  const sigset_t signals = Signals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  const SystemClock clock;
  const std::unique_ptr<Logger> logger = MakeStderrLogger(ParseLogLevel(settings.log.level));
  ASSIGN_OR_RETURN(const std::unique_ptr<Service> service,
                   Service::Start(settings, clock, *logger));
  logger->Info("listening on {}://{}:{}", settings.server.tls_key.empty() ? "http" : "https",
               settings.server.bind, service->port());
  if (service->grpc_port()) {
    logger->Info("gRPC on {}:{}{}", settings.server.bind, *service->grpc_port(),
                 settings.server.tls_key.empty() ? "" : " with TLS");
  }
  if (!options.grpc_port_file.empty() && service->grpc_port()) {
    RETURN_IF_ERROR(
        WriteFileAtomically(options.grpc_port_file, fmt::format("{}\n", *service->grpc_port())));
  }
  if (!options.port_file.empty()) {
    RETURN_IF_ERROR(WriteFileAtomically(options.port_file, fmt::format("{}\n", service->port())));
  }
  int signal = 0;
  while (sigwait(&signals, &signal) == 0 && signal == SIGHUP)
    Reload(*service, settings, options, *logger);
  logger->Info("stopping: running requests have {} ms to finish; a second signal cuts them off",
               settings.limits.drain_ms);
  const std::size_t cut = StopOrHurry(*service, signals);
  if (cut > 0) logger->Warning("{} requests were cut off", cut);
  logger->Info("stopped");
  return {};
}

// NOLINTNEXTLINE(concurrency-mt-unsafe): nobody changes the environment
const char* Variable(const char* name) { return std::getenv(name); }

Variables SettingsVariables() {
  Variables variables;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    const std::size_t equals = text.find('=');
    if (equals == std::string_view::npos || !IsSettingsVariable(text.substr(0, equals))) continue;
    variables.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  return variables;
}

bool WantsColor() {
  const char* terminal = Variable("TERM");
  return isatty(STDOUT_FILENO) == 1 && Variable("NO_COLOR") == nullptr && terminal != nullptr &&
         std::string_view(terminal) != "dumb";
}

}  // namespace
}  // namespace garrison

int main(int argc, char** argv) {
  using namespace garrison;
  // A reader that goes away is an error of that write, not the end of the process.
  std::signal(SIGPIPE, SIG_IGN);
  std::ios::sync_with_stdio(false);
  Environment environment{
      std::cin,
      std::cout,
      std::cerr,
      isatty(STDIN_FILENO) == 1,
      WantsColor(),
      [](const SettingsRequest& request) {
        return LoadLayeredSettings(request, SettingsVariables());
      },
      Serve,
      isatty(STDERR_FILENO) == 1,
  };
  return RunCli(argc, argv, environment);
}
