// What the guard tells others when a conversation begins to alarm.
#pragma once

#include <cstdint>
#include <string>

#include "base/clock.h"

namespace garrison {

// Without any text of the conversation.
struct GuardAlert {
  WallTime at;
  std::string source;           // "check-safety" or "chat"
  std::string conversation_id;  // empty in a chat, which has none
  std::string tenant;           // name of the API key; empty: none
  std::string request_id;
  std::int64_t turn = 0;
  std::string status;   // "alarm", "HIGH RISK"
  double evidence = 0;  // of the turn; in compatible mode the likelihood L
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
