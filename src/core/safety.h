// One turn of a conversation that the guard is asked about.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace garrison {

struct SafetyRequest {
  std::string user_message;
  std::string model_message;
  std::string conversation_id;  // empty: a new conversation begins
  // The number that the turn must get.
  std::optional<std::int64_t> turn = {};
  // The same key and messages again get the same answer, without another turn; empty: none.
  std::string idempotency_key = {};
  // The reply is still being made: says what the turn would be, without taking it.
  bool preview = false;
};

}  // namespace garrison
