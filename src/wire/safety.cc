#include "wire/safety.h"

#include <optional>
#include <string>
#include <utility>

#include "wire/fields.h"

namespace garrison {
namespace {

Result<SafetyRequest> DecodeTurn(const nlohmann::json& body, std::string prefix) {
  ASSIGN_OR_RETURN(const Fields fields, Fields::Of(body, std::move(prefix)));
  SafetyRequest request;
  ASSIGN_OR_RETURN(request.user_message, fields.Text("user_message"));
  ASSIGN_OR_RETURN(request.model_message, fields.Text("model_message"));
  ASSIGN_OR_RETURN(request.conversation_id, fields.TextOr("conversation_id", ""));
  ASSIGN_OR_RETURN(request.idempotency_key, fields.TextOr("idempotency_key", ""));
  ASSIGN_OR_RETURN(const std::optional<std::uint32_t> turn, fields.Count32("turn"));
  if (turn) request.turn = *turn;
  ASSIGN_OR_RETURN(request.preview, fields.FlagOr("preview", false));
  return request;
}

}  // namespace

Result<SafetyRequest> DecodeSafetyRequest(const nlohmann::json& body) {
  return DecodeTurn(body, "");
}

Result<std::vector<SafetyRequest>> DecodeSafetyBatch(const nlohmann::json& body) {
  ASSIGN_OR_RETURN(const Fields fields, Fields::Of(body));
  ASSIGN_OR_RETURN(const nlohmann::json* const items, fields.List("items"));
  if (items == nullptr) {
    return FailAt("items", Code::kInvalidArgument,
                  "the field is missing; expected a list of turns");
  }
  std::vector<SafetyRequest> requests;
  requests.reserve(items->size());
  for (std::size_t i = 0; i < items->size(); ++i) {
    ASSIGN_OR_RETURN(SafetyRequest request, DecodeTurn((*items)[i], fmt::format("items[{}].", i)));
    requests.push_back(std::move(request));
  }
  return requests;
}

}  // namespace garrison
