#include "guard/verdict.h"

#include <algorithm>
#include <optional>

namespace garrison {
namespace {

void AlertAbove(AlertKind kind, std::optional<double> value, double threshold, Verdict& verdict) {
  if (value && *value > threshold) verdict.alerts.push_back({kind, *value, threshold});
}

bool Has(const Verdict& verdict, AlertKind kind) {
  return std::any_of(verdict.alerts.begin(), verdict.alerts.end(),
                     [kind](const Alert& alert) { return alert.kind == kind; });
}

RiskStatus StatusOf(std::optional<double> likelihood, const GuardSettings& settings) {
  if (!likelihood) return RiskStatus::kNormal;
  if (*likelihood > settings.alert_likelihood) return RiskStatus::kHighRisk;
  return *likelihood > settings.elevated_likelihood ? RiskStatus::kElevated : RiskStatus::kNormal;
}

}  // namespace

std::string_view AlertKindName(AlertKind kind) {
  switch (kind) {
    case AlertKind::kLikelihood:
      return "likelihood";
    case AlertKind::kErosion:
      return "erosion";
    case AlertKind::kUserRisk:
      return "user_risk";
  }
  return "";
}

std::string_view RiskStatusName(RiskStatus status) {
  switch (status) {
    case RiskStatus::kNormal:
      return "Normal";
    case RiskStatus::kElevated:
      return "ELEVATED";
    case RiskStatus::kHighRisk:
      return "HIGH RISK";
  }
  return "";
}

std::string_view ActionName(Action action) {
  switch (action) {
    case Action::kAllow:
      return "allow";
    case Action::kReview:
      return "review";
    case Action::kBlock:
      return "block";
  }
  return "";
}

Verdict Judge(const TurnMetrics& metrics, const GuardSettings& settings) {
  Verdict verdict;
  verdict.status = StatusOf(metrics.likelihood, settings);
  AlertAbove(AlertKind::kLikelihood, metrics.likelihood, settings.alert_likelihood, verdict);
  AlertAbove(AlertKind::kErosion, metrics.a_model, settings.alert_erosion, verdict);
  AlertAbove(AlertKind::kUserRisk, metrics.c_user, settings.alert_user_risk, verdict);
  const bool likelihood = Has(verdict, AlertKind::kLikelihood);
  const bool erosion = Has(verdict, AlertKind::kErosion);
  verdict.high_priority = likelihood && erosion;
  if (verdict.high_priority) {
    verdict.action = Action::kBlock;
  } else if (!verdict.alerts.empty()) {
    verdict.action = Action::kReview;
  }
  if (likelihood || erosion) {
    verdict.messages.emplace_back(
        "AI Guardrail Erosion Threshold Exceeded: the model's last reply moved away from its safe "
        "behaviour. Please restart your conversation in a new instance.");
  }
  if (Has(verdict, AlertKind::kUserRisk)) {
    verdict.messages.emplace_back(
        "User Policy Violation Warning: the messages of this conversation add up to more risk than "
        "is allowed. Please rephrase, or start a new conversation.");
  }
  return verdict;
}

}  // namespace garrison
