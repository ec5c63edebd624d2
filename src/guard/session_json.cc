// The state of a conversation as JSON: export and import.
#include <algorithm>
#include <limits>
#include <utility>

#include "core/json.h"
#include "guard/session_state.h"

namespace garrison {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

constexpr const char* kFormat = "garrison-guard-conversation";
constexpr int kVersion = 1;

ordered_json Number(std::optional<double> value) {
  return value ? ordered_json(*value) : ordered_json(nullptr);
}

// One object's fields; each error names its place.
class Reader {
 public:
  static Result<Reader> Of(const json& object, std::string prefix) {
    if (object.is_object()) return Reader(object, std::move(prefix));
    if (!prefix.empty()) prefix.pop_back();  // the dot
    return FailAt(std::move(prefix), Code::kInvalidArgument, "expected an object, got {}",
                  JsonTypeName(object));
  }

  Result<const json*> Field(const char* name) const {
    const auto field = object_->find(name);
    if (field != object_->end()) return &*field;
    return FailAt(prefix_ + name, Code::kInvalidArgument, "the field is missing");
  }
  Result<std::int64_t> Integer(const char* name, std::int64_t max) const {
    ASSIGN_OR_RETURN(const json* const field, Field(name));
    const bool fits = field->is_number_unsigned()
                          ? field->get<std::uint64_t>() <= static_cast<std::uint64_t>(max)
                          : field->is_number_integer() && field->get<std::int64_t>() >= 0 &&
                                field->get<std::int64_t>() <= max;
    if (fits) return field->get<std::int64_t>();
    return FailAt(prefix_ + name, Code::kInvalidArgument,
                  "expected a whole number from 0 to {}, got {}", max,
                  field->is_number() ? field->dump() : std::string(JsonTypeName(*field)));
  }
  Result<std::string> Text(const char* name) const {
    ASSIGN_OR_RETURN(const json* const field, Field(name));
    if (field->is_string()) return field->get<std::string>();
    return FailAt(prefix_ + name, Code::kInvalidArgument, "expected a string, got {}",
                  JsonTypeName(*field));
  }
  Result<std::optional<double>> NumberOrNull(const char* name) const {
    ASSIGN_OR_RETURN(const json* const field, Field(name));
    if (field->is_null()) return std::optional<double>();
    if (field->is_number()) return std::optional(field->get<double>());
    return FailAt(prefix_ + name, Code::kInvalidArgument, "expected a number or null, got {}",
                  JsonTypeName(*field));
  }
  Result<bool> Flag(const char* name) const {
    ASSIGN_OR_RETURN(const json* const field, Field(name));
    if (field->is_boolean()) return field->get<bool>();
    return FailAt(prefix_ + name, Code::kInvalidArgument, "expected true or false, got {}",
                  JsonTypeName(*field));
  }
  Result<double> RealNumber(const char* name) const {
    ASSIGN_OR_RETURN(const std::optional<double> number, NumberOrNull(name));
    if (number) return *number;
    return FailAt(prefix_ + name, Code::kInvalidArgument, "expected a number, got null");
  }
  Result<Sha256Digest> Digest(const char* name) const {
    ASSIGN_OR_RETURN(const std::string text, Text(name));
    const auto nibble = [](char c) {
      return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
    };
    Sha256Digest digest{};
    bool good = text.size() == 2 * digest.size();
    for (std::size_t i = 0; good && i < digest.size(); ++i) {
      const int high = nibble(text[2 * i]);
      const int low = nibble(text[2 * i + 1]);
      good = high >= 0 && low >= 0;
      if (good) digest[i] = static_cast<std::byte>(high * 16 + low);
    }
    if (good) return digest;
    return FailAt(prefix_ + name, Code::kInvalidArgument,
                  "expected a SHA-256 as 64 hexadecimal digits in lower case");
  }

 private:
  Reader(const json& object, std::string prefix) : object_(&object), prefix_(std::move(prefix)) {}

