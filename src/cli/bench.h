// The kinds of `garrison bench`. Private to cli/.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/command.h"

namespace garrison {

// A batch of `batch` sequences whose lengths are spread evenly from `seq_min` to `seq_max` tokens.
struct GridCell {
  std::size_t batch = 0;
  std::size_t seq_min = 0;
  std::size_t seq_max = 0;

  std::size_t Length(std::size_t sequence) const;
  std::size_t tokens() const;
  std::string Name() const;  // "8x32", "64x4-256"
};

// "1x16,64x4-256" -> cells. INVALID_ARGUMENT (where: --grid).
Result<std::vector<GridCell>> ParseGrid(const std::string& text);

// Times the model on token ids, cell by cell, and prints the rows.
Result<> BenchGrid(CommandContext& context, const Settings& settings,
                   const std::vector<GridCell>& cells, bool json);

// What runs the model on a cell's token ids, or the model's error about them.
Result<std::function<Result<>()>> MakeRun(const AnyModel& model, const LongInput& long_input,
                                          const GridCell& cell);

// Loads the model, runs it, waits, and prints the time to the first result and the memory in use.
Result<> BenchMemory(CommandContext& context, Settings settings, bool json);

// Prints what this machine does at best.
Result<> BenchLimits(CommandContext& context, bool json);

}  // namespace garrison
