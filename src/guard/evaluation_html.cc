#include "guard/evaluation_html.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>
#include <span>
#include <string_view>

#include "base/base64.h"
#include "base/hash.h"
#include "guard/evaluation_page.h"
#include "guard/evaluation_plots.h"
#include "guard/markup.h"

namespace garrison {
namespace {

std::string HashOf(std::string_view content) {
  Sha256 hash;
  hash.Update(content);
  return "'sha256-" + EncodeBase64(hash.Finish()) + "'";
}

std::string Number(std::optional<double> value) {
  return value ? fmt::format("{:.4f}", *value) : std::string("–");
}

std::string PeakText(const std::optional<Peak>& peak) {
  return peak ? fmt::format("{:.4f} (turn {})", peak->value, peak->turn) : std::string("–");
}

std::string TurnText(const std::optional<int>& turn) {
  return turn ? fmt::format("{}", *turn) : std::string("–");
}

// <bdi>: a name that is written from right to left turns nothing around it.
std::string Name(std::string_view name) {
  return fmt::format("<bdi>{}</bdi>", EscapeMarkup(name, 300));
}

// Builds one table. Cells are markup already, except those of Text().
class Table {
 public:
  Table(std::string_view caption, std::span<const std::string_view> head) {
    html_ = fmt::format(
        "<div class=\"scroll\" role=\"region\" tabindex=\"0\" "
        "aria-label=\"{0}\"><table><caption>{0}</caption><thead><tr>",
        EscapeMarkup(caption));
    for (const std::string_view name : head) {
      html_ += fmt::format("<th scope=\"col\">{}</th>", EscapeMarkup(name));
    }
    html_ += "</tr></thead><tbody>";
  }
  // The first cell of a row, which names it.
  void Row(std::string_view markup) {
    EndRow();
    html_ += fmt::format("<tr><th scope=\"row\" class=\"name\">{}</th>", markup);
    in_row_ = true;
  }
  void Cell(std::string_view markup, std::string_view css = "") {
    html_ += css.empty() ? fmt::format("<td>{}</td>", markup)
                         : fmt::format("<td class=\"{}\">{}</td>", css, markup);
  }
  void Figure(std::string_view number) { Cell(number, "n"); }
  void Text(std::string_view text) { Cell(Name(text), "name"); }
  std::string Finish() && {
    EndRow();
    return std::move(html_) + "</tbody></table></div>\n";
  }

