// The two kinds of `garrison bench`. Private to cli/.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/command.h"

namespace garrison {

// A batch of `batch` sequences of `seq` tokens each.
struct GridCell {
  std::size_t batch = 0;
  std::size_t seq = 0;
};

// "1x16,8x32" -> cells. INVALID_ARGUMENT (where: --grid).
Result<std::vector<GridCell>> ParseGrid(const std::string& text);

// Times the model on token ids, cell by cell, and prints the rows.
Result<> BenchGrid(CommandContext& context, const Settings& settings,
                   const std::vector<GridCell>& cells, bool json);

}  // namespace garrison
