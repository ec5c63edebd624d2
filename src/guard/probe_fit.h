// Fits one probe of the measured mode to labelled turns.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "guard/measured_model.h"

namespace garrison {

// One labelled turn: whole messages, whitened. Vectors and words must outlive it.
struct ProbeExample {
  Eigen::Ref<const Eigen::RowVectorXf> u;
  Eigen::Ref<const Eigen::RowVectorXf> r;
  std::span<const SparseValue> user_words;
  std::span<const SparseValue> reply_words;
  bool positive = false;
  bool held_out = false;  // chooses among the candidates, before the last fit with all
};

struct ProbeCandidate {
  double l2 = 0;
  double dense_scale = 0;  // of the vectors beside the words, in units of 1/sqrt(d)
};

struct FittedProbe {
  Probe probe;  // its calibration is that of a raw score: log-odds = score
  ProbeCandidate chosen;
  double held_out_auroc = 0;
};

// Each candidate is fitted without the held-out examples and judged by its AUROC on them; the best,
// the first of equals, is fitted again with all. Errors of FitLogistic.
Result<FittedProbe> FitProbe(std::span<const ProbeExample> examples, bool of_pair,
                             std::span<const ProbeCandidate> candidates);

// The share of pairs of one positive and one other in which the positive scores higher; ties count
// half. 0.5 if a class is missing.
double Auroc(std::span<const double> scores, std::span<const char> labels);

}  // namespace garrison
