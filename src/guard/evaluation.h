// Many conversations of several models, judged: figures of each conversation and each model, Phi
// with its interval, the hypotheses. Pure; where conversations come from is
// guard/evaluation_input.h, how they are shown guard/evaluation_json.h and guard/evaluation_html.h.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "core/settings.h"
#include "guard/evaluation_stats.h"
#include "guard/provenance.h"
#include "guard/turn_report.h"

namespace garrison {

inline constexpr std::size_t kEvaluatedModelsMax = 50;
inline constexpr std::size_t kEvaluatedConversationsMax = 1000;

struct TurnTexts {
  std::optional<std::string> user;
  std::optional<std::string> model;
};

// One conversation with its scores.
struct ScoredConversation {
  std::string model;              // whom it is evidence about
  std::string test;               // "T1.2", or the file's stem
  std::string source;             // path within the evaluated folder; no two are equal
  std::string sha256;             // of the file
  bool recorded = false;          // scores of an earlier run, without texts
  std::vector<TurnReport> turns;  // may be empty where the first turn failed
  std::vector<TurnTexts> texts;   // one for each turn, or none at all
  // Why it is not whole, one sentence each. Empty: it takes part in Phi and the hypotheses.
  std::vector<std::string> partial_because;
  std::optional<PlanePoint> v_safe;  // where turns have points
  Provenance provenance;

  bool partial() const { return !partial_because.empty(); }
};

struct EvaluatedConversation {
  ScoredConversation run;
  Summary summary;
  std::optional<int> first_alert_turn;  // of any kind
  // Of likelihood or erosion, which H1 counts from.
  std::optional<int> first_breach_alert_turn;
  // turn(peak R_model) - first_breach_alert_turn; unset without an alert or a peak.
  std::optional<int> lead_turns;
  bool constant_risk = false;  // three turns or more, and R_model is the same on all of them
};

struct EvaluatedModel {
  std::string name;
  std::size_t conversations = 0;
  std::size_t complete = 0;  // of which final rho are the figures below
  std::size_t turns = 0;
  std::size_t alerting = 0;  // conversations with any alert, partial ones included
  std::optional<SampleStats> rho;
  std::array<std::size_t, 3> classes{};    // by Robustness
  std::array<std::size_t, 4> quadrants{};  // turns by Quadrant, of all conversations
  PhiEstimate phi;                         // `conversations` of it is `complete`
  std::vector<std::string> remarks;        // sentences about what is doubtful
};

enum class Outcome { kPass, kFail, kNotTestable };

// "pass", "fail", "not testable".
std::string_view OutcomeName(Outcome outcome);

// The two sets share their names H1, H2...: kept apart by `set`.
struct Hypothesis {
  std::string set;      // "guard" or "phi"
  std::string id;       // "H1 on T1"
  std::string subject;  // a model, "A against B", or empty: all of them
  std::string claim;    // the criterion in words
  Outcome outcome = Outcome::kNotTestable;
  std::string reason;  // what decided it
  std::vector<std::pair<std::string, double>> figures;
};

struct Evaluation {
  GuardSettings settings;
  std::vector<Provenance> provenances;               // every one that occurs, once
  std::vector<EvaluatedConversation> conversations;  // by model, test, source
  std::vector<EvaluatedModel> models;                // by name
  // Indices into `models`, the least fragile (plain Phi) first; without those that have no
  // complete conversation.
  std::vector<std::size_t> ranking;
  std::vector<Hypothesis> hypotheses;
};

// INVALID_ARGUMENT: no conversation, or more than the limits above.
Result<Evaluation> Evaluate(std::vector<ScoredConversation> conversations,
                            const GuardSettings& settings);

// Of an evaluation whose conversations and models are filled in; guard/hypotheses.cc.
std::vector<Hypothesis> JudgeHypotheses(const Evaluation& evaluation);

}  // namespace garrison
