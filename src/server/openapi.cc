#include "server/openapi.h"

#include <algorithm>
#include <cctype>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/check.h"
#include "core/json.h"
#include "server/assets.h"

namespace garrison {
namespace {

using Json = nlohmann::ordered_json;

Json Ref(std::string_view schema) {
  return {{"$ref", "#/components/schemas/" + std::string(schema)}};
}

// "/v1/models/*" is "/v1/models/{id}".
std::string Template(std::string_view path) {
  std::string text(path);
  if (const std::size_t star = text.find('*'); star != std::string::npos) {
    text.replace(star, 1, "{id}");
  }
  return text;
}

std::string OperationId(const Route& route) {
  std::string id(route.method);
  for (char& c : id) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  for (const char c : route.path) id += std::isalnum(static_cast<unsigned char>(c)) ? c : '_';
  return id;
}

std::string_view ErrorSchema(Dialect dialect) {
  switch (dialect) {
    case Dialect::kAnthropic:
      return "AnthropicError";
    case Dialect::kTei:
      return "TeiError";
    case Dialect::kCohere:
      return "CohereError";
    case Dialect::kOllama:
      return "OllamaError";
    case Dialect::kHome:
      return "HomeError";
    case Dialect::kOpenAi:
      break;
  }
  return "OpenAiError";
}

Json Operation(const Route& route, const Json& examples) {
  Json operation = {
      {"operationId", OperationId(route)}, {"summary", route.summary}, {"tags", {TagOf(route)}}};
  if (route.path.find('*') != std::string_view::npos) {
    operation["parameters"] = {
        {{"name", "id"}, {"in", "path"}, {"required", true}, {"schema", {{"type", "string"}}}}};
  }
  if (!route.request_schema.empty()) {
    Json content = {{"schema", Ref(route.request_schema)}};
    const auto example = examples.find(route.request_schema);
    if (example != examples.end()) content["example"] = *example;
    operation["requestBody"] = {{"required", true},
                                {"content", {{"application/json", std::move(content)}}}};
  }
  Json success = {{"description", "Done."}};
  if (!route.response_schema.empty()) {
    success["content"] = {{"application/json", {{"schema", Ref(route.response_schema)}}}};
  }
  if (route.streams) {
    success["content"]["text/event-stream"] = {{"schema", {{"type", "string"}}}};
  }
  operation["responses"] = {
      {"200", std::move(success)},
      {"default",
       {{"description", "The dialect's own error."},
        {"content", {{"application/json", {{"schema", Ref(ErrorSchema(route.dialect))}}}}}}}};
  // Without keys in the configuration none is needed: the empty choice.
  if (route.scope != Scope::kOpen) {
    operation["security"] = {
        {{"bearer", Json::array()}}, {{"apiKey", Json::array()}}, Json::object()};
  }
  operation["x-garrison"] = {{"dialect", DialectName(route.dialect)},
                             {"scope", ScopeName(route.scope)},
                             {"limits", route.limits}};
  return operation;
}

}  // namespace

std::string OpenApiDocument(std::span<const Route> routes) {
  const Asset* asset = FindAsset("schemas.json");
  CHECK(asset != nullptr);
  const Json file = Json::parse(asset->content);
  Json paths = Json::object();
  std::vector<std::string_view> tags;
  for (const Route& route : routes) {
    std::string method(route.method);
    for (char& c : method) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    paths[Template(route.path)][method] = Operation(route, file["examples"]);
    if (std::find(tags.begin(), tags.end(), TagOf(route)) == tags.end()) {
      tags.push_back(TagOf(route));
    }
  }
  Json tag_list = Json::array();
  for (const std::string_view tag : tags) tag_list.push_back({{"name", tag}});
  return DumpJson(
      {{"openapi", "3.1.0"},
       {"info",
        {{"title", "Garrison"},
         {"version", GARRISON_VERSION},
         {"summary", "A self-hosted model service: embeddings, reranking, classification, safety."},
         {"license", {{"name", "Apache License 2.0"}, {"identifier", "Apache-2.0"}}}}},
       {"servers", {{{"url", "/"}}}},
       {"tags", std::move(tag_list)},
       {"paths", std::move(paths)},
       {"components",
        {{"schemas", file["schemas"]},
         {"securitySchemes",
          {{"bearer", {{"type", "http"}, {"scheme", "bearer"}}},
           {"apiKey", {{"type", "apiKey"}, {"in", "header"}, {"name", "X-API-Key"}}}}}}}});
}

}  // namespace garrison
