#include "wire/otlp.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace garrison {
namespace {

TEST(Otlp, SpansAsTheProtocolHasThem) {
  Span span;
  span.trace = {.trace_id = "5b8efff798038103d269b633813fc60c",
                .span_id = "eee19b7ec3c1b174",
                .parent_id = "eee19b7ec3c1b173",
                .sampled = true,
                .state = "a=b"};
  span.name = "POST /v1/embeddings";
  span.start = WallTime(std::chrono::duration_cast<WallTime::duration>(
      std::chrono::nanoseconds(1544712660000000000)));
  span.duration = std::chrono::milliseconds(1500);
  span.attributes = {{"http.route", std::string("/v1/embeddings\xff")},
                     {"http.response.status_code", std::int64_t{500}},
                     {"garrison.queue_ms", 0.5}};
  span.error = "INTERNAL";
  Span root = span;
  root.trace.parent_id = root.trace.state = root.error = "";
  const Span both[] = {span, root};

  const auto json = nlohmann::json::parse(EncodeOtlpTraces(both, "site"));
  const auto& resource = json["resourceSpans"][0];
  EXPECT_EQ(resource["resource"]["attributes"][0]["key"], "service.name");
  EXPECT_EQ(resource["resource"]["attributes"][0]["value"]["stringValue"], "site");
  const auto& spans = resource["scopeSpans"][0]["spans"];
  ASSERT_EQ(spans.size(), 2u);
  EXPECT_EQ(spans[0]["traceId"], span.trace.trace_id);
  EXPECT_EQ(spans[0]["spanId"], span.trace.span_id);
  EXPECT_EQ(spans[0]["parentSpanId"], span.trace.parent_id);
  EXPECT_EQ(spans[0]["traceState"], "a=b");
  EXPECT_EQ(spans[0]["kind"], 2);
  EXPECT_EQ(spans[0]["startTimeUnixNano"], "1544712660000000000");
  EXPECT_EQ(spans[0]["endTimeUnixNano"], "1544712661500000000");
  EXPECT_EQ(spans[0]["attributes"][1]["value"]["intValue"], "500");
  EXPECT_EQ(spans[0]["attributes"][2]["value"]["doubleValue"], 0.5);
  EXPECT_EQ(spans[0]["status"]["code"], 2);
  EXPECT_FALSE(spans[1].contains("parentSpanId") || spans[1].contains("status") ||
               spans[1].contains("traceState"));
}

TEST(Otlp, RepliesMaySayWhatTheyRefused) {
  EXPECT_EQ(OtlpRejectedSpans(R"({"partialSuccess":{"rejectedSpans":"7","errorMessage":"x"}})"),
            7u);
  EXPECT_EQ(OtlpRejectedSpans(R"({"partialSuccess":{"rejectedSpans":7}})"), 7u);
  for (const char* reply :
       {"", "{}", "[]", "x", R"({"partialSuccess":{}})", R"({"partialSuccess":1})",
        R"({"partialSuccess":{"rejectedSpans":"x"}})",
        R"({"partialSuccess":{"rejectedSpans":-1}})"}) {
    EXPECT_EQ(OtlpRejectedSpans(reply), 0u) << reply;
  }
}

}  // namespace
}  // namespace garrison
