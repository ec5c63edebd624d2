#include "net/http_client.h"

#include <algorithm>
#include <array>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <cctype>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <span>
#include <utility>

#include "base/base64.h"
#include "base/thread_pool.h"
#include "net/client_socket.h"
#include "net/url.h"

namespace garrison {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using ReplyParser = http::response_parser<http::string_body>;

constexpr std::size_t kReadSize = 16 * 1024;
constexpr std::uint32_t kHeadBytesMax = 64 * 1024;
// A body up to this size leaves in one piece with its head.
constexpr std::size_t kOnePiece = 64 * 1024;
constexpr std::size_t kLookupThreads = 4;
constexpr std::size_t kLookupQueue = 256;
constexpr int kInformationalMax = 16;  // replies 1xx before the real one

SteadyTime Now() { return std::chrono::steady_clock::now(); }

SteadyTime Within(std::chrono::milliseconds time, SteadyTime deadline) {
  const SteadyTime now = Now();
  return deadline - now < time ? deadline : now + time;
}

bool IsWhiteSpace(std::string_view bytes) {
  return bytes.find_first_not_of(" \t\r\n") == std::string_view::npos;
}

bool IsToken(std::string_view name) {
  constexpr std::string_view kOthers = "!#$%&'*+-.^_`|~";
  return !name.empty() && std::all_of(name.begin(), name.end(), [&](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 ||
           kOthers.find(c) != std::string_view::npos;
  });
}

Result<> CheckCall(const HttpCall& call) {
  if (!IsToken(call.method)) return FailAt("method", Code::kInvalidArgument, "expected a token");
  for (const HttpHeader& header : call.headers) {
    const bool harmless = std::all_of(header.value.begin(), header.value.end(), [](char c) {
      return c == '\t' || (static_cast<unsigned char>(c) >= ' ' && c != 0x7f);
    });
    if (!IsToken(header.name) || !harmless) {
      return FailAt("headers", Code::kInvalidArgument,
                    "a header with line breaks or control characters cannot be sent");
    }
  }
  return {};
}

// Which limit a wait ran into is known only here: the one of the stage, or that of the whole call.
Error Named(Error error, const std::string& host, SteadyTime deadline) {
  if (error.code == Code::kDeadlineExceeded && Now() >= deadline) error.where = "total";
  if (error.code == Code::kDeadlineExceeded) {
    error.message = fmt::format("{} did not answer in time", host);
  } else if (error.code == Code::kUnavailable && error.message.find(host) == std::string::npos) {
    error.message = fmt::format("{}: {}", host, error.message);
  }
  return error;
}

using Idle = std::pair<std::unique_ptr<ClientSocket>, SteadyTime>;

// What can be used again.
class Pool {
 public:
  Pool(std::size_t most, std::chrono::milliseconds time) : most_(most), time_(time) {}

  std::unique_ptr<ClientSocket> Take(const std::string& origin) {
    const SteadyTime now = Now();
    const std::lock_guard lock(mutex_);
    const auto found = idle_.find(origin);
    if (found == idle_.end()) return nullptr;
    std::unique_ptr<ClientSocket> socket;
    // The one that was used last is the one that is most likely still open.
    while (socket == nullptr && !found->second.empty()) {
      Idle last = std::move(found->second.back());
      found->second.pop_back();
      if (now - last.second < time_ && last.first->IsQuiet()) socket = std::move(last.first);
    }
    if (found->second.empty()) idle_.erase(found);
    return socket;
  }

  void Keep(const std::string& origin, std::unique_ptr<ClientSocket> socket) {
    const SteadyTime now = Now();
    const std::lock_guard lock(mutex_);
    for (auto entry = idle_.begin(); entry != idle_.end();) {
      std::erase_if(entry->second, [&](const Idle& idle) { return now - idle.second >= time_; });
      entry = entry->second.empty() ? idle_.erase(entry) : std::next(entry);
    }
    if (most_ == 0) return;
    std::deque<Idle>& of_origin = idle_[origin];
    if (of_origin.size() == most_) of_origin.pop_front();
    of_origin.emplace_back(std::move(socket), now);
  }

