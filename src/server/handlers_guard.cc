// Routes about conversations that the guard watches.
#include <algorithm>
#include <utility>

#include "server/handlers.h"
#include "server/safety_json.h"
#include "wire/safety.h"

namespace garrison {
namespace {

constexpr std::string_view kConversations = "/v1/guard/conversations/";
constexpr std::string_view kExport = "/export";

// What stands for the star of the route's path.
std::string ConversationId(const Call& call, std::string_view after = "") {
  std::string_view id = call.request.path;
  id.remove_prefix(kConversations.size());
  id.remove_suffix(after.size());
  return std::string(id);
}

// Whether the query has "replace=true". INVALID_ARGUMENT for another value.
Result<bool> WantsReplacement(std::string_view query) {
  constexpr std::string_view kName = "replace=";
  bool replace = false;
  while (!query.empty()) {
    const std::size_t end = std::min(query.find('&'), query.size());
    const std::string_view part = query.substr(0, end);
    query.remove_prefix(std::min(end + 1, query.size()));
    if (!part.starts_with(kName)) continue;
    const std::string_view value = part.substr(kName.size());
    if (value != "true" && value != "false") {
      return FailAt("replace", Code::kInvalidArgument, "expected true or false, got \"{}\"",
                    value.substr(0, 100));
    }
    replace = value == "true";
  }
  return replace;
}

// The header that many clients send by themselves; quoted or not.
Result<> TakeIdempotencyKey(const Call& call, SafetyRequest& request) {
  std::string_view key = call.request.header("Idempotency-Key");
  if (key.size() >= 2 && key.front() == '"' && key.back() == '"') {
    key = key.substr(1, key.size() - 2);
  }
  // Clients send it with every POST, and a preview takes nothing.
  if (key.empty() || request.preview) return {};
  if (!request.idempotency_key.empty() && request.idempotency_key != key) {
    return FailAt("idempotency_key", Code::kInvalidArgument,
                  "expected the key of the header Idempotency-Key, got another; send one of them");
  }
  request.idempotency_key = key;
  return {};
}

void CountTurn(Call& call, const SafetyReply& reply) {
  // The texts were read again also for a turn that had been taken.
  call.other_tokens += reply.turn.compat.scores.tokens;
  if (reply.repeated || reply.preview) return;
  const SessionTurnReport& turn = reply.turn;
  const Action action = turn.measured ? turn.measured->action : turn.compat.verdict.action;
  call.services.metrics.CountTurn(ActionName(action));
}

}  // namespace

Result<HttpResponse> HandleCheckSafety(Call& call) {
  ASSIGN_OR_RETURN(SafetyRequest decoded, DecodeSafetyRequest(call.body));
  RETURN_IF_ERROR(TakeIdempotencyKey(call, decoded));
  ASSIGN_OR_RETURN(const SafetyReply reply,
                   call.services.gateway.CheckSafety(decoded, call.context));
  CountTurn(call, reply);
  HttpResponse response = JsonResponse(EncodeSafetyReply(reply, call.services.gateway.measured()));
  if (reply.repeated) response.headers.push_back({"Idempotent-Replayed", "true"});
  return response;
}

Result<HttpResponse> HandleCheckBatch(Call& call) {
  ASSIGN_OR_RETURN(const std::vector<SafetyRequest> decoded, DecodeSafetyBatch(call.body));
  if (!call.request.header("Idempotency-Key").empty()) {
    return FailAt("idempotency_key", Code::kInvalidArgument,
                  "expected a key in each item, got one header Idempotency-Key for all of them");
  }
  ASSIGN_OR_RETURN(const std::vector<Result<SafetyReply>> replies,
                   call.services.gateway.CheckSafetyOfAll(decoded, call.context));
  for (const Result<SafetyReply>& reply : replies) {
    if (reply) CountTurn(call, *reply);
  }
  return JsonResponse(EncodeSafetyReplies(replies, call.services.gateway.measured()));
}

Result<HttpResponse> HandleGetConversation(Call& call) {
  ASSIGN_OR_RETURN(const SessionState state,
                   call.services.gateway.FindConversation(ConversationId(call), call.context));
  const Gateway& gateway = call.services.gateway;
  return JsonResponse(EncodeConversation(state, gateway.sessions(), gateway.measured()));
}

Result<HttpResponse> HandleDeleteConversation(Call& call) {
  const std::string id = ConversationId(call);
  RETURN_IF_ERROR(call.services.gateway.EndConversation(id, call.context));
  return JsonResponse(EncodeConversationDeleted(id));
}

Result<HttpResponse> HandleExportConversation(Call& call) {
  ASSIGN_OR_RETURN(const SessionState state, call.services.gateway.ExportConversation(
                                                 ConversationId(call, kExport), call.context));
  return JsonResponse(EncodeConversationExport(state));
}

Result<HttpResponse> HandleImportConversation(Call& call) {
  ASSIGN_OR_RETURN(const bool replace, WantsReplacement(call.request.query));
  ASSIGN_OR_RETURN(const SessionState state,
                   call.services.gateway.ImportConversation(ConversationId(call), call.body,
                                                            replace, call.context));
  const Gateway& gateway = call.services.gateway;
  return JsonResponse(EncodeConversation(state, gateway.sessions(), gateway.measured()));
}

}  // namespace garrison
