// The measured mode's results as JSON.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <vector>

#include "guard/guard_file.h"
#include "guard/measured.h"
#include "guard/turn_report.h"

namespace garrison {

// One turn: docs/guard.md names the fields. What is missing is null.
nlohmann::ordered_json MeasuredTurnJson(const MeasuredTurn& turn, const MeasuredModel& model);

// {"model", "model_revision", "guard": hash, "language", "alarm": thresholds and rates,
// "evidence"}.
nlohmann::ordered_json MeasuredProvenanceJson(const GuardFile& file);

// TurnJson of the compatible mode with `measured`, and the measured mode's `action` and `messages`
// in place of its own.
nlohmann::ordered_json GuardedTurnJson(const TurnReport& compat, const MeasuredTurn& turn,
                                       const MeasuredModel& model);

// The report of `garrison guard check` in measured mode: that of the compatible mode with
// GuardedTurnJson, and in the root the provenance of the measured scores. Both lists are of the
// same turns.
std::string MeasuredReportJson(std::span<const TurnReport> compat, const Summary& summary,
                               std::span<const MeasuredTurn> turns, const GuardFile& file);

// Aligned columns, then the thresholds in a line.
std::string MeasuredTable(std::span<const MeasuredTurn> turns, const GuardFile& file);

// A line of `garrison guard score`: docs/formats/guard-data.md.
nlohmann::ordered_json ScoredDialogueJson(const std::string& id,
                                          const std::vector<MeasuredTurn>& turns);

}  // namespace garrison
