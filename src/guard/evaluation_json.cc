#include "guard/evaluation_json.h"

#include <fmt/format.h>

#include <iterator>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>

#include "guard/report.h"

namespace garrison {
namespace {

using nlohmann::ordered_json;

template <typename T>
ordered_json OrNull(const std::optional<T>& value) {
  return value ? ordered_json(*value) : ordered_json(nullptr);
}

ordered_json PointJson(const std::optional<PlanePoint>& point) {
  if (!point) return nullptr;
  return {(*point)[0], (*point)[1]};
}

// ---- JSON
// ----------------------------------------------------------------------------------------

ordered_json SettingsJson(const GuardSettings& settings) {
  return {{"alert_likelihood", settings.alert_likelihood},
          {"alert_erosion", settings.alert_erosion},
          {"alert_user_risk", settings.alert_user_risk},
          {"elevated_likelihood", settings.elevated_likelihood},
          {"sycophancy_risk", settings.sycophancy_risk},
          {"sycophancy_agreement", settings.sycophancy_agreement},
          {"sycophancy_event", settings.sycophancy_event},
          {"rho_tolerance", settings.rho_tolerance},
          {"fragility_pass", settings.fragility_pass}};
}

ordered_json RhoJson(const std::optional<SampleStats>& rho) {
  if (!rho) return nullptr;
  return {{"count", rho->count}, {"mean", rho->mean}, {"median", rho->median},
          {"min", rho->min},     {"max", rho->max},   {"deviation", rho->deviation}};
}

ordered_json PhiJson(const PhiEstimate& phi) {
  if (phi.conversations == 0) {
    return {{"plain", nullptr}, {"verdict", PhiVerdictName(phi.verdict)}};
  }
  return {{"plain", phi.plain},
          {"winsorised", phi.winsorised},
          {"interval", phi.interval ? ordered_json{phi.interval->low, phi.interval->high}
                                    : ordered_json(nullptr)},
          {"unseen_high", phi.unseen_high},
          {"conversations", phi.conversations},
          {"clusters", phi.clusters},
          {"conversations_needed", phi.needed},
          {"verdict", PhiVerdictName(phi.verdict)}};
}

ordered_json ModelJson(const EvaluatedModel& model) {
  return {{"model", model.name},
          {"conversations", model.conversations},
          {"complete", model.complete},
          {"partial", model.conversations - model.complete},
          {"alerting", model.alerting},
          {"turns", model.turns},
          {"phi", PhiJson(model.phi)},
          {"rho", RhoJson(model.rho)},
          {"classes",
           {{"robust", model.classes[0]},
            {"reactive", model.classes[1]},
            {"fragile", model.classes[2]}}},
          {"quadrant_turns",
           {{"sycophancy_trap", model.quadrants[0]},
            {"robust_correction", model.quadrants[1]},
            {"safe_agreement", model.quadrants[2]},
            {"safe_neutral", model.quadrants[3]}}},
          {"remarks", model.remarks}};
}

ordered_json HypothesisJson(const Hypothesis& hypothesis) {
  ordered_json figures = ordered_json::array();
  for (const auto& [name, value] : hypothesis.figures) {
    figures.push_back({{"name", name}, {"value", value}});
  }
  return {{"set", hypothesis.set},
          {"id", hypothesis.id},
          {"subject", hypothesis.subject},
          {"claim", hypothesis.claim},
          {"outcome", OutcomeName(hypothesis.outcome)},
          {"reason", hypothesis.reason},
          {"figures", std::move(figures)}};
}

ordered_json TurnsJson(const ScoredConversation& run, bool texts) {
  ordered_json turns = ordered_json::array();
  for (std::size_t i = 0; i < run.turns.size(); ++i) {
    ordered_json turn = TurnJson(run.turns[i]);
    const TurnScores& scores = run.turns[i].scores;
    if (scores.user_point) turn["user_point"] = PointJson(scores.user_point);
    if (scores.model_point) turn["model_point"] = PointJson(scores.model_point);
    if (texts && i < run.texts.size()) {
      turn["user"] = OrNull(run.texts[i].user);
      turn["model"] = OrNull(run.texts[i].model);
    }
    turns.push_back(std::move(turn));
  }
  return turns;
}

ordered_json ConversationJson(const EvaluatedConversation& conversation, bool texts) {
  const ScoredConversation& run = conversation.run;
  ordered_json out = {{"model", run.model},
                      {"test", run.test},
                      {"source", run.source},
                      {"sha256", run.sha256},
                      {"kind", run.recorded ? "recorded" : "scored"},
                      {"partial", run.partial()},
                      {"partial_because", run.partial_because},
                      {"first_alert_turn", OrNull(conversation.first_alert_turn)},
                      {"first_breach_alert_turn", OrNull(conversation.first_breach_alert_turn)},
                      {"lead_turns", OrNull(conversation.lead_turns)},
                      {"constant_risk", conversation.constant_risk},
                      {"summary", SummaryJson(conversation.summary)}};
  if (run.v_safe) out["v_safe"] = PointJson(run.v_safe);
  out["turns"] = TurnsJson(run, texts);
  return out;
}

// ---- CSV
// -----------------------------------------------------------------------------------------

class CsvRow {
 public:
  void Text(std::string_view text) {
    Separate();
    if (text.find_first_of(",\"\r\n") == std::string_view::npos) {
      row_ += text;
      return;
    }
    row_ += '"';
    for (const char c : text) {
      if (c == '"') row_ += '"';
      row_ += c;
    }
    row_ += '"';
  }
  template <typename T>
  void Whole(T value) {
    Separate();
    fmt::format_to(std::back_inserter(row_), "{}", value);
  }
  void Turn(std::optional<int> turn) {
    if (turn) return Whole(*turn);
    Separate();
  }
  void Number(std::optional<double> value) {
    Separate();
    if (value) fmt::format_to(std::back_inserter(row_), "{:.17g}", *value);
  }
  void PeakCells(const std::optional<Peak>& peak) {
    Number(peak ? std::optional(peak->value) : std::nullopt);
    Turn(peak ? std::optional(peak->turn) : std::nullopt);
  }
  std::string Line() && { return std::move(row_) + "\n"; }

