// The HTTP API: which path does what. docs/api.md lists the routes with examples.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/log.h"
#include "core/settings.h"
#include "gateway/gateway.h"
#include "net/http.h"
#include "server/metrics.h"

namespace garrison {

// Thread-safe. What it is made of must outlive it.
class Api final : public HttpHandler {
 public:
  using NewId = std::function<std::string()>;

  // `new_id` names requests that come without an X-Request-ID; it is called from any thread.
  Api(const Gateway& gateway, Metrics& metrics, const Settings& settings, const Clock& clock,
      Logger& logger, NewId new_id);

  bool IsQuick(const HttpRequest& request) const override;
  void Handle(HttpRequest request, std::unique_ptr<ResponseWriter> writer) override;
  HttpResponse Refuse(int status, const Error& error) override;

  // GET /ready answers 503 from now on. The port closes right after, so only connections that are
  // open and busy see it; a load balancer sees the port closed.
  void StopBeingReady() { ready_ = false; }

 private:
  using Answer = Result<HttpResponse> (Api::*)(const HttpRequest&, const RequestContext&);
  struct Route {
    std::string_view method;
    // An exact path, or a prefix when it ends in "/*".
    std::string_view path;
    Answer answer;
    bool quick = false;  // answered without waiting for a worker
  };
  static const std::vector<Route>& Routes();
  static std::string RouteList();
  const Route* FindRoute(const HttpRequest& request, std::string& allowed) const;
  HttpResponse Dispatch(const HttpRequest& request, const RequestContext& context,
                        std::string_view& route_name);

  Result<HttpResponse> Embeddings(const HttpRequest& request, const RequestContext& context);
  Result<HttpResponse> Models(const HttpRequest& request, const RequestContext& context);
  Result<HttpResponse> Model(const HttpRequest& request, const RequestContext& context);
  Result<HttpResponse> CheckSafety(const HttpRequest& request, const RequestContext& context);
  Result<HttpResponse> Health(const HttpRequest& request, const RequestContext& context);
  Result<HttpResponse> Ready(const HttpRequest& request, const RequestContext& context);
  Result<HttpResponse> ReadMetrics(const HttpRequest& request, const RequestContext& context);

  const Gateway& gateway_;
  Metrics& metrics_;
  const std::size_t json_depth_;
  const Clock& clock_;
  Logger& logger_;
  const NewId new_id_;
  const std::int64_t started_s_;
  std::atomic<bool> ready_ = true;
};

}  // namespace garrison