 private:
  const std::size_t most_;
  const std::chrono::milliseconds time_;
  std::mutex mutex_;
  std::map<std::string, std::deque<Idle>> idle_;
};

// One call on its connection, from the request's first byte to the reply's last.
class Exchange {
 public:
  Exchange(std::string host, std::unique_ptr<ClientSocket> socket, const HttpCallLimits& limits,
           HttpProgress* progress, bool head_only)
      : host_(std::move(host)),
        socket_(std::move(socket)),
        limits_(limits),
        wait_(limits.stop),
        progress_(progress),
        head_only_(head_only) {}

  Result<> Send(const std::string& head, std::string_view body) {
    bool sent = false;
    std::string first = head;
    if (body.size() <= kOnePiece) first.append(std::exchange(body, {}));
    Result<> wrote = SendPiece(first, sent);
    if (wrote && !body.empty()) wrote = SendPiece(body, sent);
    // A server that refuses a request may answer and close before it has read all of it.
    if (!wrote && sent && wrote.error().code == Code::kUnavailable) return {};
    return wrote;
  }

  // Reads until status and headers are there.
  Result<> ReadHead(SteadyTime until) {
    for (int i = 0; i < kInformationalMax; ++i) {
      StartParser();
      while (!parser_->is_header_done()) {
        ASSIGN_OR_RETURN(const bool more, Receive(until, "first_content"));
        if (!more) return Cut("first_content");
      }
      if (progress_ != nullptr) progress_->replied = true;
      if (parser_->get().result_int() == 101) return Broken("it changes to another protocol");
      if (parser_->get().result_int() >= 200) return {};
    }
    return Broken("it answers 1xx without end");
  }

  // What has come of the body since, waiting for a first byte; empty at its end.
  Result<std::string> ReadBody(SteadyTime until, std::string_view stage) {
    while (parser_->get().body().empty() && !parser_->is_done()) {
      ASSIGN_OR_RETURN(const bool more, Receive(until, stage));
      if (more) continue;
      boost::system::error_code error;
      parser_->put_eof(error);
      if (error || !parser_->is_done()) return Cut(stage);
    }
    std::string bytes = std::exchange(parser_->get().body(), {});
    if (progress_ != nullptr) progress_->body_bytes += bytes.size();
    return bytes;
  }

  bool done() const { return parser_->is_done(); }
  // For the next call, if it can be; afterwards nothing can be read.
  std::unique_ptr<ClientSocket> Release() {
    const bool reusable = done() && parser_->keep_alive() && received_.empty() && !sending_failed_;
    return reusable ? std::move(socket_) : nullptr;
  }

  int status() const { return static_cast<int>(parser_->get().result_int()); }
  std::vector<HttpHeader> Headers() const {
    std::vector<HttpHeader> headers;
    for (const auto& field : parser_->get()) {
      headers.push_back({std::string(field.name_string()), std::string(field.value())});
    }
    return headers;
  }
  const HttpCallLimits& limits() const { return limits_; }
  const std::string& host() const { return host_; }

 private:
  void StartParser() {
    parser_.emplace();
    parser_->eager(true);
    parser_->header_limit(kHeadBytesMax);
    parser_->body_limit(limits_.reply_bytes);
    parser_->skip(head_only_);
  }

  Result<> SendPiece(std::string_view bytes, bool& sent) {
    Result<> wrote =
        socket_->Write(bytes, sent, wait_, Within(limits_.content_idle, limits_.deadline));
    if (progress_ != nullptr) progress_->sent = progress_->sent || sent;
    sending_failed_ = !wrote;
    return wrote;
  }

