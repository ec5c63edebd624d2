#include "guard/sessions.h"

#include <algorithm>
#include <utility>

namespace garrison {

GuardSessions::GuardSessions(const GuardSettings& guard, const LimitSettings& limits,
                             const Clock& clock, NewId new_id)
    : fresh_(guard),
      sessions_max_(static_cast<std::size_t>(guard.conversations)),
      turns_max_(limits.conversation_turns),
      time_to_live_(guard.conversation_ttl_s),
      clock_(clock),
      new_id_(std::move(new_id)) {}

Result<> GuardSessions::CheckId(std::string_view id) {
  constexpr std::size_t kIdBytesMax = 128;
  const bool printable =
      std::all_of(id.begin(), id.end(), [](char c) { return c >= ' ' && c <= '~'; });
  if (!id.empty() && id.size() <= kIdBytesMax && printable) return {};
  return FailAt("conversation_id", Code::kInvalidArgument,
                "expected 1 to {} printable ASCII characters, got {}", kIdBytesMax,
                printable ? fmt::format("{}", id.size()) : "others");
}

Result<SessionStep> GuardSessions::Step(const std::optional<std::string>& id,
                                        const TurnRisk& risk) {
  std::string name = id ? *id : new_id_();
  RETURN_IF_ERROR(CheckId(name));
  const SteadyTime now = clock_.Now();
  const std::lock_guard lock(mutex_);
  ASSIGN_OR_RETURN(const TurnMetrics metrics, StepLocked(name, risk, now));
  return SessionStep{std::move(name), metrics};
}

Result<TurnMetrics> GuardSessions::StepLocked(const std::string& id, const TurnRisk& risk,
                                              SteadyTime now) {
  while (!sessions_.empty() && now - sessions_.back().last_use >= time_to_live_) {
    Forget(std::prev(sessions_.end()));
    ++expired_;
  }
  const auto found = by_id_.find(id);
  if (found == by_id_.end()) {
    Kinematics kinematics = fresh_;
    ASSIGN_OR_RETURN(const TurnMetrics metrics, kinematics.Step(risk));
    if (sessions_.size() >= sessions_max_) {
      Forget(std::prev(sessions_.end()));
      ++evicted_;
    }
    sessions_.push_front({id, kinematics, now});
    by_id_.emplace(sessions_.front().id, sessions_.begin());
    return metrics;
  }
  const auto session = found->second;
  if (session->kinematics.turns() >= turns_max_) {
    return FailAt("conversation_id", Code::kResourceExhausted,
                  "this conversation has had its {} turns; start a new conversation_id, or raise "
                  "limits.conversation_turns",
                  turns_max_);
  }
  ASSIGN_OR_RETURN(const TurnMetrics metrics, session->kinematics.Step(risk));
  // Threads read the clock before they queue for the lock, so `now` may be a little behind.
  session->last_use = std::max(session->last_use, now);
  sessions_.splice(sessions_.begin(), sessions_, session);
  return metrics;
}

void GuardSessions::Forget(Sessions::iterator session) {
  by_id_.erase(session->id);
  sessions_.erase(session);
}

bool GuardSessions::End(std::string_view id) {
  const std::lock_guard lock(mutex_);
  const auto found = by_id_.find(id);
  if (found == by_id_.end()) return false;
  Forget(found->second);
  return true;
}

std::size_t GuardSessions::size() const {
  const std::lock_guard lock(mutex_);
  return sessions_.size();
}

std::uint64_t GuardSessions::evicted() const {
  const std::lock_guard lock(mutex_);
  return evicted_;
}

std::uint64_t GuardSessions::expired() const {
  const std::lock_guard lock(mutex_);
  return expired_;
}

}  // namespace garrison
