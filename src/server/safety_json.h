// The answer of POST /check-safety as JSON.
#pragma once

#include <string>

#include "gateway/gateway.h"

namespace garrison {

// {"conversation_id", the fields of TurnJson, "provenance", "timings"}; docs/api.md shows them.
std::string EncodeSafetyReply(const SafetyReply& reply);

}  // namespace garrison
