#include "server/api.h"

#include <algorithm>
#include <utility>

#include "core/json.h"
#include "server/error_status.h"
#include "server/safety_json.h"
#include "wire/openai.h"
#include "wire/safety.h"

namespace garrison {
namespace {

constexpr std::size_t kRequestIdMax = 128;
constexpr std::size_t kExcerptMax = 100;

HttpResponse JsonResponse(std::string body, int status = 200) {
  HttpResponse response;
  response.status = status;
  response.body = std::move(body);
  return response;
}

HttpResponse ErrorResponse(int status, const Error& error) {
  HttpResponse response = JsonResponse(EncodeOpenAiError(error, OpenAiErrorType(status)), status);
  if (error.retry_after) {
    const auto seconds = std::chrono::ceil<std::chrono::seconds>(*error.retry_after);
    response.headers.push_back({"Retry-After", std::to_string(std::max<long>(1, seconds.count()))});
  }
  return response;
}

// What a client sent, as an error may repeat it.
std::string_view Excerpt(std::string_view text) { return text.substr(0, kExcerptMax); }

// An id from outside goes into logs and headers: only what cannot break either is kept.
bool IsPlainId(std::string_view id) {
  return !id.empty() && id.size() <= kRequestIdMax &&
         std::all_of(id.begin(), id.end(), [](char c) { return c > ' ' && c < 0x7f; });
}

}  // namespace

Api::Api(const Gateway& gateway, Metrics& metrics, const Settings& settings, const Clock& clock,
         Logger& logger, NewId new_id)
    : gateway_(gateway),
      metrics_(metrics),
      json_depth_(static_cast<std::size_t>(settings.limits.json_depth)),
      clock_(clock),
      logger_(logger),
      new_id_(std::move(new_id)),
      started_s_(
          std::chrono::duration_cast<std::chrono::seconds>(clock.WallNow().time_since_epoch())
              .count()) {}

std::string Api::RouteList() {
  std::string list;
  for (const Route& route : Routes()) {
    list += fmt::format("{}{} {}", list.empty() ? "" : ", ", route.method, route.path);
  }
  return list;
}

const std::vector<Api::Route>& Api::Routes() {
  static const std::vector<Route> routes = {
      {"POST", "/v1/embeddings", &Api::Embeddings}, {"GET", "/v1/models", &Api::Models},
      {"GET", "/v1/models/*", &Api::Model},         {"POST", "/check-safety", &Api::CheckSafety},
      {"GET", "/health", &Api::Health, true},       {"GET", "/ready", &Api::Ready, true},
      {"GET", "/metrics", &Api::ReadMetrics, true},
  };
  return routes;
}

// Null when there is none; `allowed` then lists the methods of the path, if it exists.
const Api::Route* Api::FindRoute(const HttpRequest& request, std::string& allowed) const {
  for (const Route& route : Routes()) {
    const bool prefix = route.path.ends_with("/*");
    const std::string_view stem = route.path.substr(0, route.path.size() - (prefix ? 1 : 0));
    if (prefix ? !request.path.starts_with(stem) : request.path != stem) continue;
    if (request.method == route.method || (request.method == "HEAD" && route.method == "GET")) {
      return &route;
    }
    allowed += allowed.empty() ? "" : ", ";
    allowed += route.method;
  }
  return nullptr;
}

HttpResponse Api::Dispatch(const HttpRequest& request, const RequestContext& context,
                           std::string_view& route_name) {
  std::string allowed;
  const Route* route = FindRoute(request, allowed);
  if (route == nullptr && allowed.empty()) {
    return ErrorResponse(
        404, Error{Code::kNotFound,
                   fmt::format("there is no {}; there are {}", Excerpt(request.path), RouteList()),
                   "", std::nullopt});
  }
  if (route == nullptr) {
    HttpResponse response =
        ErrorResponse(405, Error{Code::kUnimplemented,
                                 fmt::format("expected {} {}, got {}", allowed,
                                             Excerpt(request.path), Excerpt(request.method)),
                                 "", std::nullopt});
    response.headers.push_back({"Allow", allowed});
    return response;
  }
  route_name = route->path;
  // Clients that left while their request waited cost nothing more.
  Result<> wanted = context.Check(clock_.Now());
  Result<HttpResponse> answer =
      wanted ? (this->*route->answer)(request, context) : tl::unexpected(std::move(wanted).error());
  if (answer) return *std::move(answer);
  const int status = HttpStatusOf(answer.error().code);
  if (status == 500) {
    logger_.Error("request {} {} failed: {}", context.id, route->path, answer.error().ToString());
  }
  return ErrorResponse(status, answer.error());
}

bool Api::IsQuick(const HttpRequest& request) const {
  std::string allowed;
  const Route* route = FindRoute(request, allowed);
  return route != nullptr && route->quick;
}

void Api::Handle(HttpRequest request, std::unique_ptr<ResponseWriter> writer) {
  const SteadyTime start = clock_.Now();
  const std::string_view given_id = request.header("X-Request-ID");
  const RequestContext context{IsPlainId(given_id) ? std::string(given_id) : new_id_(),
                               request.deadline, request.stop};
  std::string_view route_name = "other";
  HttpResponse response = Dispatch(request, context, route_name);
  response.headers.push_back({"X-Request-ID", context.id});
  metrics_.CountRequest(route_name, response.status,
                        std::chrono::duration<double>(clock_.Now() - start).count());
  writer->Send(std::move(response));
}

HttpResponse Api::Refuse(int status, const Error& error) {
  metrics_.CountRefusal(status);
  HttpResponse response = ErrorResponse(status, error);
  response.headers.push_back({"X-Request-ID", new_id_()});
  return response;
}

Result<HttpResponse> Api::Embeddings(const HttpRequest& request, const RequestContext& context) {
  ASSIGN_OR_RETURN(const nlohmann::json body, ParseJson(request.body, json_depth_));
  ASSIGN_OR_RETURN(const OpenAiEmbeddingsCall call, DecodeOpenAiEmbeddings(body));
  ASSIGN_OR_RETURN(const EmbedReply reply, gateway_.Embed(call.model, call.request, context));
  std::size_t tokens = 0;
  for (const std::size_t count : reply.embeddings.tokens) tokens += count;
  metrics_.CountEmbedding(reply.embeddings.size(), tokens);
  HttpResponse response =
      JsonResponse(EncodeOpenAiEmbeddings(reply.embeddings, reply.model, call.encoding));
  std::size_t truncated = 0;
  for (std::size_t i = 0; i < reply.embeddings.size(); ++i) {
    if (reply.embeddings.tokens[i] < reply.embeddings.total_tokens[i]) ++truncated;
  }
  if (truncated > 0) response.headers.push_back({"x-truncated-inputs", std::to_string(truncated)});
  return response;
}

Result<HttpResponse> Api::Models(const HttpRequest&, const RequestContext&) {
  return JsonResponse(EncodeOpenAiModels(gateway_.Models(), started_s_));
}

Result<HttpResponse> Api::Model(const HttpRequest& request, const RequestContext&) {
  const std::string_view id =
      std::string_view(request.path).substr(std::string_view("/v1/models/").size());
  for (const ModelInfo& model : gateway_.Models()) {
    if (model.id == id) return JsonResponse(EncodeOpenAiModel(model, started_s_));
  }
  return FailAt("model", Code::kNotFound, "there is no model \"{}\"; GET /v1/models lists them",
                Excerpt(id));
}

Result<HttpResponse> Api::CheckSafety(const HttpRequest& request, const RequestContext& context) {
  ASSIGN_OR_RETURN(const nlohmann::json body, ParseJson(request.body, json_depth_));
  ASSIGN_OR_RETURN(const SafetyRequest call, DecodeSafetyRequest(body));
  ASSIGN_OR_RETURN(const SafetyReply reply, gateway_.CheckSafety(call, context));
  metrics_.CountTurn(ActionName(reply.turn.verdict.action));
  return JsonResponse(EncodeSafetyReply(reply));
}

Result<HttpResponse> Api::Health(const HttpRequest&, const RequestContext&) {
  return JsonResponse(R"({"status":"ok"})");
}

Result<HttpResponse> Api::Ready(const HttpRequest&, const RequestContext&) {
  if (!ready_) return Fail(Code::kUnavailable, "the service is shutting down");
  return JsonResponse(R"({"status":"ready"})");
}

Result<HttpResponse> Api::ReadMetrics(const HttpRequest&, const RequestContext&) {
  HttpResponse response;
  response.content_type = "text/plain; version=0.0.4; charset=utf-8";
  response.body = metrics_.Text();
  return response;
}

}  // namespace garrison
