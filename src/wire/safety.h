// The JSON shape of POST /check-safety's request. Pure: no input or output.
#pragma once

#include <nlohmann/json.hpp>

#include "base/result.h"
#include "core/safety.h"

namespace garrison {

// {"user_message": text, "model_message": text, "conversation_id"?: text}. Fields it does not know
// are ignored. INVALID_ARGUMENT names the field at fault.
Result<SafetyRequest> DecodeSafetyRequest(const nlohmann::json& body);

}  // namespace garrison
