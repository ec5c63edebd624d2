#include "wire/upstream_bedrock.h"

#include "core/json.h"

namespace garrison {
namespace {

using Json = nlohmann::json;
using OrderedJson = nlohmann::ordered_json;

FailureClass ClassOf(int status, std::string_view type) {
  const auto is = [&](std::string_view name) { return type.starts_with(name); };
  if (is("ServiceQuotaExceeded") || is("Throttling")) return FailureClass::kRateLimit;
  if (is("ModelNotReady")) return FailureClass::kOverloaded;
  if (is("ModelTimeout")) return FailureClass::kTimeout;
  if (is("AccessDenied")) return FailureClass::kPermission;
  // Signatures that do not match come as 403.
  if (is("UnrecognizedClient") || is("InvalidSignature") || is("ExpiredToken") ||
      is("IncompleteSignature") || is("MissingAuthenticationToken")) {
    return FailureClass::kAuthentication;
  }
  return ClassOfStatus(status);
}

}  // namespace

std::string EncodeUpstreamTitan(TitanVersion version, std::string_view text,
                                std::optional<std::size_t> dimensions,
                                std::optional<bool> normalize) {
  OrderedJson body = {{"inputText", text}};
  if (version == TitanVersion::kV2) {
    if (dimensions) body["dimensions"] = *dimensions;
    if (normalize) body["normalize"] = *normalize;
    body["embeddingTypes"] = {"float"};
  }
  return DumpJson(body);
}

Result<UpstreamVectors> DecodeUpstreamTitan(std::string_view body) {
  ASSIGN_OR_RETURN(const Json json, ParseUpstreamJson(body));
  if (!json.is_object()) {
    return Fail(Code::kUnavailable, "expected a JSON object, got {}", JsonTypeName(json));
  }
  const Json* vector = nullptr;
  if (const auto plain = json.find("embedding"); plain != json.end() && !plain->is_null()) {
    vector = &*plain;
  } else if (const auto types = json.find("embeddingsByType");
             types != json.end() && types->is_object() && types->contains("float")) {
    vector = &(*types)["float"];
  }
  if (vector == nullptr) return Fail(Code::kUnavailable, "the reply has no vector of floats");
  VectorRows rows(1);
  RETURN_IF_ERROR(rows.Add(0, *vector));
  ASSIGN_OR_RETURN(UpstreamVectors vectors, std::move(rows).Finish());
  if (const auto tokens = json.find("inputTextTokenCount");
      tokens != json.end() && IsTokenCount(*tokens)) {
    vectors.tokens = tokens->get<std::uint64_t>();
    vectors.tokens_each = {tokens->get<std::size_t>()};
  }
  return vectors;
}

UpstreamFailure DecodeUpstreamBedrockFailure(int status, std::string_view error_type,
                                             std::string_view body,
                                             std::span<const std::string> secrets) {
  UpstreamFailure failure{ClassOf(status, error_type), ""};
  const Result<Json> json = ParseUpstreamJson(body);
  if (!json || !json->is_object()) return failure;
  for (const char* name : {"message", "Message"}) {
    const auto message = json->find(name);
    if (message == json->end() || !message->is_string()) continue;
    failure.message = ShortMessage(message->get_ref<const std::string&>(), secrets);
  }
  return failure;
}

}  // namespace garrison
