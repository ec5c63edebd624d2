// The state's checks, and its form as bytes. As JSON: session_json.cc.
#include "guard/session_state.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <limits>
#include <span>
#include <tuple>
#include <type_traits>
#include <utility>

namespace garrison {
namespace {

constexpr std::uint8_t kVersion = 1;
constexpr std::int64_t kTimeMax = std::int64_t{1} << 53;  // what JSON holds exactly
constexpr double kFarthest = 1e9;                         // of z: no weight is above 10

static_assert(std::endian::native == std::endian::little, "numbers are written as they lie");

// The numbers of a turn that may be missing, in the order of the bytes.
using Numbers = std::array<std::optional<double>, 10>;
Numbers NumbersOf(const RecordedTurn& turn) {
  const TurnMetrics& m = turn.metrics;
  return {m.r_model,    m.v_model, m.a_model, m.c_model, m.z,
          m.likelihood, m.r_user,  m.c_user,  m.rho,     turn.agreement};
}
void SetNumbers(const Numbers& numbers, RecordedTurn& turn) {
  TurnMetrics& m = turn.metrics;
  std::tie(m.r_model, m.v_model, m.a_model, m.c_model, m.z, m.likelihood, m.r_user, m.c_user, m.rho,
           turn.agreement) = std::tuple_cat(numbers);
}

// Those of the measured mode, likewise.
using MeasuredNumbers = std::array<std::optional<double>, 9>;
MeasuredNumbers NumbersOf(const MeasuredRecord& record) {
  MeasuredNumbers numbers;
  numbers[0] = record.user;
  numbers[1] = record.reply;
  numbers[2] = record.compliance;
  numbers[3] = record.alarm.sum;
  if (record.alarm.trend) {
    numbers[4] = record.alarm.trend->slope;
    numbers[5] = record.alarm.trend->z;
  }
  if (record.robustness) {
    numbers[6] = record.robustness->log_ratio;
    if (record.robustness->interval) {
      numbers[7] = record.robustness->interval->front();
      numbers[8] = record.robustness->interval->back();
    }
  }
  return numbers;
}
// False: some are there without those that they belong to.
bool SetNumbers(const MeasuredNumbers& numbers, MeasuredRecord& record) {
  record.user = numbers[0];
  record.reply = numbers[1];
  record.compliance = numbers[2];
  if (numbers[3]) record.alarm.sum = *numbers[3];
  if (numbers[4] && numbers[5]) record.alarm.trend = Trend{*numbers[4], *numbers[5]};
  if (numbers[6]) record.robustness = RobustnessRatio::Value{*numbers[6], {}};
  if (numbers[7] && numbers[8] && record.robustness) {
    record.robustness->interval = {*numbers[7], *numbers[8]};
  }
  return NumbersOf(record) == numbers;
}

class Writer {
 public:
  template <typename Number>
  void Put(Number value) {
    static_assert(std::is_arithmetic_v<Number>);
    std::array<char, sizeof(value)> bytes{};
    std::memcpy(bytes.data(), &value, sizeof(value));
    out_.append(bytes.data(), bytes.size());
  }
  // At most 255 bytes.
  void PutText(std::string_view text) {
    Put(static_cast<std::uint8_t>(text.size()));
    out_ += text;
  }
  void PutDigest(const Sha256Digest& digest) {
    out_.append(reinterpret_cast<const char*>(digest.data()), digest.size());
  }
  // Which are there, then those.
  void PutNumbers(std::span<const std::optional<double>> numbers) {
    std::uint16_t there = 0;
    for (std::size_t i = 0; i < numbers.size(); ++i) there |= numbers[i] ? 1U << i : 0U;
    Put(there);
    for (const std::optional<double>& number : numbers) {
      if (number) Put(*number);
    }
  }
  std::string Take() { return std::move(out_); }

 private:
  std::string out_;
};

// After the end everything reads as 0; whether it came to that is asked once.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : left_(bytes) {}

