#include "guard/probe_fit.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <iterator>
#include <numeric>
#include <thread>
#include <utility>

#include "guard/logistic.h"

namespace garrison {
namespace {

using Eigen::Index;

using Rows = std::vector<std::size_t>;  // of examples, by their index

// Examples of one kind of probe, from which designs and probes are made.
class ProbeFitter {
 public:
  ProbeFitter(std::span<const ProbeExample> examples, bool of_pair, const Whitening& whitening)
      : examples_(examples), of_pair_(of_pair), whitening_(whitening) {}

  // To be called before candidates of this representation are fitted.
  void Represent(Representation representation);
  Result<Probe> Fit(const Rows& rows, const ProbeCandidate& candidate) const;
  // Unset: a class is missing among the rows to fit with, or among those to judge by.
  Result<std::optional<HeldOut>> Judge(std::size_t fold, const ProbeCandidate& candidate) const;
  // The mean over the folds that could be judged.
  Result<std::optional<HeldOut>> Judge(const ProbeCandidate& candidate) const;

 private:
  Eigen::Index dimension() const { return whitening_.mean.size(); }
  double Scale(const ProbeCandidate& candidate) const {
    return candidate.dense_scale / std::sqrt(static_cast<double>(dimension()));
  }
  Design DesignOf(const Rows& rows, double scale) const;
  std::vector<char> Labels(const Rows& rows) const;
  Probe ProbeOf(const Logistic& fitted, const ProbeCandidate& candidate) const;

