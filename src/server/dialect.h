// Whose API a route speaks, and what an error looks like in it.
#pragma once

#include <string_view>

#include "base/result.h"
#include "net/http.h"

namespace garrison {

enum class Dialect {
  kOpenAi,     // also Garrison's own routes
  kAnthropic,  // Messages
  kTei,        // text-embeddings-inference
  kCohere,     // Cohere's and Jina's rerank
  kOllama,
  kHome,  // the two home-grown services that Garrison replaces
};

// "openai", "tei", ...
std::string_view DialectName(Dialect dialect);

// The status of an error. The one table from codes to statuses; `tei_validation` is
// server.tei_validation_status.
int StatusOf(Dialect dialect, Code code, int tei_validation);

// The answer with the dialect's own body, and Retry-After where the error knows a time. Anthropic's
// body repeats the request's id.
HttpResponse ErrorResponse(Dialect dialect, const Error& error, int tei_validation,
                           std::string_view request_id = "");
// The same with a status that HTTP decides on (404, 405, 413, ...).
HttpResponse ErrorResponseWithStatus(Dialect dialect, const Error& error, int status,
                                     std::string_view request_id = "");

HttpResponse JsonResponse(std::string body, int status = 200);

}  // namespace garrison
