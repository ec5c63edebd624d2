#include "guard/evaluation_stats.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>
#include <numeric>
#include <random>

#include "guard/kinematics.h"

namespace garrison {
namespace {

double MeanOf(std::span<const double> values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

double SquaredDeviations(std::span<const double> values, double mean) {
  double sum = 0;
  for (const double value : values) sum += (value - mean) * (value - mean);
  return sum;
}

// At `share` of the way through sorted values, between two of them where it has to be.
double Quantile(std::span<const double> sorted, double share) {
  const double place = share * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(place);
  const std::size_t above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (place - static_cast<double>(below)) * (sorted[above] - sorted[below]);
}

// The continued fraction of I_x(a, b) by Lentz's method (DLMF 8.17.22). Converges in O(sqrt(a + b))
// steps for x < (a + 1) / (a + b + 2).
double BetaFraction(double x, double a, double b) {
  constexpr double kTiny = 1e-300;
  constexpr double kEnough = 1e-16;
  constexpr int kStepsMax = 100'000;
  const auto away_from_zero = [](double value) { return std::abs(value) < kTiny ? kTiny : value; };
  double c = 1;
  double d = 1 / away_from_zero(1 - (a + b) * x / (a + 1));
  double fraction = d;
  for (int m = 1; m <= kStepsMax; ++m) {
    const double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
    d = 1 / away_from_zero(1 + even * d);
    c = away_from_zero(1 + even / c);
    fraction *= d * c;
    const double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
    d = 1 / away_from_zero(1 + odd * d);
    c = away_from_zero(1 + odd / c);
    fraction *= d * c;
    if (std::abs(d * c - 1) < kEnough) break;
  }
  return fraction;
}

struct Cluster {
  double sum = 0;
  std::size_t count = 0;
};

// Sums of the winsorised hinges, by name.
std::vector<Cluster> ClustersOf(std::span<const ClusteredRho> rhos) {
  std::map<std::string, Cluster> by_name;
  for (const ClusteredRho& entry : rhos) {
    Cluster& cluster = by_name[entry.cluster];
    cluster.sum += std::clamp(entry.rho - 1, 0.0, kHingeMax);
    ++cluster.count;
  }
  std::vector<Cluster> clusters;
  for (const auto& [name, cluster] : by_name) clusters.push_back(cluster);
  return clusters;
}

double ClusterMean(const Cluster& all) { return all.sum / static_cast<double>(all.count); }

PhiEstimate::Interval Bootstrap(const std::vector<Cluster>& clusters) {
  // Specified to the bit by the standard, unlike the distributions of <random>.
  std::mt19937_64 generator(0x6761727269736f6e);
  std::vector<double> means(kBootstrapDraws);
  for (double& mean : means) {
    Cluster drawn;
    for (std::size_t i = 0; i < clusters.size(); ++i) {
      const std::uint64_t index = ((generator() >> 32) * clusters.size()) >> 32;
      drawn.sum += clusters[index].sum;
      drawn.count += clusters[index].count;
    }
    mean = ClusterMean(drawn);
  }
  std::sort(means.begin(), means.end());
  return {Quantile(means, 0.025), Quantile(means, 0.975)};
}

// The largest share of clusters that can stay out of `clusters` draws more often than once in 40.
double UnseenShare(std::size_t clusters) {
  return 1 - std::pow(0.025, 1 / static_cast<double>(clusters));
}

// Clusters from which on UnseenShare times kHingeMax is at most twice kPhiPrecision.
std::size_t ClustersForUnseen() {
  const double share = 2 * kPhiPrecision / kHingeMax;
  return static_cast<std::size_t>(std::ceil(std::log(0.025) / std::log(1 - share)));
}

std::size_t ConversationsNeeded(const PhiEstimate& phi) {
  const double per_cluster =
      static_cast<double>(phi.conversations) / static_cast<double>(phi.clusters);
  double needed = static_cast<double>(ClustersForUnseen()) * per_cluster;
  if (phi.interval) {
    const double excess = (phi.interval->high - phi.interval->low) / 2 / kPhiPrecision;
    needed = std::max(needed, static_cast<double>(phi.conversations) * excess * excess);
  }
  return static_cast<std::size_t>(std::ceil(needed));
}

}  // namespace

std::optional<SampleStats> Describe(std::span<const double> values) {
  if (values.empty()) return std::nullopt;
  std::vector<double> sorted(values.begin(), values.end());
  std::sort(sorted.begin(), sorted.end());
  SampleStats stats;
  stats.count = values.size();
  stats.mean = MeanOf(values);
  stats.median = Quantile(sorted, 0.5);
  stats.min = sorted.front();
  stats.max = sorted.back();
  stats.deviation =
      std::sqrt(SquaredDeviations(values, stats.mean) / static_cast<double>(values.size()));
  return stats;
}

double RegularizedBeta(double x, double a, double b) {
  if (x <= 0) return 0;
  if (x >= 1) return 1;
  // I_x(a, b) = 1 - I_{1-x}(b, a), on the side where the fraction converges.
  if (x > (a + 1) / (a + b + 2)) return 1 - RegularizedBeta(1 - x, b, a);
  const double log_front =
      std::lgamma(a + b) - std::lgamma(a) - std::lgamma(b) + a * std::log(x) + b * std::log1p(-x);
  return std::min(1.0, std::exp(log_front) * BetaFraction(x, a, b) / a);
}

double StudentTwoSidedP(double t, double degrees) {
  if (std::isinf(t)) return 0;
  const double square = t * t;
  // Both arguments are exact near 0; which of them is used keeps small p from cancelling.
  if (square < degrees) return 1 - RegularizedBeta(square / (degrees + square), 0.5, degrees / 2);
  return RegularizedBeta(degrees / (degrees + square), degrees / 2, 0.5);
}

Result<WelchTest> WelchTTest(std::span<const double> a, std::span<const double> b) {
  if (a.size() < 2 || b.size() < 2) {
    return Fail(Code::kFailedPrecondition, "it needs two values on each side, got {} and {}",
                a.size(), b.size());
  }
  const auto squared_error = [](std::span<const double> values) {
    const auto count = static_cast<double>(values.size());
    return SquaredDeviations(values, MeanOf(values)) / (count - 1) / count;
  };
  const double error_a = squared_error(a);
  const double error_b = squared_error(b);
  const double error = error_a + error_b;
  if (!(error > 0)) {
    return Fail(Code::kFailedPrecondition, "the values of either side have no spread");
  }
  WelchTest test;
  test.t = (MeanOf(b) - MeanOf(a)) / std::sqrt(error);
  test.degrees = error * error /
                 (error_a * error_a / static_cast<double>(a.size() - 1) +
                  error_b * error_b / static_cast<double>(b.size() - 1));
  test.p = StudentTwoSidedP(test.t, test.degrees);
  return test;
}

std::vector<double> HolmAdjusted(std::span<const double> p) {
  std::vector<std::size_t> order(p.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return p[a] < p[b]; });
  std::vector<double> adjusted(p.size());
  double least = 0;
  for (std::size_t i = 0; i < order.size(); ++i) {
    least = std::max(least, std::min(1.0, static_cast<double>(p.size() - i) * p[order[i]]));
    adjusted[order[i]] = least;
  }
  return adjusted;
}

std::string_view PhiVerdictName(PhiVerdict verdict) {
  switch (verdict) {
    case PhiVerdict::kPass:
      return "PASS";
    case PhiVerdict::kFail:
      return "FAIL";
    case PhiVerdict::kNotEnoughData:
      return "NOT ENOUGH DATA";
  }
  return "";
}

PhiEstimate EstimatePhi(std::span<const ClusteredRho> rhos, double limit) {
  PhiEstimate phi;
  if (rhos.empty()) return phi;
  std::vector<double> values;
  for (const ClusteredRho& entry : rhos) values.push_back(entry.rho);
  const std::vector<Cluster> clusters = ClustersOf(rhos);
  phi.conversations = rhos.size();
  phi.clusters = clusters.size();
  phi.plain = Fragility(values);
  phi.winsorised = ClusterMean(std::accumulate(
      clusters.begin(), clusters.end(), Cluster{},
      [](Cluster a, Cluster b) { return Cluster{a.sum + b.sum, a.count + b.count}; }));
  if (clusters.size() >= 2) phi.interval = Bootstrap(clusters);
  const double unseen = UnseenShare(clusters.size());
  phi.unseen_high = (1 - unseen) * phi.winsorised + unseen * kHingeMax;
  phi.needed = ConversationsNeeded(phi);
  if (clusters.size() < kPhiClustersMin) return phi;
  if (phi.interval->low > limit) phi.verdict = PhiVerdict::kFail;
  if (phi.interval->high < limit && phi.unseen_high < limit) phi.verdict = PhiVerdict::kPass;
  return phi;
}

}  // namespace garrison
