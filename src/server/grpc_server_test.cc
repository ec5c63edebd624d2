#include "server/grpc_server.h"

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>
#include <gtest/gtest.h>
#include <tei/v1/tei.grpc.pb.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "core/test_embedder.h"
#include "core/test_reranker.h"
#include "guard/memory_conversations.h"
#include "guard/monitor.h"
#include "guard/sessions.h"

namespace garrison {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;
namespace pb = ::tei::v1;

// As TestEmbedder; a text that starts with "wait" waits for Release() or for its client to leave.
class WaitingEmbedder final : public Embedder {
 public:
  const ModelInfo& info() const override { return letters_.info(); }

  Result<Embeddings> Embed(const EmbedRequest& request,
                           const RequestContext& context) const override {
    const auto* text = std::get_if<std::string>(&request.inputs.front());
    if (text != nullptr && text->starts_with("wait")) {
      ++waiting;
      while (!released && !context.stop.stop_requested()) {
        std::this_thread::sleep_for(milliseconds(1));
      }
      --waiting;
      if (context.stop.stop_requested()) ++stopped;
      RETURN_IF_ERROR(context.Check(steady_clock::now()));
    }
    return letters_.Embed(request, context);
  }

  mutable std::atomic<int> waiting = 0, stopped = 0;
  std::atomic<bool> released = false;

 private:
  TestEmbedder letters_;
};

class GrpcServerTest : public testing::Test {
 protected:
  GrpcServerTest()
      : models_(std::shared_ptr<const Embedder>(embedder_)),
        monitor_(GuardMonitor::Create(*embedder_, settings_.guard, std::nullopt).value()),
        sessions_(settings_.guard, settings_.limits, monitor_->provenance(), conversations_, clock_,
                  [] { return std::string("c"); }),
        gateway_(models_, *monitor_, sessions_, settings_, clock_) {
    options_.workers = 2;
    options_.drain_time = milliseconds(200);
  }
  ~GrpcServerTest() override { embedder_->released = true; }

  void Start() {
    auto server = GrpcServer::Start(options_, gateway_, metrics_, access_, tracer_, clock_,
                                    *logger_, [] { return std::string("call"); });
    ASSERT_TRUE(server) << server.error().ToString();
    server_ = *std::move(server);
    channel_ = grpc::CreateChannel("127.0.0.1:" + std::to_string(server_->port()),
                                   grpc::InsecureChannelCredentials());
    stub_ = pb::Embed::NewStub(channel_);
  }

  static pb::EmbedRequest Text(std::string text) {
    pb::EmbedRequest request;
    request.set_inputs(std::move(text));
    return request;
  }

