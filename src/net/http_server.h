// An HTTP/1.1 server with a limit on everything, over TCP or TLS.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "base/log.h"
#include "base/result.h"
#include "net/http.h"

namespace garrison {

struct HttpServerOptions {
  std::string bind = "127.0.0.1";
  std::uint16_t port = 0;  // 0: any free port
  // PEM files; both or neither. With them the server speaks TLS 1.2 and 1.3 only.
  std::string tls_certificate;
  std::string tls_key;
  std::string tls_client_ca;  // PEM file; with it clients need a certificate of these authorities

  std::size_t workers = 1;
  std::size_t queue = 256;  // requests waiting for a worker; more are answered 429
  std::size_t connections = 1024;
  std::size_t connections_per_address = 256;
  std::uint32_t header_bytes = 16 * 1024;
  std::uint64_t body_bytes = 8 * 1024 * 1024;
  // Bodies being received or worked on and answers being sent, in total; more are answered 429.
  std::uint64_t bytes_in_flight = 256 * 1024 * 1024;
  // Of one streamed answer waiting to be sent; more holds up BodyStream::Write.
  std::size_t stream_bytes = 256 * 1024;
  std::chrono::milliseconds header_time{10'000};  // first byte to end of headers, in total
  std::chrono::milliseconds body_time{30'000};    // the whole body, in total
  std::chrono::milliseconds idle_time{60'000};    // between requests
  std::chrono::milliseconds write_time{30'000};   // without any progress of an answer
  // End of request to its answer, or to the head of a streamed one.
  std::chrono::milliseconds request_time{60'000};
  std::chrono::milliseconds drain_time{30'000};
};

struct HttpServerStats {
  std::uint64_t connections_open = 0;
  std::uint64_t connections_accepted = 0;
  std::uint64_t connections_refused = 0;  // more than connections_per_address
  std::uint64_t requests_queued = 0;      // waiting for a worker
  std::uint64_t clients_gone = 0;         // left before their answer, or the end of a streamed one
};

// One thread does all input and output; handlers run on `workers` threads.
class HttpServer {
 public:
  // Binds, listens and serves. `handler` and `logger` must outlive the server. INVALID_ARGUMENT for
  // a bad address, NOT_FOUND or INVALID_ARGUMENT for TLS files, FAILED_PRECONDITION when the port
  // is taken.
  static Result<std::unique_ptr<HttpServer>> Start(const HttpServerOptions& options,
                                                   HttpHandler& handler, Logger& logger);
  virtual ~HttpServer() = default;  // as Shutdown() with what is left of drain_time

  // The port it really listens on.
  virtual std::uint16_t port() const = 0;

  virtual HttpServerStats stats() const = 0;

  // Reads the files of the options again: connections from now on use them, those that are open
  // stay as they are. Errors as Start(), and then nothing has changed. Any thread.
  virtual Result<> ReloadTls() = 0;

  // Stops accepting, closes idle connections, lets running requests and streams finish for
  // drain_time, then cancels and closes the rest. Returns the number of requests that were cut off.
  // Any thread; once.
  virtual std::size_t Shutdown() = 0;

  // Ends a Shutdown that is under way, or that comes: what still runs is cut off at once. Any
  // thread.
  virtual void HurryShutdown() = 0;
};

}  // namespace garrison
