// HTTP messages: what the server accepts has a method, a path and a body within the limits, takes
// no more bytes than there are, and is the same message however the network splits it.
#include <cstdint>
#include <optional>

#include "base/check.h"
#include "net/http_parser.h"

namespace {

using namespace garrison;

constexpr HttpParserLimits kLimits{1024, 4096};
// Beyond that every split of every message takes too long.
constexpr std::size_t kSplitBytes = 512;

// Whether the parser takes the message when it comes in two parts, and its body.
std::optional<std::string> ParseInParts(std::string_view bytes, std::size_t split) {
  HttpParser parser;
  parser.eager(false);
  SetLimits(parser, kLimits);
  std::size_t at = 0;
  for (const std::size_t end : {split, bytes.size()}) {
    while (at < end && !parser.is_done()) {
      boost::system::error_code error;
      const std::size_t used = parser.put(boost::asio::buffer(bytes.substr(at, end - at)), error);
      at += used;
      if (error == boost::beast::http::error::need_more) break;
      if (error) return std::nullopt;
      if (used == 0) break;
    }
  }
  if (!parser.is_done()) return std::nullopt;
  return parser.get().body();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  std::size_t consumed = 0;
  const auto request = ParseHttpRequest(bytes, kLimits, consumed);
  CHECK(consumed <= size);
  if (!request) {
    CHECK(request.error().status >= 400 && request.error().status < 500);
    return 0;
  }
  CHECK(!request->method.empty() && request->path.starts_with('/'));
  CHECK(request->body.size() <= kLimits.body_bytes);
  for (std::size_t split = 0; split <= consumed && consumed <= kSplitBytes; ++split) {
    CHECK(ParseInParts(bytes.substr(0, consumed), split) == request->body);
  }
  return 0;
}
