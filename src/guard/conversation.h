// A conversation as turns, read from any of the dialects in docs/formats/conversations.md.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "core/settings.h"

namespace garrison {

// One exchange. At least one side is set, and a side that is set has something in it besides
// blanks.
struct Turn {
  int number = 0;  // 1, 2, 3... by position, whatever numbers the file carries
  std::optional<std::string> user;
  std::optional<std::string> model;

  // One side never came.
  bool partial() const { return !user || !model; }

  bool operator==(const Turn&) const = default;
};

struct Conversation {
  std::vector<Turn> turns;         // never empty
  std::size_t skipped_system = 0;  // system, developer and tool messages, which take no part

  std::size_t partial_turns() const;
};

// Recognises the dialect by itself: JSON with conversation[], turns[] or messages[], a bare JSON
// array of the same entries, CSV (wide or long), or manual "User: ..." lines.
//
// Messages are paired in their order: a user message opens a turn and the next model message closes
// it. INVALID_ARGUMENT for everything that is not exactly understood; `where` is the entry
// ("conversation[4].message"), the line ("line 7") or, past limits.conversation_turns, the turn
// ("turn 101"); the message starts with the turn that is meant. Keeps within limits.json_depth.
Result<Conversation> ParseConversation(std::string_view bytes, const LimitSettings& limits);

// The turns as {"turns": [{"turn", "user", "model"}]}, which ParseConversation reads back to equal
// turns.
std::string ToJson(const Conversation& conversation);

}  // namespace garrison
