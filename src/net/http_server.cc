#include "net/http_server.h"

#include <atomic>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/write.hpp>
#include <exception>
#include <future>
#include <list>
#include <map>
#include <new>
#include <optional>
#include <string_view>
#include <thread>
#include <utility>

#include "base/thread_pool.h"
#include "net/http_exchange.h"
#include "net/http_parser.h"
#include "net/tls.h"

namespace garrison {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using boost::system::error_code;
using tcp = asio::ip::tcp;
using TlsStream = asio::ssl::stream<tcp::socket>;
using Milliseconds = std::chrono::milliseconds;

// Errors come back as values: auto [error, n] = co_await ...
constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);

// How often a request that is being worked on looks whether its client is still there.
constexpr Milliseconds kClientPoll{100};
// After an answer that ends the connection, what the client still sends is read and dropped for
// this long, up to two bodies of the allowed size: many clients read nothing before they have sent
// all, and a TCP reset would lose the answer.
constexpr Milliseconds kLingerTime{2000};
// Pause after a failed accept (out of file descriptors).
constexpr Milliseconds kAcceptPause{100};

tcp::socket& Lowest(tcp::socket& stream) { return stream; }
tcp::socket& Lowest(TlsStream& stream) { return stream.next_layer(); }

class Server final : public HttpServer {
 public:
  Server(const HttpServerOptions& options, HttpHandler& handler, Logger& logger,
         std::shared_ptr<asio::ssl::context> tls)
      : options_(options),
        parser_limits_{options.header_bytes, options.body_bytes},
        handler_(handler),
        logger_(logger),
        tls_(std::move(tls)),
        io_(1),
        acceptor_(io_),
        slot_free_(io_),
        pool_(options.workers, options.queue) {}

  ~Server() override {
    if (thread_.joinable()) Shutdown();
  }

  Result<> Listen();
  std::uint16_t port() const override { return port_; }
  HttpServerStats stats() const override {
    return {open_.load(), accepted_.load(), refused_.load(), pool_.queued(), gone_.load()};
  }
  Result<> ReloadTls() override;
  std::size_t Shutdown() override;
  void HurryShutdown() override;

 private:
  struct Connection {
    tcp::socket* socket = nullptr;
    std::string address;
    bool busy = false;  // between the first byte of a request and the last of its answer
    std::shared_ptr<Exchange> exchange;
  };

  // How a connection goes on after an answer.
  enum class After {
    kNextRequest,
    kClose,  // orderly, with time for the client to read
    kCut,    // so that the client sees that the answer is incomplete
  };

  class Registration;
  class Charge;
  class Waiting;

  asio::awaitable<void> Accept();
  asio::awaitable<void> ServePlain(tcp::socket socket, std::string address);
  asio::awaitable<void> ServeTls(tcp::socket socket, std::string address);
  template <typename Stream>
  asio::awaitable<void> Serve(Stream& stream, Connection& connection, Watchdog& watchdog);
  template <typename Stream>
  asio::awaitable<After> ServeOne(Stream& stream, boost::beast::flat_buffer& buffer,
                                  Connection& connection, Watchdog& watchdog);
  template <typename Stream>
  asio::awaitable<std::optional<HttpRefusal>> ReadRequest(Stream& stream,
                                                          boost::beast::flat_buffer& buffer,
                                                          HttpParser& parser, HttpRequest& request,
                                                          Charge& charge, Watchdog& watchdog);
  asio::awaitable<std::optional<HttpResponse>> Answer(HttpRequest request, tcp::socket& socket,
                                                      std::shared_ptr<Exchange> exchange);
  void Handle(HttpRequest request, const std::shared_ptr<Exchange>& exchange);
  template <typename Stream>
  asio::awaitable<After> SendWhole(Stream& stream, HttpResponse response, AnswerForm form,
                                   Charge& charge, Watchdog& watchdog);
  template <typename Stream>
  asio::awaitable<After> SendStream(Stream& stream, const HttpResponse& head, AnswerForm form,
                                    Exchange& exchange, Watchdog& watchdog);
  template <typename Stream>
  asio::awaitable<bool> Write(Stream& stream, http::response<http::string_body>& message,
                              Watchdog& watchdog);
  template <typename Stream>
  asio::awaitable<bool> WriteBytes(Stream& stream, std::string_view bytes, Watchdog& watchdog);
  void LeaveGone(Exchange& exchange);
  template <typename Stream>
  asio::awaitable<void> Linger(Stream& stream, boost::beast::flat_buffer& buffer,
                               Watchdog& watchdog);

