// HTTP messages: what the server accepts has a method, a path and a body within the limits, and
// takes no more bytes than there are.
#include <cstdint>

#include "base/check.h"
#include "net/http_parser.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const garrison::HttpParserLimits limits{1024, 4096};
  std::size_t consumed = 0;
  const auto request = garrison::ParseHttpRequest(bytes, limits, consumed);
  CHECK(consumed <= size);
  if (!request) {
    CHECK(request.error().status >= 400 && request.error().status < 500);
    return 0;
  }
  CHECK(!request->method.empty() && request->path.starts_with('/'));
  CHECK(request->body.size() <= limits.body_bytes);
  return 0;
}
