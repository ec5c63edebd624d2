// The parts of a server connection: its watchdog, the exchange with the worker that makes an
// answer, and the answer as a message. Private to net/.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/string_body.hpp>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <stop_token>

#include "net/http.h"

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
// `response` and `answered` belong to the server's thread.
struct Exchange {
  explicit Exchange(const boost::asio::any_io_executor& executor) : answered(executor) {}
  std::stop_source stop;
  std::optional<HttpResponse> response;
  boost::asio::steady_timer answered;
};

class ExchangeWriter final : public ResponseWriter {
 public:
  ExchangeWriter(std::shared_ptr<Exchange> exchange, HttpHandler& handler);
  ~ExchangeWriter() override;
  void Send(HttpResponse response) override;

 private:
  std::shared_ptr<Exchange> exchange_;
  HttpHandler& handler_;
};

// True when the peer has closed its side. Unread bytes (a pipelined request, a TLS alert) do not
// hide it.
bool PeerClosed(boost::asio::ip::tcp::socket& socket);

boost::beast::http::response<boost::beast::http::string_body> ToMessage(HttpResponse response,
                                                                        bool head_only,
                                                                        unsigned version,
                                                                        bool keep_alive);

}  // namespace garrison
