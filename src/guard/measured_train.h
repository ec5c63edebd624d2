// Trains the measured mode: mean and probes on the rows of the train split, probabilities and
// thresholds on those of the calibration split. Rows of the test split are not looked at.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "core/embedder.h"
#include "guard/guard_file.h"
#include "guard/probe_fit.h"
#include "guard/training_rows.h"

namespace garrison {

// Fewer of one label in a split are refused: what they would say is chance.
inline constexpr std::size_t kMeasuredLabelsMin = 50;

struct MeasuredTraining {
  std::vector<TrainingTurn> turns;
  std::vector<TrainingDialogue> dialogues;
  std::string turns_sha256;  // of the files
  std::string dialogues_sha256;
  std::vector<AnchorSet> anchors;
  // Rates of false alarms that the thresholds keep, per ordinary conversation and turn.
  double conversation_false_alarms = 0.01;
  double turn_false_alarms = 0.01;
  double foreign_rate = 0.01;  // of texts of the language that are called foreign
  // Of each probe; cross-validation over train groups takes the best.
  std::vector<ProbeCandidate> candidates = DefaultProbeCandidates();
};

// Progress for people, a line at a time.
using TrainingLog = std::function<void(const std::string&)>;

// INVALID_ARGUMENT: too few rows of a label or language, with the number needed.
// FAILED_PRECONDITION: too few ordinary conversations for the rate of false alarms, likewise.
// Otherwise errors of the embedder. Deterministic: the same rows and embedder give the same bytes.
Result<GuardFile> TrainMeasured(const Embedder& embedder, const MeasuredTraining& training,
                                const TrainingLog& log);

// The sets that training uses unless others are given.
std::vector<AnchorSet> DefaultAnchors();

}  // namespace garrison
