#include "providers/fallback_chat_model.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include "providers/failure.h"

namespace garrison {
namespace {

// Refusals of the gate that are about one model: another one may be cheaper, or have a price. The
// others (no budget, no ledger, stopped by hand) are about all.
constexpr std::array<std::string_view, 4> kAboutTheModel = {"request_too_dear", "premium_paused",
                                                            "unknown_price", "model_frozen"};
constexpr std::array<std::string_view, 3> kAboutAll = {"budget_exceeded", "kill_switch_active",
                                                       "ledger_unavailable"};

bool IsOneOf(const auto& reasons, std::string_view reason) {
  return std::find(reasons.begin(), reasons.end(), reason) != reasons.end();
}

}  // namespace

FallbackChatModel::FallbackChatModel(std::vector<std::shared_ptr<const RemoteChatModel>> models,
                                     ChatFallbackOptions options, const Clock& clock,
                                     Logger& logger)
    : models_(std::move(models)), options_(std::move(options)), clock_(clock), logger_(logger) {}

bool FallbackChatModel::MovesOn(const Error& error) const {
  if (IsOneOf(kAboutTheModel, error.reason)) return true;
  const std::optional<FailureClass> kind = FailureClassOf(error);
  return kind && std::find(options_.on.begin(), options_.on.end(), *kind) != options_.on.end();
}

Result<ChatOutcome> FallbackChatModel::Answer(const ChatRequest& request, ChatSink& sink,
                                              const RequestContext& given) const {
  RequestContext context = given;
  context.deadline = std::min(given.deadline, clock_.Now() + options_.total);
  ChatAttempts attempts;
  Result<ChatOutcome> first = models_.front()->Answer(request, sink, context, "", attempts);
  if (first || attempts.begun || !MovesOn(first.error())) return first;
  std::string tried;
  for (std::size_t i = 1; i < models_.size(); ++i) {
    if (given.stop.stop_requested()) RETURN_IF_ERROR(given.Check(clock_.Now()));
    if (clock_.Now() >= context.deadline) break;
    const RemoteChatModel& model = *models_[i];
    Result<ChatOutcome> answer = model.Answer(request, sink, context, "fallback", attempts);
    if (answer) {
      // The vendor's own words may repeat what it was sent.
      logger_.Warning("{} answered for {}: {}", model.id(), id(), first.error().reason);
      return answer;
    }
    // What the client has seen the beginning of is broken, whoever failed before.
    if (attempts.begun || answer.error().code == Code::kCancelled) return answer;
    tried += fmt::format("; fallback {}: {}", model.id(), answer.error().message);
    if (IsOneOf(kAboutAll, answer.error().reason)) break;
  }
  Error error = first.error();
  error.message += tried;
  return tl::unexpected(std::move(error));
}

}  // namespace garrison
