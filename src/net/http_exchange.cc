#include "net/http_exchange.h"

#include <netinet/tcp.h>
#include <sys/socket.h>

#include <boost/asio/post.hpp>
#include <ctime>
#include <string>
#include <utility>

#include "base/check.h"

namespace garrison {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using boost::system::error_code;
using tcp = asio::ip::tcp;

Watchdog::Watchdog(tcp::socket& socket)
    : timer_(socket.get_executor()), state_(std::make_shared<State>(State{&socket})) {}

Watchdog::~Watchdog() { state_->socket = nullptr; }

void Watchdog::Arm(std::chrono::milliseconds time) {
  state_->fired = false;
  const std::uint64_t round = ++state_->round;
  timer_.expires_after(time);
  // A timer that ran out just before it was set anew still calls its handler, even after this
  // object is gone: hence the shared state and the round.
  timer_.async_wait([state = state_, round](error_code error) {
    if (error || state->round != round || state->socket == nullptr) return;
    state->fired = true;
    error_code ignored;
    state->socket->cancel(ignored);
  });
}

void Watchdog::Disarm() {
  ++state_->round;
  timer_.cancel();
}

ExchangeWriter::ExchangeWriter(std::shared_ptr<Exchange> exchange, HttpHandler& handler)
    : exchange_(std::move(exchange)), handler_(handler) {}

ExchangeWriter::~ExchangeWriter() {
  if (exchange_ == nullptr) return;
  Send(handler_.Refuse(
      500, Error{Code::kInternal, "the request was dropped without an answer", "", std::nullopt}));
}

void ExchangeWriter::Send(HttpResponse response) {
  CHECK(exchange_ != nullptr);
  auto executor = exchange_->answered.get_executor();
  asio::post(executor, [exchange = std::move(exchange_), response = std::move(response)]() mutable {
    exchange->response = std::move(response);
    exchange->answered.cancel();
  });
  exchange_ = nullptr;
}

bool PeerClosed(tcp::socket& socket) {
  tcp_info info{};
  socklen_t size = sizeof(info);
  if (getsockopt(socket.native_handle(), IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return true;
  return info.tcpi_state == TCP_CLOSE_WAIT || info.tcpi_state == TCP_CLOSE ||
         info.tcpi_state == TCP_LAST_ACK || info.tcpi_state == TCP_CLOSING;
}

namespace {

std::string HttpDate() {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  gmtime_r(&now, &utc);
  char text[64];
  const std::size_t size = std::strftime(text, sizeof(text), "%a, %d %b %Y %H:%M:%S GMT", &utc);
  return std::string(text, size);
}

}  // namespace

http::response<http::string_body> ToMessage(HttpResponse response, bool head_only, unsigned version,
                                            bool keep_alive) {
  http::response<http::string_body> message;
  message.version(version);
  message.result(static_cast<unsigned>(response.status));
  message.set(http::field::server, "garrison");
  message.set(http::field::date, HttpDate());
  if (!response.content_type.empty()) {
    message.set(http::field::content_type, response.content_type);
  }
  for (const HttpHeader& header : response.headers) message.set(header.name, header.value);
  message.keep_alive(keep_alive);
  message.content_length(response.body.size());
  if (!head_only) message.body() = std::move(response.body);
  return message;
}

}  // namespace garrison