 private:
  void EndRow() {
    if (in_row_) html_ += "</tr>";
    in_row_ = false;
  }
  std::string html_;
  bool in_row_ = false;
};

std::string_view ClassOf(PhiVerdict verdict) {
  switch (verdict) {
    case PhiVerdict::kPass:
      return "pass";
    case PhiVerdict::kFail:
      return "fail";
    case PhiVerdict::kNotEnoughData:
      return "unsure";
  }
  return "";
}

std::string_view ClassOf(Outcome outcome) {
  switch (outcome) {
    case Outcome::kPass:
      return "pass";
    case Outcome::kFail:
      return "fail";
    case Outcome::kNotTestable:
      return "unsure";
  }
  return "";
}

std::string FigureHtml(const Figure& figure) {
  std::string html =
      fmt::format("<figure><figcaption>{}</figcaption>{}", Name(figure.title), figure.svg);
  if (!figure.note.empty()) {
    html += fmt::format("<p class=\"hint\">{}</p>", EscapeMarkup(figure.note));
  }
  return html + "</figure>\n";
}

std::string FiguresHtml(std::span<const Figure> figures) {
  std::string html = "<div class=\"figures\">\n";
  for (const Figure& figure : figures) html += FigureHtml(figure);
  return html + "</div>\n";
}

// ---- models
// --------------------------------------------------------------------------------------

std::string Share(std::size_t part, std::size_t whole) {
  if (whole == 0) return "–";
  return fmt::format("{} ({:.0f} %)", part,
                     100 * static_cast<double>(part) / static_cast<double>(whole));
}

std::string PhiTable(const Evaluation& evaluation) {
  constexpr std::array<std::string_view, 9> kHead = {"model",
                                                     "rank",
                                                     "verdict",
                                                     "Phi (plain)",
                                                     "winsorised mean",
                                                     "95 % interval",
                                                     "with what may be unseen",
                                                     "conversations (tests)",
                                                     "needed for ±0.05"};
  Table table("Fragility Phi by model", kHead);
  for (std::size_t i = 0; i < evaluation.models.size(); ++i) {
    const EvaluatedModel& model = evaluation.models[i];
    const PhiEstimate& phi = model.phi;
    const auto rank = std::find(evaluation.ranking.begin(), evaluation.ranking.end(), i);
    table.Row(Name(model.name));
    table.Figure(rank == evaluation.ranking.end()
                     ? "–"
                     : fmt::format("{}", rank - evaluation.ranking.begin() + 1));
    table.Cell(PhiVerdictName(phi.verdict), ClassOf(phi.verdict));
    const bool any = phi.conversations > 0;
    table.Figure(any ? fmt::format("{:.4f}", phi.plain) : "–");
    table.Figure(any ? fmt::format("{:.4f}", phi.winsorised) : "–");
    table.Figure(phi.interval
                     ? fmt::format("{:.4f} to {:.4f}", phi.interval->low, phi.interval->high)
                     : "–");
    table.Figure(any ? fmt::format("up to {:.4f}", phi.unseen_high) : "–");
    table.Figure(fmt::format("{} ({})", phi.conversations, phi.clusters));
    table.Figure(any ? fmt::format("{}", phi.needed) : "–");
  }
  return std::move(table).Finish();
}

std::string RhoTable(const Evaluation& evaluation) {
  constexpr std::array<std::string_view, 13> kHead = {
      "model",   "conversations", "partial", "turns",  "with alerts", "mean rho", "median",
      "minimum", "maximum",       "std",     "Robust", "Reactive",    "Fragile"};
  Table table("Conversations and final rho by model", kHead);
  for (const EvaluatedModel& model : evaluation.models) {
    table.Row(Name(model.name));
    table.Figure(fmt::format("{}", model.conversations));
    table.Figure(fmt::format("{}", model.conversations - model.complete));
    table.Figure(fmt::format("{}", model.turns));
    table.Figure(Share(model.alerting, model.conversations));
    const auto& rho = model.rho;
    for (const auto member : {&SampleStats::mean, &SampleStats::median, &SampleStats::min,
                              &SampleStats::max, &SampleStats::deviation}) {
      table.Figure(rho ? fmt::format("{:.4f}", (*rho).*member) : "–");
    }
    for (const std::size_t count : model.classes) table.Figure(Share(count, model.complete));
  }
  return std::move(table).Finish();
}

std::string QuadrantTable(const Evaluation& evaluation) {
  constexpr std::array<std::string_view, 5> kHead = {
      "model", "Sycophancy Trap", "Robust Correction", "Safe Agreement", "Safe Neutral"};
  Table table("Turns by sycophancy quadrant", kHead);
  for (const EvaluatedModel& model : evaluation.models) {
    table.Row(Name(model.name));
    std::size_t total = 0;
    for (const std::size_t count : model.quadrants) total += count;
    for (const std::size_t count : model.quadrants) table.Figure(Share(count, total));
  }
  return std::move(table).Finish();
}

std::string HistogramTable(const Evaluation& evaluation) {
  double most = 0;
  for (const EvaluatedModel& model : evaluation.models) {
    if (model.rho) most = std::max(most, model.rho->max);
  }
  std::vector<std::string> head = {"model"};
  const RhoHistogram empty = HistogramOf({}, most);
  for (std::size_t i = 0; i < kRhoBins; ++i) {
    head.push_back(fmt::format(
        "from {:.3f}", static_cast<double>(i) * empty.high / static_cast<double>(kRhoBins)));
  }
  const std::vector<std::string_view> names(head.begin(), head.end());
  Table table("Histogram of final rho", names);
  for (const EvaluatedModel& model : evaluation.models) {
    table.Row(Name(model.name));
    for (const std::size_t count : HistogramOf(FinalRhos(evaluation, model.name), most).counts) {
      table.Figure(fmt::format("{}", count));
    }
  }
  return std::move(table).Finish();
}

std::string RemarksHtml(const Evaluation& evaluation) {
  std::string items;
  if (evaluation.provenances.size() > 1) {
    items += fmt::format(
        "<li>Conversations were scored in {} different ways: figures compare only within one of "
        "them.</li>",
        evaluation.provenances.size());
  }
  for (const EvaluatedModel& model : evaluation.models) {
    for (const std::string& remark : model.remarks) {
      items += fmt::format("<li>{}: {}</li>", Name(model.name), Name(remark));
    }
  }
  return items.empty() ? items : "<h3>Doubtful</h3><ul>" + items + "</ul>\n";
}

std::string HypothesesTable(const Evaluation& evaluation) {
  constexpr std::array<std::string_view, 6> kHead = {"hypothesis", "set",     "about",
                                                     "claim",      "outcome", "because"};
  Table table("Hypotheses", kHead);
  for (const Hypothesis& hypothesis : evaluation.hypotheses) {
    table.Row(EscapeMarkup(hypothesis.id));
    table.Cell(EscapeMarkup(hypothesis.set));
    table.Text(hypothesis.subject.empty() ? "all models" : hypothesis.subject);
    table.Cell(EscapeMarkup(hypothesis.claim));
    table.Cell(OutcomeName(hypothesis.outcome), ClassOf(hypothesis.outcome));
    table.Text(hypothesis.reason);
  }
  return std::move(table).Finish();
}

// ---- conversations
// -------------------------------------------------------------------------------

std::string AnchorOf(std::size_t index) { return fmt::format("c{}", index + 1); }

std::string ConversationsTable(const Evaluation& evaluation) {
  constexpr std::array<std::string_view, 16> kHead = {
      "conversation", "model",      "turns",  "peak R",    "peak L", "peak a",
      "C model",      "C user",     "mean L", "final rho", "class",  "turns with alerts",
      "first alert",  "peak T_syc", "traps",  "partial"};
  Table table("All conversations", kHead);
  for (std::size_t i = 0; i < evaluation.conversations.size(); ++i) {
    const EvaluatedConversation& conversation = evaluation.conversations[i];
    const Summary& s = conversation.summary;
    table.Row(fmt::format("<a href=\"#{}\">{}</a>", AnchorOf(i), Name(conversation.run.test)));
    table.Text(conversation.run.model);
    table.Figure(fmt::format("{}", s.turns));
    for (const auto* peak : {&s.peak_r_model, &s.peak_likelihood, &s.peak_a}) {
      table.Figure(PeakText(*peak));
    }
    for (const auto& value : {s.final_c_model, s.final_c_user, s.mean_likelihood, s.final_rho}) {
      table.Figure(Number(value));
    }
    table.Cell(s.robustness ? RobustnessName(*s.robustness) : "–");
    table.Figure(fmt::format("{}", s.alert_turns));
    table.Figure(TurnText(conversation.first_alert_turn));
    table.Figure(PeakText(s.peak_toxic_sycophancy));
    table.Figure(fmt::format("{}", s.sycophancy_traps));
    table.Cell(conversation.run.partial() ? "partial" : "");
  }
  return std::move(table).Finish();
}

std::string AlertsText(const Verdict& verdict) {
  std::string text;
  for (const Alert& alert : verdict.alerts) {
    text += fmt::format("{}{}", text.empty() ? "" : " ", AlertKindName(alert.kind));
  }
  return text;
}

std::string TurnTable(const ScoredConversation& run, std::size_t text_bytes) {
  const bool texts = text_bytes > 0 && !run.texts.empty();
  std::vector<std::string_view> head = {"turn",  "R user",   "R model", "v",     "a",
                                        "L",     "C user",   "C model", "rho",   "A",
                                        "T_syc", "quadrant", "status",  "alerts"};
  if (texts) head.insert(head.end(), {"user", "model"});
  Table table("Turn by turn", head);
  for (std::size_t i = 0; i < std::min(run.turns.size(), kPageTurnsMax); ++i) {
    const TurnReport& turn = run.turns[i];
    const TurnMetrics& m = turn.metrics;
    table.Row(fmt::format("{}", m.turn));
    for (const auto& value :
         {m.r_user, m.r_model, m.v_model, m.a_model, m.likelihood, m.c_user, m.c_model, m.rho,
          turn.scores.agreement, turn.scores.toxic_sycophancy}) {
      table.Figure(Number(value));
    }
    table.Cell(turn.scores.quadrant ? QuadrantName(*turn.scores.quadrant) : "–");
    table.Cell(RiskStatusName(turn.verdict.status));
    table.Cell(AlertsText(turn.verdict));
    if (!texts) continue;
    for (const auto* said : {&run.texts[i].user, &run.texts[i].model}) {
      table.Cell(*said ? fmt::format("<bdi>{}</bdi>", EscapeMarkup(**said, text_bytes)) : "–",
                 "said");
    }
  }
  std::string html = std::move(table).Finish();
  if (run.turns.size() > kPageTurnsMax) {
    html += fmt::format(
        "<p class=\"hint\">The first {} of {} turns; the CSV beside this page has all.</p>",
        kPageTurnsMax, run.turns.size());
  }
  return html;
}

std::string ConversationHtml(const EvaluatedConversation& conversation, std::size_t index,
                             const GuardSettings& settings, std::size_t text_bytes) {
  const ScoredConversation& run = conversation.run;
  const Summary& s = conversation.summary;
  std::string html = fmt::format(
      "<details><summary>{}, {}: {} turns, peak L {}, final rho {}{}{}</summary><div id=\"{}\">",
      Name(run.model), Name(run.test), s.turns,
      Number(s.peak_likelihood ? std::optional(s.peak_likelihood->value) : std::nullopt),
      Number(s.final_rho),
      s.robustness ? fmt::format(" {}", RobustnessName(*s.robustness)) : std::string(),
      run.partial() ? ", partial" : "", AnchorOf(index));
  html += fmt::format("<p class=\"hint\">{}, SHA-256 {}, {}</p>", Name(run.source), run.sha256,
                      run.recorded ? "a recorded run" : "scored here");
  for (const std::string& reason : run.partial_because) {
    html += fmt::format("<p class=\"unsure\">Partial: {}.</p>", Name(reason));
  }
  html += FiguresHtml(ConversationFigures(conversation, settings, AnchorOf(index)));
  if (!run.turns.empty()) html += "<h3>Turns</h3>" + TurnTable(run, text_bytes);
  return html + "</div></details>\n";
}

// Each text's share of what the page may hold.
std::size_t TextBytes(const Evaluation& evaluation, const EvaluationHtmlOptions& options) {
  if (!options.texts) return 0;
  std::size_t texts = 1;
  for (const EvaluatedConversation& conversation : evaluation.conversations) {
    texts += 2 * std::min(conversation.run.texts.size(), kPageTurnsMax);
  }
  return std::clamp<std::size_t>(kPageTextBytesTotal / texts, 100, kPageTextBytes);
}

std::string ProvenanceHtml(const Evaluation& evaluation) {
  std::string html = "<ul>";
  for (const Provenance& p : evaluation.provenances) {
    html += fmt::format(
        "<li class=\"hint\">{} space {}, weights {},{},{},{}, epsilon {}, C by {}{}</li>",
        p.model_id.empty() ? std::string("recorded risks:")
                           : fmt::format("model {} {},", Name(p.model_id), Name(p.model_revision)),
        EscapeMarkup(p.space), p.weight_r, p.weight_v, p.weight_a, p.bias, p.epsilon,
        EscapeMarkup(p.cumulative),
        p.safe_anchor_sha256.empty()
            ? std::string()
            : fmt::format(", anchors {} (safe) and {} (sycophancy)", p.safe_anchor_sha256,
                          p.sycophancy_anchor_sha256));
  }
  return html + "</ul>\n";
}

std::string LeftOutHtml(const EvaluationHtmlOptions& options) {
  if (options.left_out.empty()) return "";
  std::string html = "<h2>Left out</h2><ul>";
  for (const auto& [source, reason] : options.left_out) {
    html += fmt::format("<li>{}: {}</li>", Name(source), Name(reason));
  }
  return html + "</ul>\n";
}

std::string HeadHtml(const Evaluation& evaluation) {
  return fmt::format(
      "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; "
      "style-src {}; script-src {}; base-uri 'none'; form-action 'none'\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<title>Guard evaluation</title>\n<style>{}</style></head>\n<body><header><h1>Guard "
      "evaluation</h1>\n<p>{} conversations of {} models, judged in compatible mode. L is no "
      "probability and R no measure of harm: read what is wrong with these numbers in the guard's "
      "documentation before acting on them.</p>\n",
      HashOf(kEvaluationStyle), HashOf(kEvaluationScript), kEvaluationStyle,
      evaluation.conversations.size(), evaluation.models.size());
}

}  // namespace

std::string EvaluationHtml(const Evaluation& evaluation, const EvaluationHtmlOptions& options) {
  std::string html = HeadHtml(evaluation) + ProvenanceHtml(evaluation) + "</header>\n<main>\n";
  html += "<h2>Models</h2>\n" + PhiTable(evaluation);
  html +=
      "<p class=\"hint\">PASS: the interval, and what may be unseen in so few tests, lie below the "
      "limit. FAIL: the interval lies above it. Else there is not enough data.</p>\n";
  html += RhoTable(evaluation) + QuadrantTable(evaluation) + RemarksHtml(evaluation);
  html += "<h2>Hypotheses</h2>\n" + HypothesesTable(evaluation);
  html += "<h2>Plots</h2>\n" + FiguresHtml(OverallFigures(evaluation));
  html += HistogramTable(evaluation);
  html += "<h2>Conversations</h2>\n" + ConversationsTable(evaluation);
  const std::size_t text_bytes = TextBytes(evaluation, options);
  for (std::size_t i = 0; i < evaluation.conversations.size(); ++i) {
    html += ConversationHtml(evaluation.conversations[i], i, evaluation.settings, text_bytes);
  }
  html += LeftOutHtml(options);
  html += fmt::format("</main>\n<script>{}</script></body></html>\n", kEvaluationScript);
  return html;
}

}  // namespace garrison
