// A connection of the client side: TCP, TLS over it, every wait with an end. Private to net/.
#pragma once

#include <openssl/ssl.h>

#include <cstddef>
#include <memory>
#include <stop_token>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "base/thread_pool.h"
#include "net/tls.h"

namespace garrison {

// Until when a thread waits for a socket, and what ends it earlier.
class WaitLimit {
 public:
  explicit WaitLimit(std::stop_token stop);
  ~WaitLimit();
  WaitLimit(const WaitLimit&) = delete;
  WaitLimit& operator=(const WaitLimit&) = delete;

  // Until `fd` can do `events` (of poll). DEADLINE_EXCEEDED (where: `stage`) past `until`,
  // CANCELLED when stopped.
  Result<> Wait(int fd, short events, SteadyTime until, std::string_view stage) const;

  std::stop_token stop() const { return stop_; }

 private:
  const std::stop_token stop_;
  int event_ = -1;
  struct Signal {
    int event;
    void operator()() const;
  };
  std::unique_ptr<std::stop_callback<Signal>> callback_;
};

// Not thread-safe.
class ClientSocket {
 public:
  // `lookups` runs what the system does not let one wait for with a limit: finding the address of
  // a name. UNAVAILABLE (where: "connect").
  static Result<std::unique_ptr<ClientSocket>> Connect(const std::string& host, std::uint16_t port,
                                                       ThreadPool& lookups, const WaitLimit& limit,
                                                       SteadyTime until);
  ~ClientSocket();
  ClientSocket(const ClientSocket&) = delete;
  ClientSocket& operator=(const ClientSocket&) = delete;

  // The certificate must be one for `host`, a name or an address, signed by an authority of `tls`.
  // UNAVAILABLE (where: "connect").
  Result<> StartTls(SSL_CTX* tls, const std::string& host, const WaitLimit& limit,
                    SteadyTime until);

  // `sent` becomes true with the first byte that leaves. UNAVAILABLE (where: "send").
  Result<> Write(std::string_view bytes, bool& sent, const WaitLimit& limit, SteadyTime until);

  // At most `size` bytes; 0 at the orderly end. Over TLS the end must be announced: a connection
  // that just ends is UNAVAILABLE (where: `stage`), since anybody on the way could have cut it.
  Result<std::size_t> Read(char* buffer, std::size_t size, const WaitLimit& limit, SteadyTime until,
                           std::string_view stage);

  // Nothing has come since the last reply, not even the end.
  bool IsQuiet() const;

 private:
  explicit ClientSocket(int fd) : fd_(fd) {}
  Result<std::size_t> ReadRaw(char* buffer, std::size_t size, const WaitLimit& limit,
                              SteadyTime until, std::string_view stage);
  Result<> WriteRaw(std::string_view bytes, bool& sent, const WaitLimit& limit, SteadyTime until);
  // Sends what OpenSSL has to say.
  Result<> Flush(bool& sent, const WaitLimit& limit, SteadyTime until);
  // Receives something for OpenSSL; false at the end of the connection.
  Result<bool> Feed(const WaitLimit& limit, SteadyTime until, std::string_view stage);

  int fd_;
  struct SslFree {
    void operator()(SSL* ssl) const { SSL_free(ssl); }
  };
  std::unique_ptr<SSL, SslFree> ssl_;
};

}  // namespace garrison
