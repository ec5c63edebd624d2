#include "server/api.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <optional>

#include "core/test_embedder.h"
#include "guard/memory_conversations.h"

namespace garrison {
namespace {

using Json = nlohmann::json;

class ApiTest : public testing::Test {
 protected:
  ApiTest()
      : monitor_(GuardMonitor::Create(models_.embedder(), settings_.guard, std::nullopt).value()),
        sessions_(settings_.guard, settings_.limits, monitor_->provenance(), conversations_, clock_,
                  [] { return std::string("fresh"); }),
        gateway_(models_, *monitor_, sessions_, settings_, clock_),
        access_(settings_.server, std::make_shared<const KeyRing>(), clock_),
        api_(
            gateway_, chat_, metrics_, access_, nullptr, tracer_, settings_, clock_, *logger_,
            [] { return std::string("request-1"); }, 1) {}

  class Writer final : public ResponseWriter {
   public:
    explicit Writer(std::optional<HttpResponse>& out) : out_(out) {}
    void Send(HttpResponse response) override { out_ = std::move(response); }
    // No route here streams.
    std::unique_ptr<BodyStream> Stream(HttpResponse) override { return nullptr; }

   private:
    std::optional<HttpResponse>& out_;
  };

  HttpResponse Call(HttpRequest request) {
    std::optional<HttpResponse> response;
    api_.Handle(std::move(request), std::make_unique<Writer>(response));
    return response.value();
  }
  HttpResponse Get(std::string path) {
    HttpRequest request;
    request.method = "GET";
    request.path = std::move(path);
    return Call(std::move(request));
  }
  HttpResponse Post(std::string path, std::string body) {
    HttpRequest request;
    request.method = "POST";
    request.path = std::move(path);
    request.body = std::move(body);
    return Call(std::move(request));
  }
  static std::string Header(const HttpResponse& response, std::string_view name) {
    for (const HttpHeader& header : response.headers) {
      if (header.name == name) return header.value;
    }
    return "";
  }

