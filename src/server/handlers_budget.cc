// Routes about money.
#include "server/handlers.h"

namespace garrison {
namespace {

Result<Budget*> BudgetOf(const Call& call) {
  if (call.services.budget != nullptr) return call.services.budget;
  return Fail(Code::kFailedPrecondition,
              "nothing is paid for here: neither embeddings.provider nor chat.model names a "
              "service elsewhere");
}

}  // namespace

Result<HttpResponse> HandleBudgetStatus(Call& call) {
  ASSIGN_OR_RETURN(Budget* const budget, BudgetOf(call));
  ASSIGN_OR_RETURN(const BudgetStatus status, budget->Status());
  return JsonResponse(EncodeBudgetStatus(status));
}

Result<HttpResponse> HandleBudgetUnlock(Call& call) {
  ASSIGN_OR_RETURN(Budget* const budget, BudgetOf(call));
  RETURN_IF_ERROR(budget->Unlock());
  return HandleBudgetStatus(call);
}

}  // namespace garrison
