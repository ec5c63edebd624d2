// Labelled rows and dialogues that a guard is trained on, one after the other as JSON lines.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "guard/training_rows.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace garrison;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const LimitSettings limits;
  if (const auto turns = ParseTrainingTurns(text, limits)) {
    for (const TrainingTurn& turn : *turns) CHECK(turn.user || turn.model);
  } else {
    CHECK(turns.error().code == Code::kInvalidArgument);
  }
  for (const bool labelled : {false, true}) {
    if (const auto dialogues = ParseTrainingDialogues(text, labelled, limits)) {
      for (const TrainingDialogue& dialogue : *dialogues) CHECK(!dialogue.turns.empty());
    } else {
      CHECK(dialogues.error().code == Code::kInvalidArgument);
    }
  }
  return 0;
}
