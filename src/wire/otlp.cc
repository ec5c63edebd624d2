#include "wire/otlp.h"

#include <charconv>
#include <nlohmann/json.hpp>

namespace garrison {
namespace {

using Json = nlohmann::ordered_json;

// Of Status.code.
constexpr int kStatusError = 2;

Json Attribute(const std::string& key, const Span::Value& value) {
  Json any;
  if (const auto* text = std::get_if<std::string>(&value)) {
    any["stringValue"] = *text;
  } else if (const auto* integer = std::get_if<std::int64_t>(&value)) {
    any["intValue"] = std::to_string(*integer);  // 64 bits are text in protobuf's JSON
  } else {
    any["doubleValue"] = std::get<double>(value);
  }
  return {{"key", key}, {"value", std::move(any)}};
}

std::string UnixNanoseconds(WallTime time) {
  const auto since = std::chrono::duration_cast<std::chrono::nanoseconds>(time.time_since_epoch());
  return std::to_string(since.count());
}

Json EncodeSpan(const Span& span) {
  Json json = {{"traceId", span.trace.trace_id}, {"spanId", span.trace.span_id}};
  if (!span.trace.parent_id.empty()) json["parentSpanId"] = span.trace.parent_id;
  if (!span.trace.state.empty()) json["traceState"] = span.trace.state;
  json["name"] = span.name;
  json["kind"] = static_cast<int>(span.kind);
  json["startTimeUnixNano"] = UnixNanoseconds(span.start);
  json["endTimeUnixNano"] =
      UnixNanoseconds(span.start + std::chrono::duration_cast<WallTime::duration>(span.duration));
  json["attributes"] = Json::array();
  for (const auto& [key, value] : span.attributes) {
    json["attributes"].push_back(Attribute(key, value));
  }
  if (!span.error.empty()) json["status"] = {{"code", kStatusError}, {"message", span.error}};
  return json;
}

}  // namespace

std::string EncodeOtlpTraces(std::span<const Span> spans, std::string_view service_name) {
  Json list = Json::array();
  for (const Span& span : spans) list.push_back(EncodeSpan(span));
  const Json resource = {
      {"attributes", Json::array({Attribute("service.name", std::string(service_name)),
                                  Attribute("service.version", std::string(GARRISON_VERSION))})}};
  const Json scope = {{"name", "garrison"}, {"version", GARRISON_VERSION}};
  const Json scope_spans = {{"scope", scope}, {"spans", std::move(list)}};
  const Json resource_spans = {{"resource", resource}, {"scopeSpans", Json::array({scope_spans})}};
  const Json body = {{"resourceSpans", Json::array({resource_spans})}};
  // What came from a client may be anything.
  return body.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::uint64_t OtlpRejectedSpans(std::string_view reply) {
  const auto json = nlohmann::json::parse(reply, nullptr, false);
  if (!json.is_object()) return 0;
  const auto partial = json.find("partialSuccess");
  if (partial == json.end() || !partial->is_object()) return 0;
  const auto rejected = partial->find("rejectedSpans");
  if (rejected == partial->end()) return 0;
  if (rejected->is_number_unsigned()) return rejected->get<std::uint64_t>();
  std::uint64_t count = 0;
  if (const auto* text = rejected->get_ptr<const std::string*>()) {
    std::from_chars(text->data(), text->data() + text->size(), count);
  }
  return count;
}

}  // namespace garrison
