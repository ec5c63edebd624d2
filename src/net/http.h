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

// The first header of that name, whatever its case; empty if there is none.
std::string_view FindHeader(const std::vector<HttpHeader>& headers, std::string_view name);

// "a%20b" -> "a b"; what is no escape stays.
std::string PercentDecode(std::string_view text);

struct HttpRequest {
  std::string method;  // "GET"
  std::string path;    // "/v1/models", percent-decoded, without the query
  std::string query;   // what follows "?", undecoded
  std::vector<HttpHeader> headers;
  std::string body;
  std::string peer;  // the client's address

  // When the server gives up on the answer, or on the head of a streamed one (504).
  SteadyTime deadline = SteadyTime::max();
  // Requested when the client leaves or the server stops waiting.
  std::stop_token stop;

  std::string_view header(std::string_view name) const;
};

struct HttpResponse {
  int status = 200;
  std::string content_type = "application/json";
  std::string body;
  std::vector<HttpHeader> headers;
};

// The body of an answer that is sent while it is made. Any thread, one at a time, but not the
// server's own: Write may wait. Once the stream has failed, every call fails with the same error
// and the request's stop is requested; once the stop is requested, every call fails.
class BodyStream {
 public:
  // Without Finish, what was written is sent and the connection is cut, so that the client sees
  // that the answer is incomplete.
  virtual ~BodyStream() = default;

  // Sends `bytes` as soon as the client takes them; returns when at most
  // HttpServerOptions::stream_bytes wait to be sent. CANCELLED when the client has left or the
  // server cuts off what still runs, DEADLINE_EXCEEDED when the client took nothing for write_time
  // or the head came after request_time.
  virtual Result<> Write(std::string bytes) = 0;

  // The body is complete. Does not wait until the client has it. Nothing may follow.
  virtual Result<> Finish() = 0;
};

// Answers one request. Whoever produces the answer keeps the writer. Any thread; either Send or
// Stream, once. A writer that is destroyed without either answers 500, so no request hangs.
class ResponseWriter {
 public:
  virtual ~ResponseWriter() = default;
  virtual void Send(HttpResponse response) = 0;

  // Sends status and headers at once, with `head.body` as the beginning of the body; the rest goes
  // through the stream. From here on there is no limit on how long the answer may take: its maker
  // sets one, and watches HttpRequest::stop. An HTTP/1.0 client gets the end of the connection as
  // the end of the body. The answer to HEAD has no body: what is written is dropped.
  virtual std::unique_ptr<BodyStream> Stream(HttpResponse head) = 0;
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
