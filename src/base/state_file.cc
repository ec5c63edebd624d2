#include "base/state_file.h"

#include <cstdlib>
#include <string>

namespace garrison {
namespace {

std::string Variable(const char* name) {
  const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): nobody sets it
  return value == nullptr ? "" : value;
}

}  // namespace

std::filesystem::path StateFile(std::string_view name) {
  const std::string state = Variable("XDG_STATE_HOME");
  if (!state.empty()) return std::filesystem::path(state) / "garrison" / name;
  const std::string home = Variable("HOME");
  if (home.empty()) return {};
  return std::filesystem::path(home) / ".local" / "state" / "garrison" / name;
}

}  // namespace garrison
