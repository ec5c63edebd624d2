#include "net/http_client.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <mutex>
#include <thread>
#include <utility>

#include "net/http_server.h"
#include "net/test_tls.h"

namespace garrison {
namespace {

using std::chrono::milliseconds;

// A connection as the peer sees it.
class Peer {
 public:
  explicit Peer(int fd) : fd_(fd) {
    const timeval patience{10, 0};  // a hang becomes a failure instead of a stuck test
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  }
  ~Peer() { Close(); }
  Peer(Peer&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Peer& operator=(Peer&&) = delete;

  // Head and body of the next request; empty at the end.
  std::string Request() {
    std::string bytes;
    std::size_t wanted = std::string::npos;
    char buffer[4096];
    while (bytes.size() < wanted) {
      const ssize_t got = recv(fd_, buffer, sizeof(buffer), 0);
      if (got <= 0) return {};
      bytes.append(buffer, static_cast<std::size_t>(got));
      const std::size_t end = bytes.find("\r\n\r\n");
      if (end == std::string::npos) continue;
      const std::size_t at = bytes.find("Content-Length: ");
      wanted = end + 4 + (at < end ? std::strtoull(bytes.c_str() + at + 16, nullptr, 10) : 0);
    }
    return bytes;
  }
  void Send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return;
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
  }
  // True when the client has closed the connection.
  bool Ended() {
    char byte = 0;
    return recv(fd_, &byte, 1, 0) <= 0;
  }
  void Close() {
    if (fd_ >= 0) close(fd_);
    fd_ = -1;
  }
  // The other side sees a connection that was lost, not closed.
  void Reset() {
    const linger none{1, 0};
    setsockopt(fd_, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
    Close();
  }

 private:
  int fd_;
};

// Plays `script` for each connection, one after the other.
class ScriptedPeer {
 public:
  explicit ScriptedPeer(std::function<void(Peer&)> script)
      : listener_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    bind(listener_, reinterpret_cast<const sockaddr*>(&address), size);
    listen(listener_, 16);
    getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this, script = std::move(script)] {
      while (true) {
        const int fd = accept(listener_, nullptr, nullptr);
        if (fd < 0) return;
        ++connections_;
        Peer peer(fd);
        script(peer);
      }
    });
  }
  ~ScriptedPeer() {
    shutdown(listener_, SHUT_RDWR);
    thread_.join();
    close(listener_);
  }

  std::string url(std::string_view path = "/") const {
    return "http://127.0.0.1:" + std::to_string(port_) + std::string(path);
  }
  std::uint16_t port() const { return port_; }
  int connections() const { return connections_; }

 private:
  const int listener_;
  std::uint16_t port_ = 0;
  std::atomic<int> connections_ = 0;
  std::thread thread_;
};

constexpr std::string_view kOk = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

class HttpClientTest : public testing::Test {
 protected:
  Result<HttpReply> Fetch(const HttpCall& call) {
    return client_->Fetch(call, limits_, &progress_);
  }
  Result<HttpReply> Post(const std::string& url, std::string body = "{}") {
    return Fetch({.url = url, .body = std::move(body)});
  }

  std::unique_ptr<HttpClient> client_ = *HttpClient::Create({});
  HttpCallLimits limits_;
  HttpProgress progress_;
};

TEST_F(HttpClientTest, SendsWhatItIsGivenAndReadsEveryFraming) {
  const std::pair<std::string, std::string> replies[] = {
      {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "hello"},
      {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", ""},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\n\r\n",
       "hello"},
      {"HTTP/1.0 200 OK\r\n\r\nhello", "hello"},  // ends with the connection
      {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "hello"},
      {"HTTP/1.1 204 No Content\r\n\r\n", ""},
  };
  for (const auto& [bytes, body] : replies) {
    // Whole, and split at every byte.
    for (std::size_t cut = 0; cut < bytes.size(); cut += cut == 0 ? 1 : 7) {
      std::string request;
      {
        ScriptedPeer peer([&, &sent = bytes](Peer& connection) {
          request = connection.Request();
          connection.Send(std::string_view(sent).substr(0, cut));
          std::this_thread::sleep_for(milliseconds(2));
          connection.Send(std::string_view(sent).substr(cut));
        });
        const Result<HttpReply> reply = client_->Fetch(
            {.url = peer.url("/a%2Fb?c=d"), .headers = {{"X-One", "1"}}, .body = "{\"x\":1}"},
            limits_, &progress_);
        ASSERT_TRUE(reply) << bytes << cut << reply.error().ToString();
        EXPECT_EQ(reply->body, body);
        EXPECT_TRUE(progress_.connected && progress_.sent && progress_.replied);
        EXPECT_EQ(progress_.body_bytes, body.size());
      }
      EXPECT_TRUE(request.starts_with("POST /a%2Fb?c=d HTTP/1.1\r\nHost: 127.0.0.1:")) << request;
      EXPECT_NE(request.find("\r\nX-One: 1\r\n"), std::string::npos);
      EXPECT_TRUE(request.ends_with("\r\nContent-Length: 7\r\n\r\n{\"x\":1}"));
    }
  }
}

