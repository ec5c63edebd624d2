// The running state of many conversations, by tenant and conversation id, over a store that other
// processes may share.
//
// A turn is taken by loading the state, stepping it, and saving it only if nobody else has saved it
// meanwhile; otherwise again from the start. So no turn is lost and none counts twice, whoever
// shares the store. A conversation that was not used for the time-to-live, or had to make room, is
// forgotten and starts again at turn 1.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/hash.h"
#include "base/result.h"
#include "core/conversation_store.h"
#include "core/settings.h"
#include "guard/measured.h"
#include "guard/provenance.h"
#include "guard/session_state.h"
#include "guard/turn_report.h"

namespace garrison {

// A turn to be taken.
struct SessionTurn {
  std::string tenant;
  // Unset: a new conversation begins. With an idempotency key its id follows from tenant and key,
  // so that the same request again finds it.
  std::optional<std::string> id;
  // The number that it must get.
  std::optional<std::int64_t> number;
  std::string idempotency_key;  // empty: none
  Sha256Digest content{};       // of the messages; matters with a key only
  // What it would be, without taking it: of a reply that is still being made.
  bool preview = false;
};

// What a turn scores; `measured` where the sessions have a measured monitor.
struct SessionScores {
  TurnScores compat;
  std::optional<MeasuredScores> measured = {};
};

struct SessionTurnReport {
  TurnReport compat;
  std::optional<MeasuredTurn> measured;
};

struct SessionStep {
  std::string conversation_id;  // empty: a preview of a conversation that has not begun
  SessionTurnReport turn;
  bool repeated = false;  // it had been taken before, under the same idempotency key
};

// SHA-256 of a turn's messages, as SessionTurn wants it.
Sha256Digest ContentHash(std::string_view user_message, std::string_view model_message);

// Thread-safe.
//
// Errors, beside those of the store: INVALID_ARGUMENT for a bad id, key or risk; NOT_FOUND for a
// conversation that is not this tenant's, whether or not it is another's; FAILED_PRECONDITION
// (where: "conversation_id") for one whose turns were computed with another provenance; ABORTED
// when too many change a conversation at once.
class GuardSessions {
 public:
  using NewId = std::function<std::string()>;

  // `new_id` makes a fresh, hard to guess id; it must be safe to call from any thread. `provenance`
  // is what every turn is computed with, and `measured` (null in compatible mode) too; a
  // conversation keeps to one mode. `store`, `clock` and `measured` must outlive the sessions.
  GuardSessions(const GuardSettings& guard, const LimitSettings& limits,
                const Provenance& provenance, ConversationStore& store, const Clock& clock,
                NewId new_id, const MeasuredMonitor* measured = nullptr);

  // Takes a turn. Turns of one conversation that come at once are taken one after the other in any
  // order. On an error nothing changes, unless the store is UNAVAILABLE: then the turn may or may
  // not have been taken, and only an idempotency key makes it safe to ask again.
  // ABORTED (where: "turn", reason "turn_out_of_order") unless `turn.number` is the next.
  // ALREADY_EXISTS (where: "idempotency_key", reason "idempotency_key_reused") for the key of a
  // recent turn with other content. RESOURCE_EXHAUSTED past limits.conversation_turns.
  // A preview goes through the same checks and changes nothing; INVALID_ARGUMENT (where:
  // "idempotency_key") for one with a key, since it may be asked any number of times anyway.
  Result<SessionStep> Step(const SessionTurn& turn, const SessionScores& scores);

  Result<SessionState> Find(std::string_view tenant, std::string_view id);
  // The same of whatever provenance: only Report and Step need their own.
  Result<SessionState> Export(std::string_view tenant, std::string_view id);
  // A recent turn as it was answered, under the thresholds of now.
  SessionTurnReport Report(const RecordedTurn& turn) const;

  // Forgets a conversation.
  Result<> End(std::string_view tenant, std::string_view id);

  // Takes over what StateJson made. ALREADY_EXISTS when there is one, unless `replace`.
  Result<SessionState> Import(std::string_view tenant, std::string_view id,
                              const nlohmann::json& json, bool replace);

  // When a conversation that was used last at `last_use_ms` is forgotten.
  std::int64_t ExpiresMs(std::int64_t last_use_ms) const;

  // INVALID_ARGUMENT (where: "conversation_id") unless 1 to 128 printable ASCII characters. Step
  // checks this too; callers may want to know before they compute a risk.
  static Result<> CheckId(std::string_view id);
  // The same of a key that is not empty (where: "idempotency_key").
  static Result<> CheckIdempotencyKey(std::string_view key);

  ConversationStoreStats store_stats() const { return store_.stats(); }
  // Since the start: saves that somebody else was ahead of, and turns that were answered again.
  std::uint64_t conflicts() const { return conflicts_; }
  std::uint64_t repeats() const { return repeats_; }

 private:
  struct Loaded {
    std::optional<SessionState> state;
    std::int64_t version = 0;  // 0: none is there
  };

  Result<Loaded> Load(const ConversationKey& key);
  // The state's own, or a new conversation.
  Result<SessionState> Current(const ConversationKey& key, Loaded loaded) const;
  Result<> CheckProvenance(const SessionState& state) const;
  Result<const RecordedTurn*> FindRepeated(const SessionState& state,
                                           const SessionTurn& turn) const;
  Result<> CheckNext(const SessionState& state, std::optional<std::int64_t> number) const;
  Result<SessionTurnReport> Take(SessionState& state, const SessionTurn& turn,
                                 const SessionScores& scores);
  Result<bool> Save(const ConversationKey& key, const SessionState& state, std::int64_t expected);
  void SweepNowAndThen();

  const GuardSettings guard_;
  const std::int64_t turns_max_;
  const std::chrono::milliseconds time_to_live_;
  const Sha256Digest provenance_;
  const MeasuredMonitor* const measured_;
  ConversationStore& store_;
  const Clock& clock_;
  const NewId new_id_;

  std::atomic<std::uint64_t> conflicts_ = 0;
  std::atomic<std::uint64_t> repeats_ = 0;
  std::atomic<SteadyTime::rep> next_sweep_ = 0;
};

}  // namespace garrison
