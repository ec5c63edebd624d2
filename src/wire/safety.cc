#include "wire/safety.h"

#include <string>

#include "core/json.h"

namespace garrison {
namespace {

Result<std::string> TextField(const nlohmann::json& body, const char* name) {
  const auto field = body.find(name);
  if (field == body.end()) {
    return FailAt(name, Code::kInvalidArgument,
                  "the field is missing; expected user_message and model_message");
  }
  if (!field->is_string()) {
    return FailAt(name, Code::kInvalidArgument, "expected a string, got {}", JsonTypeName(*field));
  }
  return field->get<std::string>();
}

}  // namespace

Result<SafetyRequest> DecodeSafetyRequest(const nlohmann::json& body) {
  if (!body.is_object()) {
    return Fail(Code::kInvalidArgument, "expected a JSON object, got {}", JsonTypeName(body));
  }
  SafetyRequest request;
  ASSIGN_OR_RETURN(request.user_message, TextField(body, "user_message"));
  ASSIGN_OR_RETURN(request.model_message, TextField(body, "model_message"));
  if (const auto id = body.find("conversation_id"); id != body.end() && !id->is_null()) {
    ASSIGN_OR_RETURN(request.conversation_id, TextField(body, "conversation_id"));
  }
  return request;
}

}  // namespace garrison
