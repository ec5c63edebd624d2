// The one table from error codes to HTTP statuses.
#pragma once

#include <string_view>

#include "base/result.h"

namespace garrison {

// For example 400 for INVALID_ARGUMENT; docs/api.md shows all of them.
int HttpStatusOf(Code code);

// OpenAI's `type` for a status: "invalid_request_error", "rate_limit_error", "server_error", ...
std::string_view OpenAiErrorType(int status);

}  // namespace garrison