TEST_F(HttpClientTest, AConnectionIsUsedAgainOnlyWhereThatIsSafe) {
  int requests = 0;
  ScriptedPeer peer([&](Peer& connection) {
    while (!connection.Request().empty()) {
      ++requests;
      // The third reply announces the end, the fourth has bytes that nobody asked for.
      connection.Send(requests == 3   ? "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close"
                                        "\r\n\r\nok"
                      : requests == 4 ? std::string(kOk) + "HTTP/1.1 200 OK\r\n"
                                      : kOk);
      if (requests == 3) return;
    }
  });
  const bool reused[] = {false, true, true, false, false, true};
  for (const bool expected : reused) {
    const Result<HttpReply> reply = Post(peer.url());
    ASSERT_TRUE(reply) << reply.error().ToString();
    EXPECT_EQ(reply->body, "ok");
    EXPECT_EQ(progress_.reused, expected);
  }
  EXPECT_EQ(peer.connections(), 3);
  client_.reset();  // and with it the connection that the peer still listens to
}

TEST_F(HttpClientTest, AConnectionThatWasClosedMeanwhileIsNotUsed) {
  ScriptedPeer peer([](Peer& connection) {
    connection.Request();
    connection.Send(kOk);
  });
  for (int i = 0; i < 3; ++i) {
    const Result<HttpReply> reply = Post(peer.url());
    ASSERT_TRUE(reply) << reply.error().ToString();
    EXPECT_FALSE(progress_.reused);
    std::this_thread::sleep_for(milliseconds(20));
  }
}

TEST_F(HttpClientTest, ACutReplyIsAnErrorAtEveryByte) {
  const std::string chunked =
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n";
  const std::string sized = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
  for (const std::string& whole : {chunked, sized}) {
    for (const bool reset : {false, true}) {
      for (std::size_t cut = 0; cut < whole.size(); ++cut) {
        ScriptedPeer peer([&](Peer& connection) {
          connection.Request();
          connection.Send(std::string_view(whole).substr(0, cut));
          if (reset) connection.Reset();
        });
        const Result<HttpReply> reply = Post(peer.url());
        ASSERT_FALSE(reply) << cut;
        EXPECT_EQ(reply.error().code, Code::kUnavailable) << reply.error().ToString();
        EXPECT_TRUE(progress_.sent);
        // A reset may take what was sent before it along.
        if (!reset) {
          EXPECT_EQ(progress_.received, cut > 0);
        }
      }
    }
  }
}

TEST_F(HttpClientTest, WhatIsNotHttpIsAnError) {
  for (const char* bytes :
       {"SSH-2.0-x\r\n\r\n", "HTTP/1.1 xyz OK\r\n\r\n", "\r\n\r\n\r\n\r\n\r\nnothing\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n"}) {
    ScriptedPeer peer([&](Peer& connection) {
      connection.Request();
      connection.Send(bytes);
      connection.Ended();
    });
    limits_.first_content = milliseconds(2000);
    const Result<HttpReply> reply = Post(peer.url());
    ASSERT_FALSE(reply) << bytes;
    EXPECT_EQ(reply.error().code, Code::kUnavailable) << bytes << reply.error().ToString();
  }
}

