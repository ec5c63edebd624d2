#include "guard/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>
#include <vector>

namespace garrison {
namespace {

using nlohmann::ordered_json;

ordered_json Number(std::optional<double> value) {
  return value ? ordered_json(*value) : ordered_json(nullptr);
}

ordered_json PeakJson(const std::optional<Peak>& peak) {
  if (!peak) return nullptr;
  return {{"value", peak->value}, {"turn", peak->turn}};
}

ordered_json RobustnessJson(std::optional<Robustness> robustness) {
  return robustness ? ordered_json(RobustnessName(*robustness)) : ordered_json(nullptr);
}

std::size_t Count(const Summary& summary, AlertKind kind) {
  return summary.alerts[static_cast<std::size_t>(kind)];
}

}  // namespace

std::string ReportCsv(std::span<const TurnReport> turns) {
  std::string csv = kReportCsvHeader;
  csv += '\n';
  for (const TurnReport& turn : turns) {
    const TurnMetrics& m = turn.metrics;
    fmt::format_to(std::back_inserter(csv), "{}", m.turn);
    for (const auto& value : {m.r_model, m.v_model, m.a_model, m.c_model, m.z, m.likelihood,
                              m.r_user, m.c_user, m.rho}) {
      csv += ',';
      if (value) fmt::format_to(std::back_inserter(csv), "{:.17g}", *value);
    }
    csv += '\n';
  }
  return csv;
}

// ---- JSON
// ------------------------------------------------------------------------------------------

ordered_json TurnJson(const TurnReport& turn) {
  const TurnMetrics& m = turn.metrics;
  ordered_json alerts = ordered_json::array();
  for (const Alert& alert : turn.verdict.alerts) {
    alerts.push_back({{"kind", AlertKindName(alert.kind)},
                      {"value", alert.value},
                      {"threshold", alert.threshold}});
  }
  return {{"turn", m.turn},
          {"partial", turn.partial()},
          {"R_model", Number(m.r_model)},
          {"v", Number(m.v_model)},
          {"a", Number(m.a_model)},
          {"C_model", Number(m.c_model)},
          {"z", Number(m.z)},
          {"likelihood", Number(m.likelihood)},
          {"R_user", Number(m.r_user)},
          {"C_user", Number(m.c_user)},
          {"rho", Number(m.rho)},
          {"robustness", RobustnessJson(turn.robustness)},
          {"agreement", Number(turn.scores.agreement)},
          {"toxic_sycophancy", Number(turn.scores.toxic_sycophancy)},
          {"quadrant", turn.scores.quadrant ? ordered_json(QuadrantName(*turn.scores.quadrant))
                                            : ordered_json(nullptr)},
          {"status", RiskStatusName(turn.verdict.status)},
          {"alerts", std::move(alerts)},
          {"high_priority", turn.verdict.high_priority},
          {"action", ActionName(turn.verdict.action)},
          {"messages", turn.verdict.messages}};
}

ordered_json ProvenanceJson(const Provenance& provenance) {
  const auto text = [](const std::string& value) {
    return value.empty() ? ordered_json(nullptr) : ordered_json(value);
  };
  return {{"model", text(provenance.model_id)},
          {"model_revision", text(provenance.model_revision)},
          {"space", provenance.space},
          {"safe_anchor_sha256", text(provenance.safe_anchor_sha256)},
          {"sycophancy_anchor_sha256", text(provenance.sycophancy_anchor_sha256)},
          {"weights",
           {{"wR", provenance.weight_r},
            {"wv", provenance.weight_v},
            {"wa", provenance.weight_a},
            {"b", provenance.bias}}},
          {"epsilon", provenance.epsilon},
          {"cumulative", provenance.cumulative}};
}

ordered_json SummaryJson(const Summary& summary) {
  return {{"turns", summary.turns},
          {"partial_turns", summary.partial_turns},
          {"peak_R_model", PeakJson(summary.peak_r_model)},
          {"peak_R_user", PeakJson(summary.peak_r_user)},
          {"peak_likelihood", PeakJson(summary.peak_likelihood)},
          {"peak_a", PeakJson(summary.peak_a)},
          {"peak_rho", PeakJson(summary.peak_rho)},
          {"peak_toxic_sycophancy", PeakJson(summary.peak_toxic_sycophancy)},
          {"mean_likelihood", Number(summary.mean_likelihood)},
          {"mean_a", Number(summary.mean_a)},
          {"mean_toxic_sycophancy", Number(summary.mean_toxic_sycophancy)},
          {"final_C_model", Number(summary.final_c_model)},
          {"final_C_user", Number(summary.final_c_user)},
          {"final_rho", Number(summary.final_rho)},
          {"robustness", RobustnessJson(summary.robustness)},
          {"fragility", Number(summary.fragility)},
          {"fragility_passes",
           summary.fragility ? ordered_json(summary.fragility_passes) : ordered_json(nullptr)},
          {"alerts",
           {{"likelihood", Count(summary, AlertKind::kLikelihood)},
            {"erosion", Count(summary, AlertKind::kErosion)},
            {"user_risk", Count(summary, AlertKind::kUserRisk)}}},
          {"alert_turns", summary.alert_turns},
          {"high_priority_turns", summary.high_priority_turns},
          {"sycophancy_events", summary.sycophancy_events},
          {"sycophancy_traps", summary.sycophancy_traps},
          {"provenance", ProvenanceJson(summary.provenance)}};
}

std::string ReportJson(std::span<const TurnReport> turns, const Summary& summary) {
  ordered_json list = ordered_json::array();
  for (const TurnReport& turn : turns) list.push_back(TurnJson(turn));
  const ordered_json root = {{"turns", std::move(list)}, {"summary", SummaryJson(summary)}};
  return root.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

// ---- table
// -----------------------------------------------------------------------------------------

namespace {

constexpr std::array kColumns = {"Turn", "R_model", "v",      "a",   "C_model", "z",
                                 "L",    "R_user",  "C_user", "rho", "Status",  "Alerts"};
constexpr std::size_t kStatusColumn = 10;
using Row = std::array<std::string, kColumns.size()>;

std::string Cell(std::optional<double> value) {
  return value ? fmt::format("{:.4f}", *value) : std::string("-");
}

std::string AlertsCell(const Verdict& verdict) {
  std::string cell;
  for (const Alert& alert : verdict.alerts) {
    if (!cell.empty()) cell += ' ';
    cell += AlertKindName(alert.kind);
  }
  if (verdict.high_priority) cell += " (high priority)";
  return cell.empty() ? "-" : cell;
}

Row TableRow(const TurnReport& turn) {
  const TurnMetrics& m = turn.metrics;
  return {fmt::format("{}", m.turn),
          Cell(m.r_model),
          Cell(m.v_model),
          Cell(m.a_model),
          Cell(m.c_model),
          Cell(m.z),
          Cell(m.likelihood),
          Cell(m.r_user),
          Cell(m.c_user),
          Cell(m.rho),
          std::string(RiskStatusName(turn.verdict.status)),
          AlertsCell(turn.verdict)};
}

// Numbers to the right, the two text columns to the left.
std::string Line(const Row& row, const std::array<std::size_t, kColumns.size()>& widths) {
  std::string line;
  for (std::size_t i = 0; i < row.size(); ++i) {
    if (i > 0) line += "  ";
    line += i < kStatusColumn ? fmt::format("{:>{}}", row[i], widths[i])
                              : fmt::format("{:<{}}", row[i], widths[i]);
  }
  line.erase(line.find_last_not_of(' ') + 1);
  return line;
}

std::string_view ColourOf(const Verdict& verdict) {
  if (verdict.action == Action::kBlock || verdict.status == RiskStatus::kHighRisk)
    return "\033[31m";
  if (!verdict.alerts.empty() || verdict.status == RiskStatus::kElevated) return "\033[33m";
  return "";
}

std::string Coloured(std::string line, std::string_view colour) {
  if (colour.empty()) return line;
  return fmt::format("{}{}\033[0m", colour, line);
}

std::string PeakText(const std::optional<Peak>& peak) {
  return peak ? fmt::format("{:.4f} (turn {})", peak->value, peak->turn) : std::string("-");
}

std::string SummaryLine(const Summary& s) {
  std::string line = fmt::format(
      "{} turn{}, {} with alerts ({} likelihood, {} erosion, {} user_risk, {} high priority); peak "
      "R {}, "
      "peak L {}; final rho {}",
      s.turns, s.turns == 1 ? "" : "s", s.alert_turns, Count(s, AlertKind::kLikelihood),
      Count(s, AlertKind::kErosion), Count(s, AlertKind::kUserRisk), s.high_priority_turns,
      PeakText(s.peak_r_model), PeakText(s.peak_likelihood), Cell(s.final_rho));
  if (s.robustness) {
    line += fmt::format(" {}, Phi {} {}", RobustnessName(*s.robustness), Cell(s.fragility),
                        s.fragility_passes ? "PASS" : "FAIL");
  }
  if (s.partial_turns > 0) line += fmt::format("; {} partial", s.partial_turns);
  return line;
}

std::string ProvenanceLine(const Provenance& p) {
  std::string line = p.model_id.empty() ? "" : fmt::format("model {}, ", p.model_id);
  return line + fmt::format("space {}, weights {},{},{},{}, epsilon {}, C {}", p.space, p.weight_r,
                            p.weight_v, p.weight_a, p.bias, p.epsilon, p.cumulative);
}

}  // namespace

std::string ReportTable(std::span<const TurnReport> turns, const Summary& summary,
                        const TableOptions& options) {
  Row header;
  std::copy(kColumns.begin(), kColumns.end(), header.begin());
  std::vector<Row> rows;
  for (const TurnReport& turn : turns) rows.push_back(TableRow(turn));
  std::array<std::size_t, kColumns.size()> widths{};
  for (std::size_t i = 0; i < widths.size(); ++i) {
    widths[i] = header[i].size();
    for (const Row& row : rows) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string table = Coloured(Line(header, widths), options.colour ? "\033[1m" : "") + "\n";
  for (std::size_t i = 0; i < rows.size(); ++i) {
    table +=
        Coloured(Line(rows[i], widths), options.colour ? ColourOf(turns[i].verdict) : "") + "\n";
  }
  return table + SummaryLine(summary) + "\n" + ProvenanceLine(summary.provenance) + "\n";
}

}  // namespace garrison
