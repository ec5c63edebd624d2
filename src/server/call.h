// One request on its way through a handler.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "core/compute_times.h"
#include "core/request_context.h"
#include "core/settings.h"
#include "gateway/budget.h"
#include "gateway/chat_gateway.h"
#include "gateway/gateway.h"
#include "net/http.h"
#include "server/access.h"
#include "server/chat_work.h"
#include "server/dialect.h"
#include "server/metrics.h"

namespace garrison {

// What handlers work with. Outlives every call.
struct ApiServices {
  const Gateway& gateway;
  const ChatGateway& chat;
  Metrics& metrics;
  Access& access;
  const Settings& settings;
  const Clock& clock;
  std::function<std::string()> new_id;  // any thread
  std::size_t threads = 1;
  WallTime started;
  const std::atomic<bool>* ready = nullptr;  // false: shutting down
  Budget* budget = nullptr;                  // null: nothing is paid for
};

struct Call {
  const ApiServices& services;
  const HttpRequest& request;
  RequestContext context;
  SteadyTime start;
  // Of the route; a handler that tells dialects apart by the body sets it before anything can fail.
  Dialect dialect;
  nlohmann::json body;  // of a POST
  // What a model did for it, for the headers and the metrics.
  ModelWork work;
  std::optional<ChatWork> chat;
  // Tokens that models read beside that, for the rate of the caller's key.
  std::size_t other_tokens = 0;

  ResponseWriter* writer = nullptr;
  bool streams = false;  // Stream was called

  // Sends the head of an answer that is made while it is sent, with the headers that all answers
  // have; what the handler returns is then for the logs alone. Once; not on a quick route.
  std::unique_ptr<BodyStream> Stream(HttpResponse head);

  std::chrono::nanoseconds elapsed() const { return services.clock.Now() - start; }
};

// Those that every answer has.
void AddCommonHeaders(const Call& call, HttpResponse& response);

using Handler = Result<HttpResponse> (*)(Call&);

}  // namespace garrison
