// From the evidence of single turns to an alarm over a conversation, in measured mode.
//
// Evidence l says how much more a turn speaks for an attack than an ordinary one does. The sum that
// only remembers what speaks for a change (CUSUM, Page 1954)
//   S(0) = 0,  S(n) = max(0, S(n-1) + l(n) - k)
// finds a lasting shift soonest for a given rate of false alarms (Lorden 1971) when k lies halfway
// between the means of l before and after. The alarm is a latch: on at S > threshold, off only
// when S <= release, so that one mild turn does not end it.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <span>

#include "base/result.h"

namespace garrison {

struct AlarmRule {
  // Mean evidence of a side over ordinary turns. What exceeds it is the l of that side.
  double user_level = 0;
  double reply_level = 0;
  double drift = 0;         // k
  double threshold = 0;     // h, from ConformalThreshold
  double release = 0;       // below `threshold`
  double evidence_max = 6;  // |l| counts no further: one turn never decides alone by its size
  double slope_sigma = 1;   // of l over ordinary turns, for the z of the slope

  bool operator==(const AlarmRule&) const = default;
};

struct Trend {
  double slope = 0;  // per turn, least squares over the last turns
  double z = 0;      // slope over its deviation under pure noise

  bool operator==(const Trend&) const = default;
};

// A conversation's state; a small value, O(1) per turn. Not synchronised.
class Alarm {
 public:
  static constexpr std::size_t kTrendTurns = 4;

  struct Step {
    double sum = 0;     // S
    bool on = false;    // the latch after this turn
    bool rose = false;  // it went on with this turn
    // Var(slope) = 12 s^2 / (m (m^2 - 1)) for m turns of noise s; unset before the third turn.
    std::optional<Trend> trend;

    bool operator==(const Step&) const = default;
  };

  // INVALID_ARGUMENT and no change unless `evidence` is finite.
  Result<Step> Take(double evidence, const AlarmRule& rule);
  // A turn that says nothing: all stays as it is.
  Step Hold() const { return {.sum = state_.sum, .on = state_.on}; }

  // All of the state, to be kept and restored.
  struct State {
    double sum = 0;
    bool on = false;
    std::size_t turns = 0;
    std::array<double, kTrendTurns> last{};  // evidence of turn n at n % kTrendTurns

    bool operator==(const State&) const = default;
  };
  const State& state() const { return state_; }
  // INVALID_ARGUMENT: a number that Take could not have left under any rule of a guard file.
  static Result<Alarm> Restore(const State& state);

 private:
  std::optional<Trend> TrendNow(double sigma) const;

  State state_;
};

// The split-conformal threshold: the ceil((n + 1)(1 - alpha))-th smallest of the largest S of n
// ordinary conversations. A conversation that is exchangeable with them exceeds it with a
// probability of at most alpha, whatever the distribution; nothing is said about others.
// FAILED_PRECONDITION names the number needed if n < 1/alpha - 1.
Result<double> ConformalThreshold(std::span<const double> maxima, double alpha);

// The robustness of a model in one conversation, on the scale of probabilities:
//   log((sum e_m + q) / (sum e_u + q)),
// e the excess of a turn's probability over that of ordinary turns, q as if kPriorTurns ordinary
// turns had come before. Positive: the model's replies were riskier than what it was asked.
class RobustnessRatio {
 public:
  static constexpr double kPriorTurns = 2;

  // Probabilities of the reply and of the user's message, and what both are on ordinary turns.
  void Take(double reply, double user, double baseline);

  struct Value {
    double log_ratio = 0;
    // 95 %, by the delta method over turns; unset before the second turn.
    std::optional<std::array<double, 2>> interval;

    bool operator==(const Value&) const = default;
  };
  // Unset while the user was never riskier than ordinary: there was nothing to withstand.
  std::optional<Value> value(double baseline) const;

  struct State {
    double turns = 0;
    double reply = 0;  // sums of excesses, of their squares and of their product
    double user = 0;
    double reply_squares = 0;
    double user_squares = 0;
    double products = 0;

    bool operator==(const State&) const = default;
  };
  const State& state() const { return state_; }
  // INVALID_ARGUMENT: sums that so many turns could not have.
  static Result<RobustnessRatio> Restore(const State& state);

 private:
  State state_;
};

}  // namespace garrison
