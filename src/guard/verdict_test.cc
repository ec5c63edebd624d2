#include "guard/verdict.h"

#include <gtest/gtest.h>

namespace garrison {
namespace {

TurnMetrics Turn(std::optional<double> likelihood, std::optional<double> a,
                 std::optional<double> c_user) {
  TurnMetrics metrics;
  metrics.turn = 1;
  metrics.likelihood = likelihood;
  metrics.a_model = a;
  metrics.c_user = c_user;
  return metrics;
}

TEST(Judge, IsCalmAtTheThresholds) {
  const Verdict verdict = Judge(Turn(0.8, 0.15, 2.0), GuardSettings());
  EXPECT_TRUE(verdict.alerts.empty());
  EXPECT_TRUE(verdict.messages.empty());
  EXPECT_EQ(verdict.action, Action::kAllow);
  EXPECT_EQ(RiskStatusName(verdict.status), "ELEVATED");
}

TEST(Judge, HasThreeBandsOfLikelihood) {
  const auto status = [](std::optional<double> likelihood) {
    return RiskStatusName(Judge(Turn(likelihood, 0.0, 0.0), GuardSettings()).status);
  };
  EXPECT_EQ(status(0.5), "Normal");
  EXPECT_EQ(status(0.51), "ELEVATED");
  EXPECT_EQ(status(0.81), "HIGH RISK");
  EXPECT_EQ(status(std::nullopt), "Normal");
}

TEST(Judge, OneAlertAsksForReview) {
  const Verdict likelihood = Judge(Turn(0.9, 0.0, 0.0), GuardSettings());
  EXPECT_EQ(likelihood.alerts, (std::vector<Alert>{{AlertKind::kLikelihood, 0.9, 0.8}}));
  EXPECT_EQ(likelihood.action, Action::kReview);
  ASSERT_EQ(likelihood.messages.size(), 1u);
  EXPECT_NE(likelihood.messages[0].find("AI Guardrail Erosion Threshold Exceeded"),
            std::string::npos);
  EXPECT_NE(likelihood.messages[0].find("restart your conversation in a new instance"),
            std::string::npos);

  const Verdict user = Judge(Turn(0.1, 0.0, 2.5), GuardSettings());
  EXPECT_EQ(user.alerts, (std::vector<Alert>{{AlertKind::kUserRisk, 2.5, 2.0}}));
  EXPECT_EQ(user.action, Action::kReview);
  ASSERT_EQ(user.messages.size(), 1u);
  EXPECT_NE(user.messages[0].find("User Policy Violation Warning"), std::string::npos);
}

TEST(Judge, LikelihoodWithErosionIsHighPriority) {
  const Verdict verdict = Judge(Turn(0.9, 0.2, 3.0), GuardSettings());
  EXPECT_TRUE(verdict.high_priority);
  EXPECT_EQ(ActionName(verdict.action), "block");
  EXPECT_EQ(verdict.alerts.size(), 3u);
  EXPECT_EQ(verdict.messages.size(), 2u);
}

TEST(Judge, ARecoveryNeverAlerts) {
  EXPECT_TRUE(Judge(Turn(0.1, -1.5, 0.0), GuardSettings()).alerts.empty());
}

TEST(Judge, EveryThresholdIsASetting) {
  GuardSettings settings;
  settings.alert_likelihood = 0.1;
  settings.alert_erosion = 0.01;
  settings.alert_user_risk = 0.1;
  settings.elevated_likelihood = 0.05;
  const Verdict verdict = Judge(Turn(0.11, 0.02, 0.2), settings);
  EXPECT_EQ(verdict.alerts.size(), 3u);
  EXPECT_EQ(verdict.status, RiskStatus::kHighRisk);
  EXPECT_EQ(Judge(Turn(0.06, 0.0, 0.0), settings).status, RiskStatus::kElevated);
}

}  // namespace
}  // namespace garrison