  template <typename Number>
  Number Get() {
    Number value{};
    const std::string_view bytes = Take(sizeof(value));
    if (!bytes.empty()) std::memcpy(&value, bytes.data(), sizeof(value));
    return value;
  }
  std::string GetText() { return std::string(Take(Get<std::uint8_t>())); }
  Sha256Digest GetDigest() {
    Sha256Digest digest{};
    const std::string_view bytes = Take(digest.size());
    if (!bytes.empty()) std::memcpy(digest.data(), bytes.data(), digest.size());
    return digest;
  }
  void GetNumbers(std::span<std::optional<double>> numbers) {
    const auto there = Get<std::uint16_t>();
    if (there >> numbers.size() != 0) failed_ = true;
    for (std::size_t i = 0; i < numbers.size(); ++i) {
      if ((there >> i & 1U) != 0) numbers[i] = Get<double>();
    }
  }
  // All was there, and nothing more.
  bool Ended() const { return !failed_ && left_.empty(); }
  bool failed() const { return failed_; }

 private:
  std::string_view Take(std::size_t bytes) {
    if (bytes > left_.size()) failed_ = true;
    if (failed_) return {};
    const std::string_view taken = left_.substr(0, bytes);
    left_.remove_prefix(bytes);
    return taken;
  }

  std::string_view left_;
  bool failed_ = false;
};

// Names one turn's field, when it comes to that.
struct Place {
  std::size_t turn;
  std::string Field(const char* name) const { return fmt::format("recent[{}].{}", turn, name); }
  std::string Turn() const { return fmt::format("recent[{}]", turn); }
};

Result<> CheckNumber(std::optional<double> value, double low, double high, const Place& place,
                     const char* name) {
  if (!value || (*value >= low && *value <= high)) return {};  // not so for NaN
  return FailAt(place.Field(name), Code::kInvalidArgument,
                "expected a number from {} to {}, got {}", low, high, *value);
}

constexpr bool IsTime(std::int64_t ms) { return ms >= 0 && ms <= kTimeMax; }

Result<> CheckTime(std::int64_t ms, std::string where) {
  if (IsTime(ms)) return {};
  return FailAt(std::move(where), Code::kInvalidArgument,
                "expected milliseconds since 1970, got {}", ms);
}

// Numbers that always come together.
Result<> CheckTogether(std::span<const std::optional<double>> numbers, const Place& place,
                       const char* names) {
  const auto there = std::count_if(numbers.begin(), numbers.end(),
                                   [](const auto& number) { return number.has_value(); });
  if (there == 0 || there == static_cast<std::ptrdiff_t>(numbers.size())) return {};
  return FailAt(place.Turn(), Code::kInvalidArgument, "expected {} together or none of them",
                names);
}

Result<> CheckTurn(const RecordedTurn& turn, const Place& place) {
  const TurnMetrics& m = turn.metrics;
  const double c_max = 1e6 * m.turn;
  const Numbers n = NumbersOf(turn);
  RETURN_IF_ERROR(
      CheckTogether(std::span(n).first(6), place, "R_model, v, a, C_model, z and likelihood"));
  RETURN_IF_ERROR(CheckTogether(std::span(n).subspan(6, 2), place, "R_user and C_user"));
  if (!m.r_model && !m.r_user) {
    return FailAt(place.Turn(), Code::kInvalidArgument,
                  "expected numbers of the model, the user or both");
  }
  if (turn.agreement && !m.r_model) {
    return FailAt(place.Turn(), Code::kInvalidArgument, "expected no agreement without the model");
  }
  RETURN_IF_ERROR(CheckNumber(m.r_model, 0, 1e6, place, "R_model"));
  RETURN_IF_ERROR(CheckNumber(m.v_model, -1e6, 1e6, place, "v"));
  RETURN_IF_ERROR(CheckNumber(m.a_model, -2e6, 2e6, place, "a"));
  RETURN_IF_ERROR(CheckNumber(m.c_model, 0, c_max, place, "C_model"));
  RETURN_IF_ERROR(CheckNumber(m.z, -kFarthest, kFarthest, place, "z"));
  RETURN_IF_ERROR(CheckNumber(m.likelihood, 0, 1, place, "likelihood"));
  RETURN_IF_ERROR(CheckNumber(m.r_user, 0, 1e6, place, "R_user"));
  RETURN_IF_ERROR(CheckNumber(m.c_user, 0, c_max, place, "C_user"));
  RETURN_IF_ERROR(CheckNumber(m.rho, 0, std::numeric_limits<double>::max(), place, "rho"));
  RETURN_IF_ERROR(CheckNumber(turn.agreement, 0, 1, place, "agreement"));
  if (!IsTime(turn.at_ms)) return CheckTime(turn.at_ms, place.Field("at_ms"));
  if (turn.idempotency_key.empty()) return {};
  const Result<> key = CheckPrintable(turn.idempotency_key, kIdempotencyKeyBytesMax, "");
  if (!key) return tl::unexpected(At(place.Field("idempotency_key"), key.error()));
  return {};
}

Result<> CheckMeasuredTurn(const RecordedTurn& turn, const Place& place) {
  const MeasuredRecord& record = *turn.measured;
  const auto checked = [&](std::optional<double> value, double low, double high, const char* name) {
    return CheckNumber(value, low, high, place, name);
  };
  // Finite; how large depends on the guard.
  constexpr double kMost = std::numeric_limits<double>::max();
  if (record.user.has_value() != turn.metrics.r_user.has_value() ||
      record.reply.has_value() != turn.metrics.r_model.has_value()) {
    return FailAt(place.Field("measured"), Code::kInvalidArgument,
                  "expected evidence of the sides that have a risk, and of no other");
  }
  RETURN_IF_ERROR(checked(record.user, -kMost, kMost, "measured.user"));
  RETURN_IF_ERROR(checked(record.reply, -kMost, kMost, "measured.reply"));
  RETURN_IF_ERROR(checked(record.compliance, 0, 1, "measured.p_complies"));
  RETURN_IF_ERROR(checked(record.alarm.sum, 0, kMost, "measured.alarm.sum"));
  if (record.alarm.trend) {
    const Trend& trend = *record.alarm.trend;
    RETURN_IF_ERROR(checked(trend.slope, -kMost, kMost, "measured.alarm.slope"));
    RETURN_IF_ERROR(checked(trend.z, -kMost, kMost, "measured.alarm.z"));
  }
  if (!record.robustness) return {};
  const RobustnessRatio::Value& ratio = *record.robustness;
  RETURN_IF_ERROR(checked(ratio.log_ratio, -kMost, kMost, "measured.robustness.log_rho"));
  if (!ratio.interval) return {};
  for (const double end : *ratio.interval) {
    RETURN_IF_ERROR(checked(end, -kMost, kMost, "measured.robustness.interval"));
  }
  return {};
}

// The sums, and that they are those after the last turn that counted.
Result<> CheckMeasured(const SessionState& state) {
  const bool all = std::all_of(state.recent.begin(), state.recent.end(), [&](const auto& turn) {
    return turn.measured.has_value() == state.measured.has_value();
  });
  if (!all) {
    return FailAt("measured", Code::kInvalidArgument,
                  "expected it of the conversation and of each turn, or of none");
  }
  if (!state.measured) return {};
  const auto restored = MeasuredState::Restore(*state.measured);
  if (!restored) return tl::unexpected(At("measured", restored.error()));
  const auto& [alarm, robustness] = *state.measured;
  const auto turns = static_cast<double>(state.kinematics.turns);
  if (static_cast<double>(alarm.turns) > turns || robustness.turns > turns) {
    return FailAt("measured", Code::kInvalidArgument, "expected sums over at most {} turns", turns);
  }
  for (std::size_t i = 0; i < state.recent.size(); ++i) {
    RETURN_IF_ERROR(CheckMeasuredTurn(state.recent[i], Place{i}));
  }
  const Alarm::Step& last = state.recent.back().measured->alarm;
  if (last.sum == alarm.sum && last.on == alarm.on) return {};
  return FailAt("recent", Code::kInvalidArgument,
                "expected the alarm of the last turn to be that of the state");
}

// The last turn of each side is what the next one goes on from.
Result<> CheckLast(const SessionState& state) {
  const KinematicsState& now = state.kinematics;
  const auto last = [&](auto member) -> const RecordedTurn* {
    const auto found = std::find_if(state.recent.rbegin(), state.recent.rend(),
                                    [&](const auto& t) { return (t.metrics.*member).has_value(); });
    return found == state.recent.rend() ? nullptr : &*found;
  };
  const RecordedTurn* const model = last(&TurnMetrics::r_model);
  const RecordedTurn* const user = last(&TurnMetrics::r_user);
  const bool same = (model == nullptr || (model->metrics.r_model == now.r_model && now.c_model &&
                                          model->metrics.v_model == now.v_model &&
                                          model->metrics.c_model == now.c_model)) &&
                    (user == nullptr || (user->metrics.r_user == now.r_user && now.c_user &&
                                         user->metrics.c_user == now.c_user));
  if (same) return {};
  return FailAt("recent", Code::kInvalidArgument,
                "expected the numbers of the last turn to be those of the state");
}

}  // namespace

