// From the files of an evaluated folder to scored conversations: what a file's name says, which
// format it has, and what happens to a turn that cannot be scored.
#pragma once

#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"
#include "core/request_context.h"
#include "core/settings.h"
#include "guard/conversation.h"
#include "guard/evaluation.h"
#include "guard/monitor.h"

namespace garrison {

// The first token of the stem like T1 or T3.2 (tokens end at everything but letters, digits and the
// dot within the number), else the stem.
std::string TestNameOf(std::string_view stem);

// A run that was broken off says PARTIAL in its name.
bool SaysPartial(std::string_view stem);

// Which conversation a file is.
struct EvaluatedFile {
  std::string model;   // the folder's name
  std::string stem;    // the file's name without its ending
  std::string source;  // path within the evaluated folder
};

// Scores of an earlier run; docs/formats/conversations.md#recorded-runs.
struct RecordedRun {
  std::vector<TurnReport> turns;
};

using EvaluatedContent = std::variant<Conversation, RecordedRun>;

// A CSV with the column RiskSeverity_Model is a recorded run, computed anew from its risks (and its
// columns Vector, Vector_Model and Vector_User, "[x, y]", if it has them, as points); everything
// else is a conversation. Texts above limits.input_bytes and all that ParseConversation and
// ParseRisk refuse are INVALID_ARGUMENT; `where` is the place in the file.
Result<EvaluatedContent> ParseEvaluatedFile(std::string_view bytes, const GuardSettings& settings,
                                            const LimitSettings& limits);

// `sha256` is that of the file's bytes.
ScoredConversation TakeRecorded(const EvaluatedFile& file, std::string sha256, RecordedRun run,
                                const GuardSettings& settings);

// A turn that the model cannot embed ends the conversation, which is then partial: what follows
// would be measured from the wrong turn. Other errors (a model that fails, a request to stop) are
// returned; `where` is "turn N".
Result<ScoredConversation> ScoreConversation(const EvaluatedFile& file, std::string sha256,
                                             Conversation conversation, const GuardMonitor& monitor,
                                             const GuardSettings& settings,
                                             const RequestContext& context);

}  // namespace garrison
