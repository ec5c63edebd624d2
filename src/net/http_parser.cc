#include "net/http_parser.h"

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/error.hpp>
#include <optional>
#include <utility>

namespace garrison {
namespace {

namespace http = boost::beast::http;

std::string_view View(boost::beast::string_view text) { return {text.data(), text.size()}; }

HttpRefusal BadRequest(std::string message) {
  return {400, Error{Code::kInvalidArgument, std::move(message), "", std::nullopt}};
}

bool IsChunkedAlone(const HttpParser& parser) {
  const auto& message = parser.get();
  return message.count(http::field::transfer_encoding) == 1 &&
         boost::beast::iequals(message[http::field::transfer_encoding], "chunked");
}

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

// "/a%20b?c" or "http://host/a%20b?c" as "/a b"; nullopt if it is neither or the encoding is
// broken.
std::optional<std::string> DecodePath(std::string_view target) {
  if (const std::size_t scheme = target.find("://"); scheme != 0 && target.starts_with("http")) {
    if (scheme == std::string_view::npos) return std::nullopt;
    const std::size_t slash = target.find('/', scheme + 3);
    target = slash == std::string_view::npos ? std::string_view("/") : target.substr(slash);
  }
  if (!target.starts_with('/')) return std::nullopt;
  target = target.substr(0, target.find('?'));
  std::string path;
  for (std::size_t i = 0; i < target.size(); ++i) {
    if (target[i] != '%') {
      path += target[i];
      continue;
    }
    const int high = i + 2 < target.size() ? HexDigit(target[i + 1]) : -1;
    const int low = i + 2 < target.size() ? HexDigit(target[i + 2]) : -1;
    if (high < 0 || low < 0) return std::nullopt;
    path += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return path;
}

}  // namespace

void SetLimits(HttpParser& parser, const HttpParserLimits& limits) {
  parser.header_limit(limits.header_bytes);
  parser.body_limit(limits.body_bytes);
}

HttpRefusal RefusalOf(boost::system::error_code error, const HttpParserLimits& limits) {
  if (error == http::error::header_limit || error == http::error::buffer_overflow) {
    return {431, Error{Code::kResourceExhausted,
                       fmt::format("the request line and headers are longer than {} bytes",
                                   limits.header_bytes),
                       "", std::nullopt}};
  }
  if (error == http::error::body_limit) {
    return {413, Error{Code::kResourceExhausted,
                       fmt::format("the body is longer than {} bytes; send fewer inputs at once",
                                   limits.body_bytes),
                       "", std::nullopt}};
  }
  return BadRequest(
      fmt::format("expected an HTTP/1.1 request, got something else ({})", error.message()));
}

std::optional<std::size_t> FindHeaderEnd(std::string_view bytes, std::size_t seen) {
  constexpr std::string_view kEnd = "\r\n\r\n";
  const std::size_t at = bytes.find(kEnd, seen < kEnd.size() ? 0 : seen - kEnd.size() + 1);
  return at == std::string_view::npos ? std::nullopt : std::optional(at + kEnd.size());
}

bool MayBeRequest(std::string_view bytes) {
  return bytes.empty() || (bytes[0] >= 'A' && bytes[0] <= 'Z') ||
         (bytes[0] >= 'a' && bytes[0] <= 'z');
}

Result<> CheckFolding(std::string_view head) {
  for (const std::string_view fold : {"\r\n ", "\r\n\t"}) {
    if (head.find(fold) == std::string_view::npos) continue;
    return Fail(Code::kInvalidArgument, "expected each header on one line, got a folded one");
  }
  return {};
}

Result<> CheckHeaders(const HttpParser& parser) {
  const auto& message = parser.get();
  if (message.version() != 11 && message.version() != 10) {
    return Fail(Code::kInvalidArgument, "expected HTTP/1.1 or HTTP/1.0");
  }
  if (message.version() == 11 && message.count(http::field::host) != 1) {
    return Fail(Code::kInvalidArgument, "expected exactly one Host header, got {}",
                message.count(http::field::host));
  }
  const bool has_encoding = message.count(http::field::transfer_encoding) > 0;
  // RFC 9112, 6.1 and 6.3: a message whose end two parties could see in different places is
  // refused.
  if (has_encoding && (message.version() != 11 || !IsChunkedAlone(parser) ||
                       message.count(http::field::content_length) > 0)) {
    return Fail(Code::kInvalidArgument,
                "expected Content-Length or \"Transfer-Encoding: chunked\", got another framing");
  }
  if (!DecodePath(View(message.target()))) {
    return Fail(Code::kInvalidArgument, "expected a path that starts with \"/\", percent-encoded");
  }
  return {};
}

HttpRequest TakeHead(const HttpParser& parser) {
  const auto& message = parser.get();
  HttpRequest request;
  request.method = View(message.method_string());
  const std::string_view target = View(message.target());
  request.path = DecodePath(target).value_or("/");
  if (const std::size_t question = target.find('?'); question != std::string_view::npos) {
    request.query = target.substr(question + 1);
  }
  for (const auto& field : message) {
    request.headers.push_back(
        {std::string(View(field.name_string())), std::string(View(field.value()))});
  }
  return request;
}

tl::expected<HttpRequest, HttpRefusal> ParseHttpRequest(std::string_view bytes,
                                                        const HttpParserLimits& limits,
                                                        std::size_t& consumed) {
  HttpParser parser;
  parser.eager(false);  // stop after the headers, as the server does
  SetLimits(parser, limits);
  boost::system::error_code error;
  consumed = 0;
  if (const Result<> lines = CheckFolding(bytes.substr(0, FindHeaderEnd(bytes).value_or(0)));
      !lines) {
    return tl::unexpected(HttpRefusal{400, lines.error()});
  }
  std::optional<HttpRequest> request;
  while (!parser.is_done()) {
    const std::size_t used = parser.put(boost::asio::buffer(bytes.substr(consumed)), error);
    consumed += used;
    if (error) return tl::unexpected(RefusalOf(error, limits));
    if (parser.is_header_done() && !request) {
      const Result<> checked = CheckHeaders(parser);
      if (!checked) return tl::unexpected(HttpRefusal{400, checked.error()});
      request = TakeHead(parser);
    }
    if (used == 0) return tl::unexpected(BadRequest("the message ends too early"));
  }
  request->body = std::move(parser.get().body());
  return *std::move(request);
}

}  // namespace garrison
