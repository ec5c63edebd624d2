// How well two runs of a model, or two models, agree. Pure.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace garrison {

// Spearman's rank correlation, equal values sharing their mean rank. 1 when both are constant, 0
// when only one is. The sequences are of one length.
double Spearman(std::span<const double> a, std::span<const double> b);

// Vectors of one length, row-major; rows have length 1.
struct Rows {
  std::span<const float> values;
  std::size_t dimension = 0;

  std::size_t size() const { return values.size() / dimension; }
  std::span<const float> row(std::size_t i) const {
    return values.subspan(i * dimension, dimension);
  }
};

// Of two spaces, which need not have the same dimension.
struct RankAgreement {
  // Of the cosines of all pairs of rows.
  double spearman = 0;
  // Mean share of the 10 nearest neighbours of a row that are the same. All rows if there are no
  // more than 10 others.
  double knn_overlap = 0;
};

struct VectorAgreement : RankAgreement {
  // Over the cosines of each row with its counterpart; p1: one in a hundred is below.
  double cosine_min = 0;
  double cosine_p1 = 0;
  double cosine_mean = 0;
};

// Both have the same number of rows, at least one. Looks at the first `pair_rows` rows only: it
// costs the square of that.
RankAgreement CompareRanks(const Rows& a, const Rows& b, std::size_t pair_rows);

// Both have the same shape and at least one row. Pairs and neighbours look at the first `pair_rows`
// rows only: they cost the square of that.
VectorAgreement CompareVectors(const Rows& reference, const Rows& other, std::size_t pair_rows);

}  // namespace garrison
