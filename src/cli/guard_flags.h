// Flags that the verbs of `garrison guard` share. Private to cli/.
#pragma once

#include <CLI/App.hpp>
#include <string>
#include <utility>

#include "base/result.h"
#include "core/settings.h"

namespace garrison {

struct FormulaFlags {
  std::string weights;
  std::string epsilon;
  std::string cumulative;
  std::string projection;
};

// --weights, --epsilon and --cumulative.
void AddFormulaFlags(CLI::App& verb, FormulaFlags& flags);
void AddProjectionFlag(CLI::App& verb, FormulaFlags& flags);

// What was given, into the settings. INVALID_ARGUMENT (where: the flag).
Result<> ApplyFormulaFlags(const FormulaFlags& flags, Settings& settings);

// A flag's own name in front of what is wrong with its value, so that it counts as bad usage.
tl::unexpected<Error> FlagError(const std::string& flag, Error error);

// An error inside a file: its name in front of the place.
template <typename T>
Result<T> In(const std::string& file, Result<T> result) {
  if (result) return result;
  return tl::unexpected(At(file, std::move(result).error()));
}

}  // namespace garrison