Result<> CheckPrintable(std::string_view text, std::size_t bytes_max, const char* where) {
  const bool printable =
      std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c <= '~'; });
  if (!text.empty() && text.size() <= bytes_max && printable) return {};
  return FailAt(where, Code::kInvalidArgument,
                "expected 1 to {} printable ASCII characters, got {}", bytes_max,
                printable ? fmt::format("{}", text.size()) : "others");
}

Result<> CheckState(const SessionState& state) {
  RETURN_IF_ERROR(CheckPrintable(state.id, kConversationIdBytesMax, "conversation_id"));
  RETURN_IF_ERROR(CheckTime(state.created_ms, "created_ms"));
  RETURN_IF_ERROR(CheckTime(state.last_use_ms, "last_use_ms"));
  // The weights play no part here.
  RETURN_IF_ERROR(Kinematics::FromState(GuardSettings{}, state.kinematics));
  const auto turns = static_cast<std::size_t>(state.kinematics.turns);
  if (turns == 0 || state.recent.size() != std::min(turns, kRecentTurns)) {
    return FailAt("recent", Code::kInvalidArgument,
                  "expected the last turns, {} at most, of at least one, got {} of {}",
                  kRecentTurns, state.recent.size(), turns);
  }
  for (std::size_t i = 0; i < state.recent.size(); ++i) {
    const Place place{i};
    const std::size_t number = turns - state.recent.size() + 1 + i;
    const RecordedTurn& turn = state.recent[i];
    if (turn.metrics.turn < 0 || static_cast<std::size_t>(turn.metrics.turn) != number) {
      return FailAt(place.Field("turn"), Code::kInvalidArgument, "expected {}, got {}", number,
                    turn.metrics.turn);
    }
    RETURN_IF_ERROR(CheckTurn(turn, place));
  }
  RETURN_IF_ERROR(CheckLast(state));
  return CheckMeasured(state);
}

