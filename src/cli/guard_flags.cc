#include "cli/guard_flags.h"

#include "guard/replay.h"

namespace garrison {

tl::unexpected<Error> FlagError(const std::string& flag, Error error) {
  error.where = flag;
  return tl::unexpected(std::move(error));
}

void AddFormulaFlags(CLI::App& verb, FormulaFlags& flags) {
  verb.add_option("--weights", flags.weights, "wR,wv,wa,b (default 1.5,1.0,3.0,-2.5)");
  verb.add_option("--epsilon", flags.epsilon, "Epsilon of rho (default 0.1)");
  verb.add_option("--cumulative", flags.cumulative, "Rule of C: sum (default) or trapezoid");
}

void AddProjectionFlag(CLI::App& verb, FormulaFlags& flags) {
  verb.add_option("--projection", flags.projection,
                  "Projection file made by `garrison guard train`");
}

Result<> ApplyFormulaFlags(const FormulaFlags& flags, Settings& settings) {
  if (!flags.weights.empty()) {
    if (auto set = AssignWeights(settings.guard, flags.weights); !set) {
      return FlagError("--weights", std::move(set).error());
    }
  }
  if (!flags.epsilon.empty()) {
    if (auto set = AssignSetting(settings, "guard.epsilon", flags.epsilon); !set) {
      return FlagError("--epsilon", std::move(set).error());
    }
  }
  if (!flags.cumulative.empty()) {
    if (auto set = AssignSetting(settings, "guard.cumulative", flags.cumulative); !set) {
      return FlagError("--cumulative", std::move(set).error());
    }
  }
  if (!flags.projection.empty()) settings.guard.projection = flags.projection;
  return {};
}

}  // namespace garrison
