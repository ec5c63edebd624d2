#include "net/http_server.h"

#include <gtest/gtest.h>

#include <atomic>
#include <latch>
#include <map>
#include <thread>
#include <vector>

#include "net/test_client.h"

namespace garrison {
namespace {

using std::chrono::milliseconds;

// "/echo" returns the body, "/hold" answers when released or stopped, "/drop" forgets to answer.
class TestHandler final : public HttpHandler {
 public:
  void Handle(HttpRequest request, std::unique_ptr<ResponseWriter> writer) override {
    if (request.path == "/drop") return;
    if (request.path == "/hold") {
      held_.count_down();
      while (!request.stop.stop_requested() && !released_) std::this_thread::yield();
      if (request.stop.stop_requested()) ++stopped_;
    }
    HttpResponse response;
    response.body = request.path == "/big" ? std::string(64 << 20, 'x') : request.body;
    response.headers.push_back({"X-Path", request.path});
    writer->Send(std::move(response));
  }
  bool IsQuick(const HttpRequest& request) const override { return request.path == "/quick"; }
  HttpResponse Refuse(int status, const Error& error) override {
    ++refused_[status];
    return {status, "text/plain", error.ToString(), {}};
  }
  void AwaitHeld() { held_.wait(); }
  void Release() { released_ = true; }
  int stopped() const { return stopped_; }
  // On the server's thread only; read it after Shutdown.
  const std::map<int, int>& refused() const { return refused_; }

 private:
  std::latch held_{1};
  std::atomic<bool> released_ = false;
  std::atomic<int> stopped_ = 0;
  std::map<int, int> refused_;
};

class HttpServerTest : public testing::Test {
 protected:
  void Start() { server_ = HttpServer::Start(options_, handler_, *logger_).value(); }
  TestClient Connect() { return TestClient(server_->port()); }

