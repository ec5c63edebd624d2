#include "core/trace.h"

#include <algorithm>

namespace garrison {
namespace {

constexpr std::size_t kTraceDigits = 32;
constexpr std::size_t kSpanDigits = 16;
constexpr std::size_t kLength = 2 + 1 + kTraceDigits + 1 + kSpanDigits + 1 + 2;
constexpr std::size_t kStateMax = 512;

bool IsLowerHex(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

bool IsId(std::string_view text) {
  return IsLowerHex(text) && text.find_first_not_of('0') != std::string_view::npos;
}

bool IsPlainState(std::string_view state) {
  return state.size() <= kStateMax && std::all_of(state.begin(), state.end(), [](char c) {
           return c == '\t' || (c >= ' ' && c < 0x7f);
         });
}

}  // namespace

std::optional<TraceContext> ParseTraceparent(std::string_view traceparent,
                                             std::string_view tracestate) {
  if (traceparent.size() < kLength) return std::nullopt;
  const std::string_view version = traceparent.substr(0, 2);
  const std::string_view trace = traceparent.substr(3, kTraceDigits);
  const std::string_view span = traceparent.substr(4 + kTraceDigits, kSpanDigits);
  const std::string_view flags = traceparent.substr(kLength - 2, 2);
  const bool dashes = traceparent[2] == '-' && traceparent[3 + kTraceDigits] == '-' &&
                      traceparent[kLength - 3] == '-';
  // Later versions may say more after a dash; this one may not.
  const bool ends =
      traceparent.size() == kLength || (version != "00" && traceparent[kLength] == '-');
  if (!dashes || !ends || !IsLowerHex(version) || version == "ff" || !IsId(trace) || !IsId(span) ||
      !IsLowerHex(flags)) {
    return std::nullopt;
  }
  TraceContext context;
  context.trace_id = trace;
  context.span_id = span;
  const char last = flags[1];
  const int bits = last <= '9' ? last - '0' : last - 'a' + 10;
  context.sampled = (bits & 1) != 0;
  if (IsPlainState(tracestate)) context.state = tracestate;
  return context;
}

std::string FormatTraceparent(const TraceContext& trace) {
  return "00-" + trace.trace_id + "-" + trace.span_id + (trace.sampled ? "-01" : "-00");
}

}  // namespace garrison
