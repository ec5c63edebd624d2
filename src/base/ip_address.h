// Addresses in their text form.
#pragma once

#include <string>
#include <string_view>

namespace garrison {

// IPv4 or IPv6, without brackets or a port.
bool IsIpAddress(const std::string& text);
// 127.0.0.0/8 or ::1: reached from this machine only.
bool IsLoopbackAddress(const std::string& text);
// "localhost" of "http://user@localhost:8080/v1", without brackets; empty for what is no URL.
std::string_view HostOfUrl(std::string_view url);
// Its host is such an address, or localhost.
bool IsLoopbackUrl(std::string_view url);

}  // namespace garrison
