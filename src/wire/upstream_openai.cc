#include "wire/upstream_openai.h"

#include <algorithm>
#include <array>
#include <variant>

#include "core/json.h"

namespace garrison {
namespace {

using Json = nlohmann::json;
using OrderedJson = nlohmann::ordered_json;

// Codes and types of errors that mean that no money is left, whatever the status.
constexpr std::array<std::string_view, 4> kBilling = {
    "insufficient_quota", "billing_error", "billing_hard_limit_reached", "insufficient_balance"};

bool IsBilling(const Json& error) {
  for (const char* name : {"code", "type"}) {
    const auto field = error.find(name);
    if (field == error.end() || !field->is_string()) continue;
    if (std::find(kBilling.begin(), kBilling.end(), field->get_ref<const std::string&>()) !=
        kBilling.end()) {
      return true;
    }
  }
  return false;
}

}  // namespace

std::string EncodeUpstreamOpenAi(std::string_view model, std::span<const EmbedInput> inputs,
                                 std::optional<std::size_t> dimensions) {
  OrderedJson list = OrderedJson::array();
  for (const EmbedInput& input : inputs) {
    if (const auto* text = std::get_if<std::string>(&input)) {
      list.push_back(*text);
    } else {
      list.push_back(std::get<TokenIds>(input).ids);
    }
  }
  OrderedJson body;
  if (!model.empty()) body["model"] = model;
  body["input"] = std::move(list);
  body["encoding_format"] = "base64";
  if (dimensions) body["dimensions"] = *dimensions;
  return DumpJson(body);
}

Result<UpstreamVectors> DecodeUpstreamOpenAi(std::string_view body, std::size_t count) {
  ASSIGN_OR_RETURN(const Json json, ParseUpstreamJson(body));
  const auto data = json.is_object() ? json.find("data") : json.end();
  if (!json.is_object() || data == json.end() || !data->is_array()) {
    return Fail(Code::kUnavailable, "the reply has no list \"data\"");
  }
  if (data->size() != count) {
    return Fail(Code::kUnavailable, "there are {} vectors for {} inputs", data->size(), count);
  }
  VectorRows rows(count);
  for (const Json& entry : *data) {
    const auto index = entry.is_object() ? entry.find("index") : entry.end();
    if (!entry.is_object() || index == entry.end() || !index->is_number_unsigned() ||
        !entry.contains("embedding")) {
      return Fail(Code::kUnavailable, "a vector has no index, so nobody knows whose it is");
    }
    RETURN_IF_ERROR(rows.Add(index->get<std::size_t>(), entry["embedding"]));
  }
  ASSIGN_OR_RETURN(UpstreamVectors vectors, std::move(rows).Finish());
  const auto usage = json.find("usage");
  if (usage != json.end() && usage->is_object()) {
    for (const char* name : {"prompt_tokens", "total_tokens"}) {
      const auto tokens = usage->find(name);
      if (tokens == usage->end() || !IsTokenCount(*tokens)) continue;
      vectors.tokens = tokens->get<std::uint64_t>();
      break;
    }
  }
  return vectors;
}

UpstreamFailure DecodeUpstreamOpenAiFailure(int status, std::string_view body,
                                            std::span<const std::string> secrets) {
  UpstreamFailure failure{ClassOfStatus(status), ""};
  const Result<Json> json = ParseUpstreamJson(body);
  if (!json || !json->is_object()) return failure;
  const auto error = json->find("error");
  if (error == json->end()) return failure;
  if (error->is_string()) {  // text-embeddings-inference, Ollama
    failure.message = ShortMessage(error->get_ref<const std::string&>(), secrets);
  }
  if (!error->is_object()) return failure;
  if (IsBilling(*error)) failure.kind = FailureClass::kBilling;
  const auto message = error->find("message");
  if (message != error->end() && message->is_string()) {
    failure.message = ShortMessage(message->get_ref<const std::string&>(), secrets);
  }
  return failure;
}

}  // namespace garrison