  // Gives the parser what there is, and receives more if that is nothing new. False at the end.
  Result<bool> Receive(SteadyTime until, std::string_view stage) {
    if (received_.empty() || starved_) {
      std::array<char, kReadSize> buffer;
      ASSIGN_OR_RETURN(const std::size_t got,
                       socket_->Read(buffer.data(), buffer.size(), wait_, until, stage));
      if (got == 0) return false;
      received_.append(buffer.data(), got);
      if (progress_ != nullptr) progress_->received = true;
      starved_ = false;
    }
    // Heads, sizes of chunks and trailers are what the parser waits to have whole.
    if (received_.size() > kHeadBytesMax + kReadSize) {
      return FailAt("reply", Code::kResourceExhausted, "{} sent a line longer than {} bytes", host_,
                    kHeadBytesMax);
    }
    boost::system::error_code error;
    const std::size_t used = parser_->put(asio::buffer(received_), error);
    received_.erase(0, used);
    if (error == http::error::need_more || (!error && used == 0)) {
      starved_ = true;
    } else if (error == http::error::body_limit || error == http::error::buffer_overflow) {
      return FailAt("reply", Code::kResourceExhausted, "{} sent a reply longer than {} bytes",
                    host_, limits_.reply_bytes);
    } else if (error) {
      return Broken(error.message());
    }
    return true;
  }

  tl::unexpected<Error> Cut(std::string_view stage) const {
    return FailAt(std::string(stage), Code::kUnavailable,
                  "{} ended the connection before its reply was complete", host_);
  }
  tl::unexpected<Error> Broken(const std::string& why) const {
    return FailAt("reply", Code::kUnavailable, "{} does not speak HTTP/1.1: {}", host_, why);
  }

  const std::string host_;
  std::unique_ptr<ClientSocket> socket_;
  const HttpCallLimits limits_;
  WaitLimit wait_;
  HttpProgress* progress_;
  const bool head_only_;
  bool sending_failed_ = false;
  std::optional<ReplyParser> parser_;
  std::string received_;  // and not parsed yet
  bool starved_ = false;  // the parser wants more than received_
};

class Stream final : public HttpReplyStream {
 public:
  Stream(std::unique_ptr<Exchange> exchange, std::string origin, Pool& pool)
      : exchange_(std::move(exchange)),
        status_(exchange_->status()),
        headers_(exchange_->Headers()),
        origin_(std::move(origin)),
        pool_(pool) {}

  int status() const override { return status_; }
  const std::vector<HttpHeader>& headers() const override { return headers_; }

  Result<std::string> Read(std::chrono::milliseconds idle) override {
    if (exchange_ == nullptr) return std::string();
    const SteadyTime deadline = exchange_->limits().deadline;
    Result<std::string> bytes = exchange_->ReadBody(Within(idle, deadline), "content_idle");
    if (!bytes) {
      return tl::unexpected(Named(std::move(bytes).error(), exchange_->host(), deadline));
    }
    if (bytes->empty()) {
      std::unique_ptr<ClientSocket> socket = exchange_->Release();
      if (socket != nullptr) pool_.Keep(origin_, std::move(socket));
      exchange_.reset();
    }
    return bytes;
  }

 private:
  std::unique_ptr<Exchange> exchange_;
  const int status_;
  const std::vector<HttpHeader> headers_;
  const std::string origin_;
  Pool& pool_;
};

class Client final : public HttpClient {
 public:
  Client(const HttpClientOptions& options, SslContext tls, std::optional<Url> proxy)
      : options_(options),
        tls_(std::move(tls)),
        proxy_(std::move(proxy)),
        lookups_(kLookupThreads, kLookupQueue),
        pool_(options.idle_connections, options.idle_time) {}

  Result<HttpReply> Fetch(const HttpCall& call, const HttpCallLimits& limits,
                          HttpProgress* progress) override;
  Result<std::unique_ptr<HttpReplyStream>> Open(const HttpCall& call, const HttpCallLimits& limits,
                                                HttpProgress* progress) override;

