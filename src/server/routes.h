// The one table of routes: path, dialect, scope, limits, handler, and what the documentation says.
#pragma once

#include <span>
#include <string_view>

#include "gateway/keys.h"
#include "server/call.h"

namespace garrison {

struct Route {
  std::string_view method;
  // One star stands for any characters, slashes among them; of two that fit, the first
  // counts.
  std::string_view path;
  Dialect dialect;
  Scope scope;
  Handler handler;
  std::string_view summary;
  // Settings that bound it beside those of every connection, separated by spaces.
  std::string_view limits = "";
  // Names in the schemas of the OpenAPI document; empty: no body, or not JSON.
  std::string_view request_schema = "";
  std::string_view response_schema = "";
  bool streams = false;  // "stream": true gets server-sent events
  bool quick = false;    // answered on the server's own thread, without waiting for a worker
};

std::span<const Route> Routes();

// The heading a route stands under in the documentation.
std::string_view TagOf(const Route& route);

}  // namespace garrison
