#include "guard/sessions.h"

#include <algorithm>
#include <limits>
#include <random>
#include <thread>
#include <utility>

#include "base/check.h"

namespace garrison {
namespace {

// Each try lets somebody else's turn through, so that many of them are no sign of trouble.
constexpr int kTries = 200;
constexpr int kTriesWithoutWait = 3;
constexpr std::chrono::microseconds kLongestWait{5'000};
constexpr std::chrono::seconds kBetweenSweeps{60};

// Somebody else was ahead: waits a little, at random, so that not all come again together.
void StepBack(int tries) {
  if (tries < kTriesWithoutWait) return;
  thread_local std::minstd_rand random{std::random_device{}()};
  const auto longest = std::min<std::int64_t>(kLongestWait.count(), std::int64_t{100} * tries);
  std::this_thread::sleep_for(
      std::chrono::microseconds(std::uniform_int_distribution<std::int64_t>(0, longest)(random)));
}

tl::unexpected<Error> Contended() {
  auto failure = FailAt("conversation_id", Code::kAborted,
                        "too many requests change this conversation at once; try again");
  failure.value().retry_after = std::chrono::seconds(1);
  failure.value().reason = "conversation_contended";
  return failure;
}

tl::unexpected<Error> NoConversation() {
  return FailAt("conversation_id", Code::kNotFound,
                "there is no such conversation; it may have been forgotten");
}

// Hard to guess where the key is, and another one for each tenant.
std::string IdOfKey(std::string_view tenant, std::string_view key) {
  constexpr std::size_t kDigits = 32;
  return Sha256Hex(fmt::format("conversation\n{}\n{}", tenant, key)).substr(0, kDigits);
}

Sha256Digest HashOf(const Provenance& provenance, const MeasuredMonitor* measured) {
  const Sha256Digest compat = ProvenanceHash(provenance);
  if (measured == nullptr) return compat;
  Sha256 hash;
  hash.Update(ToHex(compat));
  hash.Update(measured->file().hash());
  return hash.Finish();
}

}  // namespace

Sha256Digest ContentHash(std::string_view user_message, std::string_view model_message) {
  Sha256 hash;
  hash.Update(fmt::format("{}\n", user_message.size()));
  hash.Update(user_message);
  hash.Update(model_message);
  return hash.Finish();
}

GuardSessions::GuardSessions(const GuardSettings& guard, const LimitSettings& limits,
                             const Provenance& provenance, ConversationStore& store,
                             const Clock& clock, NewId new_id, const MeasuredMonitor* measured)
    : guard_(guard),
      turns_max_(limits.conversation_turns),
      time_to_live_(std::chrono::seconds(guard.conversation_ttl_s)),
      provenance_(HashOf(provenance, measured)),
      measured_(measured),
      store_(store),
      clock_(clock),
      new_id_(std::move(new_id)) {}

Result<> GuardSessions::CheckId(std::string_view id) {
  return CheckPrintable(id, kConversationIdBytesMax, "conversation_id");
}

Result<> GuardSessions::CheckIdempotencyKey(std::string_view key) {
  return CheckPrintable(key, kIdempotencyKeyBytesMax, "idempotency_key");
}

std::int64_t GuardSessions::ExpiresMs(std::int64_t last_use_ms) const {
  return last_use_ms + time_to_live_.count();
}

Result<SessionStep> GuardSessions::Step(const SessionTurn& turn, const SessionScores& scores) {
  CHECK(scores.measured.has_value() == (measured_ != nullptr));
  const bool has_key = !turn.idempotency_key.empty();
  if (has_key) RETURN_IF_ERROR(CheckIdempotencyKey(turn.idempotency_key));
  if (has_key && turn.preview) {
    return FailAt("idempotency_key", Code::kInvalidArgument,
                  "expected no key of a preview: nothing is taken, and it may be asked again");
  }
  std::string id = turn.id   ? *turn.id
                   : has_key ? IdOfKey(turn.tenant, turn.idempotency_key)
                             : new_id_();
  RETURN_IF_ERROR(CheckId(id));
  // What begins a conversation is its first turn, also when the key has been forgotten.
  const std::optional<std::int64_t> number = turn.id || turn.number ? turn.number : 1;
  const ConversationKey key{turn.tenant, id};
  for (int tries = 0; tries < kTries; ++tries) {
    StepBack(tries);
    ASSIGN_OR_RETURN(Loaded loaded, Load(key));
    const std::int64_t version = loaded.version;
    ASSIGN_OR_RETURN(SessionState state, Current(key, std::move(loaded)));
    ASSIGN_OR_RETURN(const RecordedTurn* const repeated, FindRepeated(state, turn));
    if (repeated != nullptr) {
      ++repeats_;
      SessionTurnReport report = Report(*repeated);
      // The messages are the same, and so are their scores, of which less is remembered.
      if (measured_ != nullptr) {
        report.measured = TurnAgain(*scores.measured, *repeated->measured);
      }
      return SessionStep{std::move(id), std::move(report), true};
    }
    RETURN_IF_ERROR(CheckNext(state, number));
    ASSIGN_OR_RETURN(SessionTurnReport report, Take(state, turn, scores));
    if (turn.preview) {
      return SessionStep{turn.id ? std::move(id) : "", std::move(report), false};
    }
    ASSIGN_OR_RETURN(const bool saved, Save(key, state, version));
    if (!saved) continue;
    SweepNowAndThen();
    return SessionStep{std::move(id), std::move(report), false};
  }
  return Contended();
}

Result<GuardSessions::Loaded> GuardSessions::Load(const ConversationKey& key) {
  const auto damaged = [](Error error) {
    if (error.code == Code::kDataLoss) error.message += "; DELETE the conversation to begin anew";
    error.where = "conversation_id";
    return tl::unexpected(std::move(error));
  };
  auto stored = store_.Load(key);
  if (!stored) {
    if (stored.error().code != Code::kDataLoss) return tl::unexpected(std::move(stored).error());
    return damaged(std::move(stored).error());
  }
  if (!*stored) return Loaded{};
  Result<SessionState> state = DecodeState((*stored)->state, key);
  if (!state) return damaged(std::move(state).error());
  return Loaded{*std::move(state), (*stored)->version};
}

Result<SessionState> GuardSessions::Current(const ConversationKey& key, Loaded loaded) const {
  if (loaded.state) {
    RETURN_IF_ERROR(CheckProvenance(*loaded.state));
    return *std::move(loaded.state);
  }
  SessionState state;
  state.provenance = provenance_;
  state.tenant = key.tenant;
  state.id = key.id;
  state.created_ms = ToUnixMs(clock_.WallNow());
  if (measured_ != nullptr) state.measured.emplace();
  return state;
}

Result<> GuardSessions::CheckProvenance(const SessionState& state) const {
  if (state.provenance == provenance_) {
    // An import may claim anything.
    if (state.measured.has_value() == (measured_ != nullptr)) return {};
    constexpr const char* kMeasured = "the sums of the measured mode";
    constexpr const char* kCompat = "none, as in compatible mode";
    return FailAt("measured", Code::kFailedPrecondition, "expected {}, got {}",
                  measured_ != nullptr ? kMeasured : kCompat,
                  measured_ != nullptr ? "none" : "those of the measured mode");
  }
  constexpr std::size_t kDigits = 12;
  return FailAt("conversation_id", Code::kFailedPrecondition,
                "this conversation was begun with another model or guard, other anchors or weights "
                "(provenance {}..., here {}...), so its numbers do not go on; use a new "
                "conversation_id, or DELETE it to begin anew",
                ToHex(state.provenance).substr(0, kDigits), ToHex(provenance_).substr(0, kDigits));
}

// Null: none.
Result<const RecordedTurn*> GuardSessions::FindRepeated(const SessionState& state,
                                                        const SessionTurn& turn) const {
  if (turn.idempotency_key.empty()) return nullptr;
  const auto found = std::find_if(state.recent.begin(), state.recent.end(), [&](const auto& one) {
    return one.idempotency_key == turn.idempotency_key;
  });
  if (found == state.recent.end()) return nullptr;
  if (found->content == turn.content && (!turn.number || *turn.number == found->metrics.turn)) {
    return &*found;
  }
  auto failure = FailAt("idempotency_key", Code::kAlreadyExists,
                        "turn {} of this conversation was taken under this key, with other "
                        "messages or as another turn; use a new key for each turn",
                        found->metrics.turn);
  failure.value().reason = "idempotency_key_reused";
  return failure;
}

Result<> GuardSessions::CheckNext(const SessionState& state,
                                  std::optional<std::int64_t> number) const {
  const int next = state.kinematics.turns + 1;
  if (number && *number != next) {
    auto failure =
        FailAt("turn", Code::kAborted, "expected turn {} of this conversation, got {}{}", next,
               *number, next == 1 ? "; there is none yet, or it was forgotten" : "");
    failure.value().reason = "turn_out_of_order";
    return failure;
  }
  if (next <= turns_max_) return {};
  return FailAt("conversation_id", Code::kResourceExhausted,
                "this conversation has had its {} turns; start a new conversation_id, or raise "
                "limits.conversation_turns",
                turns_max_);
}

Result<SessionTurnReport> GuardSessions::Take(SessionState& state, const SessionTurn& turn,
                                              const SessionScores& scores) {
  ASSIGN_OR_RETURN(Kinematics kinematics, Kinematics::FromState(guard_, state.kinematics));
  RecordedTurn record;
  ASSIGN_OR_RETURN(record.metrics, kinematics.Step(scores.compat.risk));
  std::optional<MeasuredTurn> measured;
  if (measured_ != nullptr) {
    ASSIGN_OR_RETURN(MeasuredState sums, MeasuredState::Restore(*state.measured));
    ASSIGN_OR_RETURN(measured, sums.Take(*scores.measured, measured_->file().model()));
    state.measured = sums.data();
    record.measured = RecordOf(*measured);
  }
  record.agreement = scores.compat.agreement;
  record.tokens = static_cast<std::uint32_t>(
      std::min<std::size_t>(scores.compat.tokens, std::numeric_limits<std::uint32_t>::max()));
  // Clocks of several machines differ: time does not go back.
  record.at_ms = std::max(ToUnixMs(clock_.WallNow()), state.last_use_ms);
  record.idempotency_key = turn.idempotency_key;
  if (!turn.idempotency_key.empty()) record.content = turn.content;
  state.kinematics = kinematics.state();
  state.last_use_ms = record.at_ms;
  if (state.recent.size() >= kRecentTurns) state.recent.erase(state.recent.begin());
  state.recent.push_back(std::move(record));
  SessionTurnReport report = Report(state.recent.back());
  report.measured = std::move(measured);
  return report;
}

SessionTurnReport GuardSessions::Report(const RecordedTurn& turn) const {
  TurnScores scores;
  scores.risk = {.model = turn.metrics.r_model, .user = turn.metrics.r_user};
  scores.agreement = turn.agreement;
  scores.tokens = turn.tokens;
  CompleteScores(scores, guard_);
  SessionTurnReport report{MakeTurnReport(turn.metrics, scores, guard_), {}};
  if (measured_ != nullptr && turn.measured) {
    report.measured = TurnAgain(*turn.measured, measured_->prior_log_odds());
  }
  return report;
}

Result<bool> GuardSessions::Save(const ConversationKey& key, const SessionState& state,
                                 std::int64_t expected) {
  // Whatever cannot be read back must not replace what can.
  if (const Result<> checked = CheckState(state); !checked) {
    return Fail(Code::kInternal, "a turn would have left a state that is none: {}",
                checked.error().Sentence());
  }
  Result<bool> saved = store_.Save(key, EncodeState(state), expected, ExpiresMs(state.last_use_ms));
  if (saved && !*saved) ++conflicts_;
  return saved;
}

// On the thread of a request, because it is short and seldom.
void GuardSessions::SweepNowAndThen() {
  const SteadyTime::rep now = clock_.Now().time_since_epoch().count();
  SteadyTime::rep due = next_sweep_;
  const SteadyTime::rep next =
      now + std::chrono::duration_cast<SteadyTime::duration>(kBetweenSweeps).count();
  if (now < due || !next_sweep_.compare_exchange_strong(due, next)) return;
  // What fails is tried again in a minute; the store counts its failures. While there is more to
  // drop than it drops at once, the next turn goes on.
  const Result<bool> more = store_.Sweep();
  if (more && *more) next_sweep_ = now;
}

Result<SessionState> GuardSessions::Export(std::string_view tenant, std::string_view id) {
  RETURN_IF_ERROR(CheckId(id));
  ASSIGN_OR_RETURN(Loaded loaded, Load({tenant, id}));
  if (!loaded.state) return NoConversation();
  return *std::move(loaded.state);
}

Result<SessionState> GuardSessions::Find(std::string_view tenant, std::string_view id) {
  ASSIGN_OR_RETURN(SessionState state, Export(tenant, id));
  RETURN_IF_ERROR(CheckProvenance(state));
  return state;
}

Result<> GuardSessions::End(std::string_view tenant, std::string_view id) {
  RETURN_IF_ERROR(CheckId(id));
  ASSIGN_OR_RETURN(const bool was_there, store_.Delete({tenant, id}));
  if (!was_there) return NoConversation();
  return {};
}

Result<SessionState> GuardSessions::Import(std::string_view tenant, std::string_view id,
                                           const nlohmann::json& json, bool replace) {
  RETURN_IF_ERROR(CheckId(id));
  const ConversationKey key{tenant, id};
  ASSIGN_OR_RETURN(SessionState state, StateFromJson(json, key));
  RETURN_IF_ERROR(CheckProvenance(state));
  // It is used now, whatever its own clock said.
  state.last_use_ms = ToUnixMs(clock_.WallNow());
  state.created_ms = std::min(state.created_ms, state.last_use_ms);
  for (RecordedTurn& turn : state.recent) turn.at_ms = std::min(turn.at_ms, state.last_use_ms);
  for (int tries = 0; tries < kTries; ++tries) {
    StepBack(tries);
    ASSIGN_OR_RETURN(const std::optional<StoredConversation> there, store_.Load(key));
    if (there && !replace) {
      return FailAt("conversation_id", Code::kAlreadyExists,
                    "there is a conversation of this id; ?replace=true replaces it");
    }
    ASSIGN_OR_RETURN(const bool saved, Save(key, state, there ? there->version : 0));
    if (saved) return state;
  }
  return Contended();
}

}  // namespace garrison
