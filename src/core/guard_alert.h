// What the guard tells others: that a conversation begins to alarm, or that its calibration is
// stale.
#pragma once

#include <cstdint>
#include <string>

#include "base/clock.h"

namespace garrison {

// Without any text of the conversation.
struct GuardAlert {
  std::string type = "guard.alarm";  // or "guard.stale", which is of no conversation
  std::string id = {};               // the same for the same event; empty: one of its own
  WallTime at;
  std::string source;           // "check-safety", "chat" or "drift"
  std::string conversation_id;  // empty in a chat, which has none
  std::string tenant;           // name of the API key; empty: none
  std::string request_id;
  std::int64_t turn = 0;
  std::string status;   // "alarm", "HIGH RISK", "stale"
  double evidence = 0;  // of the turn; in compatible mode the likelihood L; of drift the distance
  double sum = 0;       // that the alarm has gathered
  std::string guard;    // hash of the guard file; in compatible mode the space
};

// Thread-safe.
class GuardAlertSink {
 public:
  virtual ~GuardAlertSink() = default;
  // Never waits.
  virtual void Notify(GuardAlert alert) = 0;
};

}  // namespace garrison
