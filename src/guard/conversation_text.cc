// The CSV dialects and the manual lines of a conversation.
#include <algorithm>
#include <utility>

#include "guard/conversation_builder.h"
#include "guard/csv.h"
#include "guard/text_scan.h"

namespace garrison {
namespace {

// Where each column is; the header's size for one that is not there.
struct Columns {
  explicit Columns(std::vector<std::string> names) {
    for (std::string& name : names) name = Lower(name);
    const auto find = [&](std::string_view a, std::string_view b) {
      const auto first = std::find(names.begin(), names.end(), a);
      const auto at = first != names.end() ? first : std::find(names.begin(), names.end(), b);
      return static_cast<std::size_t>(at - names.begin());
    };
    none = names.size();
    turn = find("turn", "turn_number");
    speaker = find("speaker", "role");
    message = find("message", "content");
    user = find("user", "user");
    model = find("model", "model");
  }

  bool IsLong() const { return speaker != none && message != none; }
  // "User: hello, model" is no header, so one side alone counts only beside a turn column.
  bool IsWide() const {
    return (user != none && model != none) || (turn != none && (user != none || model != none));
  }

  std::size_t none, turn, speaker, message, user, model;
};

Result<std::optional<std::int64_t>> NumberOf(const CsvRecord& row, const Columns& columns,
                                             const ConversationBuilder& builder) {
  if (columns.turn == columns.none || Trim(row.fields[columns.turn]).empty()) {
    return std::optional<std::int64_t>();
  }
  const auto number = ParseWhole(row.fields[columns.turn]);
  if (!number) {
    return builder.FailTurn(builder.NextTurn(), LineName(row.line),
                            "expected a whole number in the column turn, got \"{}\"",
                            Excerpt(row.fields[columns.turn]));
  }
  return number;
}

Result<> AddLongRow(CsvRecord row, const Columns& columns, ConversationBuilder& builder) {
  const std::string where = LineName(row.line);
  const auto speaker = SpeakerFrom(row.fields[columns.speaker]);
  if (!speaker) {
    return builder.FailTurn(builder.NextTurn(), where, "expected the speaker {}, got \"{}\"",
                            kSpeakerNames, Excerpt(row.fields[columns.speaker]));
  }
  if (*speaker == Speaker::kSkipped) {
    builder.SkipSystem();
    return {};
  }
  ASSIGN_OR_RETURN(const auto number, NumberOf(row, columns, builder));
  return builder.AddMessage(*speaker, number, std::move(row.fields[columns.message]), where, where);
}

// An empty cell is a side that never came.
std::optional<std::string> SideOf(CsvRecord& row, std::size_t column) {
  if (column >= row.fields.size() || Trim(row.fields[column]).empty()) return std::nullopt;
  return std::move(row.fields[column]);
}

Result<> AddWideRow(CsvRecord row, const Columns& columns, ConversationBuilder& builder) {
  ASSIGN_OR_RETURN(const auto number, NumberOf(row, columns, builder));
  auto user = SideOf(row, columns.user);
  auto model = SideOf(row, columns.model);
  return builder.AddPair(number, std::move(user), std::move(model), LineName(row.line));
}

// Splits "User: hello" at the first separator, if a speaker stands before it.
std::optional<std::pair<Speaker, std::string_view>> SplitManualLine(std::string_view line) {
  const std::size_t separator = line.find_first_of(":|-");
  if (separator == std::string_view::npos) return std::nullopt;
  const auto speaker = SpeakerFrom(line.substr(0, separator));
  if (!speaker) return std::nullopt;
  return std::pair(*speaker, Trim(line.substr(separator + 1)));
}

}  // namespace

bool LooksLikeConversationCsv(std::string_view bytes) {
  const Columns columns(PeekCsvHeader(bytes));
  return columns.IsLong() || columns.IsWide();
}

Result<> AddCsvRows(std::string_view bytes, ConversationBuilder& builder) {
  ASSIGN_OR_RETURN(CsvTable table, ParseCsv(bytes, CsvLimits()));
  const Columns columns(table.header);
  for (CsvRecord& row : table.rows) {
    RETURN_IF_ERROR(columns.IsLong() ? AddLongRow(std::move(row), columns, builder)
                                     : AddWideRow(std::move(row), columns, builder));
  }
  return {};
}

Result<> AddManualLines(std::string_view bytes, ConversationBuilder& builder) {
  std::size_t number = 0;
  for (const std::string_view raw : SplitLines(bytes)) {
    ++number;
    const std::string_view line = Trim(raw);
    if (line.empty()) continue;
    const std::string where = LineName(number);
    const auto parts = SplitManualLine(line);
    if (!parts) {
      return builder.FailTurn(
          builder.NextTurn(), where,
          "expected \"User: ...\" or \"Model: ...\" (a speaker, then : | or -), got \"{}\"; a "
          "message "
          "must be on one line, and other conversations need JSON or a CSV header",
          Excerpt(line));
    }
    if (parts->first == Speaker::kSkipped) {
      builder.SkipSystem();
      continue;
    }
    RETURN_IF_ERROR(
        builder.AddMessage(parts->first, std::nullopt, std::string(parts->second), where, where));
  }
  return {};
}

}  // namespace garrison
