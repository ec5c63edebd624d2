#include "net/http_stream.h"

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <future>
#include <map>
#include <new>
#include <semaphore>
#include <thread>
#include <vector>

#include "net/http_server.h"
#include "net/test_client.h"
#include "net/test_tls.h"

namespace garrison {
namespace {

using std::chrono::milliseconds;
using Writer = std::unique_ptr<ResponseWriter>;

void Await(const std::function<bool()>& condition) {
  while (!condition()) std::this_thread::yield();
}

HttpResponse Head(std::string body = "") { return {200, "text/event-stream", std::move(body), {}}; }

Error Gone() { return {Code::kCancelled, "gone", "", std::nullopt}; }

TEST(BodyPipe, WriteReturnsOnlyWhenNoMoreThanTheLimitIsUnsent) {
  constexpr std::size_t kLimit = 1000, kTotal = 200'000;
  std::atomic<std::uint64_t> in_flight = 0;
  BodyPipe pipe(kLimit, in_flight);
  std::thread writer([&] {
    pipe.Open("", [] {});
    for (std::size_t sent = 0; sent < kTotal; sent += 500) {
      ASSERT_TRUE(pipe.Write(std::string(500, 'x')));
      ASSERT_LE(in_flight, kLimit);
    }
    ASSERT_TRUE(pipe.Finish());
  });
  std::size_t taken = 0;
  while (true) {
    const BodyPipe::Piece piece = pipe.Take();
    ASSERT_LE(piece.bytes.size(), kLimit + 500);
    taken += piece.bytes.size();
    pipe.Sent(piece.bytes.size());
    if (piece.state == BodyPipe::State::kFinished) break;
  }
  writer.join();
  EXPECT_EQ(taken, kTotal);
  EXPECT_EQ(in_flight, 0u);
}

TEST(BodyPipe, CloseReleasesAWriterAndWhatIsUnsent) {
  std::atomic<std::uint64_t> in_flight = 0;
  BodyPipe pipe(10, in_flight);
  Error seen;
  std::thread writer([&] {
    pipe.Open("first", [] {});
    seen = pipe.Write(std::string(100, 'x')).error();  // waits: there is nobody who sends
    EXPECT_EQ(pipe.Write("more").error(), seen);
    EXPECT_EQ(pipe.Finish().error(), seen);
  });
  Await([&] { return in_flight == 105; });
  EXPECT_EQ(pipe.Take().bytes.size(), 105u);
  pipe.Close(Gone());
  pipe.Close(Error{});
  writer.join();
  pipe.Sent(105);  // of a piece that was on its way
  EXPECT_EQ(seen, Gone());
  EXPECT_EQ(in_flight, 0u);
}

TEST(BodyPipe, WakesOnceForAllThatWaits) {
  std::atomic<std::uint64_t> in_flight = 0;
  std::atomic<int> wakes = 0;
  BodyPipe pipe(100, in_flight);
  const auto write = [&](std::string bytes) {
    std::thread([&] { EXPECT_TRUE(pipe.Write(std::move(bytes))); }).join();
  };
  pipe.Open("", [&] { ++wakes; });
  write("");
  EXPECT_EQ(wakes, 0);
  write("a");
  write("b");
  EXPECT_EQ(wakes, 1);
  EXPECT_EQ(pipe.Take().bytes, "ab");
  write("c");
  EXPECT_EQ(wakes, 2);
  pipe.Close(Gone());
  pipe.Abandon();
  EXPECT_EQ(wakes, 2);
}

// "/echo" returns the body; every other path is answered by the script of the test.
class ScriptedHandler final : public HttpHandler {
 public:
  using Script = std::function<void(const HttpRequest&, Writer)>;

  void Handle(HttpRequest request, Writer writer) override {
    if (request.path == "/echo") {
      writer->Send(Head(request.body));
    } else {
      script(request, std::move(writer));
    }
    ++handled_;
  }
  bool IsQuick(const HttpRequest&) const override { return false; }
  HttpResponse Refuse(int status, const Error& error) override {
    return {status, "text/plain", error.ToString(), {}};
  }
  // Requests whose Handle has returned.
  int handled() const { return handled_; }

  Script script;

