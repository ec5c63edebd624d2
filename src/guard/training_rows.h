// Labelled turns and dialogues, from which the measured mode is trained:
// docs/formats/guard-data.md.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "core/settings.h"
#include "guard/conversation.h"
#include "guard/measured_model.h"

namespace garrison {

enum class Split { kTrain, kCalibration, kTest };

// By SHA-256 of the group: one half, a fifth and three tenths of all groups.
Split SplitOf(std::string_view group);

struct TrainingTurn {
  std::optional<std::string> user;
  std::optional<std::string> model;
  std::array<std::optional<bool>, kGuardHeads> labels;  // unset: nobody has said
  std::string group;
  std::string source;
  std::string language;
  Split split = Split::kTrain;
};

struct TrainingDialogue {
  std::string id;
  std::vector<Turn> turns;  // never empty
  bool attack = false;
  std::string group;
  std::string source;
  Split split = Split::kTrain;
};

// INVALID_ARGUMENT (where: "line N: field") for whatever is not as the format says; more than
// limits.conversation_turns turns, and a group on both sides of a split, are errors too.
Result<std::vector<TrainingTurn>> ParseTrainingTurns(std::string_view jsonl,
                                                     const LimitSettings& limits);
// `labelled`: as training needs them; otherwise id and turns are enough.
Result<std::vector<TrainingDialogue>> ParseTrainingDialogues(std::string_view jsonl, bool labelled,
                                                             const LimitSettings& limits);

}  // namespace garrison
