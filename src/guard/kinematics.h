// The guard's arithmetic in compatible mode: from risk severities to rates, likelihood and
// robustness.
//
// Formulas and the meaning of every symbol: docs/guard.md. Everything is computed in double and in
// the order written here, so that a recorded run gives the same bits again. What a number means
// (alerts, status) is guard/verdict.h; how a text becomes a vector is guard/monitor.h.
#pragma once

#include <optional>
#include <span>
#include <string_view>

#include "base/result.h"
#include "core/settings.h"

namespace garrison {

// R = clip(1 - cos(v, v_safe), 0, 2). A zero `v` has no direction and scores 1.
// INVALID_ARGUMENT: lengths differ or are 0, a component is NaN or infinite, `v_safe` is zero.
Result<double> RiskSeverity(std::span<const double> v, std::span<const double> v_safe);

// A = max(0, cos(v_model, v_syc)), at most 1. A zero `v_model` scores 0. Errors as RiskSeverity.
Result<double> Agreement(std::span<const double> v_model, std::span<const double> v_syc);

// T_syc = R_user * A, in [0, 2].
double ToxicSycophancy(double r_user, double agreement);

enum class Quadrant { kSycophancyTrap, kRobustCorrection, kSafeAgreement, kSafeNeutral };

// At or above settings.sycophancy_risk and settings.sycophancy_agreement counts as high.
Quadrant ClassifyQuadrant(double r_user, double agreement, const GuardSettings& settings);
// "Sycophancy Trap", "Robust Correction", "Safe Agreement", "Safe Neutral".
std::string_view QuadrantName(Quadrant quadrant);

enum class Robustness { kRobust, kReactive, kFragile };

// Reactive within `tolerance` of 1, else Robust below and Fragile above.
Robustness ClassifyRho(double rho, double tolerance);
// "Robust", "Reactive", "Fragile".
std::string_view RobustnessName(Robustness robustness);

// Phi: the mean of max(0, rho - 1) over the final rho of each conversation; 0 for none.
double Fragility(std::span<const double> rho_final);
// Below settings.fragility_pass.
bool FragilityPasses(double phi, const GuardSettings& settings);

// How C grows: the running sum of R, or the trapezoid area under R. Both start with C(1) = R(1).
enum class CumulativeRule { kSum, kTrapezoid };

// "sum", "trapezoid".
std::string_view CumulativeRuleName(CumulativeRule rule);
// INVALID_ARGUMENT for any other text.
Result<CumulativeRule> ParseCumulativeRule(std::string_view text);

// The risk severities of one turn. A side that did not speak (or has no vector) is empty.
struct TurnRisk {
  std::optional<double> model;
  std::optional<double> user;
};

// Empty means that the side is missing on this turn; it never means 0.
struct TurnMetrics {
  int turn = 0;
  std::optional<double> r_model;     // RiskSeverity_Model
  std::optional<double> v_model;     // RiskRate_Model
  std::optional<double> a_model;     // ErosionVelocity_Model, "guardrail erosion"; signed
  std::optional<double> c_model;     // CumulativeRisk_Model
  std::optional<double> z;           // failure potential
  std::optional<double> likelihood;  // Likelihood_Model
  std::optional<double> r_user;      // RiskSeverity_User
  std::optional<double> c_user;      // CumulativeRisk_User
  // RobustnessIndex_rho so far; set once both sides have been seen, on this turn or before.
  std::optional<double> rho;

  bool operator==(const TurnMetrics&) const = default;
};

// What Kinematics remembers between turns, for those who keep it elsewhere.
struct KinematicsState {
  int turns = 0;
  // Of the last turn on which the side spoke; 0 and empty while it has not.
  double r_model = 0;
  double v_model = 0;
  std::optional<double> c_model;
  double r_user = 0;
  std::optional<double> c_user;

  bool operator==(const KinematicsState&) const = default;
};

// The running state of one conversation: a small value, copied freely, O(1) per turn. Not
// synchronised.
class Kinematics {
 public:
  // `settings.cumulative` must be one of the two rule names, as AssignSetting ensures.
  explicit Kinematics(const GuardSettings& settings);

  // Takes the next turn. A missing side leaves that side's state as it was, so its next v and a are
  // measured from the last turn on which it spoke.
  // INVALID_ARGUMENT (where: "turn N") and no change: both sides missing, a risk that is NaN,
  // infinite, negative or above 1e6. (R itself lies in [0, 2]; replayed figures may be larger.)
  Result<TurnMetrics> Step(const TurnRisk& risk);

  // Turns taken so far.
  int turns() const { return state_.turns; }

  const KinematicsState& state() const { return state_; }
  // Goes on from there: the next turns give the same bits. INVALID_ARGUMENT (where: the field)
  // for a state that no turns lead to.
  static Result<Kinematics> FromState(const GuardSettings& settings, const KinematicsState& state);

 private:
  double Accumulate(std::optional<double> total, double previous, double now) const;
  void StepModel(double r, TurnMetrics& out);

  double weight_r_;
  double weight_v_;
  double weight_a_;
  double bias_;
  double epsilon_;
  CumulativeRule rule_;

  KinematicsState state_;
};

}  // namespace garrison
