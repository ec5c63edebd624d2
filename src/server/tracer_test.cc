#include "server/tracer.h"

#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "net/http_server.h"

namespace garrison {
namespace {

const std::string kTrace = "4bf92f3577b34da6a3ce929d0e0e4736";
const std::string kCaller = "00f067aa0ba902b7";

// Takes spans; the first `refusals` batches get another status.
class Collector final : public HttpHandler {
 public:
  void Handle(HttpRequest request, std::unique_ptr<ResponseWriter> writer) override {
    const std::lock_guard lock(mutex_);
    ++calls_;
    if (refusals_ > 0) {
      --refusals_;
      return writer->Send({.status = refusal_, .body = "no"});
    }
    key_ = request.header("x-key");
    path_ = request.path;
    const auto json = nlohmann::json::parse(request.body);
    for (const auto& span : json["resourceSpans"][0]["scopeSpans"][0]["spans"]) {
      names_.insert(span["name"]);
    }
    writer->Send({.body = reply_});
  }
  bool IsQuick(const HttpRequest&) const override { return false; }
  HttpResponse Refuse(int status, const Error&) override { return {.status = status}; }

  std::mutex mutex_;
  int calls_ = 0;
  int refusals_ = 0;
  int refusal_ = 503;
  std::string reply_ = "{}";
  std::string key_, path_;
  std::multiset<std::string> names_;
};

class TracerTest : public testing::Test {
 protected:
  TracingSettings To(std::int64_t interval_ms = 3'600'000) const {
    TracingSettings settings;
    settings.endpoint = "http://127.0.0.1:" + std::to_string(server_->port()) + "/v1/traces";
    settings.headers = "x-key=secret%3D1, x-b=c";
    settings.interval_ms = interval_ms;
    return settings;
  }
  std::unique_ptr<Tracer> Start(const TracingSettings& settings) {
    return *Tracer::Create(settings, *logger_);
  }
  static Span Named(const Tracer& tracer, std::string name) {
    return {.trace = tracer.Begin("", ""), .name = std::move(name)};
  }
  std::multiset<std::string> names() {
    const std::lock_guard lock(collector_.mutex_);
    return collector_.names_;
  }

  Collector collector_;
  std::unique_ptr<Logger> logger_ = MakeNullLogger();
  std::unique_ptr<HttpServer> server_ = *HttpServer::Start({}, collector_, *logger_);
};

TEST_F(TracerTest, WithoutACollectorTracesAreHandedOnOnly) {
  const auto tracer = Start({});
  EXPECT_FALSE(tracer->records());
  EXPECT_FALSE(tracer->Begin("", "").exists());
  const TraceContext handed_on = tracer->Begin("00-" + kTrace + "-" + kCaller + "-01", "a=b");
  EXPECT_EQ(FormatTraceparent(handed_on), "00-" + kTrace + "-" + kCaller + "-01");
  EXPECT_EQ(handed_on.state, "a=b");
}

TEST_F(TracerTest, ARequestIsAPartOfItsCallersTrace) {
  TracingSettings settings = To();
  settings.sample_ratio = 0;
  const auto tracer = Start(settings);
  const TraceContext span = tracer->Begin("00-" + kTrace + "-" + kCaller + "-01", "");
  EXPECT_EQ(span.trace_id, kTrace);
  EXPECT_EQ(span.parent_id, kCaller);
  EXPECT_EQ(span.span_id.size(), 16u);
  EXPECT_NE(span.span_id, kCaller);
  EXPECT_TRUE(span.sampled);  // its caller says so
  EXPECT_FALSE(tracer->Begin("00-" + kTrace + "-" + kCaller + "-00", "").sampled);
  EXPECT_FALSE(tracer->Begin("nonsense", "").sampled);
}

TEST_F(TracerTest, ANewTraceIsRecordedByTheRatio) {
  TracingSettings settings = To();
  settings.sample_ratio = 0.25;
  const auto tracer = Start(settings);
  int sampled = 0;
  std::set<std::string> ids;
  for (int i = 0; i < 2000; ++i) {
    const TraceContext trace = tracer->Begin("", "");
    EXPECT_TRUE(ParseTraceparent(FormatTraceparent(trace), ""));
    ids.insert(trace.trace_id);
    sampled += trace.sampled ? 1 : 0;
  }
  EXPECT_EQ(ids.size(), 2000u);
  EXPECT_NEAR(sampled, 500, 120);  // six standard deviations
}

TEST_F(TracerTest, SpansReachTheCollectorOnce) {
  {
    const auto tracer = Start(To(1));
    for (int i = 0; i < 1500; ++i) tracer->End(Named(*tracer, "span " + std::to_string(i)));
    Span unsampled = Named(*tracer, "unsampled");
    unsampled.trace.sampled = false;
    tracer->End(unsampled);
  }
  EXPECT_EQ(names().size(), 1500u);
  EXPECT_EQ(names().count("span 7"), 1u);
  EXPECT_EQ(names().count("unsampled"), 0u);
  EXPECT_EQ(collector_.key_, "secret=1");
  EXPECT_EQ(collector_.path_, "/v1/traces");
}

TEST_F(TracerTest, ACollectorThatIsBusyIsAskedAgain) {
  collector_.refusals_ = 1;
  const auto tracer = Start(To(1));
  tracer->End(Named(*tracer, "kept"));
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (names().empty() && std::chrono::steady_clock::now() < end) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_EQ(names().count("kept"), 1u);
  EXPECT_EQ(tracer->lost(), 0u);
}

TEST_F(TracerTest, WhatIsRefusedIsCounted) {
  collector_.refusals_ = 1;
  collector_.refusal_ = 400;
  auto tracer = Start(To(1));
  tracer->End(Named(*tracer, "refused"));
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (tracer->lost() == 0 && std::chrono::steady_clock::now() < end) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_EQ(tracer->lost(), 1u);
  EXPECT_EQ(collector_.calls_, 1);
  EXPECT_TRUE(names().empty());
}

TEST_F(TracerTest, WithoutAnAnswerTheQueueIsBoundedAndTheEndQuick) {
  TracingSettings settings = To();
  server_.reset();
  const auto start = std::chrono::steady_clock::now();
  {
    const auto tracer = Start(settings);
    for (int i = 0; i < 20'000; ++i) tracer->End({.trace = {kTrace, kCaller, "", true}});
    EXPECT_GE(tracer->lost(), 20'000u - 4096u - 1024u);
  }
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(60));
}

TEST_F(TracerTest, SettingsThatCannotWork) {
  TracingSettings settings;
  settings.endpoint = "collector:4318";
  EXPECT_EQ(Tracer::Create(settings, *logger_).error().where, "tracing.endpoint");
  settings.endpoint = "http://c/v1/traces";
  for (const char* headers : {"no-value", "=x", "a b=c", "a\r\nb=c"}) {
    settings.headers = headers;
    EXPECT_EQ(Tracer::Create(settings, *logger_).error().where, "tracing.headers") << headers;
  }
  settings.headers = "";
  settings.ca_file = "/no/such.pem";
  EXPECT_EQ(Tracer::Create(settings, *logger_).error().code, Code::kNotFound);
}

}  // namespace
}  // namespace garrison
