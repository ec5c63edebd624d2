#include "net/http_exchange.h"

#include <netinet/tcp.h>
#include <sys/socket.h>

#include <boost/asio/post.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/write.hpp>
#include <ctime>
#include <sstream>
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

void Exchange::Leave(Error error) {
  body->Close(std::move(error));
  stop.request_stop();
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
  Post(std::move(response), false);
}

std::unique_ptr<BodyStream> ExchangeWriter::Stream(HttpResponse head) {
  CHECK(exchange_ != nullptr);
  const std::shared_ptr<BodyPipe> body = exchange_->body;
  auto stream = std::make_unique<PipeStream>(body, exchange_->stop);
  // Weak, because the exchange owns the pipe that owns this.
  body->Open(std::exchange(head.body, {}), [executor = exchange_->answered.get_executor(),
                                            weak = std::weak_ptr<Exchange>(exchange_)] {
    asio::post(executor, [weak] {
      if (const auto exchange = weak.lock()) exchange->answered.cancel();
    });
  });
  Post(std::move(head), true);
  return stream;
}

void ExchangeWriter::Post(HttpResponse response, bool streamed) {
  auto executor = exchange_->answered.get_executor();
  asio::post(executor,
             [exchange = std::move(exchange_), response = std::move(response), streamed]() mutable {
               exchange->response = std::move(response);
               exchange->streamed = streamed;
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

void ResetOnClose(tcp::socket& socket, bool reset) {
  // Not through Asio, whose destructor of a socket takes this option back.
  const linger option{reset ? 1 : 0, 0};
  setsockopt(socket.native_handle(), SOL_SOCKET, SO_LINGER, &option, sizeof(option));
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

// Everything but what says where the body ends.
template <typename Body>
http::response<Body> HeadMessage(const HttpResponse& response, const AnswerForm& form) {
  http::response<Body> message;
  message.version(form.version);
  message.result(static_cast<unsigned>(response.status));
  message.set(http::field::server, "garrison");
  message.set(http::field::date, HttpDate());
  if (!response.content_type.empty()) {
    message.set(http::field::content_type, response.content_type);
  }
  for (const HttpHeader& header : response.headers) message.set(header.name, header.value);
  message.keep_alive(form.keep_alive);
  return message;
}

}  // namespace

http::response<http::string_body> ToMessage(HttpResponse response, const AnswerForm& form) {
  auto message = HeadMessage<http::string_body>(response, form);
  // RFC 9110, 8.6: not in an answer that never has a body.
  if (response.status != 204) message.content_length(response.body.size());
  if (!form.head_only) message.body() = std::move(response.body);
  return message;
}

std::string StreamHead(const HttpResponse& head, const AnswerForm& form) {
  auto message = HeadMessage<http::empty_body>(head, form);
  if (form.version == 11) message.chunked(true);
  std::ostringstream text;
  text << message.base();
  return std::move(text).str();
}

}  // namespace garrison
