// The one place that decides which bytes are an HTTP/1.1 request. Private to net/.
#pragma once

#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <cstdint>
#include <optional>
#include <string_view>

#include "net/http.h"

namespace garrison {

using HttpParser = boost::beast::http::request_parser<boost::beast::http::string_body>;

struct HttpParserLimits {
  std::uint32_t header_bytes = 16 * 1024;
  std::uint64_t body_bytes = 8 * 1024 * 1024;
};

void SetLimits(HttpParser& parser, const HttpParserLimits& limits);

// A refusal: the status that answers it and what to say.
struct HttpRefusal {
  int status = 400;
  Error error;
};

// What a failed read of `parser` means for the client.
HttpRefusal RefusalOf(boost::system::error_code error, const HttpParserLimits& limits);

// Where the headers at the beginning of `bytes` end, with their empty line; nullopt: not there yet.
// The first `seen` bytes were looked at before and had no end.
std::optional<std::size_t> FindHeaderEnd(std::string_view bytes, std::size_t seen = 0);

// False for bytes that no request begins with, such as a TLS greeting: no need to wait for more.
bool MayBeRequest(std::string_view bytes);

// RFC 9112, 5.2: a line of the headers that goes on in the next one is refused, since others may
// read it as two fields. `head` is what FindHeaderEnd found.
Result<> CheckFolding(std::string_view head);

// Checks that hold once the headers are complete: version 1.0 or 1.1, one Host for 1.1, a target
// with a path, and one framing only: no Transfer-Encoding but a single "chunked", and that without
// a length.
Result<> CheckHeaders(const HttpParser& parser);

// Everything but the body. To be called between the headers and the body: the parser puts trailers
// among the headers later. REQUIRES: parser.is_header_done() and CheckHeaders passed.
HttpRequest TakeHead(const HttpParser& parser);

// One whole message from memory, as the server would read it; for tests and fuzzing. `consumed` is
// set to the bytes that belong to the message.
tl::expected<HttpRequest, HttpRefusal> ParseHttpRequest(std::string_view bytes,
                                                        const HttpParserLimits& limits,
                                                        std::size_t& consumed);

}  // namespace garrison