 private:
  std::atomic<int> handled_ = 0;
};

enum class Transport { kTcp, kTls };

class HttpStreamTest : public testing::TestWithParam<Transport> {
 protected:
  void Start(ScriptedHandler::Script script) {
    handler_.script = std::move(script);
    if (Tls()) {
      // A name of this process: several test programs may run at once.
      const std::string stem = testing::TempDir() + "stream_test_" + std::to_string(getpid());
      options_.tls_certificate = stem + ".pem";
      options_.tls_key = stem + ".key";
      WriteTestCertificate(options_.tls_certificate, options_.tls_key);
    }
    auto server = HttpServer::Start(options_, handler_, *logger_);
    if (Tls()) {
      unlink(options_.tls_certificate.c_str());
      unlink(options_.tls_key.c_str());
    }
    server_ = std::move(server).value();
  }
  std::unique_ptr<TestClient> Connect() const {
    if (Tls()) return std::make_unique<TlsTestClient>(server_->port());
    return std::make_unique<TestClient>(server_->port());
  }
  bool Tls() const { return GetParam() == Transport::kTls; }
  // Whether the server is well: a new connection is answered, and nothing else is left.
  void ExpectIdle() {
    {
      const auto client = Connect();
      client->Send(HttpPost("/echo", "well"));
      EXPECT_EQ(client->Receive().body, "well");
    }
    Await([&] { return server_->stats().connections_open == 0; });
  }

