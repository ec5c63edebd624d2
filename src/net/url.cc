#include "net/url.h"

#include <algorithm>
#include <charconv>

#include "net/http.h"

namespace garrison {
namespace {

constexpr std::size_t kHostMax = 255;

std::string Lower(std::string_view text) {
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return lower;
}

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

tl::unexpected<Error> Bad(std::string_view what) {
  return FailAt("url", Code::kInvalidArgument, "expected http(s)://HOST[:PORT]/PATH, got {}", what);
}

bool IsHostCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_';
}

Result<> ParseHostAndPort(std::string_view authority, Url& url) {
  std::string_view port;
  if (authority.starts_with('[')) {
    const std::size_t end = authority.find(']');
    if (end == std::string_view::npos) return Bad("an IPv6 address without its closing bracket");
    url.host = Lower(authority.substr(1, end - 1));
    port = authority.substr(end + 1);
    const bool plain = std::all_of(url.host.begin(), url.host.end(), [](char c) {
      return HexDigit(c) >= 0 || c == ':' || c == '.' || c == '%';
    });
    if (!plain) return Bad("an IPv6 address that is none");
  } else {
    const std::size_t colon = std::min(authority.find(':'), authority.size());
    url.host = Lower(authority.substr(0, colon));
    port = authority.substr(colon);
    if (!std::all_of(url.host.begin(), url.host.end(), IsHostCharacter)) {
      return Bad("a host name with other characters than letters, digits, - and .");
    }
  }
  if (url.host.empty() || url.host.size() > kHostMax) return Bad("no host, or one too long");
  if (port.empty()) return {};
  const std::string_view digits = port.substr(1);
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), url.port);
  if (port.front() != ':' || error != std::errc() || end != digits.data() + digits.size() ||
      url.port == 0) {
    return Bad("a port that is not from 1 to 65535");
  }
  return {};
}

}  // namespace

std::string Url::authority() const {
  std::string text = host.find(':') == std::string::npos ? host : "[" + host + "]";
  if (port != (tls ? 443 : 80)) text += ":" + std::to_string(port);
  return text;
}

std::string Url::origin() const {
  return (tls ? "https://" : "http://") + host + " " + std::to_string(port);
}

Result<Url> ParseUrl(std::string_view text, UserInfo user_info) {
  const bool plain = std::all_of(text.begin(), text.end(), [](char c) {
    return static_cast<unsigned char>(c) > ' ' && static_cast<unsigned char>(c) < 0x7f;
  });
  if (!plain) return Bad("white space, control or non-ASCII characters; percent-encode them");
  Url url;
  const std::size_t colon = text.find("://");
  const std::string scheme = Lower(text.substr(0, std::min(colon, text.size())));
  if (colon == std::string_view::npos || (scheme != "http" && scheme != "https")) {
    return Bad("another scheme");
  }
  url.tls = scheme == "https";
  url.port = url.tls ? 443 : 80;
  text.remove_prefix(colon + 3);
  if (text.find('#') != std::string_view::npos)
    return Bad("a fragment (#), which servers never see");
  const std::size_t end = std::min(text.find_first_of("/?"), text.size());
  std::string_view authority = text.substr(0, end);
  url.target = text.substr(end);
  if (!url.target.starts_with('/')) url.target.insert(0, "/");
  const std::size_t at = authority.rfind('@');
  if (at != std::string_view::npos) {
    if (user_info == UserInfo::kRefuse) return Bad("a user name in it; keys belong into settings");
    url.user_info = PercentDecode(authority.substr(0, at));
    authority.remove_prefix(at + 1);
  }
  RETURN_IF_ERROR(ParseHostAndPort(authority, url));
  return url;
}

bool IsExcepted(std::string_view host, std::string_view no_proxy) {
  while (!no_proxy.empty()) {
    const std::size_t comma = std::min(no_proxy.find(','), no_proxy.size());
    std::string entry = Lower(no_proxy.substr(0, comma));
    std::erase_if(entry, [](char c) { return c == ' ' || c == '\t'; });
    no_proxy.remove_prefix(std::min(comma + 1, no_proxy.size()));
    if (entry.empty()) continue;
    if (entry == "*" || entry == host) return true;
    if (entry.front() == '.' && (host.ends_with(entry) || host == entry.substr(1))) return true;
  }
  return false;
}

}  // namespace garrison
