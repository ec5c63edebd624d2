// The measured mode's results as JSON.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "guard/guard_file.h"
#include "guard/measured.h"

namespace garrison {

// One turn: docs/guard.md names the fields. What is missing is null.
nlohmann::ordered_json MeasuredTurnJson(const MeasuredTurn& turn, const MeasuredModel& model);

// {"model", "model_revision", "guard": hash, "language", "alarm": thresholds and rates,
// "evidence"}.
nlohmann::ordered_json MeasuredProvenanceJson(const GuardFile& file);

// A line of `garrison guard score`: docs/formats/guard-data.md.
nlohmann::ordered_json ScoredDialogueJson(const std::string& id,
                                          const std::vector<MeasuredTurn>& turns);

}  // namespace garrison
