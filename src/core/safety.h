// One turn of a conversation that the guard is asked about.
#pragma once

#include <string>

namespace garrison {

struct SafetyRequest {
  std::string user_message;
  std::string model_message;
  std::string conversation_id;  // empty: a new conversation begins
};

}  // namespace garrison
