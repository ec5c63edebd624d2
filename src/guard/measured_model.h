// The trained part of the measured mode: from the vectors of a turn to calibrated log-likelihood
// ratios. Its file is guard/guard_file.h, its training guard/measured_train.h.
#pragma once

#include <Eigen/Core>
#include <array>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "guard/alarm.h"
#include "guard/language.h"
#include "guard/logistic.h"
#include "guard/word_features.h"

namespace garrison {

inline constexpr std::size_t kGuardDimensionMax = 8192;

// What is asked of a turn. Each has its own probe and calibration.
enum class GuardHead {
  kUserHarmful,   // of the user's message alone: does it ask for harm?
  kReplyRisky,    // of the reply, given the message: is it unsafe?
  kReplyComplies  // given a harmful message: does the reply go along?
};
inline constexpr std::size_t kGuardHeads = 3;

// "user_harmful", "reply_risky", "reply_complies".
std::string_view GuardHeadName(GuardHead head);

// What a probe looks at: centred vectors u of the message and r of the reply, [d] each, and the
// words of both. A side that did not speak is zero, which is the mean of all texts, and has no
// words.
struct ProbeInput {
  Eigen::Ref<const Eigen::RowVectorXf> u;
  Eigen::Ref<const Eigen::RowVectorXf> r;
  std::span<const SparseValue> user_words;
  std::span<const SparseValue> reply_words;
};

// Logistic regression on [u; words of u], or on [u; r; |u - r|; u * r; words of u; words of r].
struct Probe {
  // Weights, [d] each; those with the reply are empty in a probe of the message alone.
  Eigen::VectorXf user;
  Eigen::VectorXf reply;
  Eigen::VectorXf difference;
  Eigen::VectorXf product;
  // Weights, [kWordBuckets] each.
  Eigen::VectorXf user_words;
  Eigen::VectorXf reply_words;
  float bias = 0;
  Calibration calibration;

  bool of_pair() const { return reply.size() != 0; }
  double Score(const ProbeInput& input) const;
};

// A set of example sentences; the nearest set says what a text was like.
struct AnchorSet {
  std::string name;  // "safe", "refusal", "harmful", "sycophantic"
  std::vector<std::string> texts;
};

// Everything that training leaves. A plain value.
struct MeasuredModel {
  std::string model_id;
  std::string model_revision;
  Eigen::VectorXf mean;  // [d], of vectors; what is less by it is centred
  std::array<Probe, kGuardHeads> probes;
  AlarmRule alarm;
  // Evidence of a single turn above which it is worth a look, at `turn_false_alarms`.
  double turn_threshold = 0;
  double turn_false_alarms = 0.01;          // per ordinary turn
  double conversation_false_alarms = 0.01;  // per ordinary conversation
  // Of ordinary turns, at even odds: mean probability that a reply or message is risky.
  double baseline = 0;
  LanguageProfile language;
  std::string language_name;  // "en"
  // Evidence of the calibration's turns at equal steps of their rank, for GuardDrift.
  std::vector<double> evidence_quantiles;
  std::size_t calibration_conversations = 0;  // that they come from
  std::vector<AnchorSet> anchors;
  // How it was trained and how well it does: JSON text of an object, for people.
  std::string evidence;
};

}  // namespace garrison
