// The parts of a server connection: its watchdog, the exchange with the worker that makes an
// answer, and the answer as a message. Private to net/.
#pragma once

#include <atomic>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/string_body.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>

#include "net/http.h"
#include "net/http_stream.h"

namespace garrison {

// Cancels what a socket is waiting for when the time is up. Lives on the server's thread.
class Watchdog {
 public:
  explicit Watchdog(boost::asio::ip::tcp::socket& socket);
  ~Watchdog();
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

  void Arm(std::chrono::milliseconds time);
  void Disarm();
  // True once the time was up since the last Arm.
  bool fired() const { return state_->fired; }

 private:
  struct State {
    boost::asio::ip::tcp::socket* socket;
    bool fired = false;
    std::uint64_t round = 0;
  };
  boost::asio::steady_timer timer_;
  const std::shared_ptr<State> state_;
};

// One request between the connection that waits for its answer and the worker that makes it.
// `response`, `streamed` and `answered` belong to the server's thread.
struct Exchange {
  Exchange(const boost::asio::any_io_executor& executor, std::size_t stream_bytes,
           std::atomic<std::uint64_t>& bytes_in_flight)
      : body(std::make_shared<BodyPipe>(stream_bytes, bytes_in_flight)), answered(executor) {}

  // Nobody waits for the answer any more. On the server's thread; more than once is harmless.
  void Leave(Error error);

  std::stop_source stop;
  const std::shared_ptr<BodyPipe> body;
  std::optional<HttpResponse> response;
  bool streamed = false;               // `response` is the head, the rest comes through `body`
  boost::asio::steady_timer answered;  // cancelled when there is something new
};

class ExchangeWriter final : public ResponseWriter {
 public:
  ExchangeWriter(std::shared_ptr<Exchange> exchange, HttpHandler& handler);
  ~ExchangeWriter() override;
  void Send(HttpResponse response) override;
  std::unique_ptr<BodyStream> Stream(HttpResponse head) override;

 private:
  void Post(HttpResponse response, bool streamed);

  std::shared_ptr<Exchange> exchange_;
  HttpHandler& handler_;
};

// True when the peer has closed its side. Unread bytes (a pipelined request, a TLS alert) do not
// hide it.
bool PeerClosed(boost::asio::ip::tcp::socket& socket);

// Makes the close of a socket a reset, or orderly again. Where the end of the connection is the end
// of the body, only a reset tells an incomplete one.
void ResetOnClose(boost::asio::ip::tcp::socket& socket, bool reset);

// What decides about the form of an answer besides its content.
struct AnswerForm {
  unsigned version = 11;
  bool head_only = false;
  bool keep_alive = false;
};

boost::beast::http::response<boost::beast::http::string_body> ToMessage(HttpResponse response,
                                                                        const AnswerForm& form);

// Status line and headers of a streamed answer, as they go over the wire.
std::string StreamHead(const HttpResponse& head, const AnswerForm& form);

}  // namespace garrison
