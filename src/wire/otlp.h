// OpenTelemetry's protocol for traces in its JSON form (OTLP 1.x, ExportTraceServiceRequest).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "core/trace.h"

namespace garrison {

// The body of POST /v1/traces: `spans` of the service `service_name`.
std::string EncodeOtlpTraces(std::span<const Span> spans, std::string_view service_name);

// How many spans a reply of 200 says it did not take; 0 for one that cannot be read.
std::uint64_t OtlpRejectedSpans(std::string_view reply);

}  // namespace garrison
