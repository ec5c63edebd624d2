#include "guard/alarm.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace garrison {
namespace {

// What a guard file may let a turn count, and ten million such turns.
constexpr double kEvidenceMax = 1e6;
constexpr double kSumMax = 1e13;

}  // namespace

Result<Alarm::Step> Alarm::Take(double evidence, const AlarmRule& rule) {
  if (!std::isfinite(evidence)) {
    return Fail(Code::kInvalidArgument, "expected finite evidence, got {}", evidence);
  }
  const double bounded = std::clamp(evidence, -rule.evidence_max, rule.evidence_max);
  state_.last[state_.turns % kTrendTurns] = bounded;
  ++state_.turns;
  state_.sum = std::clamp(state_.sum + bounded - rule.drift, 0.0, kSumMax);
  Step step;
  const bool was_on = state_.on;
  state_.on = state_.sum > (was_on ? rule.release : rule.threshold);
  step.sum = state_.sum;
  step.on = state_.on;
  step.rose = state_.on && !was_on;
  step.trend = TrendNow(rule.slope_sigma);
  return step;
}

std::optional<Trend> Alarm::TrendNow(double sigma) const {
  const std::size_t count = std::min(state_.turns, kTrendTurns);
  if (count < 3) return std::nullopt;
  const auto m = static_cast<double>(count);
  const double middle = (m - 1) / 2;
  double products = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t turn = state_.turns - count + i;
    products += (static_cast<double>(i) - middle) * state_.last[turn % kTrendTurns];
  }
  const double squares = m * (m * m - 1) / 12;
  const double slope = products / squares;
  return Trend{slope, slope / (sigma / std::sqrt(squares))};
}

Result<Alarm> Alarm::Restore(const State& state) {
  const bool bounded = std::all_of(state.last.begin(), state.last.end(), [](double value) {
    return value >= -kEvidenceMax && value <= kEvidenceMax;
  });
  if (!bounded || !(state.sum >= 0 && state.sum <= kSumMax)) {
    return Fail(Code::kInvalidArgument, "expected a sum from 0 to {} and evidence from {} to {}",
                kSumMax, -kEvidenceMax, kEvidenceMax);
  }
  Alarm alarm;
  alarm.state_ = state;
  return alarm;
}

Result<double> ConformalThreshold(std::span<const double> maxima, double alpha) {
  if (!(alpha > 0 && alpha < 1)) {
    return FailAt("alpha", Code::kInvalidArgument, "expected a rate between 0 and 1, got {}",
                  alpha);
  }
  const auto n = static_cast<double>(maxima.size());
  // Rounded a little down: (n + 1)(1 - alpha) is often whole but for the last bit.
  const double rank = std::ceil((n + 1) * (1 - alpha) - 1e-9);
  if (!(rank <= n)) {
    return Fail(Code::kFailedPrecondition,
                "a false-alarm rate of {} needs at least {} ordinary conversations to calibrate "
                "with, got {}",
                alpha, std::ceil(1 / alpha - 1 - 1e-9), maxima.size());
  }
  std::vector<double> sorted(maxima.begin(), maxima.end());
  const auto nth = sorted.begin() + static_cast<std::ptrdiff_t>(rank) - 1;
  std::nth_element(sorted.begin(), nth, sorted.end());
  return *nth;
}

void RobustnessRatio::Take(double reply, double user, double baseline) {
  const double e_reply = std::max(0.0, reply - baseline);
  const double e_user = std::max(0.0, user - baseline);
  state_.turns += 1;
  state_.reply += e_reply;
  state_.user += e_user;
  state_.reply_squares += e_reply * e_reply;
  state_.user_squares += e_user * e_user;
  state_.products += e_reply * e_user;
}

std::optional<RobustnessRatio::Value> RobustnessRatio::value(double baseline) const {
  if (!(state_.user > 0)) return std::nullopt;
  const double n = state_.turns;
  const double prior = kPriorTurns * baseline;
  const double reply = state_.reply + prior;
  const double user = state_.user + prior;
  Value value;
  value.log_ratio = std::log(reply / user);
  if (n < 2) return value;
  // Variances of the sums: n times the sample variances of the terms.
  const double scale = n / (n - 1);
  const double var_reply = scale * (state_.reply_squares - state_.reply * state_.reply / n);
  const double var_user = scale * (state_.user_squares - state_.user * state_.user / n);
  const double covariance = scale * (state_.products - state_.reply * state_.user / n);
  const double variance =
      var_reply / (reply * reply) + var_user / (user * user) - 2 * covariance / (reply * user);
  constexpr double kNormal975 = 1.959963984540054;
  const double half = kNormal975 * std::sqrt(std::max(0.0, variance));
  value.interval = {value.log_ratio - half, value.log_ratio + half};
  return value;
}

Result<RobustnessRatio> RobustnessRatio::Restore(const State& state) {
  if (!(state.turns >= 0 && state.turns <= 1e9) || state.turns != std::floor(state.turns)) {
    return Fail(Code::kInvalidArgument, "expected a number of turns, got {}", state.turns);
  }
  // An excess is at most 1.
  for (const double value :
       {state.reply, state.user, state.reply_squares, state.user_squares, state.products}) {
    if (!(value >= 0 && value <= state.turns)) {
      return Fail(Code::kInvalidArgument, "expected sums from 0 to the {} turns, got {}",
                  state.turns, value);
    }
  }
  RobustnessRatio ratio;
  ratio.state_ = state;
  return ratio;
}

}  // namespace garrison
