#include "net/http_parser.h"

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/error.hpp>
#include <utility>

namespace garrison {
namespace {

namespace http = boost::beast::http;

std::string_view View(boost::beast::string_view text) { return {text.data(), text.size()}; }

HttpRefusal BadRequest(std::string message) {
  return {400, Error{Code::kInvalidArgument, std::move(message), "", std::nullopt}};
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

Result<> CheckHeaders(const HttpParser& parser) {
  const auto& message = parser.get();
  if (message.version() != 11 && message.version() != 10) {
    return Fail(Code::kInvalidArgument, "expected HTTP/1.1 or HTTP/1.0");
  }
  if (message.version() == 11 && message.count(http::field::host) != 1) {
    return Fail(Code::kInvalidArgument, "expected exactly one Host header, got {}",
                message.count(http::field::host));
  }
  if (message.target().empty() || message.target().front() != '/') {
    return Fail(Code::kInvalidArgument, "expected a path that starts with \"/\"");
  }
  return {};
}

HttpRequest TakeRequest(HttpParser& parser) {
  auto& message = parser.get();
  HttpRequest request;
  request.method = View(message.method_string());
  const std::string_view target = View(message.target());
  const std::size_t question = target.find('?');
  request.path = target.substr(0, question);
  if (question != std::string_view::npos) request.query = target.substr(question + 1);
  for (const auto& field : message) {
    request.headers.push_back(
        {std::string(View(field.name_string())), std::string(View(field.value()))});
  }
  request.body = std::move(message.body());
  return request;
}

tl::expected<HttpRequest, HttpRefusal> ParseHttpRequest(std::string_view bytes,
                                                        const HttpParserLimits& limits,
                                                        std::size_t& consumed) {
  HttpParser parser;
  parser.eager(true);
  SetLimits(parser, limits);
  boost::system::error_code error;
  consumed = 0;
  while (!parser.is_done()) {
    const std::size_t used = parser.put(boost::asio::buffer(bytes.substr(consumed)), error);
    consumed += used;
    if (error) return tl::unexpected(RefusalOf(error, limits));
    if (used == 0) return tl::unexpected(BadRequest("the message ends too early"));
  }
  const Result<> checked = CheckHeaders(parser);
  if (!checked) return tl::unexpected(HttpRefusal{400, checked.error()});
  return TakeRequest(parser);
}

}  // namespace garrison
