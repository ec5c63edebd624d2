// An HTTP/1.1 client for calls that may cost money: every stage has its limit, and after a failure
// it is known how far the call had come.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "net/http.h"

namespace garrison {

struct HttpClientOptions {
  // PEM file with authorities to trust beside those of the system.
  std::string ca_file;
  // "http://[USER:PASSWORD@]HOST:PORT" for every call but those to hosts in `no_proxy`; https goes
  // through it by CONNECT. Empty: none.
  std::string proxy;
  // Host names and addresses separated by commas; ".example.com" means all below it; "*" all.
  std::string no_proxy = "localhost,127.0.0.1,::1";
  // Connections that are kept open for the next call, for each scheme, host and port.
  std::size_t idle_connections = 16;
  std::chrono::milliseconds idle_time{30'000};
};

struct HttpCall {
  std::string method = "POST";
  // http or https, absolute. Path and query are sent byte for byte as they stand here.
  std::string url;
  // Host, Content-Length and Connection are the client's own.
  std::vector<HttpHeader> headers;
  std::string body;
};

// Each limit of a stage ends the call with DEADLINE_EXCEEDED, `where` naming the stage: "connect",
// "first_content", "content_idle", "total".
struct HttpCallLimits {
  std::chrono::milliseconds connect{5'000};  // name, TCP, proxy, TLS together
  // End of the request to the first byte of the body that is no white space. The head alone does
  // not count: some servers send it, and blank lines, while the call still queues.
  std::chrono::milliseconds first_content{60'000};
  // Between two pieces of the body that hold more than white space.
  std::chrono::milliseconds content_idle{30'000};
  SteadyTime deadline = SteadyTime::max();
  std::stop_token stop;                             // CANCELLED
  std::size_t reply_bytes = std::size_t{64} << 20;  // RESOURCE_EXHAUSTED
};

// How far a call came. What was not sent cannot have been billed.
struct HttpProgress {
  bool connected = false;  // also when a connection was used again
  bool reused = false;     // the connection; the peer may have closed it before it read anything
  bool sent = false;       // at least one byte of the request
  bool received = false;   // at least one byte of the reply
  bool replied = false;    // status and headers came
  std::uint64_t body_bytes = 0;  // of the reply
};

struct HttpReply {
  int status = 0;
  std::vector<HttpHeader> headers;
  std::string body;

  std::string_view header(std::string_view name) const { return FindHeader(headers, name); }
};

// A reply whose body is read as it comes. One thread at a time. Destroying it before the end cuts
// the connection.
class HttpReplyStream {
 public:
  virtual ~HttpReplyStream() = default;
  virtual int status() const = 0;
  virtual const std::vector<HttpHeader>& headers() const = 0;
  // The next piece; empty at the orderly end. UNAVAILABLE when it was cut. `idle`: the longest wait
  // for any byte here; what counts as content is known to the caller only. Limits as at Open().
  virtual Result<std::string> Read(std::chrono::milliseconds idle) = 0;
};

// INVALID_ARGUMENT for an address that no call could have.
Result<> CheckHttpUrl(std::string_view url);

// Connections are kept and used again. Thread-safe; a call runs on the thread that makes it.
//
// Nothing is done twice and no redirect is followed: both are for callers to decide, who know what
// a call costs and where keys may go. Errors: INVALID_ARGUMENT for a URL or header that cannot be
// sent; UNAVAILABLE for names, connections, TLS and replies that are cut or are not HTTP (`where`:
// the stage); otherwise as HttpCallLimits. Messages name the host, never the path, query or
// headers: these hold keys.
class HttpClient {
 public:
  // NOT_FOUND or INVALID_ARGUMENT for `ca_file` and `proxy`.
  static Result<std::unique_ptr<HttpClient>> Create(const HttpClientOptions& options);
  virtual ~HttpClient() = default;  // no call may be under way

  // The whole reply, whatever its status. `progress` may be null.
  virtual Result<HttpReply> Fetch(const HttpCall& call, const HttpCallLimits& limits,
                                  HttpProgress* progress) = 0;
  // Returns when status and headers have come. `progress` may be null, else must outlive the
  // stream.
  virtual Result<std::unique_ptr<HttpReplyStream>> Open(const HttpCall& call,
                                                        const HttpCallLimits& limits,
                                                        HttpProgress* progress) = 0;
};

}  // namespace garrison