  void StopIdle();
  void CutOff();

  // Constant after Listen.
  const HttpServerOptions options_;
  const HttpParserLimits parser_limits_;
  HttpHandler& handler_;
  Logger& logger_;
  std::shared_ptr<asio::ssl::context> tls_;  // only on the server's thread once it runs
  std::uint16_t port_ = 0;

  // Own synchronisation.
  asio::io_context io_;
  std::atomic<std::uint64_t> open_ = 0, accepted_ = 0, refused_ = 0, gone_ = 0;
  std::atomic<std::uint64_t> bytes_in_flight_ = 0;

  // Only touched on the server's thread.
  tcp::acceptor acceptor_;
  asio::steady_timer slot_free_;
  std::list<Connection> connections_;
  std::map<std::string, std::size_t> by_address_;
  bool draining_ = false;
  bool hurried_ = false;
  bool cut_off_ = false;
  std::size_t cut_ = 0;  // read after the thread has ended
  std::optional<std::promise<void>> drained_;

  ThreadPool pool_;
  std::thread thread_;
};

Result<> Server::Listen() {
  error_code error;
  const auto address = asio::ip::make_address(options_.bind, error);
  if (error) {
    return FailAt("server.bind", Code::kInvalidArgument, "expected an IP address, got \"{}\"",
                  options_.bind);
  }
  const tcp::endpoint endpoint(address, options_.port);
  acceptor_.open(endpoint.protocol(), error);
  if (!error) acceptor_.set_option(tcp::acceptor::reuse_address(true), error);
  if (!error) acceptor_.bind(endpoint, error);
  if (!error) acceptor_.listen(asio::socket_base::max_listen_connections, error);
  if (error) {
    return FailAt("server.port", Code::kFailedPrecondition,
                  "cannot listen on {} port {}: {}; stop what uses it or choose another port",
                  options_.bind, options_.port, error.message());
  }
  port_ = acceptor_.local_endpoint().port();
  asio::co_spawn(io_, Accept(), asio::detached);
  thread_ = std::thread([this] { io_.run(); });
  return {};
}

asio::awaitable<void> Server::Accept() {
  while (!draining_) {
    if (open_ >= options_.connections) {
      slot_free_.expires_at(SteadyTime::max());
      co_await slot_free_.async_wait(kAwait);
      continue;
    }
    auto [error, socket] = co_await acceptor_.async_accept(kAwait);
    if (draining_) co_return;
    if (error) {
      logger_.Warning("cannot accept a connection: {}", error.message());
      slot_free_.expires_after(kAcceptPause);
      co_await slot_free_.async_wait(kAwait);
      continue;
    }
    error_code ignored;
    const tcp::endpoint peer = socket.remote_endpoint(ignored);
    const std::string address = peer.address().to_string();
    std::size_t& count = by_address_[address];
    if (count >= options_.connections_per_address) {
      if (refused_++ % 1000 == 0) {
        logger_.Warning(
            "{} has {} connections open; more are closed (limits.connections_per_address)", address,
            count);
      }
      continue;  // the socket closes here
    }
    ++count;
    ++accepted_;
    ++open_;
    socket.set_option(tcp::no_delay(true), ignored);
    if (tls_ != nullptr) {
      asio::co_spawn(io_, ServeTls(std::move(socket), address), asio::detached);
    } else {
      asio::co_spawn(io_, ServePlain(std::move(socket), address), asio::detached);
    }
  }
}

// A connection in the server's books, for as long as it lives.
class Server::Registration {
 public:
  Registration(Server& server, tcp::socket& socket, std::string address)
      : server_(server), address_(std::move(address)) {
    server_.connections_.push_front(Connection{&socket, address_, false, nullptr});
    connection_ = server_.connections_.begin();
  }
  ~Registration() {
    server_.connections_.erase(connection_);
    const auto count = server_.by_address_.find(address_);
    if (--count->second == 0) server_.by_address_.erase(count);
    --server_.open_;
    server_.slot_free_.cancel();
    if (server_.drained_ && server_.open_ == 0) {
      server_.drained_->set_value();
      server_.drained_.reset();
    }
  }
  Registration(const Registration&) = delete;
  Registration& operator=(const Registration&) = delete;

  Connection& connection() { return *connection_; }