  const json* object_;
  std::string prefix_;
};

// ---- the measured mode's part
// --------------------------------------------------------------------

ordered_json MeasuredJson(const MeasuredRecord& record) {
  ordered_json out = {{"user", Number(record.user)},
                      {"reply", Number(record.reply)},
                      {"p_complies", Number(record.compliance)},
                      {"calibrated", record.calibrated},
                      {"turn_alert", record.turn_alert},
                      {"alarm",
                       {{"sum", record.alarm.sum},
                        {"on", record.alarm.on},
                        {"rose", record.alarm.rose},
                        {"slope", nullptr},
                        {"z", nullptr}}},
                      {"robustness", nullptr}};
  if (const auto& trend = record.alarm.trend) {
    out["alarm"]["slope"] = trend->slope;
    out["alarm"]["z"] = trend->z;
  }
  if (const auto& ratio = record.robustness) {
    out["robustness"] = {{"log_rho", ratio->log_ratio}};
    out["robustness"]["interval"] = ratio->interval ? ordered_json(*ratio->interval) : nullptr;
  }
  return out;
}

Result<Alarm::Step> AlarmFromJson(const json& object, const std::string& place) {
  ASSIGN_OR_RETURN(const Reader fields, Reader::Of(object, place));
  Alarm::Step step;
  ASSIGN_OR_RETURN(step.sum, fields.RealNumber("sum"));
  ASSIGN_OR_RETURN(step.on, fields.Flag("on"));
  ASSIGN_OR_RETURN(step.rose, fields.Flag("rose"));
  ASSIGN_OR_RETURN(const std::optional<double> slope, fields.NumberOrNull("slope"));
  ASSIGN_OR_RETURN(const std::optional<double> z, fields.NumberOrNull("z"));
  if (slope.has_value() != z.has_value()) {
    return FailAt(place + "slope", Code::kInvalidArgument, "expected slope and z, or neither");
  }
  if (slope) step.trend = Trend{*slope, *z};
  return step;
}

Result<std::optional<RobustnessRatio::Value>> RatioFromJson(const json& object,
                                                            const std::string& place) {
  if (object.is_null()) return std::optional<RobustnessRatio::Value>();
  ASSIGN_OR_RETURN(const Reader fields, Reader::Of(object, place));
  RobustnessRatio::Value value;
  ASSIGN_OR_RETURN(value.log_ratio, fields.RealNumber("log_rho"));
  ASSIGN_OR_RETURN(const json* const interval, fields.Field("interval"));
  if (interval->is_null()) return std::optional(value);
  if (!interval->is_array() || interval->size() != 2 || !(*interval)[0].is_number() ||
      !(*interval)[1].is_number()) {
    return FailAt(place + "interval", Code::kInvalidArgument, "expected two numbers or null");
  }
  value.interval = {(*interval)[0].get<double>(), (*interval)[1].get<double>()};
  return std::optional(value);
}

Result<MeasuredRecord> MeasuredFromJson(const json& object, const std::string& place) {
  ASSIGN_OR_RETURN(const Reader fields, Reader::Of(object, place));
  MeasuredRecord record;
  ASSIGN_OR_RETURN(record.user, fields.NumberOrNull("user"));
  ASSIGN_OR_RETURN(record.reply, fields.NumberOrNull("reply"));
  ASSIGN_OR_RETURN(record.compliance, fields.NumberOrNull("p_complies"));
  ASSIGN_OR_RETURN(record.calibrated, fields.Flag("calibrated"));
  ASSIGN_OR_RETURN(record.turn_alert, fields.Flag("turn_alert"));
  ASSIGN_OR_RETURN(const json* const alarm, fields.Field("alarm"));
  ASSIGN_OR_RETURN(record.alarm, AlarmFromJson(*alarm, place + "alarm."));
  ASSIGN_OR_RETURN(const json* const ratio, fields.Field("robustness"));
  ASSIGN_OR_RETURN(record.robustness, RatioFromJson(*ratio, place + "robustness."));
  return record;
}

ordered_json SumsJson(const MeasuredState::Data& sums) {
  const auto& [alarm, ratio] = sums;
  return {{"alarm",
           {{"sum", alarm.sum}, {"on", alarm.on}, {"turns", alarm.turns}, {"last", alarm.last}}},
          {"robustness",
           {{"turns", ratio.turns},
            {"reply", ratio.reply},
            {"user", ratio.user},
            {"reply_squares", ratio.reply_squares},
            {"user_squares", ratio.user_squares},
            {"products", ratio.products}}}};
}

Result<MeasuredState::Data> SumsFromJson(const json& object) {
  ASSIGN_OR_RETURN(const Reader fields, Reader::Of(object, "measured."));
  MeasuredState::Data sums;
  auto& [alarm, ratio] = sums;
  ASSIGN_OR_RETURN(const json* const alarm_json, fields.Field("alarm"));
  ASSIGN_OR_RETURN(const Reader of_alarm, Reader::Of(*alarm_json, "measured.alarm."));
  ASSIGN_OR_RETURN(alarm.sum, of_alarm.RealNumber("sum"));
  ASSIGN_OR_RETURN(alarm.on, of_alarm.Flag("on"));
  ASSIGN_OR_RETURN(const std::int64_t turns,
                   of_alarm.Integer("turns", std::numeric_limits<int>::max()));
  alarm.turns = static_cast<std::size_t>(turns);
  ASSIGN_OR_RETURN(const json* const last, of_alarm.Field("last"));
  const bool numbers =
      last->is_array() && last->size() == alarm.last.size() &&
      std::all_of(last->begin(), last->end(), [](const json& one) { return one.is_number(); });
  if (!numbers) {
    return FailAt("measured.alarm.last", Code::kInvalidArgument, "expected {} numbers",
                  alarm.last.size());
  }
  for (std::size_t i = 0; i < alarm.last.size(); ++i) alarm.last[i] = (*last)[i].get<double>();
  ASSIGN_OR_RETURN(const json* const ratio_json, fields.Field("robustness"));
  ASSIGN_OR_RETURN(const Reader of_ratio, Reader::Of(*ratio_json, "measured.robustness."));
  ASSIGN_OR_RETURN(ratio.turns, of_ratio.RealNumber("turns"));
  ASSIGN_OR_RETURN(ratio.reply, of_ratio.RealNumber("reply"));
  ASSIGN_OR_RETURN(ratio.user, of_ratio.RealNumber("user"));
  ASSIGN_OR_RETURN(ratio.reply_squares, of_ratio.RealNumber("reply_squares"));
  ASSIGN_OR_RETURN(ratio.user_squares, of_ratio.RealNumber("user_squares"));
  ASSIGN_OR_RETURN(ratio.products, of_ratio.RealNumber("products"));
  return sums;
}

// ---- a turn, and all
// -----------------------------------------------------------------------------

ordered_json TurnJson(const RecordedTurn& turn) {
  const TurnMetrics& m = turn.metrics;
  ordered_json out = {{"turn", m.turn},
                      {"at_ms", turn.at_ms},
                      {"tokens", turn.tokens},
                      {"R_model", Number(m.r_model)},
                      {"v", Number(m.v_model)},
                      {"a", Number(m.a_model)},
                      {"C_model", Number(m.c_model)},
                      {"z", Number(m.z)},
                      {"likelihood", Number(m.likelihood)},
                      {"R_user", Number(m.r_user)},
                      {"C_user", Number(m.c_user)},
                      {"rho", Number(m.rho)},
                      {"agreement", Number(turn.agreement)}};
  if (turn.measured) out["measured"] = MeasuredJson(*turn.measured);
  if (!turn.idempotency_key.empty()) {
    out["idempotency_key"] = turn.idempotency_key;
    out["content_sha256"] = ToHex(turn.content);
  }
  return out;
}

Result<RecordedTurn> TurnFromJson(const json& object, std::size_t index) {
  ASSIGN_OR_RETURN(const Reader fields, Reader::Of(object, fmt::format("recent[{}].", index)));
  RecordedTurn turn;
  TurnMetrics& m = turn.metrics;
  ASSIGN_OR_RETURN(const std::int64_t number,
                   fields.Integer("turn", std::numeric_limits<int>::max()));
  m.turn = static_cast<int>(number);
  ASSIGN_OR_RETURN(turn.at_ms, fields.Integer("at_ms", std::numeric_limits<std::int64_t>::max()));
  ASSIGN_OR_RETURN(const std::int64_t tokens,
                   fields.Integer("tokens", std::numeric_limits<std::uint32_t>::max()));
  turn.tokens = static_cast<std::uint32_t>(tokens);
  ASSIGN_OR_RETURN(m.r_model, fields.NumberOrNull("R_model"));
  ASSIGN_OR_RETURN(m.v_model, fields.NumberOrNull("v"));
  ASSIGN_OR_RETURN(m.a_model, fields.NumberOrNull("a"));
  ASSIGN_OR_RETURN(m.c_model, fields.NumberOrNull("C_model"));
  ASSIGN_OR_RETURN(m.z, fields.NumberOrNull("z"));
  ASSIGN_OR_RETURN(m.likelihood, fields.NumberOrNull("likelihood"));
  ASSIGN_OR_RETURN(m.r_user, fields.NumberOrNull("R_user"));
  ASSIGN_OR_RETURN(m.c_user, fields.NumberOrNull("C_user"));
  ASSIGN_OR_RETURN(m.rho, fields.NumberOrNull("rho"));
  ASSIGN_OR_RETURN(turn.agreement, fields.NumberOrNull("agreement"));
  if (const auto measured = object.find("measured"); measured != object.end()) {
    ASSIGN_OR_RETURN(turn.measured,
                     MeasuredFromJson(*measured, fmt::format("recent[{}].measured.", index)));
  }
  if (!object.contains("idempotency_key")) return turn;
  ASSIGN_OR_RETURN(turn.idempotency_key, fields.Text("idempotency_key"));
  if (turn.idempotency_key.empty()) {
    return FailAt(fmt::format("recent[{}].idempotency_key", index), Code::kInvalidArgument,
                  "expected a key, or no such field, got an empty text");
  }
  ASSIGN_OR_RETURN(turn.content, fields.Digest("content_sha256"));
  return turn;
}

Result<KinematicsState> KinematicsFromJson(const json& object, std::int64_t turns) {
  ASSIGN_OR_RETURN(const Reader fields, Reader::Of(object, "state."));
  KinematicsState state;
  state.turns = static_cast<int>(turns);
  ASSIGN_OR_RETURN(state.r_model, fields.RealNumber("r_model"));
  ASSIGN_OR_RETURN(state.v_model, fields.RealNumber("v_model"));
  ASSIGN_OR_RETURN(state.c_model, fields.NumberOrNull("c_model"));
  ASSIGN_OR_RETURN(state.r_user, fields.RealNumber("r_user"));
  ASSIGN_OR_RETURN(state.c_user, fields.NumberOrNull("c_user"));
  return state;
}

}  // namespace