 private:
  void Separate() {
    if (begun_) row_ += ',';
    begun_ = true;
  }
  std::string row_;
  bool begun_ = false;
};

constexpr std::string_view kConversationsHeader =
    "model,test,source,kind,turns,partial_turns,peak_R_model,peak_R_model_turn,peak_R_user,"
    "peak_R_user_turn,peak_likelihood,peak_likelihood_turn,peak_a,peak_a_turn,final_C_model,"
    "final_C_user,mean_likelihood,mean_a,final_rho,class,likelihood_alerts,erosion_alerts,"
    "user_risk_alerts,alert_turns,high_priority_turns,first_alert_turn,lead_turns,"
    "mean_toxic_sycophancy,peak_toxic_sycophancy,peak_toxic_sycophancy_turn,sycophancy_events,"
    "sycophancy_traps,partial,partial_because\n";

std::string ConversationLine(const EvaluatedConversation& conversation) {
  const ScoredConversation& run = conversation.run;
  const Summary& s = conversation.summary;
  CsvRow row;
  row.Text(run.model);
  row.Text(run.test);
  row.Text(run.source);
  row.Text(run.recorded ? "recorded" : "scored");
  row.Whole(s.turns);
  row.Whole(s.partial_turns);
  for (const auto* peak : {&s.peak_r_model, &s.peak_r_user, &s.peak_likelihood, &s.peak_a}) {
    row.PeakCells(*peak);
  }
  for (const auto& value :
       {s.final_c_model, s.final_c_user, s.mean_likelihood, s.mean_a, s.final_rho}) {
    row.Number(value);
  }
  row.Text(s.robustness ? RobustnessName(*s.robustness) : "");
  for (const std::size_t count : s.alerts) row.Whole(count);
  row.Whole(s.alert_turns);
  row.Whole(s.high_priority_turns);
  row.Turn(conversation.first_alert_turn);
  row.Turn(conversation.lead_turns);
  row.Number(s.mean_toxic_sycophancy);
  row.PeakCells(s.peak_toxic_sycophancy);
  row.Whole(s.sycophancy_events);
  row.Whole(s.sycophancy_traps);
  row.Text(run.partial() ? "true" : "false");
  row.Text(fmt::format("{}", fmt::join(run.partial_because, "; ")));
  return std::move(row).Line();
}

}  // namespace

std::string EvaluationJson(const Evaluation& evaluation, const EvaluationJsonOptions& options) {
  ordered_json provenances = ordered_json::array();
  for (const Provenance& provenance : evaluation.provenances) {
    provenances.push_back(ProvenanceJson(provenance));
  }
  ordered_json models = ordered_json::array();
  for (const EvaluatedModel& model : evaluation.models) models.push_back(ModelJson(model));
  ordered_json ranking = ordered_json::array();
  for (const std::size_t i : evaluation.ranking) ranking.push_back(evaluation.models[i].name);
  ordered_json hypotheses = ordered_json::array();
  for (const Hypothesis& hypothesis : evaluation.hypotheses) {
    hypotheses.push_back(HypothesisJson(hypothesis));
  }
  ordered_json conversations = ordered_json::array();
  for (const EvaluatedConversation& conversation : evaluation.conversations) {
    conversations.push_back(ConversationJson(conversation, options.texts));
  }
  ordered_json left_out = ordered_json::array();
  for (const auto& [source, reason] : options.left_out) {
    left_out.push_back({{"source", source}, {"reason", reason}});
  }
  const ordered_json root = {
      {"format", "garrison guard evaluation"}, {"version", 1},
      {"provenances", std::move(provenances)}, {"settings", SettingsJson(evaluation.settings)},
      {"models", std::move(models)},           {"ranking", std::move(ranking)},
      {"hypotheses", std::move(hypotheses)},   {"conversations", std::move(conversations)},
      {"left_out", std::move(left_out)}};
  return root.dump(1, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

std::string ConversationsCsv(const Evaluation& evaluation) {
  std::string csv(kConversationsHeader);
  for (const EvaluatedConversation& conversation : evaluation.conversations) {
    csv += ConversationLine(conversation);
  }
  return csv;
}

}  // namespace garrison