 private:
  Server& server_;
  const std::string address_;
  std::list<Connection>::iterator connection_;
};

// Bytes of bodies and answers that one request holds.
class Server::Charge {
 public:
  explicit Charge(Server& server) : server_(server) {}
  ~Charge() { server_.bytes_in_flight_ -= bytes_; }
  Charge(const Charge&) = delete;
  Charge& operator=(const Charge&) = delete;

  // False, and nothing is charged, when there is no room.
  bool TryAdd(std::uint64_t bytes) {
    if (bytes > 0 && server_.bytes_in_flight_ + bytes > server_.options_.bytes_in_flight)
      return false;
    Add(bytes);
    return true;
  }
  // What exists already counts whether there is room or not.
  void Add(std::uint64_t bytes) {
    bytes_ += bytes;
    server_.bytes_in_flight_ += bytes;
  }

 private:
  Server& server_;
  std::uint64_t bytes_ = 0;
};

// The exchange that a connection waits for. However the waiting ends, the handler learns it:
// nothing else would wake one that is held up in BodyStream::Write.
class Server::Waiting {
 public:
  Waiting(Connection& connection, std::shared_ptr<Exchange> exchange) : connection_(connection) {
    connection_.exchange = std::move(exchange);
  }
  ~Waiting() {
    if (connection_.exchange == nullptr) return;
    connection_.exchange->Leave(
        Error{Code::kCancelled, "the connection has ended", "", std::nullopt});
    connection_.exchange = nullptr;
  }
  Waiting(const Waiting&) = delete;
  Waiting& operator=(const Waiting&) = delete;

  // The handler has done its part.
  void Over() { connection_.exchange = nullptr; }

 private:
  Connection& connection_;
};

asio::awaitable<void> Server::ServePlain(tcp::socket socket, std::string address) {
  Registration registration(*this, socket, std::move(address));
  Watchdog watchdog(socket);
  try {
    co_await Serve(socket, registration.connection(), watchdog);
  } catch (const std::exception& error) {  // out of memory: this connection ends, the others go on
    logger_.Error("a connection failed: {}", error.what());
  }
}

asio::awaitable<void> Server::ServeTls(tcp::socket socket, std::string address) {
  const std::shared_ptr<asio::ssl::context> tls = tls_;
  TlsStream stream(std::move(socket), *tls);
  Registration registration(*this, stream.next_layer(), std::move(address));
  Watchdog watchdog(stream.next_layer());
  watchdog.Arm(options_.header_time);
  try {
    auto [error] = co_await stream.async_handshake(asio::ssl::stream_base::server, kAwait);
    if (!error) co_await Serve(stream, registration.connection(), watchdog);
  } catch (const std::exception& error) {
    logger_.Error("a connection failed: {}", error.what());
  }
}

template <typename Stream>
asio::awaitable<void> Server::Serve(Stream& stream, Connection& connection, Watchdog& watchdog) {
  boost::beast::flat_buffer buffer(options_.header_bytes + 65536);
  while (!draining_) {
    if (buffer.size() == 0) {
      watchdog.Arm(options_.idle_time);
      const auto room = buffer.prepare(4096);
      auto [error, got] = co_await stream.async_read_some(room, kAwait);
      if (error) co_return;
      buffer.commit(got);
    }
    connection.busy = true;
    const After after = co_await ServeOne(stream, buffer, connection, watchdog);
    connection.busy = false;
    if (after == After::kNextRequest) continue;
    if (after == After::kClose) co_await Linger(stream, buffer, watchdog);
    co_return;
  }
}

// One request and its answer.
template <typename Stream>
asio::awaitable<Server::After> Server::ServeOne(Stream& stream, boost::beast::flat_buffer& buffer,
                                                Connection& connection, Watchdog& watchdog) {
  HttpParser parser;
  SetLimits(parser, parser_limits_);
  Charge charge(*this);
  HttpRequest request;
  std::optional<HttpRefusal> refusal =
      co_await ReadRequest(stream, buffer, parser, request, charge, watchdog);
  watchdog.Disarm();
  if (refusal) {
    if (refusal->status == 0) co_return After::kClose;  // the client left in the middle
    HttpResponse response = handler_.Refuse(refusal->status, refusal->error);
    auto sent = SendWhole(stream, std::move(response), AnswerForm{}, charge, watchdog);
    co_return co_await std::move(sent);
  }
  const AnswerForm form{parser.get().version(), parser.get().method() == http::verb::head,
                        parser.get().keep_alive()};
  auto exchange = std::make_shared<Exchange>(Lowest(stream).get_executor(), options_.stream_bytes,
                                             bytes_in_flight_);
  Waiting waiting(connection, exchange);
  request.peer = connection.address;
  auto answer = Answer(std::move(request), Lowest(stream), exchange);
  std::optional<HttpResponse> response = co_await std::move(answer);
  if (!response) co_return After::kClose;
  if (exchange->streamed) {
    const After after = co_await SendStream(stream, *response, form, *exchange, watchdog);
    if (after != After::kCut) waiting.Over();
    co_return after;
  }
  waiting.Over();
  auto sent = SendWhole(stream, *std::move(response), form, charge, watchdog);
  co_return co_await std::move(sent);
}

