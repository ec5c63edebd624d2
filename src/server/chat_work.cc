#include "server/chat_work.h"

#include <utility>

#include "core/money.h"

namespace garrison {

std::string ChatWork::Ending() const {
  if (!error) return "OK";
  return error->reason.empty() ? std::string(CodeName(error->code)) : error->reason;
}

void Describe(const ChatWork& work, nlohmann::ordered_json& entry) {
  entry["model"] = work.model;
  entry["streamed"] = work.streamed;
  entry["ending"] = work.Ending();
  if (work.first_content) {
    entry["first_content_ms"] = static_cast<double>(work.first_content->count()) / 1e6;
  }
  if (work.served.verdict) entry["guard_status"] = work.served.verdict->status;
  if (work.served.by.empty()) return;
  entry["served_by"] = work.served.by;
  entry["attempts"] = work.served.attempts;
  entry["input_tokens"] = work.usage.all_input();
  entry["output_tokens"] = work.usage.output;
  if (!work.usage_known) entry["tokens_estimated"] = true;
  if (work.cost) entry["cost_usd"] = FormatUsd(*work.cost);
}

void Describe(const ChatWork& work, Span& span) {
  const auto add = [&span](const char* name, Span::Value value) {
    span.attributes.emplace_back(name, std::move(value));
  };
  add("gen_ai.operation.name", std::string("chat"));
  add("gen_ai.request.model", work.model);
  if (work.first_content) {
    add("garrison.first_content_ms", static_cast<double>(work.first_content->count()) / 1e6);
  }
  if (work.error) span.error = work.Ending();
  if (work.served.verdict) {
    add("garrison.guard_status", std::string(work.served.verdict->status));
  }
  if (work.served.by.empty()) return;
  add("gen_ai.response.model", work.served.model.empty() ? work.served.by : work.served.model);
  add("gen_ai.usage.input_tokens", static_cast<std::int64_t>(work.usage.all_input()));
  add("gen_ai.usage.output_tokens", static_cast<std::int64_t>(work.usage.output));
  add("garrison.attempts", static_cast<std::int64_t>(work.served.attempts));
  if (work.cost) add("garrison.cost_usd", FormatUsd(*work.cost));
}

}  // namespace garrison
