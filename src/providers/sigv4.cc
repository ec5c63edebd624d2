#include "providers/sigv4.h"

#include <fmt/chrono.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/hash.h"

namespace garrison {
namespace {

std::string Lower(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + ('a' - 'A'));
  }
  return lower;
}

// Without spaces at the ends, and single ones within.
std::string Trimmed(std::string_view value) {
  std::string trimmed;
  for (const char c : value) {
    const bool space = c == ' ' || c == '\t';
    if (!space) {
      trimmed += c;
    } else if (!trimmed.empty() && trimmed.back() != ' ') {
      trimmed += ' ';
    }
  }
  if (!trimmed.empty() && trimmed.back() == ' ') trimmed.pop_back();
  return trimmed;
}

// Lower-case names in order; values of one name stay in theirs.
std::vector<HttpHeader> Canonical(std::span<const HttpHeader> headers) {
  std::vector<HttpHeader> canonical;
  for (const HttpHeader& header : headers) {
    canonical.push_back({Lower(header.name), Trimmed(header.value)});
  }
  std::stable_sort(canonical.begin(), canonical.end(),
                   [](const HttpHeader& a, const HttpHeader& b) { return a.name < b.name; });
  std::vector<HttpHeader> merged;
  for (HttpHeader& header : canonical) {
    if (!merged.empty() && merged.back().name == header.name) {
      merged.back().value += "," + header.value;
    } else {
      merged.push_back(std::move(header));
    }
  }
  return merged;
}

std::string NamesOf(std::span<const HttpHeader> canonical) {
  std::string names;
  for (const HttpHeader& header : canonical) {
    if (!names.empty()) names += ';';
    names += header.name;
  }
  return names;
}

Sha256Digest Hmac(const Sha256Digest& key, std::string_view text) { return HmacSha256(key, text); }

}  // namespace

std::string PercentEncode(std::string_view text, bool keep_slash) {
  static constexpr char kDigits[] = "0123456789ABCDEF";
  std::string encoded;
  for (const char c : text) {
    const bool plain = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '.' || c == '_' || c == '~' || (keep_slash && c == '/');
    if (plain) {
      encoded += c;
      continue;
    }
    const auto byte = static_cast<unsigned char>(c);
    encoded += '%';
    encoded += kDigits[byte >> 4];
    encoded += kDigits[byte & 15];
  }
  return encoded;
}

std::string SigV4CanonicalRequest(const SigV4Request& request,
                                  std::span<const HttpHeader> signed_headers) {
  const std::vector<HttpHeader> canonical = Canonical(signed_headers);
  std::string text = fmt::format("{}\n{}\n\n", request.method, PercentEncode(request.path, true));
  for (const HttpHeader& header : canonical) text += header.name + ":" + header.value + "\n";
  text += "\n" + NamesOf(canonical) + "\n" + Sha256Hex(request.body);
  return text;
}

std::vector<HttpHeader> SignSigV4(const SigV4Request& request, const SigV4Key& key, WallTime now) {
  const std::string time =
      fmt::format("{:%Y%m%dT%H%M%SZ}", fmt::gmtime(std::chrono::system_clock::to_time_t(now)));
  const std::string date = time.substr(0, 8);

  std::vector<HttpHeader> added = {{"X-Amz-Date", time}};
  if (!key.session_token.empty()) added.push_back({"X-Amz-Security-Token", key.session_token});
  std::vector<HttpHeader> all(request.headers.begin(), request.headers.end());
  all.push_back({"host", std::string(request.host)});
  all.insert(all.end(), added.begin(), added.end());

  const std::string scope = fmt::format("{}/{}/{}/aws4_request", date, key.region, key.service);
  const std::string to_sign = fmt::format("AWS4-HMAC-SHA256\n{}\n{}\n{}", time, scope,
                                          Sha256Hex(SigV4CanonicalRequest(request, all)));
  const std::string secret = "AWS4" + key.secret_access_key;
  Sha256Digest mac = HmacSha256(std::as_bytes(std::span(secret)), date);
  mac = Hmac(Hmac(Hmac(mac, key.region), key.service), "aws4_request");
  added.push_back(
      {"Authorization",
       fmt::format("AWS4-HMAC-SHA256 Credential={}/{}, SignedHeaders={}, Signature={}",
                   key.access_key_id, scope, NamesOf(Canonical(all)), ToHex(Hmac(mac, to_sign)))});
  return added;
}

}  // namespace garrison
