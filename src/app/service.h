// The running service: every object of `garrison serve`, wired together.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

#include "base/clock.h"
#include "base/log.h"
#include "base/result.h"
#include "core/settings.h"

namespace garrison {

class Service {
 public:
  // Loads the model, makes the guard, listens. `logger` and `clock` must outlive it.
  static Result<std::unique_ptr<Service>> Start(const Settings& settings, const Clock& clock,
                                                Logger& logger);
  virtual ~Service() = default;

  virtual std::uint16_t port() const = 0;
  // Of gRPC, if it is served.
  virtual std::optional<std::uint16_t> grpc_port() const = 0;

  // Takes over what can change while it runs: API keys, certificates (of HTTP; gRPC keeps its own);
  // the access log is opened by its name again. What fails leaves everything as it was. Any thread.
  virtual Result<> Reload(const Settings& settings) = 0;

  // Turns /ready to 503, drains, stops. Returns the number of requests that were cut off.
  virtual std::size_t Stop() = 0;

  // Ends a Stop that is under way on another thread: what still runs is cut off now.
  virtual void HurryStop() = 0;
};

}  // namespace garrison