  const std::span<const ProbeExample> examples_;
  const bool of_pair_;
  const Whitening& whitening_;
  RowMatrixF dense_;  // [examples, d or 4 d], before the candidate's scale
};

void ProbeFitter::Represent(Representation representation) {
  const Index d = dimension();
  const auto unit = static_cast<float>(1 / whitening_.deviation);
  const auto linear = [&](const auto& vector) -> Eigen::RowVectorXf {
    if (representation == Representation::kCentred) return vector * unit;
    return vector * whitening_.matrix;  // symmetric
  };
  dense_.resize(static_cast<Index>(examples_.size()), of_pair_ ? 4 * d : d);
  for (std::size_t i = 0; i < examples_.size(); ++i) {
    const auto& [u, r, user_words, reply_words, positive, fold] = examples_[i];
    auto row = dense_.row(static_cast<Index>(i));
    row.head(d) = linear(u);
    if (!of_pair_) continue;
    row.segment(d, d) = linear(r);
    row.segment(2 * d, d) = (u - r).cwiseAbs() * unit;
    row.segment(3 * d, d) = u.cwiseProduct(r) * (unit * unit);
  }
}

// Beside the dense features the words of the message, then of the reply.
Design ProbeFitter::DesignOf(const Rows& rows, double scale) const {
  Design design;
  design.dense.resize(static_cast<Index>(rows.size()), dense_.cols());
  design.sparse_size = of_pair_ ? 2 * kWordBuckets : kWordBuckets;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const ProbeExample& example = examples_[rows[i]];
    design.dense.row(static_cast<Index>(i)) =
        dense_.row(static_cast<Index>(rows[i])).cast<double>() * scale;
    std::vector<SparseValue> words(example.user_words.begin(), example.user_words.end());
    if (of_pair_) {
      for (const SparseValue& entry : example.reply_words) {
        words.push_back({entry.index + kWordBuckets, entry.value});
      }
    }
    design.sparse.push_back(std::move(words));
  }
  return design;
}

std::vector<char> ProbeFitter::Labels(const Rows& rows) const {
  std::vector<char> labels;
  for (const std::size_t row : rows) labels.push_back(examples_[row].positive ? 1 : 0);
  return labels;
}

// The features are folded into the weights, so that a score needs centred vectors alone.
Probe ProbeFitter::ProbeOf(const Logistic& fitted, const ProbeCandidate& candidate) const {
  const Index d = dimension();
  const double scale = Scale(candidate);
  const double unit = 1 / whitening_.deviation;
  const auto part = [&](Index at) { return fitted.weights.segment(at * d, d) * scale; };
  const auto linear = [&](Index at) -> Eigen::VectorXf {
    if (candidate.representation == Representation::kCentred) {
      return (part(at) * unit).cast<float>();
    }
    return (whitening_.matrix.cast<double>() * part(at)).cast<float>();
  };
  Probe probe;
  probe.user = linear(0);
  if (of_pair_) {
    probe.reply = linear(1);
    probe.difference = (part(2) * unit).cast<float>();
    probe.product = (part(3) * (unit * unit)).cast<float>();
  }
  const auto words = fitted.weights.tail(fitted.weights.size() - dense_.cols()).cast<float>();
  probe.user_words = words.head(kWordBuckets);
  if (of_pair_) probe.reply_words = words.tail(kWordBuckets);
  probe.bias = static_cast<float>(fitted.bias);
  return probe;
}

Result<Probe> ProbeFitter::Fit(const Rows& rows, const ProbeCandidate& candidate) const {
  constexpr bool kBalanced = true;
  ASSIGN_OR_RETURN(const Logistic fitted, FitLogistic(DesignOf(rows, Scale(candidate)),
                                                      Labels(rows), candidate.l2, kBalanced));
  return ProbeOf(fitted, candidate);
}

bool BothClasses(const std::vector<char>& labels) {
  return std::find(labels.begin(), labels.end(), 0) != labels.end() &&
         std::find(labels.begin(), labels.end(), 1) != labels.end();
}

double BalancedLogLoss(const std::vector<double>& scores, const std::vector<char>& labels) {
  std::array<double, 2> sums{};
  std::array<double, 2> counts{};
  for (std::size_t i = 0; i < scores.size(); ++i) {
    sums[labels[i] != 0] += SoftPlus(labels[i] != 0 ? -scores[i] : scores[i]);
    counts[labels[i] != 0] += 1;
  }
  return (sums[0] / counts[0] + sums[1] / counts[1]) / 2;
}

Result<std::optional<HeldOut>> ProbeFitter::Judge(std::size_t fold,
                                                  const ProbeCandidate& candidate) const {
  Rows kept;
  Rows held_out;
  for (std::size_t i = 0; i < examples_.size(); ++i) {
    (examples_[i].fold == fold ? held_out : kept).push_back(i);
  }
  const std::vector<char> labels = Labels(held_out);
  if (!BothClasses(labels) || !BothClasses(Labels(kept))) return std::nullopt;
  ASSIGN_OR_RETURN(const Probe probe, Fit(kept, candidate));
  std::vector<double> scores;
  for (const std::size_t row : held_out) {
    const ProbeExample& example = examples_[row];
    scores.push_back(probe.Score({example.u, example.r, example.user_words, example.reply_words}));
  }
  return HeldOut{BalancedLogLoss(scores, labels), Auroc(scores, labels)};
}

Result<std::optional<HeldOut>> ProbeFitter::Judge(const ProbeCandidate& candidate) const {
  HeldOut mean;
  double judged = 0;
  for (std::size_t fold = 0; fold < kProbeFolds; ++fold) {
    ASSIGN_OR_RETURN(const std::optional<HeldOut> one, Judge(fold, candidate));
    if (!one) continue;
    mean.log_loss += one->log_loss;
    mean.auroc += one->auroc;
    judged += 1;
  }
  if (judged == 0) return std::nullopt;
  return HeldOut{mean.log_loss / judged, mean.auroc / judged};
}

// Candidates do not depend on one another, so that any number of threads comes to the same.
std::vector<Result<std::optional<HeldOut>>> JudgeAll(
    const ProbeFitter& fitter, const std::vector<ProbeCandidate>& candidates) {
  std::vector<Result<std::optional<HeldOut>>> out(candidates.size());
  std::atomic<std::size_t> next = 0;
  const auto work = [&] {
    for (std::size_t i = next++; i < candidates.size(); i = next++) {
      out[i] = fitter.Judge(candidates[i]);
    }
  };
  // Each holds a copy of the features.
  constexpr unsigned kThreadsMax = 8;
  std::vector<std::jthread> threads;
  for (unsigned i = 1; i < std::min(kThreadsMax, std::thread::hardware_concurrency()); ++i) {
    threads.emplace_back(work);
  }
  work();
  threads.clear();
  return out;
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

std::string_view RepresentationName(Representation representation) {
  return representation == Representation::kCentred ? "centred" : "whitened";
}

std::vector<ProbeCandidate> DefaultProbeCandidates() {
  std::vector<ProbeCandidate> out;
  for (const auto representation : {Representation::kCentred, Representation::kWhitened}) {
    for (const double scale : {0.05, 0.1, 0.2, 0.4, 0.8}) {
      for (const double l2 : {0.01, 0.03, 0.1, 0.3, 1.0}) {
        out.push_back({representation, l2, scale});
      }
    }
  }
  return out;
}

Result<FittedProbe> FitProbe(std::span<const ProbeExample> examples, bool of_pair,
                             std::span<const ProbeCandidate> candidates,
                             const Whitening& whitening) {
  if (candidates.empty()) {
    return Fail(Code::kInvalidArgument, "expected at least one candidate, got none");
  }
  ProbeFitter fitter(examples, of_pair, whitening);
  FittedProbe best;
  best.chosen = candidates.front();
  for (const auto representation : {Representation::kCentred, Representation::kWhitened}) {
    if (candidates.size() == 1) break;
    fitter.Represent(representation);
    std::vector<ProbeCandidate> these;
    std::copy_if(candidates.begin(), candidates.end(), std::back_inserter(these),
                 [&](const auto& candidate) { return candidate.representation == representation; });
    const auto judged = JudgeAll(fitter, these);
    for (std::size_t i = 0; i < these.size(); ++i) {
      ASSIGN_OR_RETURN(const std::optional<HeldOut> held_out, judged[i]);
      if (!held_out || (best.held_out && held_out->log_loss >= best.held_out->log_loss)) continue;
      best.held_out = held_out;
      best.chosen = these[i];
    }
  }
  fitter.Represent(best.chosen.representation);
  Rows all(examples.size());
  std::iota(all.begin(), all.end(), std::size_t{0});
  ASSIGN_OR_RETURN(best.probe, fitter.Fit(all, best.chosen));
  best.probe.calibration = {.slope = 1, .offset = 0, .prior = 0.5};
  return best;
}

}  // namespace garrison