  std::unique_ptr<Logger> logger_ = MakeNullLogger();
  ScriptedHandler handler_;
  HttpServerOptions options_;
  std::unique_ptr<HttpServer> server_;
};

INSTANTIATE_TEST_SUITE_P(Over, HttpStreamTest, testing::Values(Transport::kTcp, Transport::kTls),
                         [](const auto& one) {
                           return one.param == Transport::kTls ? "Tls" : "Tcp";
                         });

TEST_P(HttpStreamTest, PiecesArriveBeforeTheEndAndTheConnectionGoesOn) {
  std::counting_semaphore go(0);
  Start([&](const HttpRequest&, Writer writer) {
    const auto stream = writer->Stream(Head("first"));
    for (const char* piece : {"second", "", "third"}) {
      go.acquire();
      EXPECT_TRUE(stream->Write(piece));
    }
    go.acquire();
    EXPECT_TRUE(stream->Finish());
  });
  const auto client = Connect();
  // The second request is there all the time and must wait for the end of the first answer.
  client->Send(HttpGet("/stream") + HttpPost("/echo", "after"));
  const ClientResponse head = client->ReceiveHead();
  EXPECT_EQ(head.status, 200);
  EXPECT_NE(head.head.find("Transfer-Encoding: chunked\r\n"), std::string::npos) << head.head;
  EXPECT_NE(head.head.find("Content-Type: text/event-stream\r\n"), std::string::npos) << head.head;
  EXPECT_EQ(head.head.find("Content-Length"), std::string::npos) << head.head;
  EXPECT_EQ(head.head.find("Connection"), std::string::npos) << head.head;
  EXPECT_EQ(client->ReceiveChunk(), "first");
  go.release();
  EXPECT_EQ(client->ReceiveChunk(), "second");
  go.release(2);
  EXPECT_EQ(client->ReceiveChunk(), "third");
  go.release();
  EXPECT_EQ(client->ReceiveChunk(), "");
  EXPECT_EQ(client->Receive().body, "after");
  EXPECT_EQ(server_->stats().connections_accepted, 1u);
  EXPECT_EQ(server_->stats().clients_gone, 0u);
}

TEST_P(HttpStreamTest, TheHeadArrivesBeforeTheFirstPiece) {
  std::binary_semaphore go(0);
  Start([&](const HttpRequest&, Writer writer) {
    const auto stream = writer->Stream(Head());
    go.acquire();
    EXPECT_TRUE(stream->Finish());
  });
  const auto client = Connect();
  client->Send("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  const ClientResponse head = client->ReceiveHead();
  EXPECT_EQ(head.status, 200);
  EXPECT_NE(head.head.find("Connection: close"), std::string::npos) << head.head;
  go.release();
  EXPECT_EQ(client->ReceiveChunk(), "");
  EXPECT_TRUE(client->ServerClosed());
  EXPECT_TRUE(client->ended_orderly());
}

TEST_P(HttpStreamTest, AnotherThreadMayGoOnWithTheStream) {
  std::promise<std::unique_ptr<BodyStream>> made;
  Start([&](const HttpRequest&, Writer writer) { made.set_value(writer->Stream(Head())); });
  const auto client = Connect();
  client->Send(HttpGet("/"));
  const auto stream = made.get_future().get();
  EXPECT_EQ(client->ReceiveHead().status, 200);
  EXPECT_TRUE(stream->Write("from outside"));
  EXPECT_EQ(client->ReceiveChunk(), "from outside");
  EXPECT_TRUE(stream->Finish());
  EXPECT_EQ(client->ReceiveChunk(), "");
}

TEST_P(HttpStreamTest, AClientThatTakesNothingHoldsUpTheHandlerUntilWriteTime) {
  options_.write_time = milliseconds(200);
  options_.stream_bytes = 64 * 1024;
  constexpr std::size_t kPiece = 64 * 1024, kAll = std::size_t{1} << 30;
  std::size_t ahead = 0;
  std::binary_semaphore done(0);
  Start([&](const HttpRequest& request, Writer writer) {
    const auto stream = writer->Stream(Head());
    Result<> written;
    while (ahead < kAll && (written = stream->Write(std::string(kPiece, 'x')))) ahead += kPiece;
    ASSERT_FALSE(written);
    EXPECT_EQ(written.error().code, Code::kDeadlineExceeded);
    EXPECT_TRUE(request.stop.stop_requested());
    EXPECT_EQ(stream->Write("more").error(), written.error());
    EXPECT_EQ(stream->Finish().error(), written.error());
    done.release();
  });
  const auto client = Connect();
  client->Send(HttpGet("/"));
  done.acquire();
  // What the system keeps for both sockets is a few MiB.
  EXPECT_LT(ahead, kAll / 16);
  const std::string rest = client->ReceiveRest();
  EXPECT_FALSE(rest.ends_with("\r\n0\r\n\r\n"));
  EXPECT_LT(rest.size(), kAll / 16);
  EXPECT_FALSE(client->ended_orderly());
  ExpectIdle();
}

TEST_P(HttpStreamTest, ASlowReaderGetsEveryByte) {
  options_.stream_bytes = 1000;
  constexpr int kPieces = 3000;
  std::string expected;
  for (int i = 0; i < kPieces; ++i)
    expected += std::string(i % 4000, static_cast<char>('a' + i % 26));
  Start([&](const HttpRequest&, Writer writer) {
    const auto stream = writer->Stream(Head());
    std::size_t at = 0;
    for (int i = 0; i < kPieces; ++i) {
      ASSERT_TRUE(stream->Write(expected.substr(at, i % 4000)));
      at += static_cast<std::size_t>(i % 4000);
    }
    EXPECT_TRUE(stream->Finish());
  });
  const auto client = Connect();
  client->Send(HttpGet("/"));
  EXPECT_EQ(client->ReceiveHead().status, 200);
  std::string body;
  while (const auto chunk = client->ReceiveChunk()) {
    body += *chunk;
    if (chunk->empty()) break;
  }
  EXPECT_TRUE(body == expected);
}

TEST_P(HttpStreamTest, WhatWaitsCountsAsBytesInFlight) {
  options_.workers = 2;
  options_.bytes_in_flight = 100'000;
  options_.stream_bytes = 200'000;
  Start([&](const HttpRequest&, Writer writer) {
    const auto stream = writer->Stream(Head());
    while (stream->Write(std::string(10'000, 'x'))) {
    }
  });
  auto slow = Connect();
  slow->Send(HttpGet("/"));
  const auto status = [&] {
    const auto client = Connect();
    client->Send(HttpPost("/echo", std::string(50'000, 'y')));
    return client->Receive().status;
  };
  Await([&] { return status() == 429; });
  slow->Close();
  Await([&] { return status() == 200; });
}

TEST_P(HttpStreamTest, AClientThatLeavesIsSeenWhileNothingIsWritten) {
  std::atomic<bool> streaming = false;
  Start([&](const HttpRequest& request, Writer writer) {
    const auto stream = writer->Stream(Head("hello"));
    streaming = true;
    Await([&] { return request.stop.stop_requested(); });
    EXPECT_EQ(stream->Write("too late").error().code, Code::kCancelled);
    EXPECT_EQ(stream->Finish().error().code, Code::kCancelled);
  });
  auto client = Connect();
  client->Send(HttpGet("/"));
  Await([&] { return streaming.load(); });
  EXPECT_EQ(client->ReceiveHead().status, 200);
  client->Close();
  Await([&] { return handler_.handled() == 1; });
  EXPECT_EQ(server_->stats().clients_gone, 1u);
  ExpectIdle();
}

TEST_P(HttpStreamTest, AClientThatLeavesIsSeenByWrite) {
  Start([&](const HttpRequest& request, Writer writer) {
    const auto stream = writer->Stream(Head());
    Result<> written;
    while ((written = stream->Write("data: x\n\n"))) {
    }
    EXPECT_EQ(written.error().code, Code::kCancelled);
    EXPECT_TRUE(request.stop.stop_requested());
  });
  auto client = Connect();
  client->Send(HttpGet("/"));
  EXPECT_EQ(client->ReceiveHead().status, 200);
  EXPECT_TRUE(client->ReceiveChunk());
  client->Close();
  Await([&] { return handler_.handled() == 1; });
  EXPECT_EQ(server_->stats().clients_gone, 1u);
  ExpectIdle();
}

TEST_P(HttpStreamTest, AClientThatLeavesReleasesAHandlerThatIsHeldUp) {
  options_.stream_bytes = 1000;
  std::atomic<bool> writing = false;
  Start([&](const HttpRequest&, Writer writer) {
    const auto stream = writer->Stream(Head());
    writing = true;
    // More than the system keeps: returns only when the client has gone.
    EXPECT_EQ(stream->Write(std::string(64 << 20, 'x')).error().code, Code::kCancelled);
  });
  auto client = Connect();
  client->Send(HttpGet("/"));
  Await([&] { return writing.load(); });
  EXPECT_EQ(client->ReceiveHead().status, 200);
  client->Close();
  Await([&] { return handler_.handled() == 1; });
  ExpectIdle();
}

TEST_P(HttpStreamTest, AnUnfinishedStreamHasNoLastChunk) {
  Start([&](const HttpRequest&, Writer writer) {
    const auto stream = writer->Stream(Head("some "));
    EXPECT_TRUE(stream->Write("of it"));
  });
  const auto client = Connect();
  client->Send(HttpGet("/"));
  EXPECT_EQ(client->ReceiveHead().status, 200);
  std::string body;
  while (const auto chunk = client->ReceiveChunk()) {
    EXPECT_FALSE(chunk->empty());
    body += *chunk;
  }
  EXPECT_EQ(body, "some of it");
  EXPECT_TRUE(client->ServerClosed());
  EXPECT_EQ(client->ended_orderly(), !Tls());
  EXPECT_EQ(server_->stats().clients_gone, 0u);
  ExpectIdle();
}

TEST_P(HttpStreamTest, AnExceptionCutsTheStream) {
  Start([&](const HttpRequest&, Writer writer) {
    const auto stream = writer->Stream(Head("a"));
    throw std::bad_alloc();
  });
  const auto client = Connect();
  client->Send(HttpGet("/"));
  EXPECT_EQ(client->ReceiveHead().status, 200);
  EXPECT_EQ(client->ReceiveChunk(), "a");
  EXPECT_EQ(client->ReceiveChunk(), std::nullopt);
  ExpectIdle();
}

TEST_P(HttpStreamTest, AnHttp10ClientGetsTheBytesUntilTheConnectionCloses) {
  Start([&](const HttpRequest&, Writer writer) {
    const auto stream = writer->Stream(Head("one "));
    EXPECT_TRUE(stream->Write("two"));
    EXPECT_TRUE(stream->Finish());
  });
  const auto client = Connect();
  client->Send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  const ClientResponse head = client->ReceiveHead();
  EXPECT_TRUE(head.head.starts_with("HTTP/1.0 200 ")) << head.head;
  EXPECT_EQ(head.head.find("Transfer-Encoding"), std::string::npos) << head.head;
  EXPECT_EQ(head.head.find("keep-alive"), std::string::npos) << head.head;
  EXPECT_EQ(client->ReceiveRest(), "one two");
  EXPECT_TRUE(client->ended_orderly());
}

TEST_P(HttpStreamTest, AnHttp10ClientSeesThatABodyIsIncomplete) {
  std::binary_semaphore go(0);
  Start([&](const HttpRequest&, Writer writer) {
    const auto stream = writer->Stream(Head("one "));
    go.acquire();
  });
  const auto client = Connect();
  client->Send("GET / HTTP/1.0\r\n\r\n");
  EXPECT_EQ(client->ReceiveHead().status, 200);
  go.release();
  client->ReceiveRest();
  EXPECT_FALSE(client->ended_orderly());
  ExpectIdle();
}

TEST_P(HttpStreamTest, HeadGetsNoBodyAndHoldsNothingUp) {
  options_.stream_bytes = 10;
  Start([&](const HttpRequest&, Writer writer) {
    const auto stream = writer->Stream(Head(std::string(1000, 'x')));
    for (int i = 0; i < 100; ++i) EXPECT_TRUE(stream->Write(std::string(1000, 'x')));
    EXPECT_TRUE(stream->Finish());
  });
  const auto client = Connect();
  client->Send("HEAD / HTTP/1.1\r\nHost: x\r\n\r\n" + HttpPost("/echo", "after"));
  EXPECT_EQ(client->ReceiveHead().status, 200);
  EXPECT_EQ(client->Receive().body, "after");
}

TEST_P(HttpStreamTest, RequestTimeEndsWithTheHead) {
  options_.request_time = milliseconds(50);
  Start([&](const HttpRequest& request, Writer writer) {
    const auto stream = writer->Stream(Head());
    Await([&] { return std::chrono::steady_clock::now() > request.deadline + milliseconds(50); });
    EXPECT_TRUE(stream->Write("late"));
    EXPECT_FALSE(request.stop.stop_requested());
    EXPECT_TRUE(stream->Finish());
  });
  const auto client = Connect();
  client->Send(HttpGet("/"));
  EXPECT_EQ(client->ReceiveHead().status, 200);
  EXPECT_EQ(client->ReceiveChunk(), "late");
  EXPECT_EQ(client->ReceiveChunk(), "");
}

TEST_P(HttpStreamTest, AHeadAfterRequestTimeFails) {
  options_.request_time = milliseconds(50);
  Start([&](const HttpRequest& request, Writer writer) {
    Await([&] { return request.stop.stop_requested(); });
    const auto stream = writer->Stream(Head("x"));
    EXPECT_EQ(stream->Write(std::string(1 << 20, 'x')).error().code, Code::kDeadlineExceeded);
  });
  const auto client = Connect();
  client->Send(HttpGet("/"));
  EXPECT_EQ(client->Receive().status, 504);
  Await([&] { return handler_.handled() == 1; });
}

TEST_P(HttpStreamTest, ShutdownLetsAStreamFinish) {
  std::counting_semaphore go(0);
  Start([&](const HttpRequest&, Writer writer) {
    const auto stream = writer->Stream(Head("first"));
    go.acquire();
    EXPECT_TRUE(stream->Write("second"));
    EXPECT_TRUE(stream->Finish());
  });
  const auto idle = Connect(), client = Connect();
  idle->Send(HttpPost("/echo", "x"));
  EXPECT_EQ(idle->Receive().body, "x");
  client->Send(HttpGet("/"));
  EXPECT_EQ(client->ReceiveHead().status, 200);
  EXPECT_EQ(client->ReceiveChunk(), "first");
  std::thread shutdown([&] { EXPECT_EQ(server_->Shutdown(), 0u); });
  EXPECT_TRUE(idle->ServerClosed());  // it drains
  go.release();
  EXPECT_EQ(client->ReceiveChunk(), "second");
  EXPECT_EQ(client->ReceiveChunk(), "");
  EXPECT_TRUE(client->ServerClosed());
  EXPECT_TRUE(client->ended_orderly());
  client->Close();
  shutdown.join();
}

// The time for an orderly end is bounded, also when the client does not take part in it.
TEST_P(HttpStreamTest, AClientThatStaysAfterTheLastAnswerIsClosed) {
  Start([](const HttpRequest&, Writer writer) { EXPECT_TRUE(writer->Stream(Head())->Finish()); });
  const auto client = Connect();
  client->Send("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(client->ReceiveHead().status, 200);
  Await([&] { return server_->stats().connections_open == 0; });
}

TEST_P(HttpStreamTest, ShutdownCutsOffAStreamThatIsHeldUp) {
  options_.drain_time = milliseconds(20);
  options_.stream_bytes = 1000;
  std::binary_semaphore writing(0);
  Start([&](const HttpRequest& request, Writer writer) {
    const auto stream = writer->Stream(Head());
    writing.release();
    EXPECT_EQ(stream->Write(std::string(64 << 20, 'x')).error().code, Code::kCancelled);
    EXPECT_TRUE(request.stop.stop_requested());
  });
  const auto client = Connect();
  client->Send(HttpGet("/"));
  writing.acquire();
  EXPECT_EQ(server_->Shutdown(), 1u);
  EXPECT_EQ(handler_.handled(), 1);
  EXPECT_EQ(server_->stats().clients_gone, 0u);
  EXPECT_FALSE(client->ReceiveRest().ends_with("\r\n0\r\n\r\n"));
}

TEST_P(HttpStreamTest, ShutdownCanBeHurriedWhileAStreamIsIdle) {
  Start([&](const HttpRequest& request, Writer writer) {
    const auto stream = writer->Stream(Head("x"));
    Await([&] { return request.stop.stop_requested(); });
    EXPECT_EQ(stream->Write("y").error().code, Code::kCancelled);
  });
  const auto client = Connect();
  client->Send(HttpGet("/"));
  EXPECT_EQ(client->ReceiveHead().status, 200);
  EXPECT_EQ(client->ReceiveChunk(), "x");
  server_->HurryShutdown();
  EXPECT_EQ(server_->Shutdown(), 1u);
  EXPECT_EQ(client->ReceiveChunk(), std::nullopt);
  EXPECT_EQ(server_->stats().clients_gone, 0u);
}

TEST_P(HttpStreamTest, ANewStreamAfterTheCutOffFailsInsteadOfWaiting) {
  options_.drain_time = milliseconds(0);
  std::binary_semaphore started(0);
  Start([&](const HttpRequest& request, Writer writer) {
    started.release();
    Await([&] { return request.stop.stop_requested(); });
    const auto stream = writer->Stream(Head("x"));
    EXPECT_EQ(stream->Write(std::string(1 << 20, 'x')).error().code, Code::kCancelled);
  });
  const auto client = Connect();
  client->Send(HttpGet("/"));
  started.acquire();
  EXPECT_EQ(server_->Shutdown(), 1u);
  EXPECT_EQ(handler_.handled(), 1);
}

TEST_P(HttpStreamTest, AStreamMayOutliveTheServer) {
  std::promise<std::unique_ptr<BodyStream>> made;
  Start([&](const HttpRequest&, Writer writer) { made.set_value(writer->Stream(Head())); });
  const auto client = Connect();
  client->Send(HttpGet("/"));
  const auto stream = made.get_future().get();
  EXPECT_EQ(client->ReceiveHead().status, 200);
  server_->HurryShutdown();
  server_.reset();
  EXPECT_EQ(stream->Write("x").error().code, Code::kCancelled);
}

TEST_P(HttpStreamTest, ManyStreamsAtOnceAreNotMixedUp) {
  constexpr int kClients = 8, kRounds = 4, kPieces = 200;
  options_.workers = 4;
  options_.stream_bytes = 2000;
  const auto piece = [](const std::string& path, int i) {
    return path + std::string(static_cast<std::size_t>(i * 7 % 900), '.') + std::to_string(i) +
           "\n";
  };
  Start([&](const HttpRequest& request, Writer writer) {
    const auto stream = writer->Stream(Head());
    for (int i = 0; i < kPieces; ++i) ASSERT_TRUE(stream->Write(piece(request.path, i)));
    ASSERT_TRUE(stream->Finish());
  });
  std::vector<std::thread> threads;
  threads.reserve(kClients);
  for (int t = 0; t < kClients; ++t) {
    threads.emplace_back([&, t] {
      const auto client = Connect();
      for (int round = 0; round < kRounds; ++round) {
        const std::string path = "/" + std::to_string(t) + "/" + std::to_string(round);
        client->Send(HttpGet(path));
        ASSERT_EQ(client->ReceiveHead().status, 200);
        std::string expected, body;
        for (int i = 0; i < kPieces; ++i) expected += piece(path, i);
        while (const auto chunk = client->ReceiveChunk()) {
          if (chunk->empty()) break;
          body += *chunk;
        }
        ASSERT_TRUE(body == expected) << path;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(server_->stats().connections_accepted, static_cast<std::uint64_t>(kClients));
}

}  // namespace
}  // namespace garrison