  std::unique_ptr<Logger> logger_ = MakeNullLogger();
  TestHandler handler_;
  HttpServerOptions options_;
  std::unique_ptr<HttpServer> server_;
};

TEST_F(HttpServerTest, AnswersSeveralRequestsOnOneConnection) {
  Start();
  TestClient client(server_->port());
  for (int i = 0; i < 3; ++i) {
    client.Send(HttpPost("/echo", "hello " + std::to_string(i)));
    const ClientResponse response = client.Receive();
    EXPECT_EQ(response.status, 200);
    EXPECT_EQ(response.body, "hello " + std::to_string(i));
    EXPECT_NE(response.head.find("Date: "), std::string::npos);
  }
  EXPECT_EQ(server_->stats().connections_accepted, 1u);
}

TEST_F(HttpServerTest, AnswersPipelinedRequestsInOrder) {
  Start();
  TestClient client(server_->port());
  client.Send(HttpPost("/echo", "one") + HttpPost("/echo", "two") + HttpGet("/x"));
  EXPECT_EQ(client.Receive().body, "one");
  EXPECT_EQ(client.Receive().body, "two");
  EXPECT_EQ(client.Receive().status, 200);
}

TEST_F(HttpServerTest, ARequestMayComeByteByByte) {
  Start();
  TestClient client(server_->port());
  for (const char c : HttpPost("/echo", "slow")) ASSERT_TRUE(client.Send(std::string(1, c)));
  EXPECT_EQ(client.Receive().body, "slow");
}

TEST_F(HttpServerTest, HeadHasTheLengthButNoBody) {
  Start();
  TestClient client(server_->port());
  client.Send("HEAD /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc" + HttpGet("/after"));
  const ClientResponse head = client.Receive(true);
  EXPECT_NE(head.head.find("Content-Length: 3"), std::string::npos) << head.head;
  EXPECT_EQ(client.Receive().status, 200);
}

TEST_F(HttpServerTest, ConnectionCloseIsHonoured) {
  Start();
  TestClient client(server_->port());
  client.Send("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(client.Receive().status, 200);
  EXPECT_TRUE(client.ServerClosed());
}

TEST_F(HttpServerTest, ExpectContinueIsAnswered) {
  Start();
  TestClient client(server_->port());
  client.Send(
      "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_EQ(client.Receive().status, 100);
  client.Send("ok");
  EXPECT_EQ(client.Receive().body, "ok");
}

TEST_F(HttpServerTest, MalformedRequestsGet400AndTheConnectionEnds) {
  Start();
  TestClient client(server_->port());
  client.Send("NONSENSE\r\n\r\n");
  EXPECT_EQ(client.Receive().status, 400);
  EXPECT_TRUE(client.ServerClosed());
}

TEST_F(HttpServerTest, LimitHeaderBytes) {
  options_.header_bytes = 1024;
  Start();
  TestClient client(server_->port());
  client.Send("GET / HTTP/1.1\r\nHost: x\r\nX: " + std::string(4000, 'a') + "\r\n\r\n");
  EXPECT_EQ(client.Receive().status, 431);
}

TEST_F(HttpServerTest, LimitBodyBytesIsAnsweredWhileTheClientStillSends) {
  options_.body_bytes = 1000;
  Start();
  TestClient client(server_->port());
  client.Send(HttpPost("/echo", std::string(500'000, 'a')));
  EXPECT_EQ(client.Receive().status, 413);
}

TEST_F(HttpServerTest, LimitHeaderTimeHoldsInTotalNotPerByte) {
  options_.header_time = milliseconds(200);
  Start();
  TestClient client(server_->port());
  client.Send("GET / HTTP/1.1\r\nHost: x\r\n");
  // A slow-loris keeps sending; the server must not wait for its end.
  std::atomic<bool> done = false;
  std::thread dripping([&] {
    while (!done && client.Send("X: y\r\n")) std::this_thread::yield();
  });
  EXPECT_TRUE(client.Receive().status == 408 || client.ServerClosed());
  done = true;
  dripping.join();
}

TEST_F(HttpServerTest, LimitHeaderTime) {
  options_.header_time = milliseconds(50);
  Start();
  TestClient client(server_->port());
  client.Send("GET / HTTP/1.1\r\nHost:");
  const ClientResponse response = client.Receive();
  EXPECT_EQ(response.status, 408);
  EXPECT_EQ(response.body, "DEADLINE_EXCEEDED: the headers did not arrive within 50 ms");
}

TEST_F(HttpServerTest, LimitBodyTime) {
  options_.body_time = milliseconds(50);
  Start();
  TestClient client(server_->port());
  client.Send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc");
  EXPECT_EQ(client.Receive().status, 408);
}

TEST_F(HttpServerTest, LimitIdleTimeClosesSilently) {
  options_.idle_time = milliseconds(50);
  Start();
  TestClient client(server_->port());
  EXPECT_TRUE(client.ServerClosed());
}

TEST_F(HttpServerTest, LimitWriteTimeFreesAConnectionThatTakesNothing) {
  options_.write_time = milliseconds(50);
  Start();
  TestClient client(server_->port());
  client.Send(HttpGet("/big"));
  while (server_->stats().connections_open != 0) std::this_thread::yield();
}

TEST_F(HttpServerTest, LimitRequestTimeAnswers504AndStopsTheWork) {
  options_.request_time = milliseconds(50);
  Start();
  TestClient client(server_->port());
  client.Send(HttpGet("/hold"));
  EXPECT_EQ(client.Receive().status, 504);
  while (handler_.stopped() == 0) std::this_thread::yield();
}

TEST_F(HttpServerTest, LimitQueueAnswers429) {
  options_.workers = 1;
  options_.queue = 1;
  Start();
  TestClient held(server_->port());
  held.Send(HttpGet("/hold"));
  handler_.AwaitHeld();
  // One waits in the queue, of the other nine each is refused at once.
  std::vector<std::unique_ptr<TestClient>> clients;
  for (int i = 0; i < 10; ++i) {
    clients.push_back(std::make_unique<TestClient>(server_->port()));
    clients.back()->Send(HttpPost("/echo", "x"));
  }
  std::thread release([&] {
    while (server_->stats().connections_accepted < 11) std::this_thread::yield();
    handler_.Release();
  });
  int refused = 0;
  for (auto& client : clients) refused += client->Receive().status == 429 ? 1 : 0;
  release.join();
  EXPECT_GE(refused, 1);
  EXPECT_LE(refused, 9);
  EXPECT_EQ(held.Receive().status, 200);
  server_->Shutdown();
  EXPECT_EQ(handler_.refused(), (std::map<int, int>{{429, refused}}));
}

TEST_F(HttpServerTest, QuickRequestsDoNotWaitForAWorker) {
  options_.workers = 1;
  options_.queue = 1;
  Start();
  TestClient held(server_->port()), quick(server_->port());
  held.Send(HttpGet("/hold"));
  handler_.AwaitHeld();
  quick.Send(HttpGet("/quick"));
  EXPECT_EQ(quick.Receive().status, 200);
  handler_.Release();
  EXPECT_EQ(held.Receive().status, 200);
}

TEST_F(HttpServerTest, LimitBytesInFlight) {
  options_.bytes_in_flight = 1000;
  Start();
  TestClient slow(server_->port()), chunked(server_->port());
  const std::string most(900, 'a');
  slow.Send(
      "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 900\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_EQ(slow.Receive().status, 100);
  TestClient second(server_->port());
  second.Send(HttpPost("/echo", std::string(200, 'b')));
  EXPECT_EQ(second.Receive().status, 429);
  // A length that is not known counts as the largest.
  chunked.Send("POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
  EXPECT_EQ(chunked.Receive().status, 429);
  TestClient without_body(server_->port());
  without_body.Send(HttpGet("/quick"));
  EXPECT_EQ(without_body.Receive().status, 200);
  slow.Send(most);
  EXPECT_EQ(slow.Receive().body, most);
  slow.Send(HttpPost("/echo", most));
  EXPECT_EQ(slow.Receive().body, most);
}

TEST_F(HttpServerTest, AnHttp10ClientGetsNo100Continue) {
  Start();
  TestClient client(server_->port());
  client.Send("POST /echo HTTP/1.0\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
  client.Send("ok");
  EXPECT_EQ(client.Receive().status, 200);
}

TEST_F(HttpServerTest, LimitConnectionsMakesOthersWait) {
  options_.connections = 1;
  Start();
  auto first = std::make_unique<TestClient>(server_->port());
  first->Send(HttpPost("/echo", "first"));
  EXPECT_EQ(first->Receive().body, "first");
  TestClient second(server_->port());
  second.Send(HttpPost("/echo", "second"));
  EXPECT_EQ(server_->stats().connections_accepted, 1u);
  first->Close();
  EXPECT_EQ(second.Receive().body, "second");
}

TEST_F(HttpServerTest, LimitConnectionsPerAddressClosesMore) {
  options_.connections_per_address = 2;
  Start();
  TestClient a(server_->port()), b(server_->port());
  a.Send(HttpGet("/"));
  b.Send(HttpGet("/"));
  EXPECT_EQ(a.Receive().status, 200);
  EXPECT_EQ(b.Receive().status, 200);
  TestClient c(server_->port());
  EXPECT_TRUE(c.ServerClosed());
  EXPECT_EQ(server_->stats().connections_refused, 1u);
}

TEST_F(HttpServerTest, AClientThatLeavesStopsItsWork) {
  Start();
  {
    TestClient client(server_->port());
    client.Send(HttpGet("/hold"));
    handler_.AwaitHeld();
  }
  while (handler_.stopped() == 0) std::this_thread::yield();
  while (server_->stats().connections_open != 0) std::this_thread::yield();
  EXPECT_EQ(server_->stats().clients_gone, 1u);
}

TEST_F(HttpServerTest, AForgottenRequestAnswers500) {
  Start();
  TestClient client(server_->port());
  client.Send(HttpGet("/drop"));
  EXPECT_EQ(client.Receive().status, 500);
}

TEST_F(HttpServerTest, ShutdownLetsRunningRequestsFinishAndClosesIdleOnes) {
  Start();
  TestClient idle(server_->port()), busy(server_->port());
  idle.Send(HttpGet("/"));
  EXPECT_EQ(idle.Receive().status, 200);
  busy.Send(HttpGet("/hold"));
  handler_.AwaitHeld();
  std::thread shutdown([&] { EXPECT_EQ(server_->Shutdown(), 0u); });
  EXPECT_TRUE(idle.ServerClosed());
  handler_.Release();
  const ClientResponse last = busy.Receive();
  EXPECT_EQ(last.status, 200);
  EXPECT_NE(last.head.find("Connection: close"), std::string::npos) << last.head;
  EXPECT_TRUE(busy.ServerClosed());
  shutdown.join();
}

TEST_F(HttpServerTest, ShutdownCutsOffWhatDoesNotFinishInTime) {
  options_.drain_time = milliseconds(20);
  Start();
  TestClient client(server_->port());
  client.Send(HttpGet("/hold"));
  handler_.AwaitHeld();
  EXPECT_EQ(server_->Shutdown(), 1u);
  EXPECT_EQ(handler_.stopped(), 1);
  EXPECT_EQ(client.Receive().status, 0);
}

TEST_F(HttpServerTest, ShutdownCanBeHurriedAndCountsHalfSentRequests) {
  Start();
  TestClient half(server_->port());
  half.Send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_EQ(half.Receive().status, 100);
  std::thread shutdown([&] { EXPECT_EQ(server_->Shutdown(), 1u); });
  std::thread hurry([&] {
    while (server_->stats().connections_open != 0) server_->HurryShutdown();
  });
  EXPECT_TRUE(half.ServerClosed());
  hurry.join();
  shutdown.join();
}

TEST_F(HttpServerTest, ManyClientsAtOnceGetTheirOwnAnswers) {
  options_.workers = 2;
  Start();
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      TestClient client(server_->port());
      for (int i = 0; i < 50; ++i) {
        const std::string text = std::to_string(t) + "/" + std::to_string(i);
        client.Send(HttpPost("/echo", text));
        ASSERT_EQ(client.Receive().body, text);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST_F(HttpServerTest, BadOptionsAreRefused) {
  options_.bind = "not-an-address";
  EXPECT_EQ(HttpServer::Start(options_, handler_, *logger_).error().code, Code::kInvalidArgument);
  options_.bind = "127.0.0.1";
  Start();
  options_.port = server_->port();
  EXPECT_EQ(HttpServer::Start(options_, handler_, *logger_).error().code,
            Code::kFailedPrecondition);
  options_.port = 0;
  options_.tls_certificate = options_.tls_key = "/no/such.pem";
  EXPECT_EQ(HttpServer::Start(options_, handler_, *logger_).error().code, Code::kNotFound);
  options_.tls_certificate = options_.tls_key = GARRISON_SOURCE_DIR "/README.md";
  EXPECT_EQ(HttpServer::Start(options_, handler_, *logger_).error().code, Code::kInvalidArgument);
}

}  // namespace
}  // namespace garrison