std::string EncodeState(const SessionState& state) {
  const KinematicsState& k = state.kinematics;
  Writer out;
  out.Put(kVersion);
  out.PutText(state.tenant);
  out.PutText(state.id);
  out.PutDigest(state.provenance);
  out.Put(state.created_ms);
  out.Put(state.last_use_ms);
  out.Put(std::int32_t{k.turns});
  out.Put(k.r_model);
  out.Put(k.v_model);
  out.Put(k.r_user);
  out.PutNumbers(std::array{k.c_model, k.c_user});
  out.Put(static_cast<std::uint8_t>(state.measured ? 1 : 0));
  if (state.measured) {
    const auto& [alarm, ratio] = *state.measured;
    out.Put(alarm.sum);
    out.Put(static_cast<std::uint8_t>(alarm.on ? 1 : 0));
    out.Put(static_cast<std::uint32_t>(alarm.turns));
    for (const double evidence : alarm.last) out.Put(evidence);
    for (const double sum : {ratio.turns, ratio.reply, ratio.user, ratio.reply_squares,
                             ratio.user_squares, ratio.products}) {
      out.Put(sum);
    }
  }
  out.Put(static_cast<std::uint8_t>(state.recent.size()));
  for (const RecordedTurn& turn : state.recent) {
    out.PutNumbers(NumbersOf(turn));
    if (state.measured) {
      const MeasuredRecord& record = *turn.measured;
      out.PutNumbers(NumbersOf(record));
      out.Put(static_cast<std::uint8_t>((record.alarm.on ? 1 : 0) | (record.alarm.rose ? 2 : 0) |
                                        (record.calibrated ? 4 : 0) | (record.turn_alert ? 8 : 0)));
    }
    out.Put(turn.tokens);
    out.Put(turn.at_ms);
    out.PutText(turn.idempotency_key);
    if (!turn.idempotency_key.empty()) out.PutDigest(turn.content);
  }
  return out.Take();
}

