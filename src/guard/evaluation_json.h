// An evaluation as files for programs; docs/formats/evaluation.md.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "guard/evaluation.h"

namespace garrison {

struct EvaluationJsonOptions {
  bool texts = true;  // what was said
  // Files that took no part, with the reason.
  std::vector<std::pair<std::string, std::string>> left_out = {};
};

// Everything, in a stable order: the same evaluation gives the same bytes. Numbers read back to the
// same bits; a missing value is null.
std::string EvaluationJson(const Evaluation& evaluation, const EvaluationJsonOptions& options);

// One row for each conversation, numbers with 17 significant digits, empty cells for missing ones.
std::string ConversationsCsv(const Evaluation& evaluation);

}  // namespace garrison
