// What a model's answer took and cost, as logs, traces and metrics tell it. Never texts.
#pragma once

#include <chrono>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "base/result.h"
#include "core/chat.h"
#include "core/trace.h"

namespace garrison {

struct ChatWork {
  std::string model;      // the id of the one that was asked
  ChatServed served;      // `by` is empty: nobody has answered
  bool streamed = false;  // sent while it was made
  std::size_t streamed_bytes = 0;
  ChatUsage usage;
  bool usage_known = false;  // false: at most, or as far as the bytes that went through tell
  std::optional<Pusd> cost;
  std::optional<std::chrono::nanoseconds> first_content;
  std::optional<Error> error;  // also of an answer that broke off after its beginning

  // The error's reason, or its code; "OK" without one.
  std::string Ending() const;
};

void Describe(const ChatWork& work, nlohmann::ordered_json& entry);
// With the names of OpenTelemetry's semantic conventions where there is one.
void Describe(const ChatWork& work, Span& span);

}  // namespace garrison