// A refusal with status 0 means that nobody is there to be answered.
template <typename Stream>
asio::awaitable<std::optional<HttpRefusal>> Server::ReadRequest(
    Stream& stream, boost::beast::flat_buffer& buffer, HttpParser& parser, HttpRequest& request,
    Charge& charge, Watchdog& watchdog) {
  const auto failed = [&](error_code error, const char* part, Milliseconds time) -> HttpRefusal {
    if (watchdog.fired()) {
      return {408, Error{Code::kDeadlineExceeded,
                         fmt::format("the {} did not arrive within {} ms", part, time.count()), "",
                         std::nullopt}};
    }
    const bool protocol = error.category() == make_error_code(http::error::bad_method).category();
    if (!protocol || error == http::error::end_of_stream || error == http::error::partial_message) {
      return {0, Error{}};
    }
    return RefusalOf(error, parser_limits_);
  };

  watchdog.Arm(options_.header_time);
  const auto received_head = [&buffer] {
    const auto bytes = buffer.data();
    return std::string_view(static_cast<const char*>(bytes.data()), bytes.size());
  };
  std::optional<std::size_t> head_end = FindHeaderEnd(received_head());
  while (!head_end && MayBeRequest(received_head()) && buffer.size() <= options_.header_bytes) {
    const std::size_t seen = buffer.size();
    auto [error, got] = co_await stream.async_read_some(buffer.prepare(4096), kAwait);
    if (error) co_return failed(error, "headers", options_.header_time);
    buffer.commit(got);
    head_end = FindHeaderEnd(received_head(), seen);
  }
  if (const Result<> lines = CheckFolding(received_head().substr(0, head_end.value_or(0)));
      !lines) {
    co_return HttpRefusal{400, lines.error()};
  }
  auto [header_error, header_bytes] =
      co_await http::async_read_header(stream, buffer, parser, kAwait);
  if (header_error) co_return failed(header_error, "headers", options_.header_time);
  if (const Result<> checked = CheckHeaders(parser); !checked) {
    co_return HttpRefusal{400, checked.error()};
  }
  request = TakeHead(parser);
  const auto length = parser.content_length();
  const std::uint64_t body_bytes = length ? *length : parser.is_done() ? 0 : options_.body_bytes;
  if (!charge.TryAdd(body_bytes)) {
    co_return HttpRefusal{
        429,
        Error{Code::kResourceExhausted,
              "too many bytes are on their way already (limits.bytes_in_flight); try again shortly",
              "", std::chrono::seconds(1)}};
  }
  watchdog.Arm(options_.body_time);
  const bool expects = parser.get().version() == 11 &&
                       boost::beast::iequals(parser.get()[http::field::expect], "100-continue");
  if (!parser.is_done() && expects) {
    http::response<http::empty_body> go_on(http::status::continue_, 11);
    auto [error, sent] = co_await http::async_write(stream, go_on, kAwait);
    if (error) co_return HttpRefusal{0, Error{}};
  }
  auto [body_error, received] = co_await http::async_read(stream, buffer, parser, kAwait);
  if (body_error) co_return failed(body_error, "body", options_.body_time);
  request.body = std::move(parser.get().body());
  co_return std::nullopt;
}

