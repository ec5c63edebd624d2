#include "server/access.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>

#include "base/ip_address.h"

namespace garrison {
namespace {

using Seconds = std::chrono::duration<double>;
constexpr double kMinute = 60;

bool EqualIgnoringCase(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [&](char x, char y) { return lower(x) == lower(y); });
}

std::vector<std::string> Split(std::string_view list) {
  std::vector<std::string> parts;
  for (std::size_t begin = 0; begin < list.size();) {
    const std::size_t end = std::min(list.find(',', begin), list.size());
    std::string_view part = list.substr(begin, end - begin);
    part.remove_prefix(std::min(part.find_first_not_of(' '), part.size()));
    while (part.ends_with(' ')) part.remove_suffix(1);
    if (!part.empty()) parts.emplace_back(part);
    begin = end + 1;
  }
  return parts;
}

// "example.org:8000" of "http://example.org:8000"; empty when there is none, as for "null".
std::string_view HostOfOrigin(std::string_view origin) {
  const std::size_t scheme = origin.find("://");
  return scheme == std::string_view::npos ? std::string_view() : origin.substr(scheme + 3);
}

std::string_view WithoutPort(std::string_view host) {
  if (host.starts_with('[')) return host.substr(0, host.find(']') + 1);
  return host.substr(0, host.find(':'));
}

// Or a name without a dot, which nobody outside can own.
bool NamesThisMachine(std::string_view host) {
  std::string_view name = WithoutPort(host);
  if (name.find_first_of(".:") == std::string_view::npos) return true;
  if (EqualIgnoringCase(name, "localhost") || name.ends_with(".localhost")) return true;
  if (name.starts_with('[') && name.ends_with(']')) name = name.substr(1, name.size() - 2);
  return IsIpAddress(std::string(name));
}

tl::unexpected<Error> UnknownKey(std::string_view message) {
  auto failure = Fail(Code::kUnauthenticated, "{}", message);
  failure.value().reason = "invalid_api_key";
  return failure;
}

}  // namespace

std::string_view PresentedKey(std::string_view authorization, std::string_view x_api_key) {
  constexpr std::string_view kBearer = "bearer ";
  if (authorization.size() >= kBearer.size() &&
      EqualIgnoringCase(authorization.substr(0, kBearer.size()), kBearer)) {
    authorization.remove_prefix(kBearer.size());
    while (authorization.starts_with(' ')) authorization.remove_prefix(1);
    return authorization;
  }
  return x_api_key;
}

Access::Access(const ServerSettings& settings, std::shared_ptr<const KeyRing> keys,
               const Clock& clock)
    : admin_(settings.admin_routes == "on" ||
             (settings.admin_routes == "auto" && IsLoopbackAddress(settings.bind))),
      loopback_(IsLoopbackAddress(settings.bind)),
      any_origin_(settings.cors_origins == "*"),
      origins_(Split(settings.cors_origins)),
      clock_(clock),
      keys_(std::move(keys)) {}

void Access::SetKeys(std::shared_ptr<const KeyRing> keys) {
  const std::lock_guard lock(mutex_);
  keys_ = std::move(keys);
}

std::shared_ptr<const KeyRing> Access::keys() const {
  const std::lock_guard lock(mutex_);
  return keys_;
}

Result<std::string> Access::Identify(Scope scope, std::string_view presented_key) const {
  if (scope == Scope::kOpen) return std::string();
  if (scope == Scope::kAdmin && !admin_) {
    return Fail(Code::kPermissionDenied,
                "routes that change the service are off at this address; server.admin_routes = "
                "\"on\" turns them on");
  }
  const std::shared_ptr<const KeyRing> ring = keys();
  if (ring->empty()) return std::string();
  const ApiKey* const key = ring->Find(presented_key);
  if (key == nullptr) {
    return UnknownKey(presented_key.empty()
                          ? "expected an API key, as Authorization: Bearer KEY or X-API-Key: KEY"
                          : "this API key is not known here");
  }
  if (!key->MayUse(scope)) {
    return Fail(Code::kPermissionDenied, "the key \"{}\" has not the scope \"{}\"", key->name,
                ScopeName(scope));
  }
  return key->name;
}

