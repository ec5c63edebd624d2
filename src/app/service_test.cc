#include "app/service.h"

#include <gtest/gtest.h>

#include <atomic>
#include <nlohmann/json.hpp>
#include <thread>
#include <vector>

#include "net/test_client.h"

namespace garrison {
namespace {

using Json = nlohmann::json;

class ServiceTest : public testing::Test {
 protected:
  ServiceTest() { settings_.server.port = 0; }
  void Start() { service_ = Service::Start(settings_, clock_, *logger_).value(); }
  ClientResponse Post(std::string_view path, const Json& body) {
    TestClient client(service_->port());
    client.Send(HttpPost(path, body.dump()));
    return client.Receive();
  }

  Settings settings_;
  SystemClock clock_;
  std::unique_ptr<Logger> logger_ = MakeNullLogger();
  std::unique_ptr<Service> service_;
};

TEST_F(ServiceTest, ServesTheBuiltInModelAndTheGuard) {
  Start();
  const auto embedded = Post("/v1/embeddings", {{"input", {"a cat", "a dog"}}});
  ASSERT_EQ(embedded.status, 200) << embedded.body;
  const Json body = Json::parse(embedded.body);
  EXPECT_EQ(body["model"], "builtin:lexical");
  EXPECT_EQ(body["data"][1]["embedding"].size(), body["data"][0]["embedding"].size());
  const auto turn =
      Post("/check-safety", {{"user_message", "hello"}, {"model_message", "hi there"}});
  ASSERT_EQ(turn.status, 200) << turn.body;
  EXPECT_TRUE(Json::parse(turn.body)["likelihood"].is_number());
  TestClient client(service_->port());
  client.Send(HttpGet("/metrics"));
  const std::string metrics = client.Receive().body;
  EXPECT_NE(metrics.find("garrison_guard_conversations 1"), std::string::npos) << metrics;
  EXPECT_NE(metrics.find("garrison_connections_open"), std::string::npos);
}

TEST_F(ServiceTest, TheSameTextGivesTheSameBytesAloneAndInABatch) {
  Start();
  const Json alone = Json::parse(Post("/v1/embeddings", {{"input", "a cat"}}).body);
  const Json batch =
      Json::parse(Post("/v1/embeddings", {{"input", {"x y z", "a cat", "longer text"}}}).body);
  EXPECT_EQ(alone["data"][0]["embedding"], batch["data"][1]["embedding"]);
}

TEST_F(ServiceTest, BadSettingsStopTheStart) {
  settings_.engine.model = "no-such-model";
  EXPECT_EQ(Service::Start(settings_, clock_, *logger_).error().code, Code::kNotFound);
  settings_ = Settings();
  settings_.guard.projection = "/no/such/projection.json";
  EXPECT_EQ(Service::Start(settings_, clock_, *logger_).error().code, Code::kNotFound);
  settings_ = Settings();
  settings_.guard.safe_anchor = "";
  EXPECT_EQ(Service::Start(settings_, clock_, *logger_).error().where, "guard.safe_anchor");
}

// Clients keep asking while the service stops: every answer that comes is whole and good, and the
// service ends with none cut off.
TEST_F(ServiceTest, DrainsUnderLoad) {
  Start();
  const std::uint16_t port = service_->port();
  std::atomic<bool> stopping = false;
  std::atomic<int> good = 0, bad = 0;
  std::vector<std::thread> clients;
  for (int c = 0; c < 4; ++c) {
    clients.emplace_back([&] {
      const std::string request = HttpPost(
          "/check-safety", Json{{"user_message", "hello"}, {"model_message", "hi"}}.dump());
      while (true) {
        TestClient client(port);
        if (!client.connected()) return;
        while (client.Send(request)) {
          const ClientResponse response = client.Receive();
          if (response.status == 0) break;  // closed between requests
          (response.status == 200 && Json::accept(response.body) ? good : bad) += 1;
        }
        if (stopping) return;
      }
    });
  }
  while (good < 200) std::this_thread::yield();
  stopping = true;
  EXPECT_EQ(service_->Stop(), 0u);
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(bad, 0);
}

}  // namespace
}  // namespace garrison
