#include "providers/failure.h"

#include <time.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <string>

namespace garrison {
namespace {

constexpr std::string_view kReason = "upstream_";

Code CodeOf(FailureClass kind) {
  switch (kind) {
    case FailureClass::kBadRequest:
      return Code::kInvalidArgument;
    case FailureClass::kRateLimit:
      return Code::kResourceExhausted;
    case FailureClass::kTimeout:
      return Code::kDeadlineExceeded;
    default:
      return Code::kUnavailable;
  }
}

std::string_view Sentence(FailureClass kind) {
  switch (kind) {
    case FailureClass::kBadRequest:
      return "refused the request";
    case FailureClass::kAuthentication:
      return "refused this service's own key; its operator must set a valid one";
    case FailureClass::kPermission:
      return "does not allow this service to use the model; its operator must get access";
    case FailureClass::kBilling:
      return "is not paid any more; its operator must look at the account's balance and limits";
    case FailureClass::kNotFound:
      return "has no such model or address; its operator must check the settings";
    case FailureClass::kRateLimit:
      return "takes no more requests for now; try later";
    case FailureClass::kTimeout:
      return "did not answer in time";
    case FailureClass::kOverloaded:
      return "is overloaded; try later";
    case FailureClass::kServer:
      return "failed; try later";
    case FailureClass::kNetwork:
      return "could not be reached";
    case FailureClass::kBadReply:
      return "gave an answer that cannot be used";
    case FailureClass::kRedirect:
      return "points to another address, which is not followed because keys would go there; its "
             "operator must set the address itself";
    case FailureClass::kCircuitOpen:
      return "failed again and again and is left alone for a while; try later";
  }
  return "failed";
}

std::optional<double> Number(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !(value >= 0) || value > 1e9) {
    return std::nullopt;
  }
  return value;
}

}  // namespace

Error FailureError(std::string_view provider, const UpstreamFailure& failure, int status) {
  Error error{CodeOf(failure.kind), fmt::format("{} {}", provider, Sentence(failure.kind)), "",
              std::nullopt, fmt::format("{}{}", kReason, FailureName(failure.kind))};
  if (status > 0) error.message += fmt::format(" (status {})", status);
  if (!failure.message.empty()) error.message += fmt::format("; it says: {}", failure.message);
  return error;
}

Error TransportError(std::string_view provider, FailureClass kind, const Error& error) {
  return FailureError(provider, {kind, error.ToString()}, 0);
}

std::optional<FailureClass> FailureClassOf(const Error& error) {
  if (!error.reason.starts_with(kReason)) return std::nullopt;
  return FailureOf(std::string_view(error.reason).substr(kReason.size()));
}

bool MayRetry(FailureClass kind, int status, const std::vector<HttpHeader>& headers) {
  switch (kind) {
    case FailureClass::kAuthentication:
    case FailureClass::kPermission:
    case FailureClass::kBilling:
    case FailureClass::kRedirect:
    case FailureClass::kCircuitOpen:
      return false;
    default:
      break;
  }
  const std::string_view asked = FindHeader(headers, "x-should-retry");
  if (asked == "true") return true;
  if (asked == "false") return false;
  if (status == 0) return kind == FailureClass::kNetwork || kind == FailureClass::kTimeout;
  return status == 408 || status == 409 || status == 429 || status >= 500 ||
         kind == FailureClass::kRateLimit || kind == FailureClass::kTimeout ||
         kind == FailureClass::kOverloaded || kind == FailureClass::kServer;
}

std::optional<std::chrono::milliseconds> RetryAfter(const std::vector<HttpHeader>& headers,
                                                    WallTime now) {
  const auto ms = [](double value) {
    return std::chrono::milliseconds(static_cast<std::int64_t>(std::ceil(value)));
  };
  if (const auto value = Number(FindHeader(headers, "retry-after-ms"))) return ms(*value);
  const std::string after(FindHeader(headers, "retry-after"));
  if (after.empty()) return std::nullopt;
  if (const auto seconds = Number(after)) return ms(*seconds * 1000);
  // IMF-fixdate of RFC 9110, the one form that is still made.
  tm date{};
  const char* end = strptime(after.c_str(), "%a, %d %b %Y %H:%M:%S GMT", &date);
  if (end == nullptr || *end != '\0') return std::nullopt;
  const WallTime then = std::chrono::system_clock::from_time_t(timegm(&date));
  if (then <= now) return std::chrono::milliseconds(0);
  return std::chrono::ceil<std::chrono::milliseconds>(then - now);
}

std::chrono::milliseconds Backoff(unsigned retry, double random) {
  const double seconds = std::min(8.0, 0.5 * std::pow(2.0, std::min(retry, 10u)));
  return std::chrono::milliseconds(static_cast<std::int64_t>(1000 * seconds * (1 - 0.25 * random)));
}

}  // namespace garrison
