// AWS Signature Version 4 in the Authorization header, as every AWS service but S3 wants it.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "net/http.h"

namespace garrison {

struct SigV4Key {
  std::string access_key_id;
  std::string secret_access_key;
  std::string session_token;  // empty: none
  std::string region;
  std::string service;
};

struct SigV4Request {
  std::string_view method;
  std::string_view host;  // with the port, unless it is that of the scheme
  // As it is sent, "/model/a%3A0/invoke": each segment is encoded once more for the signature.
  // Segments "." and ".." are not resolved; there is no query.
  std::string_view path;
  std::span<const HttpHeader> headers;  // that are signed beside the host
  std::string_view body;
};

// The text whose hash is signed; for tests and for finding out what a 403 means.
std::string SigV4CanonicalRequest(const SigV4Request& request,
                                  std::span<const HttpHeader> signed_headers);

// The headers to send beside those of the request: X-Amz-Date, X-Amz-Security-Token where there is
// one, and Authorization.
std::vector<HttpHeader> SignSigV4(const SigV4Request& request, const SigV4Key& key, WallTime now);

// Percent-encodes all but A-Z a-z 0-9 - . _ ~ (RFC 3986's unreserved), and "/" if `keep_slash`.
std::string PercentEncode(std::string_view text, bool keep_slash);

}  // namespace garrison
