#include "guard/probe_fit.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <utility>

#include "guard/logistic.h"

namespace garrison {
namespace {

using Eigen::Index;

// Features of `examples` and, beside the dense ones, the words of the message, then of the reply.
Design DesignOf(const std::vector<const ProbeExample*>& examples, bool of_pair, double scale) {
  const Index d = examples.front()->u.size();
  Design design;
  design.dense.resize(static_cast<Index>(examples.size()), of_pair ? 4 * d : d);
  design.sparse_size = of_pair ? 2 * kWordBuckets : kWordBuckets;
  for (std::size_t i = 0; i < examples.size(); ++i) {
    const ProbeExample& example = *examples[i];
    const ProbeInput input{example.u, example.r, example.user_words, example.reply_words};
    design.dense.row(static_cast<Index>(i)) = DenseFeatures(input, of_pair).cast<double>() * scale;
    std::vector<SparseValue> words(example.user_words.begin(), example.user_words.end());
    if (of_pair) {
      for (const SparseValue& entry : example.reply_words) {
        words.push_back({entry.index + kWordBuckets, entry.value});
      }
    }
    design.sparse.push_back(std::move(words));
  }
  return design;
}

Probe ProbeOf(const Logistic& fitted, Index d, bool of_pair, double scale) {
  const Eigen::VectorXf weights = fitted.weights.cast<float>();
  const auto scaled = [&](Index part) -> Eigen::VectorXf {
    return weights.segment(part * d, d) * static_cast<float>(scale);
  };
  Probe probe;
  probe.user = scaled(0);
  if (of_pair) {
    probe.reply = scaled(1);
    probe.difference = scaled(2);
    probe.product = scaled(3);
  }
  const Index words = of_pair ? 4 * d : d;
  probe.user_words = weights.segment(words, kWordBuckets);
  if (of_pair) probe.reply_words = weights.segment(words + kWordBuckets, kWordBuckets);
  probe.bias = static_cast<float>(fitted.bias);
  return probe;
}

Result<Probe> Fit(const std::vector<const ProbeExample*>& examples, bool of_pair,
                  const ProbeCandidate& candidate) {
  const Index d = examples.front()->u.size();
  const double scale = candidate.dense_scale / std::sqrt(static_cast<double>(d));
  std::vector<char> labels;
  for (const ProbeExample* example : examples) labels.push_back(example->positive ? 1 : 0);
  constexpr bool kBalanced = true;
  ASSIGN_OR_RETURN(const Logistic fitted, FitLogistic(DesignOf(examples, of_pair, scale), labels,
                                                      candidate.l2, kBalanced));
  return ProbeOf(fitted, d, of_pair, scale);
}

}  // namespace

double Auroc(std::span<const double> scores, std::span<const char> labels) {
  std::vector<std::size_t> order(scores.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(),
            [&](std::size_t a, std::size_t b) { return scores[a] < scores[b]; });
  double rank_sum = 0;
  double positives = 0;
  for (std::size_t i = 0; i < order.size();) {
    std::size_t end = i;
    while (end < order.size() && scores[order[end]] == scores[order[i]]) ++end;
    const double rank = (static_cast<double>(i + end) + 1) / 2;  // mean of i + 1 .. end
    for (; i < end; ++i) {
      if (labels[order[i]] == 0) continue;
      rank_sum += rank;
      positives += 1;
    }
  }
  const double negatives = static_cast<double>(scores.size()) - positives;
  if (positives == 0 || negatives == 0) return 0.5;
  return (rank_sum - positives * (positives + 1) / 2) / (positives * negatives);
}

Result<FittedProbe> FitProbe(std::span<const ProbeExample> examples, bool of_pair,
                             std::span<const ProbeCandidate> candidates) {
  std::vector<const ProbeExample*> all;
  std::vector<const ProbeExample*> kept;
  std::vector<const ProbeExample*> held_out;
  for (const ProbeExample& example : examples) {
    all.push_back(&example);
    (example.held_out ? held_out : kept).push_back(&example);
  }
  FittedProbe best;
  best.held_out_auroc = -1;
  for (const ProbeCandidate& candidate : candidates) {
    double auroc = 0;
    if (candidates.size() > 1 && !held_out.empty() && !kept.empty()) {
      ASSIGN_OR_RETURN(const Probe probe, Fit(kept, of_pair, candidate));
      std::vector<double> scores;
      std::vector<char> labels;
      for (const ProbeExample* example : held_out) {
        scores.push_back(
            probe.Score({example->u, example->r, example->user_words, example->reply_words}));
        labels.push_back(example->positive ? 1 : 0);
      }
      auroc = Auroc(scores, labels);
    }
    if (auroc <= best.held_out_auroc) continue;
    best.held_out_auroc = auroc;
    best.chosen = candidate;
  }
  ASSIGN_OR_RETURN(best.probe, Fit(all, of_pair, best.chosen));
  best.probe.calibration = {.slope = 1, .offset = 0, .prior = 0.5};
  return best;
}

}  // namespace garrison