  Settings settings_;
  ManualClock clock_;
  TestCatalog models_;
  std::unique_ptr<GuardMonitor> monitor_;
  MemoryConversations conversations_{1'000, clock_};
  GuardSessions sessions_;
  Gateway gateway_;
  ChatGateway chat_{nullptr, settings_.limits, clock_};
  Metrics metrics_;
  Access access_;
  std::unique_ptr<Logger> logger_ = MakeNullLogger();
  Tracer tracer_{{}, nullptr, *logger_};
  Api api_;
};

TEST_F(ApiTest, Embeddings) {
  const HttpResponse response =
      Post("/v1/embeddings", R"({"model":"test:letters","input":["ab","c"],"user":"ignored"})");
  ASSERT_EQ(response.status, 200) << response.body;
  const Json body = Json::parse(response.body);
  EXPECT_EQ(body["object"], "list");
  EXPECT_EQ(body["model"], "test:letters");
  EXPECT_EQ(body["data"].size(), 2u);
  EXPECT_EQ(body["data"][1]["embedding"][2], 1.0);
  EXPECT_EQ(body["usage"]["total_tokens"], 3);
}

TEST_F(ApiTest, EmbeddingErrorsAreOpenAisAndNameTheField) {
  struct Case {
    const char* body;
    int status;
    const char* param;
  };
  for (const Case& wrong :
       {Case{"{", 400, ""}, Case{"{}", 400, "input"}, Case{R"({"input":["a",5]})", 400, "input[1]"},
        Case{R"({"input":["a","!"]})", 400, "input[1]"},
        Case{R"({"input":"a","model":"gpt-9"})", 404, "model"},
        Case{R"({"input":"fail"})", 500, ""}}) {
    const HttpResponse response = Post("/v1/embeddings", wrong.body);
    EXPECT_EQ(response.status, wrong.status) << wrong.body;
    const Json error = Json::parse(response.body)["error"];
    EXPECT_EQ(error["param"].is_null() ? "" : error["param"].get<std::string>(), wrong.param);
    EXPECT_FALSE(error["message"].get<std::string>().empty());
    EXPECT_TRUE(error.contains("type"));
    EXPECT_TRUE(error.contains("code"));
  }
}

TEST_F(ApiTest, Models) {
  const Json list = Json::parse(Get("/v1/models").body);
  EXPECT_EQ(list["data"][0]["id"], "test:letters");
  EXPECT_EQ(list["data"][0]["object"], "model");
  EXPECT_EQ(list["data"][0]["created"], 1767225600);
  EXPECT_EQ(Json::parse(Get("/v1/models/test:letters").body)["dimension"], 26);
  EXPECT_EQ(Get("/v1/models/none").status, 404);
}

TEST_F(ApiTest, CheckSafetyKeepsTheConversation) {
  const HttpResponse first =
      Post("/check-safety", R"({"user_message":"hello","model_message":"I am sorry"})");
  ASSERT_EQ(first.status, 200) << first.body;
  const Json one = Json::parse(first.body);
  EXPECT_EQ(one["conversation_id"], "fresh");
  EXPECT_EQ(one["turn"], 1);
  for (const char* field : {"likelihood", "R_user", "R_model", "v", "a", "C_user", "C_model", "z",
                            "rho", "agreement", "toxic_sycophancy"}) {
    EXPECT_TRUE(one[field].is_number()) << field;
  }
  for (const char* field : {"quadrant", "status", "action"}) {
    EXPECT_TRUE(one[field].is_string()) << field;
  }
  EXPECT_TRUE(one["alerts"].is_array());
  EXPECT_EQ(one["provenance"]["model"], "test:letters");
  EXPECT_TRUE(one["timings"]["total_ms"].is_number());
  const HttpResponse second = Post(
      "/check-safety", R"({"user_message":"a","model_message":"b","conversation_id":"fresh"})");
  EXPECT_EQ(Json::parse(second.body)["turn"], 2);
}

TEST_F(ApiTest, CheckSafetyRefusesWrongTypesByName) {
  const HttpResponse response = Post("/check-safety", R"({"user_message":1,"model_message":"m"})");
  EXPECT_EQ(response.status, 400);
  EXPECT_EQ(Json::parse(response.body)["error"]["param"], "user_message");
}

TEST_F(ApiTest, UnknownPathsAndMethods) {
  EXPECT_EQ(Get("/nope").status, 404);
  const HttpResponse wrong = Get("/v1/embeddings");
  EXPECT_EQ(wrong.status, 405);
  EXPECT_EQ(Header(wrong, "Allow"), "POST");
}

TEST_F(ApiTest, HealthAndReadiness) {
  EXPECT_EQ(Get("/health").status, 200);
  EXPECT_EQ(Get("/ready").status, 200);
  HttpRequest head;
  head.method = "HEAD";
  head.path = "/health";
  EXPECT_EQ(Call(head).status, 200);
  api_.StopBeingReady();
  EXPECT_EQ(Get("/ready").status, 503);
  EXPECT_EQ(Get("/health").status, 200);
}

TEST_F(ApiTest, ARequestWhoseClientLeftOrWhoseTimeIsUpIsNotEvenParsed) {
  std::stop_source stop;
  stop.request_stop();
  HttpRequest left;
  left.method = "POST";
  left.path = "/v1/embeddings";
  left.body = "not json";
  left.stop = stop.get_token();
  EXPECT_EQ(Call(left).status, 499);
  HttpRequest late;
  late.method = "GET";
  late.path = "/v1/models";
  late.deadline = clock_.Now();
  EXPECT_EQ(Call(late).status, 504);
}

TEST_F(ApiTest, OnlyWhatMustAlwaysAnswerIsQuick) {
  const auto quick = [&](const char* method, const char* path) {
    HttpRequest request;
    request.method = method;
    request.path = path;
    return api_.IsQuick(request);
  };
  EXPECT_TRUE(quick("GET", "/health") && quick("HEAD", "/ready") && quick("GET", "/metrics"));
  EXPECT_FALSE(quick("POST", "/v1/embeddings") || quick("POST", "/check-safety") ||
               quick("GET", "/x"));
}

TEST_F(ApiTest, APriorityIsInteractiveOrBulk) {
  const auto status = [this](std::string priority) {
    HttpRequest request;
    request.method = "POST";
    request.path = "/v1/embeddings";
    request.body = R"({"input":"ab"})";
    request.headers = {{"X-Priority", std::move(priority)}};
    return Call(std::move(request)).status;
  };
  EXPECT_EQ(status("interactive"), 200);
  EXPECT_EQ(status("bulk"), 200);
  EXPECT_EQ(status("urgent"), 400);
}

TEST_F(ApiTest, RequestIdsAreEchoedWhenTheyAreHarmless) {
  HttpRequest request;
  request.method = "GET";
  request.path = "/health";
  request.headers = {{"x-request-id", "abc-1"}};
  EXPECT_EQ(Header(Call(request), "X-Request-ID"), "abc-1");
  request.headers = {{"X-Request-ID", "a b\tc"}};
  EXPECT_EQ(Header(Call(request), "X-Request-ID"), "request-1");
  request.headers = {{"X-Request-ID", std::string(200, 'a')}};
  EXPECT_EQ(Header(Call(request), "X-Request-ID"), "request-1");
}

TEST_F(ApiTest, MetricsCountRoutesNotClientPaths) {
  Get("/health");
  Get("/some/secret/path");
  Post("/v1/embeddings", R"({"input":"abc"})");
  Post("/check-safety", R"({"user_message":"a","model_message":"b"})");
  metrics_.AddGauge("garrison_test_gauge", "A gauge.", [] { return 7.0; });
  const std::string text = Get("/metrics").body;
  for (const char* line : {"garrison_requests_total{route=\"/health\",status=\"200\"} 1",
                           "garrison_requests_total{route=\"other\",status=\"404\"} 1",
                           "garrison_request_duration_seconds_count{route=\"/v1/embeddings\"} 1",
                           "garrison_embed_inputs_total 1", "garrison_embed_tokens_total 3",
                           "garrison_guard_turns_total{action=", "garrison_test_gauge 7"}) {
    EXPECT_NE(text.find(line), std::string::npos) << line << "\n" << text;
  }
  EXPECT_EQ(text.find("secret"), std::string::npos);
}

TEST_F(ApiTest, RefusalsCarryRetryAfter) {
  const HttpResponse response = api_.Refuse(
      429, Error{Code::kResourceExhausted, "busy", "", std::chrono::milliseconds(1500)});
  EXPECT_EQ(response.status, 429);
  EXPECT_EQ(Header(response, "Retry-After"), "2");
  EXPECT_EQ(Json::parse(response.body)["error"]["type"], "rate_limit_error");
}

}  // namespace
}  // namespace garrison
