#include "guard/evaluation_input.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <utility>

#include "guard/csv.h"
#include "guard/replay.h"
#include "guard/text_scan.h"

namespace garrison {
namespace {

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsWordCharacter(char c) {
  return IsDigit(c) || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
         static_cast<unsigned char>(c) >= 0x80;
}

std::size_t DigitsAt(std::string_view text, std::size_t start) {
  std::size_t end = start;
  while (end < text.size() && IsDigit(text[end])) ++end;
  return end - start;
}

// Length of T<digits>[.<digits>] at `start`, 0 if it is something else.
std::size_t TestTokenAt(std::string_view stem, std::size_t start) {
  if (stem[start] != 'T' || (start > 0 && IsWordCharacter(stem[start - 1]))) return 0;
  const std::size_t whole = DigitsAt(stem, start + 1);
  if (whole == 0) return 0;
  std::size_t length = 1 + whole;
  if (start + length < stem.size() && stem[start + length] == '.') {
    const std::size_t part = DigitsAt(stem, start + length + 1);
    if (part > 0) length += 1 + part;
  }
  const std::size_t end = start + length;
  return end < stem.size() && IsWordCharacter(stem[end]) ? 0 : length;
}

bool IsRecordedRun(std::string_view bytes) {
  const std::vector<std::string> header = PeekCsvHeader(WithoutBom(bytes));
  return std::any_of(header.begin(), header.end(),
                     [](const std::string& name) { return Trim(name) == "RiskSeverity_Model"; });
}

// "[x, y]", "(x; y)" or "x y". A recorded run may hold anything else in such a column.
std::optional<PlanePoint> PointOf(std::string_view cell) {
  std::vector<double> numbers;
  constexpr std::string_view kAround = "[](),; \t\r\n";
  for (std::size_t start = cell.find_first_not_of(kAround); start != std::string_view::npos;) {
    const std::size_t end = std::min(cell.find_first_of(kAround, start), cell.size());
    const auto number = ParseDouble(cell.substr(start, end - start));
    if (!number || !std::isfinite(*number)) return std::nullopt;
    numbers.push_back(*number);
    start = cell.find_first_not_of(kAround, end);
  }
  return InPlane(numbers);
}

Result<> TakePoints(std::string_view bytes, std::vector<TurnReport>& turns) {
  ASSIGN_OR_RETURN(const CsvTable table,
                   ParseCsv(WithoutBom(bytes), {.rows_max = kReplayTurnsMax}));
  const auto take = [&](std::string_view name, std::optional<PlanePoint> TurnScores::* point) {
    const std::size_t column = table.Column(name);
    if (column == table.header.size()) return;
    for (std::size_t i = 0; i < turns.size() && i < table.rows.size(); ++i) {
      if (const auto read = PointOf(table.rows[i].fields[column])) turns[i].scores.*point = *read;
    }
  };
  take("Vector", &TurnScores::model_point);
  take("Vector_Model", &TurnScores::model_point);
  take("Vector_User", &TurnScores::user_point);
  return {};
}

Result<> CheckSizes(const Conversation& conversation, const LimitSettings& limits) {
  const auto bytes_max = static_cast<std::size_t>(limits.input_bytes);
  for (const Turn& turn : conversation.turns) {
    for (const auto* side : {&turn.user, &turn.model}) {
      if (!*side || (*side)->size() <= bytes_max) continue;
      return FailAt(fmt::format("turn {}", turn.number), Code::kInvalidArgument,
                    "expected a message of at most {} bytes (limits.input_bytes), got {}",
                    bytes_max, (*side)->size());
    }
  }
  return {};
}

ScoredConversation Begin(const EvaluatedFile& file, std::string sha256) {
  ScoredConversation scored;
  scored.model = file.model;
  scored.test = TestNameOf(file.stem);
  scored.source = file.source;
  scored.sha256 = std::move(sha256);
  if (SaysPartial(file.stem)) {
    scored.partial_because.emplace_back("the file's name says PARTIAL: the run was broken off");
  }
  return scored;
}

}  // namespace

std::string TestNameOf(std::string_view stem) {
  for (std::size_t i = 0; i < stem.size(); ++i) {
    if (const std::size_t length = TestTokenAt(stem, i)) return std::string(stem.substr(i, length));
  }
  return std::string(stem);
}

bool SaysPartial(std::string_view stem) { return stem.find("PARTIAL") != std::string_view::npos; }

Result<EvaluatedContent> ParseEvaluatedFile(std::string_view bytes, const GuardSettings& settings,
                                            const LimitSettings& limits) {
  if (!IsRecordedRun(bytes)) {
    ASSIGN_OR_RETURN(Conversation conversation, ParseConversation(bytes, limits));
    RETURN_IF_ERROR(CheckSizes(conversation, limits));
    return EvaluatedContent(std::move(conversation));
  }
  ASSIGN_OR_RETURN(const std::vector<RiskTurn> risks, ParseRisk(bytes));
  RecordedRun run;
  ASSIGN_OR_RETURN(run.turns, Replay(risks, settings));
  RETURN_IF_ERROR(TakePoints(bytes, run.turns));
  return EvaluatedContent(std::move(run));
}

ScoredConversation TakeRecorded(const EvaluatedFile& file, std::string sha256, RecordedRun run,
                                const GuardSettings& settings) {
  ScoredConversation scored = Begin(file, std::move(sha256));
  scored.recorded = true;
  scored.turns = std::move(run.turns);
  scored.provenance = ReplayProvenance(settings, "risk");
  return scored;
}

Result<ScoredConversation> ScoreConversation(const EvaluatedFile& file, std::string sha256,
                                             Conversation conversation, const GuardMonitor& monitor,
                                             const GuardSettings& settings,
                                             const RequestContext& context) {
  ScoredConversation scored = Begin(file, std::move(sha256));
  scored.provenance = monitor.provenance();
  scored.v_safe = InPlane(monitor.v_safe());
  Kinematics kinematics(settings);
  for (Turn& turn : conversation.turns) {
    const auto scores = monitor.Score(turn.user, turn.model, context);
    if (!scores && scores.error().code == Code::kInvalidArgument) {
      scored.partial_because.push_back(
          fmt::format("turn {} of {} could not be scored and ends it: {}", turn.number,
                      conversation.turns.size(), scores.error().Sentence()));
      break;
    }
    if (!scores) return tl::unexpected(At(fmt::format("turn {}", turn.number), scores.error()));
    ASSIGN_OR_RETURN(const TurnMetrics metrics, kinematics.Step(scores->risk));
    scored.turns.push_back(MakeTurnReport(metrics, *scores, settings));
    scored.texts.push_back({std::move(turn.user), std::move(turn.model)});
  }
  return scored;
}

}  // namespace garrison
