// The answers about conversations that the guard watches, as JSON; docs/api.md shows them.
#pragma once

#include <span>
#include <string>

#include "gateway/gateway.h"

namespace garrison {

// `measured` is the guard's in measured mode, null in compatible mode.
//
// {"conversation_id", the fields of TurnJson or GuardedTurnJson, "provenance", "timings"}.
std::string EncodeSafetyReply(const SafetyReply& reply, const MeasuredMonitor* measured);
// {"items": [{"http_status": 200, the same fields} or {"http_status", "error"}]}.
std::string EncodeSafetyReplies(std::span<const Result<SafetyReply>> replies,
                                const MeasuredMonitor* measured);

// What GET shows: times, and the last turns as they were answered.
std::string EncodeConversation(const SessionState& state, const GuardSessions& sessions,
                               const MeasuredMonitor* measured);
std::string EncodeConversationExport(const SessionState& state);
std::string EncodeConversationDeleted(const std::string& id);

}  // namespace garrison