// Hands the request to a worker and waits for its answer, or the head of a streamed one; nullopt
// when the client has left.
asio::awaitable<std::optional<HttpResponse>> Server::Answer(HttpRequest request,
                                                            tcp::socket& socket,
                                                            std::shared_ptr<Exchange> exchange) {
  request.stop = exchange->stop.get_token();
  const SteadyTime deadline = std::chrono::steady_clock::now() + options_.request_time;
  request.deadline = deadline;
  if (handler_.IsQuick(request)) {
    Handle(std::move(request), exchange);
  } else {
    // std::function wants a copyable task.
    auto shared = std::make_shared<HttpRequest>(std::move(request));
    const Result<> submitted =
        pool_.Submit([this, shared, exchange] { Handle(std::move(*shared), exchange); });
    if (!submitted) {
      co_return handler_.Refuse(submitted.error().code == Code::kUnavailable ? 503 : 429,
                                submitted.error());
    }
  }
  while (!exchange->response) {
    exchange->answered.expires_at(
        std::min(deadline, std::chrono::steady_clock::now() + kClientPoll));
    co_await exchange->answered.async_wait(kAwait);
    if (exchange->response) break;
    if (exchange->stop.stop_requested() || PeerClosed(socket)) {
      LeaveGone(*exchange);
      co_return std::nullopt;
    }
    if (std::chrono::steady_clock::now() >= deadline) {
      Error late{
          Code::kDeadlineExceeded,
          fmt::format("no answer within {} ms; send less at once", options_.request_time.count()),
          "", std::nullopt};
      exchange->Leave(late);
      co_return handler_.Refuse(504, late);
    }
  }
  co_return std::move(exchange->response);
}

void Server::Handle(HttpRequest request, const std::shared_ptr<Exchange>& exchange) {
  try {
    handler_.Handle(std::move(request), std::make_unique<ExchangeWriter>(exchange, handler_));
  } catch (const std::bad_alloc&) {  // the writer has answered 500 as it went
    logger_.Error("out of memory while answering a request");
  }
}

template <typename Stream>
asio::awaitable<Server::After> Server::SendWhole(Stream& stream, HttpResponse response,
                                                 AnswerForm form, Charge& charge,
                                                 Watchdog& watchdog) {
  charge.Add(response.body.size());
  form.keep_alive = form.keep_alive && !draining_;
  auto message = ToMessage(std::move(response), form);
  const bool written = co_await Write(stream, message, watchdog);
  co_return written&& form.keep_alive ? After::kNextRequest : After::kClose;
}

// Sends the pieces of a streamed answer as they come, and looks for the client in between.
template <typename Stream>
asio::awaitable<Server::After> Server::SendStream(Stream& stream, const HttpResponse& head,
                                                  AnswerForm form, Exchange& exchange,
                                                  Watchdog& watchdog) {
  tcp::socket& socket = Lowest(stream);
  const bool chunked = form.version == 11;
  if (!chunked) ResetOnClose(socket, true);
  form.keep_alive = form.keep_alive && chunked && !draining_;
  if (form.head_only) exchange.body->Drop();
  std::string out = StreamHead(head, form);
  BodyPipe::State state = BodyPipe::State::kOpen;
  while (state == BodyPipe::State::kOpen) {
    BodyPipe::Piece piece = exchange.body->Take();
    state = piece.state;
    const std::size_t size = piece.bytes.size();
    if (!form.head_only) AppendPiece(out, piece, chunked);
    piece.bytes = {};
    if (out.empty() && state == BodyPipe::State::kOpen) {
      exchange.answered.expires_after(kClientPoll);
      const auto [woken] = co_await exchange.answered.async_wait(kAwait);
      if (exchange.stop.stop_requested()) co_return After::kCut;  // the server cuts off
      if (woken || !PeerClosed(socket)) continue;
      LeaveGone(exchange);
      co_return After::kCut;
    }
    const bool written = co_await WriteBytes(stream, out, watchdog);
    if (!written && watchdog.fired()) {
      ResetOnClose(socket, true);  // or the system would go on offering what it has buffered
      exchange.Leave(
          Error{Code::kDeadlineExceeded,
                fmt::format("the client took nothing for {} ms", options_.write_time.count()), "",
                std::nullopt});
      co_return After::kCut;
    }
    if (!written) {
      if (!exchange.stop.stop_requested()) LeaveGone(exchange);  // else the server cuts off
      co_return After::kCut;
    }
    out = {};
    exchange.body->Sent(size);
  }
  if (state == BodyPipe::State::kAbandoned) co_return After::kCut;
  if (!chunked) ResetOnClose(socket, false);
  co_return form.keep_alive && !draining_ ? After::kNextRequest : After::kClose;
}

void Server::LeaveGone(Exchange& exchange) {
  ++gone_;
  exchange.Leave(Error{Code::kCancelled, "the client has left", "", std::nullopt});
}

