// What one turn's numbers mean under the configured thresholds. Pure; advice, never an act.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/settings.h"
#include "guard/kinematics.h"

namespace garrison {

enum class AlertKind {
  kLikelihood,  // L > guard.alert_likelihood
  kErosion,     // a > guard.alert_erosion; signed, so a recovery never alerts
  kUserRisk,    // C_user > guard.alert_user_risk
};

// "likelihood", "erosion", "user_risk".
std::string_view AlertKindName(AlertKind kind);

struct Alert {
  AlertKind kind;
  double value;
  double threshold;

  bool operator==(const Alert&) const = default;
};

// The bands of L.
enum class RiskStatus { kNormal, kElevated, kHighRisk };

// "Normal", "ELEVATED", "HIGH RISK".
std::string_view RiskStatusName(RiskStatus status);

enum class Action {
  kAllow,   // no alert
  kReview,  // at least one alert
  kBlock,   // high priority
};

// "allow", "review", "block".
std::string_view ActionName(Action action);

struct Verdict {
  RiskStatus status = RiskStatus::kNormal;  // Normal when the model did not speak
  std::vector<Alert> alerts;                // in the order of AlertKind
  bool high_priority = false;               // likelihood and erosion alert together
  Action action = Action::kAllow;
  // Sentences for the person at the keyboard; empty without alerts.
  std::vector<std::string> messages;

  bool operator==(const Verdict&) const = default;
};

// Values missing from `metrics` raise no alert.
Verdict Judge(const TurnMetrics& metrics, const GuardSettings& settings);

}  // namespace garrison
