// From a vendor's failure to the error that callers see, and to whether it is worth trying again.
#pragma once

#include <chrono>
#include <optional>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "net/http.h"
#include "wire/upstream.h"

namespace garrison {

// What the class means for a client of ours. A vendor's 401 is the operator's trouble, not the
// client's: only what the client itself can mend is INVALID_ARGUMENT. `reason` is
// "upstream_CLASS", so that programs, and fallbacks, can tell.
Error FailureError(std::string_view provider, const UpstreamFailure& failure, int status);

// The class in an error's `reason`; nullopt for errors that no vendor caused.
std::optional<FailureClass> FailureClassOf(const Error& error);

// Of an error of HttpClient or of a reply that could not be used.
Error TransportError(std::string_view provider, FailureClass kind, const Error& error);

// The rules of OpenAI's and Anthropic's own clients: x-should-retry decides, else 408, 409, 429 and
// 5xx are tried again; not without money or rights.
bool MayRetry(FailureClass kind, int status, const std::vector<HttpHeader>& headers);

// When the vendor asks to be called again: retry-after-ms, else Retry-After in seconds or as a
// date.
std::optional<std::chrono::milliseconds> RetryAfter(const std::vector<HttpHeader>& headers,
                                                    WallTime now);

// 0.5 s * 2^retry, at most 8 s, less up to a quarter by `random` from [0, 1).
std::chrono::milliseconds Backoff(unsigned retry, double random);

}  // namespace garrison
