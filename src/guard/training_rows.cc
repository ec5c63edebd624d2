#include "guard/training_rows.h"

#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "base/hash.h"
#include "core/json.h"
#include "guard/text_scan.h"

namespace garrison {
namespace {

using nlohmann::json;

template <typename... Args>
tl::unexpected<Error> Bad(std::string where, fmt::format_string<Args...> format, Args&&... args) {
  return FailAt(std::move(where), Code::kInvalidArgument, "{}; see docs/formats/guard-data.md",
                fmt::format(format, std::forward<Args>(args)...));
}

// The value of a field that may be null or absent.
const json* Find(const json& row, const char* key) {
  const auto found = row.find(key);
  return found == row.end() || found->is_null() ? nullptr : &*found;
}

Result<std::optional<std::string>> OptionalText(const json& row, const char* key) {
  const json* value = Find(row, key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_string()) {
    return Bad(key, "expected a string or null, got {}", JsonTypeName(*value));
  }
  std::string text = value->get<std::string>();
  if (Trim(text).empty()) return Bad(key, "expected a text, got an empty one; null means none");
  return std::optional(std::move(text));
}

Result<std::string> RequiredText(const json& row, const char* key) {
  ASSIGN_OR_RETURN(std::optional<std::string> text, OptionalText(row, key));
  if (!text) return Bad(key, "expected a string, got none");
  return *std::move(text);
}

Result<std::optional<bool>> OptionalLabel(const json& row, const char* key) {
  const json* value = Find(row, key);
  if (value == nullptr) return std::nullopt;
  if (value->is_boolean()) return std::optional(value->get<bool>());
  if (!value->is_number_integer() || (*value != 0 && *value != 1)) {
    return Bad(key, "expected 0, 1 or null, got {}", Excerpt(value->dump()));
  }
  return std::optional(*value == 1);
}

Result<Split> SplitOfRow(const json& row, std::string_view group) {
  ASSIGN_OR_RETURN(const std::optional<std::string> name, OptionalText(row, "split"));
  if (!name) return SplitOf(group);
  if (*name == "train") return Split::kTrain;
  if (*name == "calibration") return Split::kCalibration;
  if (*name == "test") return Split::kTest;
  return Bad("split", "expected train, calibration or test, got \"{}\"", Excerpt(*name));
}

Result<TrainingTurn> TurnOf(const json& row) {
  TrainingTurn turn;
  ASSIGN_OR_RETURN(turn.user, OptionalText(row, "user"));
  ASSIGN_OR_RETURN(turn.model, OptionalText(row, "model"));
  if (!turn.user && !turn.model) return Bad("user", "expected user, model or both, got neither");
  ASSIGN_OR_RETURN(turn.labels[0], OptionalLabel(row, "user_harmful"));
  ASSIGN_OR_RETURN(turn.labels[1], OptionalLabel(row, "reply_risky"));
  ASSIGN_OR_RETURN(turn.labels[2], OptionalLabel(row, "complies"));
  if (turn.labels[0] && !turn.user) return Bad("user_harmful", "expected the user's text with it");
  if (turn.labels[1] && !turn.model) return Bad("reply_risky", "expected the model's text with it");
  if (turn.labels[2] && !(turn.user && turn.model)) {
    return Bad("complies", "expected both texts with it");
  }
  ASSIGN_OR_RETURN(turn.group, RequiredText(row, "group"));
  ASSIGN_OR_RETURN(turn.source, RequiredText(row, "source"));
  ASSIGN_OR_RETURN(std::optional<std::string> language, OptionalText(row, "language"));
  turn.language = language ? *std::move(language) : "en";
  ASSIGN_OR_RETURN(turn.split, SplitOfRow(row, turn.group));
  return turn;
}

Result<TrainingDialogue> DialogueOf(const json& row, bool labelled, const LimitSettings& limits) {
  TrainingDialogue dialogue;
  ASSIGN_OR_RETURN(dialogue.id, RequiredText(row, "id"));
  const json* turns = Find(row, "turns");
  if (turns == nullptr || !turns->is_array() || turns->empty() ||
      turns->size() > static_cast<std::size_t>(limits.conversation_turns)) {
    return Bad("turns", "expected a list of 1 to {} turns, got {}", limits.conversation_turns,
               turns == nullptr     ? "none"
               : !turns->is_array() ? std::string(JsonTypeName(*turns))
                                    : fmt::format("{}", turns->size()));
  }
  for (const json& entry : *turns) {
    const std::string where = fmt::format("turns[{}]", dialogue.turns.size());
    if (!entry.is_object()) return Bad(where, "expected an object, got {}", JsonTypeName(entry));
    Turn turn;
    turn.number = static_cast<int>(dialogue.turns.size()) + 1;
    for (const auto& [key, side] : {std::pair{"user", &turn.user}, {"model", &turn.model}}) {
      auto text = OptionalText(entry, key);
      if (!text) return tl::unexpected(At(where, std::move(text).error()));
      *side = *std::move(text);
    }
    if (!turn.user && !turn.model) return Bad(where, "expected user, model or both, got neither");
    dialogue.turns.push_back(std::move(turn));
  }
  if (!labelled) return dialogue;
  ASSIGN_OR_RETURN(const std::string label, RequiredText(row, "label"));
  if (label != "attack" && label != "benign") {
    return Bad("label", "expected attack or benign, got \"{}\"", Excerpt(label));
  }
  dialogue.attack = label == "attack";
  ASSIGN_OR_RETURN(dialogue.group, RequiredText(row, "group"));
  ASSIGN_OR_RETURN(dialogue.source, RequiredText(row, "source"));
  ASSIGN_OR_RETURN(dialogue.split, SplitOfRow(row, dialogue.group));
  return dialogue;
}

// A row for each line that is not blank, as `read` makes it of the line's object.
template <typename Row, typename Read>
Result<std::vector<Row>> ReadRows(std::string_view jsonl, const LimitSettings& limits, Read read) {
  std::vector<Row> rows;
  std::size_t number = 0;
  for (const std::string_view line : SplitLines(WithoutBom(jsonl))) {
    ++number;
    if (Trim(line).empty()) continue;
    const auto value = ParseJson(line, static_cast<std::size_t>(limits.json_depth));
    if (!value) return tl::unexpected(At(LineName(number), value.error()));
    if (!value->is_object()) {
      return Bad(LineName(number), "expected an object, got {}", JsonTypeName(*value));
    }
    Result<Row> row = read(*value);
    if (!row) return tl::unexpected(At(LineName(number), std::move(row).error()));
    rows.push_back(*std::move(row));
  }
  if (rows.empty()) return Fail(Code::kInvalidArgument, "expected at least one row, got none");
  return rows;
}

// What is learned from one half of a group would be known already in the other.
template <typename Row>
Result<> CheckGroups(const std::vector<Row>& rows) {
  std::map<std::string_view, Split> splits;
  for (const Row& row : rows) {
    const auto [found, fresh] = splits.emplace(row.group, row.split);
    if (fresh || found->second == row.split) continue;
    return Bad("split", "expected one split for all rows of the group \"{}\", got two",
               Excerpt(row.group));
  }
  return {};
}

}  // namespace

Split SplitOf(std::string_view group) {
  Sha256 hash;
  hash.Update(group);
  const Sha256Digest digest = hash.Finish();
  std::uint64_t first = 0;
  for (std::size_t i = 0; i < 8; ++i)
    first = first << 8 | std::to_integer<std::uint64_t>(digest[i]);
  const std::uint64_t tenth = first % 10;
  if (tenth < 5) return Split::kTrain;
  return tenth < 7 ? Split::kCalibration : Split::kTest;
}

Result<std::vector<TrainingTurn>> ParseTrainingTurns(std::string_view jsonl,
                                                     const LimitSettings& limits) {
  ASSIGN_OR_RETURN(auto rows, ReadRows<TrainingTurn>(jsonl, limits, TurnOf));
  RETURN_IF_ERROR(CheckGroups(rows));
  return rows;
}

Result<std::vector<TrainingDialogue>> ParseTrainingDialogues(std::string_view jsonl, bool labelled,
                                                             const LimitSettings& limits) {
  const auto read = [&](const json& row) { return DialogueOf(row, labelled, limits); };
  ASSIGN_OR_RETURN(auto rows, ReadRows<TrainingDialogue>(jsonl, limits, read));
  if (labelled) RETURN_IF_ERROR(CheckGroups(rows));
  std::set<std::string_view> ids;
  for (const TrainingDialogue& dialogue : rows) {
    if (!ids.insert(dialogue.id).second) {
      return Bad("id", "expected an id for one dialogue only, got \"{}\" twice",
                 Excerpt(dialogue.id));
    }
  }
  return rows;
}

}  // namespace garrison
