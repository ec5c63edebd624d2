// Who may call what, and how much: keys, scopes, rates, browsers.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "core/settings.h"
#include "gateway/keys.h"
#include "net/http.h"

namespace garrison {

// The key of a request: "Authorization: Bearer KEY", or "X-API-Key: KEY". Empty: none.
std::string_view PresentedKey(std::string_view authorization, std::string_view x_api_key);

// Thread-safe.
class Access {
 public:
  // Without keys everyone may do everything but what server.admin_routes forbids. `clock` must
  // outlive it.
  Access(const ServerSettings& settings, std::shared_ptr<const KeyRing> keys, const Clock& clock);

  // There are no keys.
  bool is_open() const { return keys()->empty(); }

  // From now on these are the keys; what was used of a rate stays with a key's name.
  void SetKeys(std::shared_ptr<const KeyRing> keys);

  // The name of the caller's key; empty when there are no keys, or for Scope::kOpen.
  // UNAUTHENTICATED without a key that is known, PERMISSION_DENIED for one without the scope.
  Result<std::string> Identify(Scope scope, std::string_view presented_key) const;
  // Counts a request. RESOURCE_EXHAUSTED with a time when the rate of the caller's key is used up,
  // UNAUTHENTICATED when the key was taken back meanwhile.
  Result<> CountRequest(const std::string& caller);
  // Counts tokens that a request took. They are known afterwards only: a request may go over the
  // rate, and the next ones wait until that is made up for.
  void Charge(const std::string& caller, std::uint64_t tokens);

  // What protects a service on this machine from websites in its user's browser: PERMISSION_DENIED
  // for a request that a page of another origin sends, unless server.cors_origins names it, and, on
  // a loopback address without keys, for one under a host name that is not this machine's (DNS
  // rebinding).
  Result<> CheckBrowser(const HttpRequest& request) const;
  // The headers that let the page read the answer; none for other requests.
  std::vector<HttpHeader> CorsHeaders(const HttpRequest& request) const;

 private:
  // Refilled evenly; full after a minute.
  struct Bucket {
    std::int64_t per_minute = 0;
    double left = 0;
    SteadyTime since;
  };
  struct Rates {
    Bucket requests, tokens;
  };

  bool IsAllowedOrigin(std::string_view origin) const;
  bool IsAllowedHost(std::string_view host) const;
  std::shared_ptr<const KeyRing> keys() const;

  const bool admin_;
  const bool loopback_;
  const bool any_origin_;
  const std::vector<std::string> origins_;
  const Clock& clock_;

  mutable std::mutex mutex_;
  // Guarded by mutex_.
  std::shared_ptr<const KeyRing> keys_;
  std::map<std::string, Rates, std::less<>> rates_;  // by the key's name
};

}  // namespace garrison
