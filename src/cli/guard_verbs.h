// The verbs of `garrison guard` that have a file of their own. Private to cli/.
#pragma once

#include <CLI/App.hpp>
#include <string>

#include "cli/command.h"

namespace garrison {

// `garrison guard train --mode measured`: learns from the rows in `data`, writes a guard file.
// Thresholds keep the given rates of false alarms.
struct MeasuredTrainFlags {
  std::string data;
  std::string output;
  double conversation_false_alarms = 0.01;
  double turn_false_alarms = 0.01;
};
Result<> TrainMeasuredGuard(CommandContext& context, const ModelFlags& model,
                            const MeasuredTrainFlags& flags);

// `garrison guard evaluate`: many conversations of several models, a report.
void AddGuardEvaluate(CLI::App& guard, CommandContext& context);

// `garrison guard score`: many dialogues, a line of JSON each.
void AddGuardScore(CLI::App& guard, CommandContext& context);

}  // namespace garrison
