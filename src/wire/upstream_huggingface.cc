#include "wire/upstream_huggingface.h"

#include <variant>

#include "core/json.h"

namespace garrison {
namespace {

using Json = nlohmann::json;
using OrderedJson = nlohmann::ordered_json;

std::size_t RankOf(const Json& json) {
  std::size_t rank = 0;
  const Json* inner = &json;
  while (inner->is_array() && !inner->empty() && rank < 4) {
    ++rank;
    inner = &(*inner)[0];
  }
  return inner->is_array() ? 0 : rank;
}

}  // namespace

std::string EncodeUpstreamHuggingFace(std::span<const EmbedInput> inputs,
                                      const HuggingFaceOptions& options) {
  OrderedJson texts = OrderedJson::array();
  for (const EmbedInput& input : inputs) texts.push_back(std::get<std::string>(input));
  OrderedJson body = {{"inputs", std::move(texts)}};
  if (options.normalize) body["normalize"] = *options.normalize;
  if (!options.prompt_name.empty()) body["prompt_name"] = options.prompt_name;
  body["truncate"] = options.truncate;
  if (options.truncate) {
    body["truncation_direction"] = options.side == LongInput::Side::kLeft ? "left" : "right";
  }
  return DumpJson(body);
}

Result<UpstreamVectors> DecodeUpstreamHuggingFace(std::string_view body, std::size_t count) {
  ASSIGN_OR_RETURN(const Json json, ParseUpstreamJson(body));
  const std::size_t rank = RankOf(json);
  if (rank == 0 || rank > 3) {
    return Fail(Code::kUnavailable, "expected lists of numbers, got {}",
                rank > 3 ? "lists that are nested too deep" : JsonTypeName(json));
  }
  VectorRows rows(count);
  if (rank == 1) {
    if (count != 1) return Fail(Code::kUnavailable, "there is one vector for {} inputs", count);
    RETURN_IF_ERROR(rows.Add(0, json));
    return std::move(rows).Finish();
  }
  if (json.size() != count) {
    return Fail(Code::kUnavailable, "there are {} vectors for {} inputs", json.size(), count);
  }
  for (std::size_t i = 0; i < count; ++i) {
    const Json& entry = json[i];
    if (rank == 2) {
      RETURN_IF_ERROR(rows.Add(i, entry));
      continue;
    }
    if (!entry.is_array() || entry.size() != 1) {
      return Fail(Code::kUnavailable,
                  "there are {} vectors for input {}, one for each token; this model does not "
                  "pool them, so it cannot embed texts here: choose a sentence-transformers model",
                  entry.is_array() ? entry.size() : 0, i);
    }
    RETURN_IF_ERROR(rows.Add(i, entry[0]));
  }
  return std::move(rows).Finish();
}

UpstreamFailure DecodeUpstreamHuggingFaceFailure(int status, std::string_view body,
                                                 std::span<const std::string> secrets) {
  UpstreamFailure failure{ClassOfStatus(status), ""};
  const Result<Json> json = ParseUpstreamJson(body);
  if (!json || !json->is_object()) return failure;
  const Json* message = nullptr;
  if (const auto error = json->find("error"); error != json->end()) {
    message = &*error;
    if (error->is_object() && error->contains("message")) message = &(*error)["message"];
    if (error->is_array() && !error->empty()) message = &(*error)[0];
  } else if (const auto plain = json->find("message"); plain != json->end()) {
    message = &*plain;
  }
  if (message != nullptr && message->is_string()) {
    failure.message = ShortMessage(message->get_ref<const std::string&>(), secrets);
  }
  return failure;
}

}  // namespace garrison
