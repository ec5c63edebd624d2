// The HTTP API: finds a request's route, runs its handler, turns errors into the dialect's own.
// docs/api.md lists the routes with examples.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/log.h"
#include "core/settings.h"
#include "gateway/chat_gateway.h"
#include "gateway/gateway.h"
#include "net/http.h"
#include "server/access_log.h"
#include "server/call.h"
#include "server/metrics.h"
#include "server/routes.h"
#include "server/tracer.h"

namespace garrison {

// Thread-safe. What it is made of must outlive it.
class Api final : public HttpHandler {
 public:
  // `new_id` names requests that come without an X-Request-ID; it is called from any thread.
  // `access_log` may be null. `conversations` may run at once: each keeps a worker for as long as a
  // model talks, and the others are for everyone else. `budget` may be null: nothing is paid for.
  Api(const Gateway& gateway, const ChatGateway& chat, Metrics& metrics, Access& access,
      AccessLog* access_log, Tracer& tracer, const Settings& settings, const Clock& clock,
      Logger& logger, std::function<std::string()> new_id, std::size_t conversations,
      Budget* budget = nullptr);

  bool IsQuick(const HttpRequest& request) const override;
  void Handle(HttpRequest request, std::unique_ptr<ResponseWriter> writer) override;
  HttpResponse Refuse(int status, const Error& error) override;

  // GET /ready answers 503 from now on. The port closes right after, so only connections that are
  // open and busy see it; a load balancer sees the port closed.
  void StopBeingReady() { ready_ = false; }

 private:
  // Null when there is none; `allowed` then lists the methods of the path, if it exists.
  static const Route* FindRoute(const HttpRequest& request, std::string& allowed);
  HttpResponse NoRoute(const HttpRequest& request, const std::string& allowed) const;
  HttpResponse Run(const Route& route, Call& call) const;
  void LogFailure(const Route& route, const Call& call, const Error& error) const;
  Result<HttpResponse> Answer(const Route& route, Call& call) const;
  void LogAccess(const Route* route, const Call& call, const HttpResponse& response) const;
  void Trace(const Route* route, Call& call, WallTime began, const HttpResponse& response) const;
  HttpResponse Preflight(const HttpRequest& request) const;
  void Report(const Call& call, HttpResponse& response) const;

  const ApiServices services_;
  const std::size_t json_depth_;
  const int tei_validation_;
  Logger& logger_;
  AccessLog* const access_log_;
  Tracer& tracer_;
  std::atomic<bool> ready_ = true;
  const std::size_t conversations_max_;
  mutable std::atomic<std::size_t> conversations_ = 0;
};

}  // namespace garrison
