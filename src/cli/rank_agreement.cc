#include "cli/rank_agreement.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <numeric>

namespace garrison {
namespace {

constexpr std::size_t kNeighbours = 10;

std::vector<double> Ranks(std::span<const double> values) {
  std::vector<std::size_t> order(values.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(),
            [&](std::size_t a, std::size_t b) { return values[a] < values[b]; });
  std::vector<double> ranks(values.size());
  for (std::size_t first = 0; first < order.size();) {
    std::size_t last = first;
    while (last + 1 < order.size() && values[order[last + 1]] == values[order[first]]) ++last;
    for (std::size_t i = first; i <= last; ++i) {
      ranks[order[i]] = static_cast<double>(first + last) / 2;
    }
    first = last + 1;
  }
  return ranks;
}

double Dot(std::span<const float> a, std::span<const float> b) {
  double dot = 0;
  for (std::size_t i = 0; i < a.size(); ++i) dot += double{a[i]} * double{b[i]};
  return dot;
}

// Equal cosines are ordered by the row's number, in both runs.
std::vector<std::size_t> Neighbours(std::span<const double> cosines, std::size_t self,
                                    std::size_t count) {
  std::vector<std::size_t> others;
  for (std::size_t i = 0; i < cosines.size(); ++i) {
    if (i != self) others.push_back(i);
  }
  const auto end = others.begin() + static_cast<std::ptrdiff_t>(count);
  std::partial_sort(others.begin(), end, others.end(), [&](std::size_t a, std::size_t b) {
    return cosines[a] != cosines[b] ? cosines[a] > cosines[b] : a < b;
  });
  others.resize(count);
  std::sort(others.begin(), others.end());
  return others;
}

// The cosines of row i with the first `count` rows.
std::vector<double> CosinesOf(const Rows& rows, std::size_t i, std::size_t count) {
  std::vector<double> cosines(count);
  for (std::size_t j = 0; j < count; ++j) cosines[j] = Dot(rows.row(i), rows.row(j));
  return cosines;
}

}  // namespace

double Spearman(std::span<const double> a, std::span<const double> b) {
  const std::vector<double> rank_a = Ranks(a), rank_b = Ranks(b);
  const double mean = (static_cast<double>(a.size()) - 1) / 2;
  double both = 0, square_a = 0, square_b = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    both += (rank_a[i] - mean) * (rank_b[i] - mean);
    square_a += (rank_a[i] - mean) * (rank_a[i] - mean);
    square_b += (rank_b[i] - mean) * (rank_b[i] - mean);
  }
  if (square_a == 0 || square_b == 0) return square_a == square_b ? 1 : 0;
  return both / std::sqrt(square_a * square_b);
}

RankAgreement CompareRanks(const Rows& a, const Rows& b, std::size_t pair_rows) {
  RankAgreement agreement;
  const std::size_t rows = std::min(a.size(), pair_rows);
  const std::size_t neighbours = std::min(kNeighbours, rows - 1);
  std::vector<double> pairs_a, pairs_b;
  std::size_t same = 0;
  for (std::size_t i = 0; i < rows; ++i) {
    const std::vector<double> near_to_a = CosinesOf(a, i, rows), near_to_b = CosinesOf(b, i, rows);
    const auto until = static_cast<std::ptrdiff_t>(i);
    pairs_a.insert(pairs_a.end(), near_to_a.begin(), near_to_a.begin() + until);
    pairs_b.insert(pairs_b.end(), near_to_b.begin(), near_to_b.begin() + until);
    const std::vector<std::size_t> near_a = Neighbours(near_to_a, i, neighbours);
    const std::vector<std::size_t> near_b = Neighbours(near_to_b, i, neighbours);
    std::vector<std::size_t> shared;
    std::set_intersection(near_a.begin(), near_a.end(), near_b.begin(), near_b.end(),
                          std::back_inserter(shared));
    same += shared.size();
  }
  agreement.spearman = Spearman(pairs_a, pairs_b);
  agreement.knn_overlap =
      neighbours == 0 ? 1 : static_cast<double>(same) / static_cast<double>(rows * neighbours);
  return agreement;
}

VectorAgreement CompareVectors(const Rows& reference, const Rows& other, std::size_t pair_rows) {
  VectorAgreement agreement;
  static_cast<RankAgreement&>(agreement) = CompareRanks(reference, other, pair_rows);
  std::vector<double> cosines;
  for (std::size_t i = 0; i < reference.size(); ++i) {
    cosines.push_back(std::clamp(Dot(reference.row(i), other.row(i)), -1.0, 1.0));
  }
  std::sort(cosines.begin(), cosines.end());
  agreement.cosine_min = cosines.front();
  agreement.cosine_p1 = cosines[cosines.size() / 100];
  agreement.cosine_mean =
      std::accumulate(cosines.begin(), cosines.end(), 0.0) / static_cast<double>(cosines.size());
  return agreement;
}

}  // namespace garrison
