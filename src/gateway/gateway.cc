#include "gateway/gateway.h"

#include <optional>
#include <utility>
#include <variant>

namespace garrison {

Gateway::Gateway(const ModelCatalog& models, const GuardMonitor& monitor, GuardSessions& sessions,
                 const Settings& settings, const Clock& clock)
    : models_(models),
      monitor_(monitor),
      sessions_(sessions),
      limits_(settings.limits),
      long_input_(LongInputOf(settings.engine)),
      guard_(settings.guard),
      clock_(clock) {}

Result<> Gateway::CheckSize(std::size_t size, std::string where) const {
  if (size <= static_cast<std::size_t>(limits_.input_bytes)) return {};
  return FailAt(std::move(where), Code::kInvalidArgument,
                "expected at most {} bytes or ids, got {}; split the text", limits_.input_bytes,
                size);
}

Result<EmbedReply> Gateway::Embed(std::string_view model, EmbedRequest request,
                                  const RequestContext& context) const {
  RETURN_IF_ERROR(context.Check(clock_.Now()));
  if (request.inputs.size() > static_cast<std::size_t>(limits_.inputs_per_request)) {
    return FailAt("input", Code::kInvalidArgument,
                  "expected at most {} texts, got {}; send several requests",
                  limits_.inputs_per_request, request.inputs.size());
  }
  for (std::size_t i = 0; i < request.inputs.size(); ++i) {
    const auto* text = std::get_if<std::string>(&request.inputs[i]);
    const std::size_t size =
        text != nullptr ? text->size() : std::get<TokenIds>(request.inputs[i]).ids.size();
    RETURN_IF_ERROR(CheckSize(size, fmt::format("input[{}]", i)));
  }
  ASSIGN_OR_RETURN(const std::shared_ptr<const Embedder> embedder, models_.FindEmbedder(model));
  request.long_input = long_input_;
  ASSIGN_OR_RETURN(Embeddings embeddings, embedder->Embed(request, context));
  return EmbedReply{std::move(embeddings), embedder->info()};
}

Result<SafetyReply> Gateway::CheckSafety(const SafetyRequest& request,
                                         const RequestContext& context) const {
  const SteadyTime start = clock_.Now();
  RETURN_IF_ERROR(context.Check(start));
  std::optional<std::string> id;
  if (!request.conversation_id.empty()) {
    RETURN_IF_ERROR(GuardSessions::CheckId(request.conversation_id));
    id = request.conversation_id;
  }
  RETURN_IF_ERROR(CheckSize(request.user_message.size(), "user_message"));
  RETURN_IF_ERROR(CheckSize(request.model_message.size(), "model_message"));

  Result<TurnScores> scored = monitor_.Score(request.user_message, request.model_message, context);
  if (!scored) {
    Error error = std::move(scored).error();
    if (error.where == "user" || error.where == "model") error.where += "_message";
    return tl::unexpected(std::move(error));
  }
  const SteadyTime embedded = clock_.Now();
  ASSIGN_OR_RETURN(SessionStep step, sessions_.Step(id, scored->risk));
  SafetyReply reply;
  reply.conversation_id = std::move(step.conversation_id);
  reply.turn = MakeTurnReport(step.metrics, *scored, guard_);
  reply.provenance = monitor_.provenance();
  reply.embed_time = embedded - start;
  reply.total_time = clock_.Now() - start;
  return reply;
}

}  // namespace garrison