TEST_F(HttpClientTest, HeadsAndBodiesHaveALimit) {
  limits_.reply_bytes = 100;
  const std::string long_head = "HTTP/1.1 200 OK\r\nX: " + std::string(100'000, 'x') + "\r\n\r\n";
  const std::string chunk = "40\r\n" + std::string(64, 'x') + "\r\n";
  for (const std::string& bytes :
       {long_head, std::string("HTTP/1.1 200 OK\r\nContent-Length: 101\r\n\r\n"),
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk + chunk,
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;" + std::string(200'000, 'x'),
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: " +
            std::string(200'000, 'x')}) {
    ScriptedPeer peer([&](Peer& connection) {
      connection.Request();
      connection.Send(bytes);
      connection.Ended();
    });
    const Result<HttpReply> reply = Post(peer.url());
    ASSERT_FALSE(reply);
    EXPECT_TRUE(reply.error().code == Code::kResourceExhausted ||
                reply.error().code == Code::kUnavailable)
        << reply.error().ToString();
    EXPECT_NE(reply.error().code, Code::kDeadlineExceeded);
  }
}

TEST_F(HttpClientTest, EveryStageHasItsLimit) {
  const std::string head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
  struct Case {
    std::string stage;
    std::string sent;
    bool blank_lines;  // goes on with white space, which is no content
  };
  for (const Case& c :
       {Case{"first_content", "", false}, Case{"first_content", head, false},
        Case{"first_content", head, true}, Case{"content_idle", head + "1\r\nx\r\n", true}}) {
    ScriptedPeer peer([&](Peer& connection) {
      connection.Request();
      connection.Send(c.sent);
      for (int i = 0; i < 100 && c.blank_lines; ++i) {
        connection.Send("1\r\n\n\r\n");
        std::this_thread::sleep_for(milliseconds(20));
      }
      connection.Ended();
    });
    limits_.first_content = limits_.content_idle = milliseconds(300);
    const Result<HttpReply> reply = Post(peer.url());
    ASSERT_FALSE(reply) << c.sent;
    EXPECT_EQ(reply.error().code, Code::kDeadlineExceeded);
    EXPECT_EQ(reply.error().where, c.stage);
    EXPECT_EQ(progress_.replied, !c.sent.empty());
  }
  ScriptedPeer peer([](Peer& connection) {
    connection.Request();
    connection.Ended();
  });
  limits_.first_content = milliseconds(60'000);
  limits_.deadline = std::chrono::steady_clock::now() + milliseconds(50);
  EXPECT_EQ(Post(peer.url()).error().where, "total");
}

TEST_F(HttpClientTest, BytesThatKeepComingKeepTheCallAlive) {
  limits_.content_idle = milliseconds(200);
  ScriptedPeer peer([&](Peer& connection) {
    connection.Request();
    connection.Send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n");
    for (int i = 0; i < 10; ++i) {
      std::this_thread::sleep_for(milliseconds(50));
      connection.Send("x");
    }
  });
  const Result<HttpReply> reply = Post(peer.url());
  ASSERT_TRUE(reply) << reply.error().ToString();
  EXPECT_EQ(reply->body, "xxxxxxxxxx");
}

TEST_F(HttpClientTest, AStopEndsEveryStage) {
  const std::string begun = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nx";
  for (const std::string& sent : {std::string(), begun}) {
    ScriptedPeer peer([&](Peer& connection) {
      connection.Request();
      connection.Send(sent);
      connection.Ended();
    });
    std::stop_source stop;
    limits_.stop = stop.get_token();
    std::thread stopper([&] {
      std::this_thread::sleep_for(milliseconds(50));
      stop.request_stop();
    });
    EXPECT_EQ(Post(peer.url()).error().code, Code::kCancelled);
    stopper.join();
    EXPECT_EQ(Post(peer.url()).error().code, Code::kCancelled);  // before it began
    EXPECT_FALSE(progress_.connected);
  }
}

TEST_F(HttpClientTest, WhatNeverConnectedWasNotSent) {
  std::uint16_t port = 0;
  {
    port = ScriptedPeer([](Peer&) {}).port();
  }
  const Result<HttpReply> refused = Post("http://127.0.0.1:" + std::to_string(port) + "/key");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kUnavailable);
  EXPECT_EQ(refused.error().where, "connect");
  EXPECT_EQ(refused.error().ToString().find("key"), std::string::npos);
  EXPECT_FALSE(progress_.connected || progress_.sent);

  const Result<HttpReply> unknown = Post("http://no-such-host.invalid/");
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().code, Code::kUnavailable) << unknown.error().ToString();
  EXPECT_FALSE(progress_.connected);
}

TEST_F(HttpClientTest, ARefusalThatComesBeforeTheWholeBodyIsRead) {
  ScriptedPeer peer([](Peer& connection) {
    connection.Send("HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig");
    std::this_thread::sleep_for(milliseconds(100));
  });
  const Result<HttpReply> reply = Post(peer.url(), std::string(32 << 20, 'x'));
  // A reset may overtake the reply; then it is an error that says so, never a hang.
  if (reply) {
    EXPECT_EQ(reply->status, 413);
    EXPECT_EQ(reply->body, "big");
  } else {
    EXPECT_EQ(reply.error().code, Code::kUnavailable);
  }
}

TEST_F(HttpClientTest, HeadersCannotSmuggle) {
  ScriptedPeer peer([](Peer& connection) { connection.Request(); });
  for (const HttpHeader& header : {HttpHeader{"X", "a\r\nY: b"}, HttpHeader{"X: y", "a"},
                                   HttpHeader{"", "a"}, HttpHeader{"X", std::string("\0", 1)}}) {
    const Result<HttpReply> reply = Fetch({.url = peer.url(), .headers = {header}, .body = ""});
    EXPECT_EQ(reply.error().code, Code::kInvalidArgument);
  }
  EXPECT_EQ(peer.connections(), 0);
}

TEST_F(HttpClientTest, RedirectsAreTheCallersBusiness) {
  ScriptedPeer peer([](Peer& connection) {
    connection.Request();
    connection.Send(
        "HTTP/1.1 307 Temporary Redirect\r\nLocation: http://other/\r\nContent-Length: 0\r\n\r\n");
  });
  const Result<HttpReply> reply = Post(peer.url());
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->status, 307);
  EXPECT_EQ(reply->header("location"), "http://other/");
  EXPECT_EQ(peer.connections(), 1);
}

TEST_F(HttpClientTest, AStreamIsReadAsItComes) {
  std::atomic<bool> read_first = false;
  ScriptedPeer peer([&](Peer& connection) {
    while (!connection.Request().empty()) {
      connection.Send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n");
      while (!read_first) std::this_thread::sleep_for(milliseconds(1));
      connection.Send("3\r\ntwo\r\n0\r\n\r\n");
    }
  });
  for (int i = 0; i < 2; ++i) {
    read_first = false;
    auto stream = client_->Open({.url = peer.url(), .body = "{}"}, limits_, &progress_);
    ASSERT_TRUE(stream) << stream.error().ToString();
    EXPECT_EQ((*stream)->status(), 200);
    EXPECT_EQ(*(*stream)->Read(milliseconds(5000)), "one");
    EXPECT_EQ((*stream)->Read(milliseconds(20)).error().where, "content_idle");
    read_first = true;
    EXPECT_EQ(*(*stream)->Read(milliseconds(5000)), "two");
    EXPECT_EQ(*(*stream)->Read(milliseconds(5000)), "");
    EXPECT_EQ(*(*stream)->Read(milliseconds(5000)), "");
    EXPECT_EQ(progress_.body_bytes, 6u);
    EXPECT_EQ(progress_.reused, i == 1);
  }
  client_.reset();  // and with it the connection that the peer still listens to
}

TEST_F(HttpClientTest, AStreamThatIsGivenUpCutsTheConnection) {
  std::atomic<bool> ended = false;
  {
    ScriptedPeer peer([&](Peer& connection) {
      connection.Request();
      connection.Send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n");
      ended = connection.Ended();
    });
    auto stream = client_->Open({.url = peer.url(), .body = "{}"}, limits_, nullptr);
    ASSERT_TRUE(stream);
    EXPECT_EQ(*(*stream)->Read(milliseconds(5000)), "one");
    stream->reset();
  }
  EXPECT_TRUE(ended);
}

TEST_F(HttpClientTest, AProxyGetsWholeAddressesAndItsPassword) {
  std::string request;
  ScriptedPeer proxy([&](Peer& connection) {
    request = connection.Request();
    connection.Send(request.starts_with("CONNECT") ? "HTTP/1.1 403 No\r\n\r\n" : kOk);
  });
  client_ = *HttpClient::Create(
      {.proxy = "http://me:pw@127.0.0.1:" + std::to_string(proxy.port()), .no_proxy = ""});
  ASSERT_TRUE(Post("http://far.example/x?y"));
  EXPECT_TRUE(request.starts_with("POST http://far.example/x?y HTTP/1.1\r\nHost: far.example\r\n"));
  EXPECT_NE(request.find("Proxy-Authorization: Basic bWU6cHc=\r\n"), std::string::npos);

  const Result<HttpReply> refused = Post("https://far.example/x");
  ASSERT_FALSE(refused);
  EXPECT_TRUE(request.starts_with("CONNECT far.example:443 HTTP/1.1\r\nHost: far.example:443\r\n"));
  EXPECT_EQ(refused.error().where, "connect");
  EXPECT_EQ(refused.error().ToString().find("pw"), std::string::npos);
  EXPECT_FALSE(progress_.sent);

  EXPECT_FALSE(HttpClient::Create({.proxy = "ftp://x"}));
}

class EchoHandler final : public HttpHandler {
 public:
  void Handle(HttpRequest request, std::unique_ptr<ResponseWriter> writer) override {
    writer->Send({.body = std::move(request.body)});
  }
  bool IsQuick(const HttpRequest&) const override { return false; }
  HttpResponse Refuse(int status, const Error&) override { return {.status = status}; }
};

// Against our own server, over TLS.
class HttpsClientTest : public HttpClientTest {
 protected:
  void Start(const std::string& names) {
    const std::string stem = testing::TempDir() + "client_test_" + std::to_string(getpid());
    authority_ = stem + ".pem";
    WriteTestCertificate(authority_, stem + ".key", names);
    server_ = *HttpServer::Start({.tls_certificate = authority_, .tls_key = stem + ".key"},
                                 handler_, *logger_);
    unlink((stem + ".key").c_str());
  }
  void TearDown() override { unlink(authority_.c_str()); }
  std::string url(const std::string& host) const {
    return "https://" + host + ":" + std::to_string(server_->port()) + "/";
  }

  EchoHandler handler_;
  std::unique_ptr<Logger> logger_ = MakeNullLogger();
  std::string authority_;
  std::unique_ptr<HttpServer> server_;
};

TEST_F(HttpsClientTest, OnlyTheNamesOfACertificateThatIsTrusted) {
  Start("IP:127.0.0.1");
  const Result<HttpReply> untrusted = Post(url("127.0.0.1"));
  ASSERT_FALSE(untrusted);
  EXPECT_EQ(untrusted.error().code, Code::kUnavailable);
  EXPECT_EQ(untrusted.error().where, "connect");
  EXPECT_FALSE(progress_.sent);

  client_ = *HttpClient::Create({.ca_file = authority_});
  const std::string body(3 << 20, 'b');
  for (const bool reused : {false, true}) {
    const Result<HttpReply> reply = Post(url("127.0.0.1"), body);
    ASSERT_TRUE(reply) << reply.error().ToString();
    EXPECT_EQ(reply->body, body);
    EXPECT_EQ(progress_.reused, reused);
  }
  const Result<HttpReply> other_name = Post(url("localhost"));
  ASSERT_FALSE(other_name);
  EXPECT_NE(other_name.error().message.find("mismatch"), std::string::npos)
      << other_name.error().ToString();
  EXPECT_FALSE(progress_.sent);
}

TEST_F(HttpsClientTest, AuthoritiesMustBeThere) {
  EXPECT_EQ(HttpClient::Create({.ca_file = "/no/such.pem"}).error().code, Code::kNotFound);
  EXPECT_EQ(HttpClient::Create({.ca_file = GARRISON_SOURCE_DIR "/README.md"}).error().code,
            Code::kInvalidArgument);
}

TEST_F(HttpsClientTest, ManyThreadsShareAClient) {
  Start("IP:127.0.0.1");
  client_ = *HttpClient::Create({.ca_file = authority_});
  std::vector<std::thread> threads;
  std::atomic<int> right = 0;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 25; ++i) {
        const std::string body = std::to_string(t * 1000 + i);
        const Result<HttpReply> reply =
            client_->Fetch({.url = url("127.0.0.1"), .body = body}, {}, nullptr);
        right += reply && reply->body == body ? 1 : 0;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(right, 200);
  EXPECT_LE(server_->stats().connections_accepted, 16u);
}

}  // namespace
}  // namespace garrison