ordered_json StateJson(const SessionState& state) {
  const KinematicsState& k = state.kinematics;
  ordered_json recent = ordered_json::array();
  for (const RecordedTurn& turn : state.recent) recent.push_back(TurnJson(turn));
  ordered_json out = {{"format", kFormat},
                      {"version", kVersion},
                      {"conversation_id", state.id},
                      {"provenance_sha256", ToHex(state.provenance)},
                      {"created_ms", state.created_ms},
                      {"last_use_ms", state.last_use_ms},
                      {"turns", k.turns},
                      {"state",
                       {{"r_model", k.r_model},
                        {"v_model", k.v_model},
                        {"c_model", Number(k.c_model)},
                        {"r_user", k.r_user},
                        {"c_user", Number(k.c_user)}}}};
  if (state.measured) out["measured"] = SumsJson(*state.measured);
  out["recent"] = std::move(recent);
  return out;
}

Result<SessionState> StateFromJson(const json& object, const ConversationKey& key) {
  ASSIGN_OR_RETURN(const Reader fields, Reader::Of(object, ""));
  ASSIGN_OR_RETURN(const std::string format, fields.Text("format"));
  ASSIGN_OR_RETURN(const std::int64_t version, fields.Integer("version", 1'000'000));
  if (format != kFormat || version != kVersion) {
    return FailAt("format", Code::kInvalidArgument,
                  "expected an exported conversation, \"{}\" of version {}, got something else",
                  kFormat, kVersion);
  }
  SessionState state;
  state.tenant = key.tenant;
  ASSIGN_OR_RETURN(state.id, fields.Text("conversation_id"));
  if (state.id != key.id) {
    return FailAt("conversation_id", Code::kInvalidArgument,
                  "expected the conversation of the address, got another");
  }
  ASSIGN_OR_RETURN(state.provenance, fields.Digest("provenance_sha256"));
  constexpr std::int64_t kAny = std::numeric_limits<std::int64_t>::max();
  ASSIGN_OR_RETURN(state.created_ms, fields.Integer("created_ms", kAny));
  ASSIGN_OR_RETURN(state.last_use_ms, fields.Integer("last_use_ms", kAny));
  ASSIGN_OR_RETURN(const std::int64_t turns,
                   fields.Integer("turns", std::numeric_limits<int>::max()));
  ASSIGN_OR_RETURN(const json* const numbers, fields.Field("state"));
  ASSIGN_OR_RETURN(state.kinematics, KinematicsFromJson(*numbers, turns));
  if (const auto measured = object.find("measured"); measured != object.end()) {
    ASSIGN_OR_RETURN(state.measured, SumsFromJson(*measured));
  }
  ASSIGN_OR_RETURN(const json* const recent, fields.Field("recent"));
  if (!recent->is_array() || recent->size() > kRecentTurns) {
    return FailAt("recent", Code::kInvalidArgument, "expected a list of at most {} turns, got {}",
                  kRecentTurns, recent->is_array() ? "more" : JsonTypeName(*recent));
  }
  for (std::size_t i = 0; i < recent->size(); ++i) {
    ASSIGN_OR_RETURN(RecordedTurn turn, TurnFromJson((*recent)[i], i));
    state.recent.push_back(std::move(turn));
  }
  RETURN_IF_ERROR(CheckState(state));
  return state;
}

}  // namespace garrison
