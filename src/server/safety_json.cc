#include "server/safety_json.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "core/json.h"
#include "guard/measured_report.h"
#include "guard/report.h"
#include "server/dialect.h"

namespace garrison {
namespace {

using nlohmann::ordered_json;

double Milliseconds(std::chrono::nanoseconds time) {
  return static_cast<double>(time.count()) / 1e6;
}

ordered_json ReportJson(const SessionTurnReport& turn, const MeasuredMonitor* measured) {
  if (measured == nullptr || !turn.measured) return TurnJson(turn.compat);
  return GuardedTurnJson(turn.compat, *turn.measured, measured->file().model());
}

void AddReply(const SafetyReply& reply, const MeasuredMonitor* measured, ordered_json& body) {
  body["conversation_id"] =
      reply.conversation_id.empty() ? ordered_json(nullptr) : ordered_json(reply.conversation_id);
  body.update(ReportJson(reply.turn, measured));
  if (reply.preview) body["preview"] = true;
  body["provenance"] = ProvenanceJson(reply.provenance);
  if (measured != nullptr) body["provenance"]["guard"] = measured->file().hash();
  body["timings"] = {{"embed_ms", Milliseconds(reply.embed_time)},
                     {"total_ms", Milliseconds(reply.total_time)}};
}

}  // namespace

std::string EncodeSafetyReply(const SafetyReply& reply, const MeasuredMonitor* measured) {
  ordered_json body = ordered_json::object();
  AddReply(reply, measured, body);
  return DumpJson(body);
}

std::string EncodeSafetyReplies(std::span<const Result<SafetyReply>> replies,
                                const MeasuredMonitor* measured) {
  ordered_json items = ordered_json::array();
  for (const Result<SafetyReply>& reply : replies) {
    ordered_json& item = items.emplace_back(ordered_json::object());
    if (reply) {
      item["http_status"] = 200;
      AddReply(*reply, measured, item);
      continue;
    }
    // As it would be by itself.
    const HttpResponse alone = ErrorResponse(Dialect::kOpenAi, reply.error(), 0);
    item["http_status"] = alone.status;
    item.update(ordered_json::parse(alone.body));
  }
  return DumpJson({{"items", std::move(items)}});
}

std::string EncodeConversation(const SessionState& state, const GuardSessions& sessions,
                               const MeasuredMonitor* measured) {
  ordered_json recent = ordered_json::array();
  for (const RecordedTurn& turn : state.recent) {
    ordered_json& one = recent.emplace_back(ReportJson(sessions.Report(turn), measured));
    one["at_ms"] = turn.at_ms;
    if (!turn.idempotency_key.empty()) one["idempotency_key"] = turn.idempotency_key;
  }
  return DumpJson({{"conversation_id", state.id},
                   {"turns", state.kinematics.turns},
                   {"created_ms", state.created_ms},
                   {"last_use_ms", state.last_use_ms},
                   {"expires_ms", sessions.ExpiresMs(state.last_use_ms)},
                   {"provenance_sha256", ToHex(state.provenance)},
                   {"recent", std::move(recent)}});
}

std::string EncodeConversationExport(const SessionState& state) {
  return DumpJson(StateJson(state));
}

std::string EncodeConversationDeleted(const std::string& id) {
  return DumpJson({{"conversation_id", id}, {"deleted", true}});
}

}  // namespace garrison
