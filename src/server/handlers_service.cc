// Routes about the service itself: health, metrics, pages.
#include <algorithm>
#include <utility>

#include "core/json.h"
#include "server/assets.h"
#include "server/handlers.h"
#include "server/openapi.h"
#include "server/routes.h"

namespace garrison {
namespace {

// Pages load nothing from elsewhere and are shown in no other page.
constexpr std::string_view kPolicy =
    "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

Result<HttpResponse> Page(std::string_view name) {
  const Asset* asset = FindAsset(name);
  if (asset == nullptr) {
    return FailAt("path", Code::kNotFound, "there is no asset {}", name.substr(0, 100));
  }
  HttpResponse response;
  response.content_type = asset->content_type;
  response.body = asset->content;
  response.headers.push_back({"Content-Security-Policy", std::string(kPolicy)});
  response.headers.push_back({"X-Content-Type-Options", "nosniff"});
  response.headers.push_back({"Cache-Control", "no-cache"});
  return response;
}

HttpResponse PlainText(std::string_view text) {
  HttpResponse response;
  response.content_type = "text/plain; charset=utf-8";
  response.body = text;
  return response;
}

}  // namespace

Result<HttpResponse> HandleHealth(Call& call) {
  nlohmann::ordered_json loaded = nlohmann::ordered_json::array();
  for (const ModelStatus& model : call.services.gateway.Models()) {
    if (model.state == ModelState::kLoaded) loaded.push_back(model.info.id);
  }
  const std::chrono::duration<double> uptime =
      call.services.clock.WallNow() - call.services.started;
  return JsonResponse(DumpJson({{"status", "ok"},
                                {"version", GARRISON_VERSION},
                                {"uptime_s", uptime.count()},
                                {"models_loaded", std::move(loaded)},
                                {"gpu_available", false}}));
}

Result<HttpResponse> HandleReady(Call& call) {
  if (!*call.services.ready) return Fail(Code::kUnavailable, "the service is shutting down");
  return JsonResponse(R"({"status":"ready"})");
}

Result<HttpResponse> HandleVersion(Call&) {
  return JsonResponse(DumpJson({{"version", GARRISON_VERSION}}));
}

Result<HttpResponse> HandleMetrics(Call& call) {
  HttpResponse response;
  response.content_type = "text/plain; version=0.0.4; charset=utf-8";
  response.body = call.services.metrics.Text();
  return response;
}

Result<HttpResponse> HandleOpenApi(Call&) { return JsonResponse(OpenApiDocument(Routes())); }

Result<HttpResponse> HandleRoot(Call& call) {
  if (call.request.header("Accept").find("text/html") != std::string_view::npos) {
    return Page("index.html");
  }
  return PlainText("Garrison is running\n");
}

Result<HttpResponse> HandleDocs(Call&) { return Page("docs.html"); }

Result<HttpResponse> HandleAsset(Call& call) {
  return Page(std::string_view(call.request.path).substr(std::string_view("/assets/").size()));
}

}  // namespace garrison
