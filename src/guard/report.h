// Writes reports down: CSV as the original recorded it, JSON for programs, a table for people.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>

#include "guard/provenance.h"
#include "guard/turn_report.h"

namespace garrison {

// The recorded columns with 17 significant digits, so that every double reads back to the same
// bits; an empty cell for a missing value. Lines end with "\n".
inline constexpr const char* kReportCsvHeader =
    "Turn,RiskSeverity_Model,RiskRate_Model,ErosionVelocity_Model,CumulativeRisk_Model,z,"
    "Likelihood_Model,RiskSeverity_User,CumulativeRisk_User,RobustnessIndex_rho";
std::string ReportCsv(std::span<const TurnReport> turns);

// {"turns": [TurnJson...], "summary": SummaryJson}, indented. Numbers read back to the same bits; a
// missing value is null.
std::string ReportJson(std::span<const TurnReport> turns, const Summary& summary);

// The parts, for services that reply with one turn.
nlohmann::ordered_json TurnJson(const TurnReport& turn);
nlohmann::ordered_json SummaryJson(const Summary& summary);
nlohmann::ordered_json ProvenanceJson(const Provenance& provenance);

struct TableOptions {
  bool colour = false;  // ANSI escapes, for a terminal
};

// Aligned columns with 4 decimals, then the summary and the provenance in a few lines.
std::string ReportTable(std::span<const TurnReport> turns, const Summary& summary,
                        const TableOptions& options);

}  // namespace garrison