// False when the client stopped taking bytes or left.
template <typename Stream>
asio::awaitable<bool> Server::Write(Stream& stream, http::response<http::string_body>& message,
                                    Watchdog& watchdog) {
  http::response_serializer<http::string_body> serializer(message);
  while (!serializer.is_done()) {
    watchdog.Arm(options_.write_time);
    auto [error, sent] = co_await http::async_write_some(stream, serializer, kAwait);
    if (error) co_return false;
  }
  watchdog.Disarm();
  co_return true;
}

// The same for bytes as they are.
template <typename Stream>
asio::awaitable<bool> Server::WriteBytes(Stream& stream, std::string_view bytes,
                                         Watchdog& watchdog) {
  while (!bytes.empty()) {
    watchdog.Arm(options_.write_time);
    const auto buffer = asio::buffer(bytes);
    auto [error, sent] = co_await stream.async_write_some(buffer, kAwait);
    if (error) co_return false;
    bytes.remove_prefix(sent);
  }
  watchdog.Disarm();
  co_return true;
}

template <typename Stream>
asio::awaitable<void> Server::Linger(Stream& stream, boost::beast::flat_buffer& buffer,
                                     Watchdog& watchdog) {
  tcp::socket& socket = Lowest(stream);
  watchdog.Arm(kLingerTime);
  if constexpr (std::is_same_v<Stream, TlsStream>) co_await stream.async_shutdown(kAwait);
  error_code ignored;
  socket.shutdown(tcp::socket::shutdown_send, ignored);
  std::uint64_t dropped = 0;
  while (dropped < 2 * options_.body_bytes && !watchdog.fired()) {
    buffer.clear();
    const auto room = buffer.prepare(16384);
    auto [error, got] = co_await socket.async_read_some(room, kAwait);
    if (error) co_return;
    dropped += got;
  }
}

void Server::StopIdle() {
  draining_ = true;
  error_code ignored;
  acceptor_.close(ignored);
  slot_free_.cancel();
  for (Connection& connection : connections_) {
    if (!connection.busy) connection.socket->cancel(ignored);
  }
}

// Once: what is cut off is counted.
void Server::CutOff() {
  if (cut_off_) return;
  cut_off_ = true;
  error_code ignored;
  for (Connection& connection : connections_) {
    if (connection.busy) ++cut_;
    if (connection.exchange != nullptr) {
      connection.exchange->Leave(
          Error{Code::kCancelled, "the server is shutting down", "", std::nullopt});
      connection.exchange->answered.cancel();
    }
    connection.socket->close(ignored);
  }
}

void Server::HurryShutdown() {
  asio::post(io_, [this] {
    hurried_ = true;
    if (draining_) CutOff();
  });
}

Result<> Server::ReloadTls() {
  ASSIGN_OR_RETURN(
      std::shared_ptr<asio::ssl::context> tls,
      MakeServerTls(options_.tls_certificate, options_.tls_key, options_.tls_client_ca));
  asio::post(io_, [this, tls = std::move(tls)]() mutable { tls_ = std::move(tls); });
  return {};
}

std::size_t Server::Shutdown() {
  std::promise<void> drained;
  std::future<void> all_closed = drained.get_future();
  asio::post(io_, [this, &drained] {
    StopIdle();
    if (open_ == 0) {
      drained.set_value();
    } else {
      drained_ = std::move(drained);
      if (hurried_) CutOff();  // the hurry came first
    }
  });
  if (all_closed.wait_for(options_.drain_time) != std::future_status::ready) {
    HurryShutdown();
    all_closed.wait();
  }
  // Workers first: a task that still runs posts its late answer to a live io_context.
  pool_.Stop();
  io_.stop();
  thread_.join();
  return cut_;
}

}  // namespace

Result<std::unique_ptr<HttpServer>> HttpServer::Start(const HttpServerOptions& options,
                                                      HttpHandler& handler, Logger& logger) {
  std::unique_ptr<asio::ssl::context> tls;
  if (!options.tls_certificate.empty() || !options.tls_key.empty()) {
    ASSIGN_OR_RETURN(
        tls, MakeServerTls(options.tls_certificate, options.tls_key, options.tls_client_ca));
  }
  auto server = std::make_unique<Server>(options, handler, logger, std::move(tls));
  RETURN_IF_ERROR(server->Listen());
  return std::unique_ptr<HttpServer>(std::move(server));
}

}  // namespace garrison