 private:
  // As far as status and headers.
  Result<std::unique_ptr<Exchange>> Begin(const HttpCall& call, const Url& url,
                                          const HttpCallLimits& limits, SteadyTime& first_content,
                                          HttpProgress* progress);
  Result<std::unique_ptr<ClientSocket>> Connect(const Url& url, const HttpCallLimits& limits);
  Result<> Tunnel(ClientSocket& socket, const Url& url, const WaitLimit& wait, SteadyTime until);
  std::string Head(const HttpCall& call, const Url& url) const;
  bool IsProxied(const Url& url) const {
    return proxy_.has_value() && !IsExcepted(url.host, options_.no_proxy);
  }
  std::string ProxyAuthorization() const {
    return proxy_->user_info.empty()
               ? ""
               : "Proxy-Authorization: Basic " +
                     EncodeBase64(std::as_bytes(std::span(proxy_->user_info))) + "\r\n";
  }

  const HttpClientOptions options_;
  const SslContext tls_;
  const std::optional<Url> proxy_;
  ThreadPool lookups_;
  Pool pool_;
};

std::string Client::Head(const HttpCall& call, const Url& url) const {
  std::string head = call.method + " ";
  const bool plainly_proxied = IsProxied(url) && !url.tls;
  if (plainly_proxied) head += "http://" + url.authority();
  head += url.target + " HTTP/1.1\r\nHost: " + url.authority() + "\r\n";
  if (plainly_proxied) head += ProxyAuthorization();
  for (const HttpHeader& header : call.headers) head += header.name + ": " + header.value + "\r\n";
  if (!call.body.empty() || (call.method != "GET" && call.method != "HEAD")) {
    head += "Content-Length: " + std::to_string(call.body.size()) + "\r\n";
  }
  return head + "\r\n";
}

Result<> Client::Tunnel(ClientSocket& socket, const Url& url, const WaitLimit& wait,
                        SteadyTime until) {
  const std::string authority =
      (url.host.find(':') == std::string::npos ? url.host : "[" + url.host + "]") + ":" +
      std::to_string(url.port);
  bool sent = false;
  RETURN_IF_ERROR(socket.Write("CONNECT " + authority + " HTTP/1.1\r\nHost: " + authority + "\r\n" +
                                   ProxyAuthorization() + "\r\n",
                               sent, wait, until));
  // Byte by byte: what follows the head belongs to TLS.
  std::string head;
  while (!head.ends_with("\r\n\r\n") && head.size() < kHeadBytesMax) {
    char byte = 0;
    ASSIGN_OR_RETURN(const std::size_t got, socket.Read(&byte, 1, wait, until, "connect"));
    if (got == 0) break;
    head += byte;
  }
  const bool accepted = head.starts_with("HTTP/1.") && head.size() > 12 &&
                        head.substr(8, 2) == " 2" && head.ends_with("\r\n\r\n");
  if (accepted) return {};
  return FailAt("connect", Code::kUnavailable, "the proxy {} did not connect to {}: {}",
                proxy_->host, url.host, head.substr(0, std::min<std::size_t>(head.find('\r'), 64)));
}

Result<std::unique_ptr<ClientSocket>> Client::Connect(const Url& url,
                                                      const HttpCallLimits& limits) {
  const SteadyTime until = Within(limits.connect, limits.deadline);
  const WaitLimit wait(limits.stop);
  const Url& next = IsProxied(url) ? *proxy_ : url;
  ASSIGN_OR_RETURN(std::unique_ptr<ClientSocket> socket,
                   ClientSocket::Connect(next.host, next.port, lookups_, wait, until));
  if (IsProxied(url) && url.tls) RETURN_IF_ERROR(Tunnel(*socket, url, wait, until));
  if (url.tls) RETURN_IF_ERROR(socket->StartTls(tls_.get(), url.host, wait, until));
  return socket;
}

Result<std::unique_ptr<Exchange>> Client::Begin(const HttpCall& call, const Url& url,
                                                const HttpCallLimits& limits,
                                                SteadyTime& first_content, HttpProgress* progress) {
  if (progress != nullptr) *progress = {};
  if (limits.stop.stop_requested()) return Fail(Code::kCancelled, "stopped");
  std::unique_ptr<ClientSocket> socket = pool_.Take(url.origin());
  if (progress != nullptr) progress->reused = socket != nullptr;
  if (socket == nullptr) {
    ASSIGN_OR_RETURN(socket, Connect(url, limits));
  }
  if (progress != nullptr) progress->connected = true;
  auto exchange = std::make_unique<Exchange>(url.host, std::move(socket), limits, progress,
                                             call.method == "HEAD");
  RETURN_IF_ERROR(exchange->Send(Head(call, url), call.body));
  first_content = Within(limits.first_content, limits.deadline);
  RETURN_IF_ERROR(exchange->ReadHead(first_content));
  return exchange;
}

Result<HttpReply> Client::Fetch(const HttpCall& call, const HttpCallLimits& limits,
                                HttpProgress* progress) {
  RETURN_IF_ERROR(CheckCall(call));
  ASSIGN_OR_RETURN(const Url url, ParseUrl(call.url));
  const auto named = [&](Error error) {
    return tl::unexpected(Named(std::move(error), url.host, limits.deadline));
  };
  SteadyTime until;
  Result<std::unique_ptr<Exchange>> exchange = Begin(call, url, limits, until, progress);
  if (!exchange) return named(std::move(exchange).error());
  HttpReply reply{(*exchange)->status(), (*exchange)->Headers(), ""};
  std::string_view stage = "first_content";
  while (true) {
    Result<std::string> bytes = (*exchange)->ReadBody(until, stage);
    if (!bytes) return named(std::move(bytes).error());
    if (bytes->empty()) break;
    if (!IsWhiteSpace(*bytes)) {
      stage = "content_idle";
      until = Within(limits.content_idle, limits.deadline);
    }
    reply.body += *bytes;
    if (reply.body.size() > limits.reply_bytes) {
      return FailAt("reply", Code::kResourceExhausted, "{} sent a reply longer than {} bytes",
                    url.host, limits.reply_bytes);
    }
  }
  std::unique_ptr<ClientSocket> socket = (*exchange)->Release();
  if (socket != nullptr) pool_.Keep(url.origin(), std::move(socket));
  return reply;
}

Result<std::unique_ptr<HttpReplyStream>> Client::Open(const HttpCall& call,
                                                      const HttpCallLimits& limits,
                                                      HttpProgress* progress) {
  RETURN_IF_ERROR(CheckCall(call));
  ASSIGN_OR_RETURN(const Url url, ParseUrl(call.url));
  SteadyTime until;
  Result<std::unique_ptr<Exchange>> exchange = Begin(call, url, limits, until, progress);
  if (!exchange) {
    return tl::unexpected(Named(std::move(exchange).error(), url.host, limits.deadline));
  }
  return std::make_unique<Stream>(*std::move(exchange), url.origin(), pool_);
}

}  // namespace

Result<> CheckHttpUrl(std::string_view url) {
  RETURN_IF_ERROR(ParseUrl(url));
  return {};
}

Result<std::unique_ptr<HttpClient>> HttpClient::Create(const HttpClientOptions& options) {
  ASSIGN_OR_RETURN(SslContext tls, MakeClientTls(options.ca_file));
  std::optional<Url> proxy;
  if (!options.proxy.empty()) {
    Result<Url> parsed = ParseUrl(options.proxy, UserInfo::kAllow);
    if (!parsed || parsed->tls) {
      return FailAt("proxy", Code::kInvalidArgument, "expected http://[USER:PASSWORD@]HOST:PORT");
    }
    proxy = *std::move(parsed);
  }
  return std::unique_ptr<HttpClient>(
      std::make_unique<Client>(options, std::move(tls), std::move(proxy)));
}

}  // namespace garrison