Result<SessionState> DecodeState(std::string_view bytes, const ConversationKey& key) {
  Reader in(bytes);
  SessionState state;
  KinematicsState& k = state.kinematics;
  const auto version = in.Get<std::uint8_t>();
  if (version != kVersion) {
    return Fail(Code::kDataLoss, "expected the state of a conversation in version {}, got {}",
                kVersion, version);
  }
  state.tenant = in.GetText();
  state.id = in.GetText();
  state.provenance = in.GetDigest();
  state.created_ms = in.Get<std::int64_t>();
  state.last_use_ms = in.Get<std::int64_t>();
  k.turns = in.Get<std::int32_t>();
  k.r_model = in.Get<double>();
  k.v_model = in.Get<double>();
  k.r_user = in.Get<double>();
  std::array<std::optional<double>, 2> totals;
  in.GetNumbers(totals);
  k.c_model = totals[0];
  k.c_user = totals[1];
  bool good = true;  // what is there makes sense
  const auto measured = in.Get<std::uint8_t>();
  if (measured > 1) good = false;
  if (measured == 1) {
    auto& [alarm, ratio] = state.measured.emplace();
    alarm.sum = in.Get<double>();
    alarm.on = in.Get<std::uint8_t>() != 0;
    alarm.turns = in.Get<std::uint32_t>();
    for (double& evidence : alarm.last) evidence = in.Get<double>();
    for (double* const sum : {&ratio.turns, &ratio.reply, &ratio.user, &ratio.reply_squares,
                              &ratio.user_squares, &ratio.products}) {
      *sum = in.Get<double>();
    }
  }
  const std::size_t recent = in.Get<std::uint8_t>();
  for (std::size_t i = 0; i < recent && !in.failed(); ++i) {
    RecordedTurn& turn = state.recent.emplace_back();
    turn.metrics.turn =
        static_cast<int>(std::int64_t{k.turns} - static_cast<std::int64_t>(recent - i) + 1);
    Numbers numbers;
    in.GetNumbers(numbers);
    SetNumbers(numbers, turn);
    if (state.measured) {
      MeasuredNumbers measured_numbers;
      in.GetNumbers(measured_numbers);
      const auto flags = in.Get<std::uint8_t>();
      MeasuredRecord& record = turn.measured.emplace();
      good = good && SetNumbers(measured_numbers, record) && flags < 16;
      record.alarm.on = (flags & 1U) != 0;
      record.alarm.rose = (flags & 2U) != 0;
      record.calibrated = (flags & 4U) != 0;
      record.turn_alert = (flags & 8U) != 0;
    }
    turn.tokens = in.Get<std::uint32_t>();
    turn.at_ms = in.Get<std::int64_t>();
    turn.idempotency_key = in.GetText();
    if (!turn.idempotency_key.empty()) turn.content = in.GetDigest();
  }
  if (!good || !in.Ended() || state.tenant != key.tenant || state.id != key.id) {
    return Fail(Code::kDataLoss, "expected the state of this conversation, got other bytes");
  }
  if (const Result<> checked = CheckState(state); !checked) {
    return Fail(Code::kDataLoss, "the state of this conversation is damaged: {}",
                checked.error().Sentence());
  }
  return state;
}

}  // namespace garrison
