// Absolute http and https addresses, as a client needs them. Private to net/.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace garrison {

struct Url {
  bool tls = false;
  std::string user_info;  // "USER:PASSWORD", percent-decoded; only where ParseUrl allows it
  std::string host;       // lower case; an IPv6 address without its brackets
  std::uint16_t port = 0;
  std::string target;  // path and query as they stand; "/" where there is none

  // As in a Host header: brackets around IPv6, the port unless it is the scheme's own.
  std::string authority() const;
  // "https://host:port": what connections are shared by.
  std::string origin() const;
};

enum class UserInfo { kRefuse, kAllow };

// INVALID_ARGUMENT for anything but http and https, user names where they are refused (they would
// end in logs), fragments, white space and control characters. Messages never repeat the path.
Result<Url> ParseUrl(std::string_view text, UserInfo user_info = UserInfo::kRefuse);

// Whether `host` is in a list as HttpClientOptions::no_proxy has it.
bool IsExcepted(std::string_view host, std::string_view no_proxy);

}  // namespace garrison
