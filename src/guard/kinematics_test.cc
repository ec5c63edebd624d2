#include "guard/kinematics.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cmath>
#include <limits>
#include <random>

#include "guard/test_support.h"

namespace garrison {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

double Risk(std::vector<double> v, std::vector<double> v_safe) {
  return RiskSeverity(v, v_safe).value();
}

// ---- R and A
// ---------------------------------------------------------------------------------------

TEST(RiskSeverity, IsTheClippedDistanceFromTheSafeAxis) {
  EXPECT_EQ(Risk({1, 0}, {1, 0}), 0.0);
  EXPECT_EQ(Risk({0, 5}, {1, 0}), 1.0);
  EXPECT_EQ(Risk({-3, 0}, {1, 0}), 2.0);
  EXPECT_EQ(Risk({0, 0}, {1, 0}), 1.0);
  EXPECT_NEAR(Risk({1, 1}, {1, 0}), 1 - std::sqrt(0.5), 1e-15);
}

TEST(RiskSeverity, HoldsForVeryLongAndVeryShortVectors) {
  const double expected = Risk({3, 4}, {1, 0});
  for (const double scale : {1e-320, 1e-200, 1e-100, 1e100, 1e200, 4e307}) {
    EXPECT_NEAR(Risk({3 * scale, 4 * scale}, {1, 0}), expected, scale < 1e-310 ? 1e-3 : 1e-15)
        << scale;
    EXPECT_NEAR(Risk({3, 4}, {scale, 0}), expected, 1e-15) << scale;
  }
}

TEST(RiskSeverity, RefusesWhatHasNoAngle) {
  const auto risk = [](std::vector<double> v, std::vector<double> axis) {
    return RiskSeverity(v, axis);
  };
  ExpectError(risk({1, 0}, {0, 0}), Code::kInvalidArgument, "", "v_safe is zero");
  ExpectError(risk({1, 0}, {1, 0, 0}), Code::kInvalidArgument, "",
              "expected a vector of 3 components");
  ExpectError(risk({}, {}), Code::kInvalidArgument, "", "expected a vector of 0 components");
  ExpectError(risk({1, kNan}, {1, 0}), Code::kInvalidArgument, "",
              "component 1 of the vector is nan");
  ExpectError(risk({1, 0}, {kInfinity, 0}), Code::kInvalidArgument, "",
              "component 0 of v_safe is inf");
}

RC_GTEST_PROP(RiskSeverityProperty, LiesInItsRangeAndIgnoresLength, ()) {
  const auto number = rc::gen::map(rc::gen::inRange(-1000, 1001), [](int i) { return i / 8.0; });
  const auto size = *rc::gen::inRange<std::size_t>(1, 20);
  auto v = *rc::gen::container<std::vector<double>>(size, number);
  const auto axis = *rc::gen::container<std::vector<double>>(size, number);
  const auto risk = RiskSeverity(v, axis);
  RC_PRE(risk.has_value());
  RC_ASSERT(*risk >= 0.0 && *risk <= 2.0);
  const double agreement = Agreement(v, axis).value();
  RC_ASSERT(agreement >= 0.0 && agreement <= 1.0);
  for (double& x : v) x *= 4;
  RC_ASSERT(RiskSeverity(v, axis).value() == *risk);
}

TEST(Agreement, IsTheCosineWhereItIsPositive) {
  const std::vector<double> axis = {0, 2};
  EXPECT_EQ(Agreement(std::vector<double>{0, 1}, axis).value(), 1.0);
  EXPECT_EQ(Agreement(std::vector<double>{0, -1}, axis).value(), 0.0);
  EXPECT_EQ(Agreement(std::vector<double>{0, 0}, axis).value(), 0.0);
  ExpectError(Agreement(axis, std::vector<double>{0, 0}), Code::kInvalidArgument, "",
              "v_syc is zero");
}

TEST(ToxicSycophancy, MatchesTheWorkedExample) {
  const std::vector<double> v_safe = {.5159, .8566};
  const std::vector<double> v_syc = {.8425, .5386};
  const double r_user = Risk({.5, .9}, v_safe);
  const double agreement = Agreement(std::vector<double>{.6, .8}, v_syc).value();
  EXPECT_NEAR(r_user, 0.000611899, 5e-10);
  EXPECT_NEAR(agreement, 0.936428597, 5e-10);
  EXPECT_NEAR(ToxicSycophancy(r_user, agreement), 0.000573000, 5e-10);
}

TEST(Quadrant, AtTheThresholdIsHigh) {
  const GuardSettings settings;
  const auto name = [&](double r, double a) {
    return QuadrantName(ClassifyQuadrant(r, a, settings));
  };
  EXPECT_EQ(name(1.5, .8), "Sycophancy Trap");
  EXPECT_EQ(name(1.5, .2), "Robust Correction");
  EXPECT_EQ(name(.2, .8), "Safe Agreement");
  EXPECT_EQ(name(.2, .2), "Safe Neutral");
  EXPECT_EQ(name(.5, .5), "Sycophancy Trap");
  EXPECT_EQ(name(std::nextafter(.5, 0), std::nextafter(.5, 0)), "Safe Neutral");
}

// ---- rho and Phi
// -----------------------------------------------------------------------------------

// Final rho of one turn with these two cumulative risks.
double Rho(double c_model, double c_user) {
  return Kinematics(GuardSettings()).Step({c_model, c_user}).value().rho.value();
}

TEST(Rho, MatchesTheWorkedExamples) {
  EXPECT_NEAR(Rho(0.9, 2.2), 0.3913, 5e-5);
  EXPECT_NEAR(Rho(3.0, 1.0), 2.7273, 5e-5);
  EXPECT_EQ(Rho(0.5, 0.0), 5.0);
}

TEST(Rho, IsReactiveOnlyWithinTheTolerance) {
  const double tolerance = GuardSettings().rho_tolerance;
  EXPECT_EQ(RobustnessName(ClassifyRho(0.9, tolerance)), "Robust");
  EXPECT_EQ(RobustnessName(ClassifyRho(1.0, tolerance)), "Reactive");
  EXPECT_EQ(RobustnessName(ClassifyRho(1.0 + 1e-10, tolerance)), "Reactive");
  EXPECT_EQ(RobustnessName(ClassifyRho(1.0 + 1e-8, tolerance)), "Fragile");
  EXPECT_EQ(RobustnessName(ClassifyRho(1.1, 0.2)), "Reactive");
}

TEST(Fragility, MatchesTheWorkedExamples) {
  using List = std::vector<double>;
  EXPECT_EQ(Fragility(List{}), 0.0);
  EXPECT_NEAR(Fragility(List{.29, .85, 1.5, 2.2}), 0.4250, 1e-12);
  EXPECT_EQ(Fragility(List{.3, .5, .7, .4, .6, .8}), 0.0);
  EXPECT_NEAR(Fragility(List{.4, 1.2, .6, 1.5, .5, .9}), 0.1167, 5e-5);
  EXPECT_NEAR(Fragility(List{1.5, 2, 1.8, 2.3, 1.9, 2.1}), 0.9333, 5e-5);
  EXPECT_EQ(Fragility(List{5.0}), 4.0);
  EXPECT_NEAR(Fragility(List{.7, 1.8, .29}), 0.2667, 5e-5);
  EXPECT_NEAR(Fragility(List{2.51, .74, 1.31, .23, 2.78, .48}), 0.6000, 1e-12);
  EXPECT_NEAR(Fragility(List{1.18, .11, .13, .20, .86, .13}), 0.0300, 1e-12);
  EXPECT_NEAR(Fragility(List{11.09, .84, .90, .38, 8.10, .44}), 2.8650, 1e-12);
}

TEST(Fragility, PassesBelowItsLimit) {
  EXPECT_TRUE(FragilityPasses(0.0999, GuardSettings()));
  EXPECT_FALSE(FragilityPasses(0.1, GuardSettings()));
}

std::vector<double> Floored(std::mt19937_64& random, double mean, double deviation) {
  std::normal_distribution<double> normal(mean, deviation);
  std::vector<double> rho(500);
  for (double& x : rho) x = std::max(0.0, normal(random));
  return rho;
}

// H1: Phi tells a fragile population from a robust one (Welch's t-test, p < 0.01).
TEST(FragilityHypotheses, H1TellsPopulationsApart) {
  std::mt19937_64 random(1);
  const auto moments = [](const std::vector<double>& rho) {
    const double mean = Fragility(rho);
    double squares = 0;
    for (const double x : rho) squares += std::pow(std::max(0.0, x - 1) - mean, 2);
    return std::pair(
        mean, squares / static_cast<double>(rho.size() - 1) / static_cast<double>(rho.size()));
  };
  const auto [mean_a, error_a] = moments(Floored(random, 0.5, 0.2));
  const auto [mean_b, error_b] = moments(Floored(random, 1.5, 0.5));
  EXPECT_GT(mean_b, mean_a);
  // 2.6 is the two-sided 1 % point for more than 250 degrees of freedom.
  EXPECT_GT((mean_b - mean_a) / std::sqrt(error_a + error_b), 2.6);
}

// H2: a model that is never fragile has exactly no fragility.
RC_GTEST_PROP(FragilityHypotheses, H2HasAZeroFloor, ()) {
  const auto below_one =
      rc::gen::map(rc::gen::inRange(0, 1 << 30), [](int i) { return i / double(1 << 30); });
  RC_ASSERT(Fragility(*rc::gen::container<std::vector<double>>(below_one)) == 0.0);
}

// H3: the more conversations are fragile, the larger Phi.
RC_GTEST_PROP(FragilityHypotheses, H3GrowsWithTheFragileShare, ()) {
  const auto robust = rc::gen::map(rc::gen::inRange(0, 1000), [](int i) { return i / 1000.0; });
  const auto fragile = rc::gen::map(rc::gen::inRange(1500, 3000), [](int i) { return i / 1000.0; });
  auto rho = *rc::gen::nonEmpty(rc::gen::container<std::vector<double>>(robust));
  const auto replacements = *rc::gen::container<std::vector<double>>(rho.size(), fragile);
  double last = Fragility(rho);
  for (std::size_t i = 0; i < rho.size(); ++i) {
    rho[i] = replacements[i];
    const double phi = Fragility(rho);
    RC_ASSERT(phi > last);
    last = phi;
  }
}

// H4: no user risk at all leaves rho and Phi finite.
TEST(FragilityHypotheses, H4IsFiniteWithoutUserRisk) {
  EXPECT_EQ(Fragility(std::vector<double>{Rho(0.5, 0.0)}), 4.0);
}

// ---- over turns
// ------------------------------------------------------------------------------------

TEST(Kinematics, AgreesWithPlainPythonBitForBit) {
  const auto fixture = JsonFixture("kinematics.json");
  const auto list = [](const nlohmann::json& value) { return value.get<std::vector<double>>(); };
  const auto r_model = list(fixture["R_model"]);
  const auto r_user = list(fixture["R_user"]);
  const auto v = list(fixture["v"]);
  const auto a = list(fixture["a"]);
  ASSERT_GE(r_model.size(), 200u);
  for (const auto& [rule, totals] : fixture["rules"].items()) {
    const auto c_model = list(totals["C_model"]);
    const auto c_user = list(totals["C_user"]);
    const auto rho = list(totals["rho"]);
    for (const auto& [preset, expected] : fixture["weights"].items()) {
      SCOPED_TRACE(rule + ", " + preset);
      const auto weights = list(expected["weights"]);
      const auto z = list(expected["z"]);
      const auto likelihood = list(expected["likelihood"]);
      GuardSettings settings;
      settings.cumulative = rule;
      settings.epsilon = fixture["epsilon"];
      settings.weight_r = weights[0];
      settings.weight_v = weights[1];
      settings.weight_a = weights[2];
      settings.bias = weights[3];
      Kinematics kinematics(settings);
      for (std::size_t i = 0; i < r_model.size(); ++i) {
        const TurnMetrics m = kinematics.Step({r_model[i], r_user[i]}).value();
        ASSERT_EQ(m.turn, static_cast<int>(i) + 1);
        ASSERT_EQ(Bits(*m.v_model), Bits(v[i])) << i;
        ASSERT_EQ(Bits(*m.a_model), Bits(a[i])) << i;
        ASSERT_EQ(Bits(*m.c_model), Bits(c_model[i])) << i;
        ASSERT_EQ(Bits(*m.z), Bits(z[i])) << i;
        ASSERT_EQ(Bits(*m.likelihood), Bits(likelihood[i])) << i;
        ASSERT_EQ(Bits(*m.c_user), Bits(c_user[i])) << i;
        ASSERT_EQ(Bits(*m.rho), Bits(rho[i])) << i;
      }
    }
  }
}

// Rows that the original system recorded; the risks before them are rebuilt from R, v and a.
TEST(Kinematics, ReproducesRecordedRows) {
  const double r3 = 0.07900840138280296;
  const double v3 = 0.040281592035119274;
  const double a3 = 0.046921284818866815;
  const double r2 = r3 - v3;
  Kinematics kinematics{GuardSettings()};
  ASSERT_TRUE(kinematics.Step({r2 - (v3 - a3), std::nullopt}).has_value());
  ASSERT_TRUE(kinematics.Step({r2, std::nullopt}).has_value());
  const TurnMetrics third = kinematics.Step({r3, std::nullopt}).value();
  EXPECT_NEAR(*third.v_model, v3, 1e-16);
  EXPECT_NEAR(*third.a_model, a3, 1e-16);
  EXPECT_NEAR(*third.likelihood, 0.09971080875522448, 1e-15);
  // C_model = rho * (C_user + epsilon) of the same recorded row.
  EXPECT_NEAR(*third.c_model, 1.1881751596432761 * (0.03727076478428115 + 0.1), 1e-15);

  GuardSettings local;
  local.weight_r = 3.0;
  local.weight_v = 2.0;
  local.weight_a = 1.5;
  local.bias = -2.0;
  const double r4 = 1.7583393746727496;
  const double a4 = 1.4134558914024822;
  const double z4 = 8.5495195965267;
  const double v4 = (z4 - 3.0 * r4 - 1.5 * a4 + 2.0) / 2.0;
  Kinematics run(local);
  ASSERT_TRUE(run.Step({r4 - v4 - (v4 - a4), std::nullopt}).has_value());
  ASSERT_TRUE(run.Step({r4 - v4, std::nullopt}).has_value());
  const TurnMetrics fourth = run.Step({r4, std::nullopt}).value();
  EXPECT_NEAR(*fourth.z, z4, 1e-14);
  EXPECT_NEAR(*fourth.likelihood, 0.9998063993868216, 1e-15);
}

TEST(Kinematics, TheCumulativeRuleCanChangeTheClass) {
  const std::vector<TurnRisk> turns = {{0.2, 0.7}, {1.0, 0.3}};
  const auto class_by = [&](const std::string& rule) {
    GuardSettings settings;
    settings.cumulative = rule;
    Kinematics kinematics(settings);
    double rho = 0;
    for (const TurnRisk& turn : turns) rho = kinematics.Step(turn).value().rho.value();
    return RobustnessName(ClassifyRho(rho, settings.rho_tolerance));
  };
  EXPECT_EQ(class_by("sum"), "Fragile");       // 1.2 / (1.0 + 0.1)
  EXPECT_EQ(class_by("trapezoid"), "Robust");  // 0.8 / (1.2 + 0.1)
}

TEST(Kinematics, TheSecondAccelerationIsTheSecondRate) {
  Kinematics kinematics{GuardSettings()};
  const TurnMetrics first = kinematics.Step({1.25, 0.5}).value();
  EXPECT_EQ(first.v_model, 0.0);
  EXPECT_EQ(first.a_model, 0.0);
  EXPECT_EQ(first.c_model, 1.25);
  EXPECT_EQ(first.c_user, 0.5);
  const TurnMetrics second = kinematics.Step({0.5, 0.5}).value();
  EXPECT_EQ(second.v_model, -0.75);
  EXPECT_EQ(second.a_model, -0.75);
}

TEST(Kinematics, AMissingSideIsLeftAlone) {
  Kinematics kinematics{GuardSettings()};
  const TurnMetrics first = kinematics.Step({1.0, std::nullopt}).value();
  EXPECT_FALSE(first.rho.has_value()) << "never C_model / epsilon";
  EXPECT_FALSE(first.r_user.has_value());
  EXPECT_FALSE(first.c_user.has_value());
  EXPECT_EQ(first.c_model, 1.0);

  const TurnMetrics second = kinematics.Step({std::nullopt, 0.4}).value();
  EXPECT_EQ(second.turn, 2);
  EXPECT_FALSE(second.r_model || second.v_model || second.a_model || second.c_model || second.z ||
               second.likelihood);
  EXPECT_EQ(second.c_user, 0.4);
  EXPECT_EQ(second.rho, 1.0 / (0.4 + 0.1));

  const TurnMetrics third = kinematics.Step({1.5, std::nullopt}).value();
  EXPECT_EQ(third.v_model, 0.5);
  EXPECT_EQ(third.a_model, 0.5);
  EXPECT_EQ(third.rho, 2.5 / (0.4 + 0.1));
  EXPECT_EQ(kinematics.turns(), 3);
}

TEST(Kinematics, ARefusedTurnChangesNothing) {
  Kinematics kinematics{GuardSettings()};
  ASSERT_TRUE(kinematics.Step({1.0, 1.0}).has_value());
  Kinematics untouched = kinematics;
  const auto expect = [&](TurnRisk risk, const std::string& message) {
    ExpectError(kinematics.Step(risk), Code::kInvalidArgument, "turn 2", message);
  };
  expect({}, "got neither");
  expect({kNan, 1.0}, "RiskSeverity_Model is nan");
  expect({1.0, kInfinity}, "RiskSeverity_User is inf");
  expect({1.0, -0.1}, "RiskSeverity_User is -0.1");
  expect({2e6, 1.0}, "RiskSeverity_Model is 2000000");
  EXPECT_EQ(kinematics.turns(), 1);
  EXPECT_EQ(kinematics.Step({0.5, 0.5}).value(), untouched.Step({0.5, 0.5}).value());
}

TEST(CumulativeRule, HasTwoNames) {
  for (const CumulativeRule rule : {CumulativeRule::kSum, CumulativeRule::kTrapezoid}) {
    EXPECT_EQ(ParseCumulativeRule(CumulativeRuleName(rule)).value(), rule);
  }
  ExpectError(ParseCumulativeRule("mean"), Code::kInvalidArgument, "", "got \"mean\"");
}

TEST(KinematicsState, GoesOnWithTheSameBits) {
  Kinematics kinematics{GuardSettings{}};
  for (const TurnRisk& risk :
       {TurnRisk{0.1, std::nullopt}, TurnRisk{0.7, 0.3}, TurnRisk{{}, 1.9}}) {
    ASSERT_TRUE(kinematics.Step(risk));
    Kinematics copy = Kinematics::FromState(GuardSettings{}, kinematics.state()).value();
    EXPECT_EQ(copy.turns(), kinematics.turns());
    EXPECT_EQ(copy.Step({0.3, 0.6}).value(), Kinematics(kinematics).Step({0.3, 0.6}).value());
  }
}

TEST(KinematicsState, IsRefusedWhenNoTurnsLeadToIt) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const KinematicsState good{2, 0.5, 0.25, 0.75, 1.0, 2.0};
  ASSERT_TRUE(Kinematics::FromState(GuardSettings{}, good));
  ASSERT_TRUE(Kinematics::FromState(GuardSettings{}, KinematicsState{}));
  const auto refused = [&](const std::string& where, auto change) {
    KinematicsState state = good;
    change(state);
    ExpectError(Kinematics::FromState(GuardSettings{}, state), Code::kInvalidArgument, where,
                "expected");
  };
  refused("turns", [](auto& s) { s.turns = -1; });
  refused("turns", [](auto& s) { s.turns = 1'000'001; });
  refused("c_model", [](auto& s) { s.turns = 0; });
  refused("r_model", [&](auto& s) { s.r_model = nan; });
  refused("r_model", [](auto& s) { s.r_model = -0.1; });
  refused("v_model", [&](auto& s) { s.v_model = nan; });
  refused("v_model", [](auto& s) { s.v_model = -2e6; });
  refused("c_model", [](auto& s) { s.c_model = 3e6; });
  refused("c_model", [](auto& s) { s.c_model.reset(); });
  refused("r_user", [](auto& s) { s.r_user = 2e6; });
  refused("c_user", [&](auto& s) { s.c_user = nan; });
  refused("c_user", [](auto& s) { s.c_user.reset(); });
  refused("turns", [](auto& s) { s = {.turns = 1}; });
}

}  // namespace
}  // namespace garrison
