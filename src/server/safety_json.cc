#include "server/safety_json.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "core/json.h"
#include "guard/report.h"

namespace garrison {
namespace {

double Milliseconds(std::chrono::nanoseconds time) {
  return static_cast<double>(time.count()) / 1e6;
}

}  // namespace

std::string EncodeSafetyReply(const SafetyReply& reply) {
  nlohmann::ordered_json body = {{"conversation_id", reply.conversation_id}};
  body.update(TurnJson(reply.turn));
  body["provenance"] = ProvenanceJson(reply.provenance);
  body["timings"] = {{"embed_ms", Milliseconds(reply.embed_time)},
                     {"total_ms", Milliseconds(reply.total_time)}};
  return DumpJson(body);
}

}  // namespace garrison
