// The running state of many conversations, by conversation id, in memory.
//
// Bounded in number and in time: the conversation that was used longest ago makes room, and one
// that was not used for the time-to-live is forgotten. A forgotten conversation starts again at
// turn 1.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/clock.h"
#include "base/result.h"
#include "core/settings.h"
#include "guard/kinematics.h"

namespace garrison {

struct SessionStep {
  std::string conversation_id;
  TurnMetrics metrics;
};

// Thread-safe. Step costs O(1), besides forgetting what has expired since the last call.
class GuardSessions {
 public:
  using NewId = std::function<std::string()>;

  // `new_id` makes a fresh, hard to guess id; it must be safe to call from any thread. `clock` must
  // outlive the sessions.
  GuardSessions(const GuardSettings& guard, const LimitSettings& limits, const Clock& clock,
                NewId new_id);

  // Takes the next turn of conversation `id`, or of a new one with a fresh id if there is none.
  // Turns of one conversation are taken one after the other, in the order of the calls. On an error
  // nothing changes: INVALID_ARGUMENT for a bad id or risk, RESOURCE_EXHAUSTED past
  // limits.conversation_turns.
  Result<SessionStep> Step(const std::optional<std::string>& id, const TurnRisk& risk);

  // Forgets a conversation; false if there is none.
  bool End(std::string_view id);

  // INVALID_ARGUMENT (where: "conversation_id") unless 1 to 128 printable ASCII characters. Step
  // checks this too; callers may want to know before they compute a risk.
  static Result<> CheckId(std::string_view id);

  // Conversations held now, those that have expired but not been swept included.
  std::size_t size() const;
  // Since the start: made room for others, and not used for the time-to-live.
  std::uint64_t evicted() const;
  std::uint64_t expired() const;

 private:
  struct Session {
    std::string id;
    Kinematics kinematics;
    SteadyTime last_use;
  };
  using Sessions = std::list<Session>;  // last used first

  Result<TurnMetrics> StepLocked(const std::string& id, const TurnRisk& risk, SteadyTime now);
  void Forget(Sessions::iterator session);

  const Kinematics fresh_;
  const std::size_t sessions_max_;
  const std::int64_t turns_max_;
  const std::chrono::seconds time_to_live_;
  const Clock& clock_;
  const NewId new_id_;

  mutable std::mutex mutex_;
  // Guarded by mutex_.
  Sessions sessions_;
  std::unordered_map<std::string_view, Sessions::iterator> by_id_;  // keys live in the sessions
  std::uint64_t evicted_ = 0;
  std::uint64_t expired_ = 0;
};

}  // namespace garrison
