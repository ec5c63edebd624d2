// What every stage of a request carries along and checks before it spends time.
#pragma once

#include <cstdint>
#include <optional>
#include <stop_token>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "core/trace.h"

namespace garrison {

enum class Priority : std::uint8_t { kInteractive, kBulk };

struct RequestContext {
  std::string id;
  SteadyTime deadline = SteadyTime::max();
  // Requested when the client has left or the service is going down.
  std::stop_token stop;
  // Whose request it is, for taking turns; empty: nobody's in particular.
  std::string client = {};
  // Who is served first; unset: small requests are interactive, large ones bulk.
  std::optional<Priority> priority = {};
  // The trace it belongs to, for what it makes us call in turn.
  TraceContext trace = {};

  // CANCELLED when stopped, DEADLINE_EXCEEDED when `now` is past the deadline.
  Result<> Check(SteadyTime now) const {
    if (stop.stop_requested()) return Fail(Code::kCancelled, "the client left before the answer");
    if (now >= deadline)
      return Fail(Code::kDeadlineExceeded, "the request took too long; send less at once");
    return {};
  }
};

}  // namespace garrison
