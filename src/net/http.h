// HTTP as the rest of Garrison sees it: plain data and two interfaces. No Asio, no Beast, no
// coroutines.
#pragma once

#include <memory>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace garrison {

struct HttpHeader {
  std::string name;
  std::string value;
};

struct HttpRequest {
  std::string method;  // "GET"
  std::string path;    // "/v1/models", percent-decoded, without the query
  std::string query;   // what follows "?", undecoded
  std::vector<HttpHeader> headers;
  std::string body;

  // When the server gives up on the answer (504).
  SteadyTime deadline = SteadyTime::max();
  // Requested when the client leaves or the server stops waiting.
  std::stop_token stop;

  // The first header of that name, whatever its case; empty if there is none.
  std::string_view header(std::string_view name) const;
};

struct HttpResponse {
  int status = 200;
  std::string content_type = "application/json";
  std::string body;
  std::vector<HttpHeader> headers;
};

// Answers one request. Whoever produces the answer keeps the writer. Any thread; one Send at most.
// A writer that is destroyed unsent answers 500, so no request hangs.
class ResponseWriter {
 public:
  virtual ~ResponseWriter() = default;
  virtual void Send(HttpResponse response) = 0;
};

// Thread-safe.
class HttpHandler {
 public:
  virtual ~HttpHandler() = default;

  // True for requests that are answered on the server's own thread, before anything that waits for
  // a worker: they must take microseconds.
  virtual bool IsQuick(const HttpRequest& request) const = 0;

  // Called on a worker thread, or on the server's own if IsQuick.
  virtual void Handle(HttpRequest request, std::unique_ptr<ResponseWriter> writer) = 0;

  // The body of a refusal that the server decides on itself, before or instead of Handle: a
  // malformed message (400), time-outs (408, 504), limits (413, 429, 431), shutting down (503).
  // Called on the server's own thread: returns quickly.
  virtual HttpResponse Refuse(int status, const Error& error) = 0;
};

}  // namespace garrison
