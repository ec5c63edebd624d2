// The readers of guard/replay.h.
#include <array>
#include <cmath>
#include <utility>

#include "core/json.h"
#include "guard/csv.h"
#include "guard/projection.h"
#include "guard/replay.h"
#include "guard/text_scan.h"

namespace garrison {
namespace {

using nlohmann::json;

// A place in the file with the turn that stands there.
struct Place {
  std::string where;
  int turn = 0;

  template <typename... Args>
  [[nodiscard]] tl::unexpected<Error> Bad(fmt::format_string<Args...> format,
                                          Args&&... args) const {
    return FailAt(where, Code::kInvalidArgument, "turn {}: {}", turn,
                  fmt::format(format, std::forward<Args>(args)...));
  }
};

// `last` is the turn before, null for the first.
template <typename T>
int Following(const T* last) {
  return last == nullptr ? 1 : last->number + 1;
}

template <typename T>
Result<int> CheckNumber(std::int64_t number, const T* last, const Place& place) {
  constexpr int kNumberMax = 1'000'000'000;
  if (number < 0 || number > kNumberMax) {
    return place.Bad("expected a turn number from 0 to {}, got {}", kNumberMax, number);
  }
  if (last != nullptr && number <= last->number) {
    return place.Bad("expected a turn number above {}, got {}; sort the turns by number",
                     last->number, number);
  }
  return static_cast<int>(number);
}

// ---- vectors
// ---------------------------------------------------------------------------------------

Result<std::vector<double>> VectorOf(const json& value, const Place& place) {
  if (!value.is_array() || value.empty()) {
    return place.Bad("expected a vector as a list of numbers, got {}",
                     value.is_array() ? "an empty list" : JsonTypeName(value));
  }
  if (value.size() > kProjectionDimensionMax) {
    return place.Bad("expected at most {} numbers in a vector, got {}", kProjectionDimensionMax,
                     value.size());
  }
  std::vector<double> vector;
  vector.reserve(value.size());
  for (const json& number : value) {
    if (!number.is_number() || !std::isfinite(number.get<double>())) {
      return place.Bad("expected a finite number as component {}, got {}", vector.size(),
                       JsonTypeName(number));
    }
    vector.push_back(number.get<double>());
  }
  return vector;
}

Result<std::optional<std::vector<double>>> SideOf(const json& line,
                                                  std::span<const char* const> names,
                                                  const Place& place) {
  std::optional<std::vector<double>> side;
  const char* found = nullptr;
  for (const char* name : names) {
    if (!line.contains(name) || line[name].is_null()) continue;
    if (found != nullptr)
      return place.Bad("expected one vector for a side, got {} and {}", found, name);
    found = name;
    ASSIGN_OR_RETURN(side, VectorOf(line[name], place));
  }
  return side;
}

Result<VectorTurn> VectorTurnOf(const json& line, const VectorTurn* last, const Place& place) {
  VectorTurn turn;
  turn.number = place.turn;
  if (line.is_array()) {
    ASSIGN_OR_RETURN(turn.model, VectorOf(line, place));
    return turn;
  }
  if (!line.is_object()) {
    return place.Bad("expected an object or a list of numbers, got {}", JsonTypeName(line));
  }
  constexpr std::array kModelNames = {"model", "model_vector", "v_model", "vector"};
  constexpr std::array kUserNames = {"user", "user_vector", "v_user"};
  ASSIGN_OR_RETURN(turn.model, SideOf(line, kModelNames, place));
  ASSIGN_OR_RETURN(turn.user, SideOf(line, kUserNames, place));
  if (!turn.model && !turn.user)
    return place.Bad("expected a vector named model or user, got neither");
  if (!line.contains("turn") || line["turn"].is_null()) return turn;
  const json& number = line["turn"];
  if (!number.is_number_integer() ||
      (number.is_number_unsigned() && number.get<std::uint64_t>() > INT64_MAX)) {
    return place.Bad("expected a whole turn number, got {}", Excerpt(number.dump()));
  }
  ASSIGN_OR_RETURN(turn.number, CheckNumber(number.get<std::int64_t>(), last, place));
  return turn;
}

Result<> CheckDimension(const VectorTurn& turn, std::size_t& dimension, const Place& place) {
  for (const auto* side : {&turn.model, &turn.user}) {
    if (!*side) continue;
    if (dimension == 0) dimension = (*side)->size();
    if ((*side)->size() != dimension) {
      return place.Bad("expected vectors of {} numbers like the first one, got {}", dimension,
                       (*side)->size());
    }
  }
  return {};
}

// ---- risks
// -----------------------------------------------------------------------------------------

struct RiskColumns {
  explicit RiskColumns(const CsvTable& table)
      : none(table.header.size()),
        turn(table.Column("Turn")),
        model(table.Column("RiskSeverity_Model")),
        user(table.Column("RiskSeverity_User")) {}
  std::size_t none, turn, model, user;
};

Result<std::optional<double>> RiskOf(const CsvRecord& row, std::size_t column,
                                     std::string_view name, int turn) {
  if (column >= row.fields.size() || Trim(row.fields[column]).empty())
    return std::optional<double>();
  const auto value = ParseDouble(row.fields[column]);
  if (!value || !std::isfinite(*value)) {
    const Place place{fmt::format("{}, column {}", LineName(row.line), name), turn};
    return place.Bad("expected a finite number, got \"{}\"", Excerpt(row.fields[column]));
  }
  return value;
}

Result<RiskTurn> RiskTurnOf(const CsvRecord& row, const RiskColumns& columns,
                            const RiskTurn* last) {
  RiskTurn turn;
  turn.number = Following(last);
  if (columns.turn != columns.none) {
    const Place place{fmt::format("{}, column Turn", LineName(row.line)), turn.number};
    const auto number = ParseWhole(row.fields[columns.turn]);
    if (!number) {
      return place.Bad("expected a whole number, got \"{}\"", Excerpt(row.fields[columns.turn]));
    }
    ASSIGN_OR_RETURN(turn.number, CheckNumber(*number, last, place));
  }
  ASSIGN_OR_RETURN(turn.risk.model, RiskOf(row, columns.model, "RiskSeverity_Model", turn.number));
  ASSIGN_OR_RETURN(turn.risk.user, RiskOf(row, columns.user, "RiskSeverity_User", turn.number));
  if (!turn.risk.model && !turn.risk.user) {
    return Place{LineName(row.line), turn.number}.Bad(
        "expected RiskSeverity_Model, RiskSeverity_User or both, got neither");
  }
  return turn;
}

}  // namespace

Result<std::vector<VectorTurn>> ParseVectors(std::string_view jsonl, const LimitSettings& limits) {
  std::vector<VectorTurn> turns;
  std::size_t dimension = 0;
  std::size_t line_number = 0;
  for (const std::string_view line : SplitLines(WithoutBom(jsonl))) {
    ++line_number;
    if (Trim(line).empty()) continue;
    const VectorTurn* last = turns.empty() ? nullptr : &turns.back();
    const Place place{LineName(line_number), Following(last)};
    if (turns.size() == kReplayTurnsMax)
      return place.Bad("expected at most {} turns", kReplayTurnsMax);
    const auto value = ParseJson(line, static_cast<std::size_t>(limits.json_depth));
    if (!value) return place.Bad("{} (NaN and Infinity are no JSON)", value.error().message);
    ASSIGN_OR_RETURN(VectorTurn turn, VectorTurnOf(*value, last, place));
    RETURN_IF_ERROR(CheckDimension(turn, dimension, place));
    turns.push_back(std::move(turn));
  }
  if (turns.empty())
    return Fail(Code::kInvalidArgument, "expected a line for each turn, got an empty file");
  return turns;
}

Result<std::vector<RiskTurn>> ParseRisk(std::string_view csv) {
  csv = WithoutBom(csv);
  RETURN_IF_ERROR(CheckPlainText(csv));
  ASSIGN_OR_RETURN(const CsvTable table, ParseCsv(csv, {.rows_max = kReplayTurnsMax}));
  const RiskColumns columns(table);
  if (columns.model == columns.none) {
    return FailAt(LineName(1), Code::kInvalidArgument,
                  "expected a header with the column RiskSeverity_Model, got {} other columns",
                  table.header.size());
  }
  if (table.rows.empty()) {
    return FailAt(LineName(1), Code::kInvalidArgument,
                  "expected a row for each turn below the header");
  }
  std::vector<RiskTurn> turns;
  turns.reserve(table.rows.size());
  for (const CsvRecord& row : table.rows) {
    ASSIGN_OR_RETURN(const RiskTurn turn,
                     RiskTurnOf(row, columns, turns.empty() ? nullptr : &turns.back()));
    turns.push_back(turn);
  }
  return turns;
}

Result<std::vector<double>> ParseVectorArgument(std::string_view text) {
  std::vector<double> numbers;
  while (true) {
    const std::size_t comma = text.find(',');
    const std::string_view part = text.substr(0, comma);
    const auto number = ParseDouble(part);
    if (!number || !std::isfinite(*number)) {
      return Fail(Code::kInvalidArgument, "expected finite numbers with commas between, got \"{}\"",
                  Excerpt(part));
    }
    if (numbers.size() == kProjectionDimensionMax) {
      return Fail(Code::kInvalidArgument, "expected at most {} numbers", kProjectionDimensionMax);
    }
    numbers.push_back(*number);
    if (comma == std::string_view::npos) return numbers;
    text.remove_prefix(comma + 1);
  }
}

Result<> AssignWeights(GuardSettings& settings, std::string_view text) {
  ASSIGN_OR_RETURN(const std::vector<double> weights, ParseVectorArgument(text));
  if (weights.size() != 4) {
    return Fail(Code::kInvalidArgument, "expected the four weights wR,wv,wa,b, got {} numbers",
                weights.size());
  }
  constexpr std::array<std::string_view, 4> kNames = {"guard.weight_r", "guard.weight_v",
                                                      "guard.weight_a", "guard.bias"};
  Settings checked;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    RETURN_IF_ERROR(AssignSetting(checked, kNames[i], fmt::format("{:.17g}", weights[i])));
  }
  settings.weight_r = weights[0];
  settings.weight_v = weights[1];
  settings.weight_a = weights[2];
  settings.bias = weights[3];
  return {};
}

}  // namespace garrison
