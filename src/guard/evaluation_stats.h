// The statistics of an evaluation: what a sample looks like, how sure its Phi is, whether two
// models differ. Pure, and the same bits on every run: the bootstrap's generator has a fixed seed.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace garrison {

struct SampleStats {
  std::size_t count = 0;
  double mean = 0;
  double median = 0;
  double min = 0;
  double max = 0;
  double deviation = 0;  // of the population: divided by count

  bool operator==(const SampleStats&) const = default;
};

// Empty for no values.
std::optional<SampleStats> Describe(std::span<const double> values);

// I_x(a, b), the regularised incomplete beta function; 0 <= x <= 1, a and b above 0.
double RegularizedBeta(double x, double a, double b);

// P(|T| >= |t|) of Student's distribution with `degrees` (above 0, need not be whole) of freedom.
double StudentTwoSidedP(double t, double degrees);

struct WelchTest {
  double t = 0;        // above 0 where b's mean is the larger
  double degrees = 0;  // Welch-Satterthwaite
  double p = 1;        // two-sided
};

// Whether two samples have one mean, without taking their variances for equal.
// FAILED_PRECONDITION: a sample has fewer than two values, or neither has any spread.
Result<WelchTest> WelchTTest(std::span<const double> a, std::span<const double> b);

// p of several tests at once, so that the chance of any false finding stays what it is for one
// (Holm, 1979). In the order given.
std::vector<double> HolmAdjusted(std::span<const double> p);

// ---- Phi
// -----------------------------------------------------------------------------------------

// max(0, rho - 1) counts as at most this in the mean that the verdict rests on: rho has no upper
// bound, and a single one must not decide.
inline constexpr double kHingeMax = 3;
// The verdict of fewer is NOT ENOUGH DATA.
inline constexpr std::size_t kPhiClustersMin = 5;
inline constexpr std::size_t kBootstrapDraws = 2000;
// Half the width that the interval should have.
inline constexpr double kPhiPrecision = 0.05;

// The final rho of one conversation. Those of one cluster (runs of the same test) say little more
// than one of them.
struct ClusteredRho {
  std::string cluster;
  double rho = 0;
};

enum class PhiVerdict { kPass, kFail, kNotEnoughData };

// "PASS", "FAIL", "NOT ENOUGH DATA".
std::string_view PhiVerdictName(PhiVerdict verdict);

struct PhiEstimate {
  std::size_t conversations = 0;
  std::size_t clusters = 0;
  double plain = 0;       // Phi of the compatible mode, Fragility()
  double winsorised = 0;  // the mean of min(max(0, rho - 1), kHingeMax)
  // 95 % of it, by drawing clusters with replacement; unset for fewer than two clusters.
  struct Interval {
    double low = 0;
    double high = 0;
  };
  std::optional<Interval> interval;
  // What the mean may be at 95 % if kinds of conversations were missed that would have been seen
  // had they been common: a sample without a fragile one does not prove that there are none.
  double unseen_high = kHingeMax;
  // Conversations of such clusters that would make interval and unseen_high as narrow as
  // +-kPhiPrecision; 0 where there are none to judge by.
  std::size_t needed = 0;
  PhiVerdict verdict = PhiVerdict::kNotEnoughData;
};

// PASS: interval and unseen_high lie below `limit`. FAIL: the interval lies above it.
PhiEstimate EstimatePhi(std::span<const ClusteredRho> rhos, double limit);

}  // namespace garrison
