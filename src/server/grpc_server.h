// The gRPC front end: the surface of text-embeddings-inference, health and reflection.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/log.h"
#include "base/result.h"
#include "gateway/gateway.h"
#include "server/access.h"
#include "server/metrics.h"
#include "server/tracer.h"

namespace garrison {

struct GrpcServerOptions {
  std::string bind = "127.0.0.1";
  std::uint16_t port = 0;  // 0: any free port
  // PEM files; both or neither. With them the server speaks TLS only.
  std::string tls_certificate;
  std::string tls_key;
  std::string tls_client_ca;  // PEM file; with it clients need a certificate

  std::size_t workers = 1;
  std::size_t threads = 1;             // of a model, for Info
  std::size_t queue = 256;             // messages waiting for a worker; more: RESOURCE_EXHAUSTED
  std::size_t calls = 1024;            // open at once, idle streams included; likewise
  std::size_t calls_per_client = 256;  // on one connection; a client's library queues the others
  std::uint64_t message_bytes = 8 * 1024 * 1024;
  std::size_t metadata_bytes = 16 * 1024;
  // Messages and answers of all calls; more: RESOURCE_EXHAUSTED.
  std::uint64_t bytes_in_flight = 256 * 1024 * 1024;
  std::size_t inputs_per_request = 2048;
  std::size_t input_bytes = 1024 * 1024;
  std::chrono::milliseconds handshake_time{10'000};  // of a new connection
  std::chrono::milliseconds idle_time{60'000};       // of connections, and streams without messages
  std::chrono::milliseconds write_time{30'000};      // for a client to take an answer
  std::chrono::milliseconds request_time{60'000};    // from a message to its answer
  std::chrono::milliseconds drain_time{30'000};
};

class GrpcServer {
 public:
  // Listens and serves; the others must outlive it. `new_id` names calls in the log, on any thread.
  // INVALID_ARGUMENT for a bad address, NOT_FOUND for TLS files, FAILED_PRECONDITION when the port
  // is taken or the TLS files do not fit.
  static Result<std::unique_ptr<GrpcServer>> Start(const GrpcServerOptions& options,
                                                   const Gateway& gateway, Metrics& metrics,
                                                   Access& access, Tracer& tracer,
                                                   const Clock& clock, Logger& logger,
                                                   std::function<std::string()> new_id);
  virtual ~GrpcServer() = default;  // as Shutdown()

  // The port it really listens on.
  virtual std::uint16_t port() const = 0;
  virtual std::size_t open_calls() const = 0;

  // Health turns to NOT_SERVING and new calls are refused; open ones have drain_time to end, then
  // they are cancelled and the port closes. Returns the number of calls that were cut off. Any
  // thread; once.
  virtual std::size_t Shutdown() = 0;

  // Ends a Shutdown that is under way, or that comes: what still runs is cut off at once. Any
  // thread.
  virtual void HurryShutdown() = 0;
};

}  // namespace garrison