  grpc::Status Embed(const std::string& text, milliseconds time = milliseconds(10'000)) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + time);
    response_.Clear();
    return stub_->Embed(&context, Text(text), &response_);
  }

  template <typename Condition>
  static bool Eventually(Condition condition) {
    const auto end = steady_clock::now() + std::chrono::seconds(10);
    while (!condition()) {
      if (steady_clock::now() > end) return false;
      std::this_thread::sleep_for(milliseconds(2));
    }
    return true;
  }

  Settings settings_;
  SystemClock clock_;
  std::shared_ptr<WaitingEmbedder> embedder_ = std::make_shared<WaitingEmbedder>();
  TestModels models_;
  std::unique_ptr<GuardMonitor> monitor_;
  MemoryConversations conversations_{1'000, clock_};
  GuardSessions sessions_;
  Gateway gateway_;
  Metrics metrics_;
  Access access_{settings_.server, std::make_shared<const KeyRing>(), clock_};
  std::unique_ptr<Logger> logger_ = MakeNullLogger();
  Tracer tracer_{{}, nullptr, *logger_};
  GrpcServerOptions options_;
  std::unique_ptr<GrpcServer> server_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<pb::Embed::Stub> stub_;
  pb::EmbedResponse response_;
};

TEST_F(GrpcServerTest, AnswersWithHeaders) {
  Start();
  grpc::ClientContext context;
  ASSERT_TRUE(stub_->Embed(&context, Text("abc"), &response_).ok());
  EXPECT_EQ(response_.embeddings_size(), 26);
  const auto& headers = context.GetServerInitialMetadata();
  for (const auto& [name, value] :
       {std::pair("x-compute-type", "cpu-f32"), std::pair("x-compute-characters", "3"),
        std::pair("x-compute-tokens", "3")}) {
    ASSERT_TRUE(headers.contains(name)) << name;
    EXPECT_EQ(headers.find(name)->second, value);
  }
  for (const char* name : {"x-compute-time", "x-total-time", "x-tokenization-time", "x-queue-time",
                           "x-inference-time"}) {
    EXPECT_TRUE(headers.contains(name)) << name;
  }
  const std::string metrics = metrics_.Text();
  EXPECT_NE(
      metrics.find("garrison_grpc_messages_total{code=\"OK\",method=\"tei.v1.Embed/Embed\"} 1"),
      std::string::npos)
      << metrics;
}

TEST_F(GrpcServerTest, ErrorsKeepTheirCodes) {
  Start();
  const grpc::Status wrong = Embed("!");
  EXPECT_EQ(wrong.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(wrong.error_message(), "inputs: no letters");
  EXPECT_EQ(Embed("fail").error_code(), grpc::StatusCode::INTERNAL);
  grpc::ClientContext sparse;
  pb::EmbedSparseResponse none;
  EXPECT_EQ(stub_->EmbedSparse(&sparse, {}, &none).error_code(), grpc::StatusCode::UNIMPLEMENTED);
}

TEST_F(GrpcServerTest, AClientThatCancelsStopsTheWork) {
  Start();
  grpc::ClientContext context;
  std::thread client([&] {
    EXPECT_EQ(stub_->Embed(&context, Text("wait"), &response_).error_code(),
              grpc::StatusCode::CANCELLED);
  });
  ASSERT_TRUE(Eventually([&] { return embedder_->waiting == 1; }));
  context.TryCancel();
  client.join();
  EXPECT_TRUE(Eventually([&] { return embedder_->stopped == 1 && server_->open_calls() == 0; }));
}

TEST_F(GrpcServerTest, ADeadlineThatPassesStopsTheWork) {
  Start();
  EXPECT_EQ(Embed("wait", milliseconds(50)).error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  EXPECT_TRUE(Eventually([&] { return embedder_->stopped == 1 && server_->open_calls() == 0; }));
}

TEST_F(GrpcServerTest, MoreThanTheQueueHoldsIsRefused) {
  options_.workers = 1;
  options_.queue = 1;
  Start();
  std::vector<std::thread> clients;
  std::atomic<int> good = 0;
  for (int i = 0; i < 2; ++i) {
    clients.emplace_back([&] {
      grpc::ClientContext context;
      pb::EmbedResponse response;
      if (stub_->Embed(&context, Text("wait"), &response).ok()) ++good;
    });
    ASSERT_TRUE(Eventually([&] {
      return server_->open_calls() == static_cast<std::size_t>(i) + 1 && embedder_->waiting == 1;
    }));
  }
  grpc::ClientContext context;
  const grpc::Status refused = stub_->Embed(&context, Text("a"), &response_);
  EXPECT_EQ(refused.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED) << refused.error_message();
  EXPECT_TRUE(context.GetServerTrailingMetadata().contains("grpc-retry-pushback-ms"));
  embedder_->released = true;
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(good, 2);
}

TEST_F(GrpcServerTest, MoreCallsOrBytesThanAllowedAreRefused) {
  options_.calls = 1;
  options_.bytes_in_flight = 100;
  Start();
  EXPECT_EQ(Embed(std::string(200, 'a')).error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  // A client may know the end of its call a little before the server closes it.
  ASSERT_TRUE(Eventually([&] { return server_->open_calls() == 0; }));
  grpc::ClientContext context;
  const auto stream = stub_->EmbedStream(&context);
  ASSERT_TRUE(stream->Write(Text("a")));
  ASSERT_TRUE(stream->Read(&response_));
  EXPECT_EQ(Embed("a").error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  stream->WritesDone();
  EXPECT_FALSE(stream->Read(&response_));
  EXPECT_TRUE(stream->Finish().ok());
  EXPECT_TRUE(Eventually([&] { return server_->open_calls() == 0; }));
  EXPECT_TRUE(Embed("a").ok());  // everything that was charged has been released
}

TEST_F(GrpcServerTest, AStreamAnswersInOrder) {
  Start();
  grpc::ClientContext context;
  const auto stream = stub_->EmbedStream(&context);
  constexpr int kMessages = 300;
  std::thread writer([&] {
    for (int i = 0; i < kMessages; ++i) {
      stream->Write(Text(std::string(1, static_cast<char>('a' + i % 26))));
    }
    stream->WritesDone();
  });
  int read = 0;
  for (; stream->Read(&response_); ++read) EXPECT_EQ(response_.embeddings(read % 26), 1) << read;
  writer.join();
  EXPECT_EQ(read, kMessages);
  EXPECT_TRUE(stream->Finish().ok());
}

TEST_F(GrpcServerTest, AMessageThatFailsEndsItsStreamAfterTheAnswersBefore) {
  Start();
  grpc::ClientContext context;
  const auto stream = stub_->EmbedStream(&context);
  for (const char* text : {"a", "b", "!", "c"}) stream->Write(Text(text));
  int read = 0;
  while (stream->Read(&response_)) ++read;
  EXPECT_EQ(read, 2);
  const grpc::Status status = stream->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(status.error_message(), "inputs: no letters");
}

TEST_F(GrpcServerTest, AStreamThatIsCancelledStopsItsWork) {
  Start();
  grpc::ClientContext context;
  const auto stream = stub_->EmbedStream(&context);
  for (int i = 0; i < 4; ++i) stream->Write(Text("wait"));
  ASSERT_TRUE(Eventually([&] { return embedder_->waiting == 2; }));
  context.TryCancel();
  EXPECT_FALSE(stream->Read(&response_));
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::CANCELLED);
  EXPECT_TRUE(Eventually([&] { return embedder_->waiting == 0 && server_->open_calls() == 0; }));
  EXPECT_EQ(embedder_->stopped, 2);  // those that waited were not begun
}

TEST_F(GrpcServerTest, AStreamReadsAheadALittleOnly) {
  options_.workers = 1;
  options_.queue = 8;
  Start();
  grpc::ClientContext context;
  const auto stream = stub_->EmbedStream(&context);
  for (int i = 0; i < 50; ++i) stream->Write(Text("wait"));
  ASSERT_TRUE(Eventually([&] { return embedder_->waiting == 1; }));
  // The queue has room for others.
  std::atomic<bool> good = false;
  std::thread other([&] { good = Embed("a").ok(); });
  std::this_thread::sleep_for(milliseconds(20));
  embedder_->released = true;
  other.join();
  EXPECT_TRUE(good);
  stream->WritesDone();
  int read = 0;
  pb::EmbedResponse response;
  while (stream->Read(&response)) ++read;
  EXPECT_EQ(read, 50);
  EXPECT_TRUE(stream->Finish().ok());
}

TEST_F(GrpcServerTest, AnIdleStreamEnds) {
  options_.idle_time = milliseconds(100);
  Start();
  grpc::ClientContext context;
  const auto stream = stub_->EmbedStream(&context);
  ASSERT_TRUE(stream->Write(Text("a")));
  ASSERT_TRUE(stream->Read(&response_));
  EXPECT_FALSE(stream->Read(&response_));
  const grpc::Status status = stream->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  EXPECT_EQ(status.error_message(), "no message came within 100 ms");
  auto rerank = pb::Rerank::NewStub(channel_);
  grpc::ClientContext gather;
  pb::RerankResponse ranks;
  const auto writer = rerank->RerankStream(&gather, &ranks);
  writer->Write({});
  EXPECT_EQ(writer->Finish().error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  EXPECT_TRUE(Eventually([&] { return server_->open_calls() == 0; }));
}

TEST_F(GrpcServerTest, ShutdownLetsWorkFinishAndEndsIdleStreams) {
  options_.drain_time = milliseconds(20'000);
  Start();
  grpc::ClientContext idle_context;
  const auto idle = stub_->EmbedStream(&idle_context);
  ASSERT_TRUE(idle->Write(Text("a")));
  ASSERT_TRUE(idle->Read(&response_));
  std::atomic<bool> good = false;
  std::thread client([&] {
    grpc::ClientContext context;
    pb::EmbedResponse response;
    good = stub_->Embed(&context, Text("wait"), &response).ok();
  });
  ASSERT_TRUE(Eventually([&] { return embedder_->waiting == 1; }));
  std::size_t cut = 99;
  std::thread stop([&] { cut = server_->Shutdown(); });
  // The idle stream goes, new calls are refused, the work goes on.
  pb::EmbedResponse none;
  EXPECT_FALSE(idle->Read(&none));
  EXPECT_EQ(idle->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(Embed("a").error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(embedder_->waiting, 1);
  embedder_->released = true;
  stop.join();
  client.join();
  EXPECT_TRUE(good);
  EXPECT_EQ(cut, 0u);
}

TEST_F(GrpcServerTest, ShutdownCutsOffWhatTakesTooLong) {
  options_.drain_time = milliseconds(60'000);
  Start();
  std::thread client([&] {
    grpc::ClientContext context;
    pb::EmbedResponse response;
    EXPECT_FALSE(stub_->Embed(&context, Text("wait"), &response).ok());
  });
  ASSERT_TRUE(Eventually([&] { return embedder_->waiting == 1; }));
  std::size_t cut = 0;
  std::thread stop([&] { cut = server_->Shutdown(); });
  std::this_thread::sleep_for(milliseconds(20));
  server_->HurryShutdown();
  stop.join();
  client.join();
  EXPECT_EQ(cut, 1u);
  EXPECT_EQ(embedder_->stopped, 1);
}

TEST_F(GrpcServerTest, ATakenPortAndABadAddressAreClearErrors) {
  Start();
  options_.port = server_->port();
  const auto second = GrpcServer::Start(options_, gateway_, metrics_, access_, tracer_, clock_,
                                        *logger_, [] { return std::string("call"); });
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Code::kFailedPrecondition) << second.error().ToString();
  options_.bind = "localhost";
  EXPECT_EQ(GrpcServer::Start(options_, gateway_, metrics_, access_, tracer_, clock_, *logger_,
                              [] { return std::string("call"); })
                .error()
                .where,
            "server.bind");
}

}  // namespace
}  // namespace garrison
