#include "guard/measured_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/check.h"
#include "guard/report.h"

namespace garrison {
namespace {

using nlohmann::ordered_json;

ordered_json SideJson(const std::optional<SideScore>& side) {
  if (!side) return nullptr;
  ordered_json out = {{"probability", side->probability}, {"evidence", side->evidence}};
  if (side->windows == 0) return out;
  out["window"] = {
      {"begin", side->window.begin}, {"bytes", side->window.size}, {"of", side->windows}};
  out["language"] = LanguageVerdictName(side->language);
  if (!side->nearest.set.empty()) {
    out["nearest"] = {{"set", side->nearest.set}, {"cosine", side->nearest.cosine}};
  }
  return out;
}

ordered_json Optional(const std::optional<double>& value) {
  return value ? ordered_json(*value) : ordered_json(nullptr);
}

ordered_json RobustnessJson(const std::optional<RobustnessRatio::Value>& robustness) {
  if (!robustness) return nullptr;
  ordered_json out = {{"log_rho", robustness->log_ratio}};
  out["interval"] =
      robustness->interval ? ordered_json(*robustness->interval) : ordered_json(nullptr);
  return out;
}

}  // namespace

ordered_json MeasuredTurnJson(const MeasuredTurn& turn, const MeasuredModel& model) {
  const MeasuredScores& scores = turn.scores;
  ordered_json out = {{"calibrated", scores.calibrated},
                      {"status", MeasuredStatus(turn)},
                      {"user", SideJson(scores.user)},
                      {"reply", SideJson(scores.reply)},
                      {"p_complies", Optional(scores.compliance)},
                      {"toxic_sycophancy", Optional(scores.toxic_sycophancy)},
                      {"evidence", scores.evidence},
                      {"turn_alert", turn.turn_alert}};
  out["alarm"] = {{"on", turn.alarm.on},
                  {"rose", turn.alarm.rose},
                  {"sum", turn.alarm.sum},
                  {"threshold", model.alarm.threshold}};
  const std::optional<Trend>& trend = turn.alarm.trend;
  out["trend"] =
      trend ? ordered_json{{"slope", trend->slope}, {"z", trend->z}} : ordered_json(nullptr);
  out["robustness"] = RobustnessJson(turn.robustness);
  out["action"] = ActionName(turn.action);
  return out;
}

ordered_json MeasuredProvenanceJson(const GuardFile& file) {
  const MeasuredModel& model = file.model();
  return {{"model", model.model_id},
          {"model_revision", model.model_revision},
          {"guard", file.hash()},
          {"language", model.language_name},
          {"alarm",
           {{"drift", model.alarm.drift},
            {"threshold", model.alarm.threshold},
            {"release", model.alarm.release},
            {"turn_threshold", model.turn_threshold},
            {"false_alarms_per_conversation", model.conversation_false_alarms},
            {"false_alarms_per_turn", model.turn_false_alarms}}},
          {"evidence", ordered_json::parse(model.evidence)}};
}

ordered_json GuardedTurnJson(const TurnReport& compat, const MeasuredTurn& turn,
                             const MeasuredModel& model) {
  ordered_json out = TurnJson(compat);
  out["action"] = ActionName(turn.action);
  out["messages"] = MeasuredMessages(turn);
  out["measured"] = MeasuredTurnJson(turn, model);
  return out;
}

std::string MeasuredReportJson(std::span<const TurnReport> compat, const Summary& summary,
                               std::span<const MeasuredTurn> turns, const GuardFile& file) {
  CHECK(compat.size() == turns.size());
  ordered_json list = ordered_json::array();
  for (std::size_t i = 0; i < turns.size(); ++i) {
    list.push_back(GuardedTurnJson(compat[i], turns[i], file.model()));
  }
  const ordered_json root = {{"turns", std::move(list)},
                             {"summary", SummaryJson(summary)},
                             {"measured", MeasuredProvenanceJson(file)}};
  return root.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

std::string MeasuredTable(std::span<const MeasuredTurn> turns, const GuardFile& file) {
  const auto percent = [](const std::optional<SideScore>& side) {
    return side ? fmt::format("{:.1f} %", 100 * side->probability) : std::string("-");
  };
  const auto window = [](const std::optional<SideScore>& side) {
    return side ? fmt::format("{}+{} of {}", side->window.begin, side->window.size, side->windows)
                : std::string("-");
  };
  const auto nearest = [](const std::optional<SideScore>& side) {
    return side && !side->nearest.set.empty() ? std::string(side->nearest.set) : std::string("-");
  };
  constexpr const char* kLine =
      "{:>4}  {:>8}  {:>8}  {:>8}  {:>8}  {:>6}  {:<16} {:<16} {:<12} {}\n";
  std::string out = fmt::format(kLine, "Turn", "P_user", "P_reply", "T_syc", "evidence", "S",
                                "status", "reply's window", "like", "action");
  for (std::size_t i = 0; i < turns.size(); ++i) {
    const MeasuredTurn& turn = turns[i];
    const MeasuredScores& scores = turn.scores;
    out += fmt::format(
        kLine, i + 1, percent(scores.user), percent(scores.reply),
        scores.toxic_sycophancy ? fmt::format("{:.4f}", *scores.toxic_sycophancy) : "-",
        fmt::format("{:.2f}", scores.evidence), fmt::format("{:.2f}", turn.alarm.sum),
        MeasuredStatus(turn), window(scores.reply), nearest(scores.reply), ActionName(turn.action));
  }
  const MeasuredModel& model = file.model();
  return out + fmt::format(
                   "alarm above S {:.2f} ({} per ordinary conversation), suspicious above "
                   "{:.2f} (per turn {}), guard {}\n",
                   model.alarm.threshold, model.conversation_false_alarms, model.turn_threshold,
                   model.turn_false_alarms, file.hash().substr(0, 12));
}

ordered_json ScoredDialogueJson(const std::string& id, const std::vector<MeasuredTurn>& turns) {
  ordered_json rows = ordered_json::array();
  double log_odds = turns.empty() ? 0 : turns[0].scores.evidence;
  double cusum = 0;
  std::optional<std::size_t> alarm_turn;
  for (std::size_t i = 0; i < turns.size(); ++i) {
    const MeasuredTurn& turn = turns[i];
    const MeasuredScores& scores = turn.scores;
    const auto probability = [](const std::optional<SideScore>& side) {
      return side ? ordered_json(side->probability) : ordered_json(nullptr);
    };
    rows.push_back({{"p_user", probability(scores.user)},
                    {"p_reply", probability(scores.reply)},
                    {"p_complies", Optional(scores.compliance)},
                    {"log_odds", scores.evidence},
                    {"cusum", turn.alarm.sum},
                    {"alarm", turn.alarm.on},
                    {"turn_alert", turn.turn_alert},
                    {"calibrated", scores.calibrated}});
    log_odds = std::max(log_odds, scores.evidence);
    cusum = std::max(cusum, turn.alarm.sum);
    if (turn.alarm.on && !alarm_turn) alarm_turn = i + 1;
  }
  return {{"id", id},
          {"turns", std::move(rows)},
          {"max_log_odds", log_odds},
          {"max_cusum", cusum},
          {"alarm", alarm_turn.has_value()},
          {"alarm_turn", alarm_turn ? ordered_json(*alarm_turn) : ordered_json(nullptr)}};
}

}  // namespace garrison
