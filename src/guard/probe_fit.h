// Fits one probe of the measured mode to labelled turns.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "guard/measured_model.h"
#include "guard/whitening.h"

namespace garrison {

inline constexpr std::size_t kProbeFolds = 3;

// One labelled turn: whole messages, centred. Vectors and words must outlive it.
struct ProbeExample {
  Eigen::Ref<const Eigen::RowVectorXf> u;
  Eigen::Ref<const Eigen::RowVectorXf> r;
  std::span<const SparseValue> user_words;
  std::span<const SparseValue> reply_words;
  bool positive = false;
  std::size_t fold = 0;  // below kProbeFolds; the same for all turns of one goal
};

// What the penalty takes for the length of u and r: centred vectors have a mean square of 1 per
// component in all, whitened ones of about 1 in every direction. |u - r| and u * r are of centred
// vectors in both: with whitened ones a score would need the matrix, which weights of u and r
// alone can take in.
enum class Representation { kCentred, kWhitened };

// "centred", "whitened".
std::string_view RepresentationName(Representation representation);

struct ProbeCandidate {
  Representation representation = Representation::kCentred;
  double l2 = 0;
  double dense_scale = 0;  // of the vectors beside the words, in units of 1/sqrt(d)
};

// Every combination of a grid; what is best for the built-in model lies inside of it.
std::vector<ProbeCandidate> DefaultProbeCandidates();

// On examples that a probe was not fitted with. The log loss takes both classes for equally
// frequent, as the fit does, and scores for log-odds.
struct HeldOut {
  double log_loss = 0;
  double auroc = 0;
};

struct FittedProbe {
  Probe probe;  // its calibration is that of a raw score: log-odds = score
  ProbeCandidate chosen;
  std::optional<HeldOut> held_out;  // mean over the folds; unset if there was nothing to choose
};

// Each candidate is fitted without each fold and judged by its log loss there (AUROC hardly tells
// penalties apart); a fold is passed over if a class is missing in it or beside it. The best, the
// first of equals, is fitted again with all. `whitening` is that of the vectors before they were
// centred. Errors of FitLogistic; INVALID_ARGUMENT without candidates.
Result<FittedProbe> FitProbe(std::span<const ProbeExample> examples, bool of_pair,
                             std::span<const ProbeCandidate> candidates,
                             const Whitening& whitening);

// The share of pairs of one positive and one other in which the positive scores higher; ties count
// half. 0.5 if a class is missing.
double Auroc(std::span<const double> scores, std::span<const char> labels);

}  // namespace garrison
