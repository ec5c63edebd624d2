// Recorded conversations without their texts: vectors or risk severities in, reports out.
// Formats: docs/formats/conversations.md.
#pragma once

#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "core/settings.h"
#include "guard/kinematics.h"
#include "guard/turn_report.h"

namespace garrison {

inline constexpr std::size_t kReplayTurnsMax = 100'000;

// The vectors of one turn; at least one side is there. All sides of all turns have one dimension.
struct VectorTurn {
  int number = 0;
  std::optional<std::vector<double>> model;
  std::optional<std::vector<double>> user;
};

struct RiskTurn {
  int number = 0;
  TurnRisk risk;  // at least one side
};

// One JSON value per line: {"model": [...], "user": [...], "turn": 1} or a bare array, which is the
// model. INVALID_ARGUMENT (where: "line N"); the message names the turn.
Result<std::vector<VectorTurn>> ParseVectors(std::string_view jsonl, const LimitSettings& limits);

// CSV with a column RiskSeverity_Model, and RiskSeverity_User and Turn if there are any; other
// columns do not matter. INVALID_ARGUMENT (where: "line N, column C"); the message names the turn.
Result<std::vector<RiskTurn>> ParseRisk(std::string_view csv);

struct ReplayAxes {
  std::vector<double> v_safe;
  std::vector<double> v_sycophancy;  // empty: no agreement, T_syc and quadrant
};

// INVALID_ARGUMENT: the axes have another dimension than the vectors or no direction (where:
// "vsafe" or "vsyc"), or a turn that Kinematics refuses (where: "turn N").
Result<std::vector<TurnReport>> Replay(std::span<const VectorTurn> turns, const ReplayAxes& axes,
                                       const GuardSettings& settings);
Result<std::vector<TurnReport>> Replay(std::span<const RiskTurn> turns,
                                       const GuardSettings& settings);

// "0.5,-1e-3": the value of --vsafe and --vsyc. INVALID_ARGUMENT.
Result<std::vector<double>> ParseVectorArgument(std::string_view text);

// "wR,wv,wa,b": the value of --weights, into the four settings, within the bounds that the settings
// have. INVALID_ARGUMENT.
Result<> AssignWeights(GuardSettings& settings, std::string_view text);

}  // namespace garrison
