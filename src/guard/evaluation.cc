#include "guard/evaluation.h"

#include <algorithm>
#include <iterator>
#include <numeric>
#include <tuple>

namespace garrison {
namespace {

bool IsBreachAlert(const Alert& alert) { return alert.kind != AlertKind::kUserRisk; }

bool HasConstantRisk(std::span<const TurnReport> turns) {
  if (turns.size() < 3 || !turns.front().metrics.r_model) return false;
  return std::all_of(turns.begin(), turns.end(), [&](const TurnReport& turn) {
    return turn.metrics.r_model == turns.front().metrics.r_model;
  });
}

EvaluatedConversation EvaluateOne(ScoredConversation run, const GuardSettings& settings) {
  EvaluatedConversation out;
  out.summary = Summarize(run.turns, settings, run.provenance);
  for (const TurnReport& turn : run.turns) {
    const std::vector<Alert>& alerts = turn.verdict.alerts;
    if (!alerts.empty() && !out.first_alert_turn) out.first_alert_turn = turn.metrics.turn;
    if (std::any_of(alerts.begin(), alerts.end(), IsBreachAlert) && !out.first_breach_alert_turn) {
      out.first_breach_alert_turn = turn.metrics.turn;
    }
  }
  if (out.first_breach_alert_turn && out.summary.peak_r_model) {
    out.lead_turns = out.summary.peak_r_model->turn - *out.first_breach_alert_turn;
  }
  out.constant_risk = HasConstantRisk(run.turns);
  if (out.summary.partial_turns > 0) {
    run.partial_because.push_back(fmt::format("{} of {} turns have one side only",
                                              out.summary.partial_turns, out.summary.turns));
  } else if (!out.summary.final_rho && run.partial_because.empty()) {
    run.partial_because.emplace_back("no turn has both sides, so that there is no rho");
  }
  out.run = std::move(run);
  return out;
}

void AddRemarks(std::span<const EvaluatedConversation> conversations, EvaluatedModel& model) {
  std::vector<Provenance> provenances;
  for (const EvaluatedConversation& conversation : conversations) {
    const Provenance& provenance = conversation.run.provenance;
    if (std::find(provenances.begin(), provenances.end(), provenance) == provenances.end()) {
      provenances.push_back(provenance);
    }
    if (conversation.constant_risk) {
      model.remarks.push_back(fmt::format(
          "{}: R of the model is the same on all {} turns; are the replies one error message?",
          conversation.run.source, conversation.summary.turns));
    }
  }
  if (provenances.size() > 1) {
    model.remarks.emplace_back(
        "its conversations were scored in different ways, so that their figures do not compare");
  }
  if (model.complete < model.conversations) {
    model.remarks.push_back(fmt::format("{} of {} conversations are partial and left out of Phi",
                                        model.conversations - model.complete, model.conversations));
  }
}

EvaluatedModel EvaluateModel(std::span<const EvaluatedConversation> conversations,
                             const GuardSettings& settings) {
  EvaluatedModel model;
  model.name = conversations.front().run.model;
  model.conversations = conversations.size();
  std::vector<double> rhos;
  std::vector<ClusteredRho> clustered;
  for (const EvaluatedConversation& conversation : conversations) {
    model.turns += conversation.summary.turns;
    model.alerting += conversation.first_alert_turn.has_value();
    for (const TurnReport& turn : conversation.run.turns) {
      if (turn.scores.quadrant) ++model.quadrants[static_cast<std::size_t>(*turn.scores.quadrant)];
    }
    if (conversation.run.partial()) continue;
    ++model.complete;
    const double rho = *conversation.summary.final_rho;
    rhos.push_back(rho);
    clustered.push_back({conversation.run.test, rho});
    ++model.classes[static_cast<std::size_t>(ClassifyRho(rho, settings.rho_tolerance))];
  }
  model.rho = Describe(rhos);
  model.phi = EstimatePhi(clustered, settings.fragility_pass);
  AddRemarks(conversations, model);
  return model;
}

Result<> CheckLimits(const std::vector<ScoredConversation>& conversations) {
  if (conversations.empty()) {
    return Fail(Code::kInvalidArgument, "expected at least one conversation, got none");
  }
  if (conversations.size() > kEvaluatedConversationsMax) {
    return Fail(Code::kInvalidArgument,
                "expected at most {} conversations, got {}; evaluate them in parts",
                kEvaluatedConversationsMax, conversations.size());
  }
  return {};
}

void AddModels(Evaluation& evaluation) {
  const std::vector<EvaluatedConversation>& all = evaluation.conversations;
  for (auto first = all.begin(); first != all.end();) {
    const auto last = std::find_if(first, all.end(), [&](const EvaluatedConversation& other) {
      return other.run.model != first->run.model;
    });
    evaluation.models.push_back(EvaluateModel({first, last}, evaluation.settings));
    first = last;
  }
  for (std::size_t i = 0; i < evaluation.models.size(); ++i) {
    if (evaluation.models[i].complete > 0) evaluation.ranking.push_back(i);
  }
  std::stable_sort(evaluation.ranking.begin(), evaluation.ranking.end(),
                   [&](std::size_t a, std::size_t b) {
                     return evaluation.models[a].phi.plain < evaluation.models[b].phi.plain;
                   });
}

}  // namespace

std::string_view OutcomeName(Outcome outcome) {
  switch (outcome) {
    case Outcome::kPass:
      return "pass";
    case Outcome::kFail:
      return "fail";
    case Outcome::kNotTestable:
      return "not testable";
  }
  return "";
}

Result<Evaluation> Evaluate(std::vector<ScoredConversation> conversations,
                            const GuardSettings& settings) {
  RETURN_IF_ERROR(CheckLimits(conversations));
  std::sort(conversations.begin(), conversations.end(),
            [](const ScoredConversation& a, const ScoredConversation& b) {
              return std::tie(a.model, a.test, a.source) < std::tie(b.model, b.test, b.source);
            });
  Evaluation evaluation;
  evaluation.settings = settings;
  for (ScoredConversation& run : conversations) {
    auto& known = evaluation.provenances;
    if (std::find(known.begin(), known.end(), run.provenance) == known.end()) {
      known.push_back(run.provenance);
    }
    evaluation.conversations.push_back(EvaluateOne(std::move(run), settings));
  }
  AddModels(evaluation);
  if (evaluation.models.size() > kEvaluatedModelsMax) {
    return Fail(Code::kInvalidArgument,
                "expected at most {} models, got {}; evaluate them in parts", kEvaluatedModelsMax,
                evaluation.models.size());
  }
  evaluation.hypotheses = JudgeHypotheses(evaluation);
  return evaluation;
}

}  // namespace garrison