Result<> Access::CountRequest(const std::string& caller) {
  const std::shared_ptr<const KeyRing> ring = keys();
  if (caller.empty()) return {};
  const ApiKey* const found = ring->FindName(caller);
  // Taken back since the caller was identified: a stream may be long.
  if (found == nullptr) return UnknownKey("this API key is not known here any more");
  const ApiKey& key = *found;
  if (key.requests_per_minute == 0 && key.tokens_per_minute == 0) return {};
  const SteadyTime now = clock_.Now();
  const std::lock_guard lock(mutex_);
  Rates& rates = rates_[key.name];
  const auto refill = [now](Bucket& bucket, std::int64_t per_minute) {
    const auto most = static_cast<double>(per_minute);
    // A new key, or one with another limit than before, starts full.
    if (bucket.per_minute != per_minute) bucket = {per_minute, most, now};
    const double gained = Seconds(now - bucket.since).count() * most / kMinute;
    bucket.left = std::min(most, bucket.left + gained);
    bucket.since = now;
  };
  refill(rates.requests, key.requests_per_minute);
  refill(rates.tokens, key.tokens_per_minute);
  // Until there is `missing` more.
  const auto refuse = [&](double missing, std::int64_t per_minute, std::string_view what) {
    auto failure =
        Fail(Code::kResourceExhausted, "the key \"{}\" may use {} {} a minute; try again later",
             key.name, per_minute, what);
    failure.value().reason = "rate_limit_exceeded";
    failure.value().retry_after = std::chrono::milliseconds(static_cast<std::int64_t>(
        std::ceil(1000 * missing * kMinute / static_cast<double>(per_minute))));
    return failure;
  };
  if (key.requests_per_minute > 0 && rates.requests.left < 1) {
    return refuse(1 - rates.requests.left, key.requests_per_minute, "requests");
  }
  if (key.tokens_per_minute > 0 && rates.tokens.left <= 0) {
    return refuse(1 - rates.tokens.left, key.tokens_per_minute, "tokens");
  }
  rates.requests.left -= 1;
  return {};
}

void Access::Charge(const std::string& caller, std::uint64_t tokens) {
  const std::lock_guard lock(mutex_);
  const auto rates = rates_.find(caller);
  if (rates != rates_.end()) rates->second.tokens.left -= static_cast<double>(tokens);
}

bool Access::IsAllowedOrigin(std::string_view origin) const {
  return any_origin_ || std::any_of(origins_.begin(), origins_.end(), [&](const std::string& one) {
           return EqualIgnoringCase(one, origin);
         });
}

bool Access::IsAllowedHost(std::string_view host) const {
  return any_origin_ || std::any_of(origins_.begin(), origins_.end(), [&](const std::string& one) {
           return EqualIgnoringCase(WithoutPort(HostOfOrigin(one)), WithoutPort(host));
         });
}

Result<> Access::CheckBrowser(const HttpRequest& request) const {
  const std::string_view origin = request.header("Origin");
  const std::string_view site = request.header("Sec-Fetch-Site");
  const std::string_view host = request.header("Host");
  if (!origin.empty() && IsAllowedOrigin(origin)) return {};
  // Not by what only browsers send: to a page under a foreign name they may send none of it.
  if (loopback_ && is_open() && !NamesThisMachine(host) && !IsAllowedHost(host)) {
    return Fail(Code::kPermissionDenied,
                "expected this machine to be called localhost, got the host \"{}\"; name it in "
                "server.cors_origins, as https://HOST, if it is yours",
                host.substr(0, 200));
  }
  const bool same = origin.empty() ? site.empty() || site == "same-origin" || site == "none"
                                   : EqualIgnoringCase(HostOfOrigin(origin), host);
  // Links from other sites may lead here; what only reads is not shown to them by the browser.
  const bool visit = origin.empty() && request.method == "GET";
  if (same || visit) return {};
  return Fail(Code::kPermissionDenied,
              "this request comes from a page of {}; server.cors_origins names the origins that "
              "may use this service",
              origin.empty() ? "another site" : origin.substr(0, 200));
}

std::vector<HttpHeader> Access::CorsHeaders(const HttpRequest& request) const {
  const std::string_view origin = request.header("Origin");
  if (origin.empty() || (!any_origin_ && origins_.empty())) return {};
  // Answers differ by origin: a cache must not give one's to another.
  std::vector<HttpHeader> headers = {{"Vary", "Origin"}};
  if (!IsAllowedOrigin(origin)) return headers;
  headers.push_back({"Access-Control-Allow-Origin", std::string(origin)});
  headers.push_back(
      {"Access-Control-Expose-Headers",
       "X-Request-ID, request-id, Retry-After, x-compute-type, x-compute-time, "
       "x-compute-characters, x-compute-tokens, x-total-time, x-tokenization-time, "
       "x-queue-time, x-inference-time, Server-Timing, x-truncated-inputs, x-served-by, "
       "x-attempts, x-cost-usd, x-tokens-estimated, x-adapted, Idempotent-Replayed"});
  if (request.method != "OPTIONS") return headers;
  headers.push_back({"Access-Control-Allow-Methods", "GET, POST, PUT, DELETE"});
  const std::string_view wanted = request.header("Access-Control-Request-Headers");
  headers.push_back({"Access-Control-Allow-Headers",
                     wanted.empty() ? "Authorization, Content-Type" : std::string(wanted)});
  headers.push_back({"Access-Control-Max-Age", "600"});
  return headers;
}

}  // namespace garrison
