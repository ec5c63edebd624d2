// The JSON shapes of POST /check-safety's and /v1/guard/check-batch's requests. Pure: no input or
// output.
#pragma once

#include <nlohmann/json.hpp>
#include <vector>

#include "base/result.h"
#include "core/safety.h"

namespace garrison {

// {"user_message": text, "model_message": text, "conversation_id"?: text, "turn"?: number,
// "idempotency_key"?: text, "preview"?: bool}. Fields it does not know are ignored.
// INVALID_ARGUMENT names the field at fault.
Result<SafetyRequest> DecodeSafetyRequest(const nlohmann::json& body);

// {"items": [the same...]}; errors name "items[3].turn".
Result<std::vector<SafetyRequest>> DecodeSafetyBatch(const nlohmann::json& body);

}  // namespace garrison
