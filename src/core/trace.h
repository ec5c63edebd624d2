// Who called whom: the trace that a request belongs to (W3C Trace Context), and what was timed.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/clock.h"

namespace garrison {

// Where in a trace something happens. Ids are lower-case hexadecimal.
struct TraceContext {
  std::string trace_id;   // 32 digits; empty: in no trace
  std::string span_id;    // 16 digits: what is being done now
  std::string parent_id;  // 16 digits: who asked for it; empty: nobody that is known
  bool sampled = false;   // whether anybody records it
  std::string state;      // tracestate, handed on as it came

  bool exists() const { return !trace_id.empty(); }
};

// The caller's place, as `span_id`. Nothing when the header is not as the standard has it: a trace
// that cannot be read is begun anew, never an error. A tracestate of more than 512 bytes is
// dropped.
std::optional<TraceContext> ParseTraceparent(std::string_view traceparent,
                                             std::string_view tracestate);

// For what we call in turn: "00-TRACE-SPAN-01". REQUIRES: trace.exists().
std::string FormatTraceparent(const TraceContext& trace);

// A stretch of work that was timed.
struct Span {
  enum class Kind : std::uint8_t { kInternal = 1, kServer = 2, kClient = 3 };  // OTLP's numbers
  using Value = std::variant<std::string, std::int64_t, double>;

  TraceContext trace;
  std::string name;
  Kind kind = Kind::kServer;
  WallTime start;
  std::chrono::nanoseconds duration{0};
  std::vector<std::pair<std::string, Value>> attributes;
  std::string error;  // empty: it went well
};

}  // namespace garrison
