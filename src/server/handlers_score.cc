// Routes that end in scores: rerank, classify, moderations.
#include <utility>

#include "server/handlers.h"
#include "server/model_work.h"
#include "wire/cohere.h"
#include "wire/home.h"
#include "wire/openai.h"
#include "wire/tei.h"

namespace garrison {
namespace {

using Job = ModelWork::Job;

Result<RerankReply> Rerank(Call& call, std::string_view model, const RerankRequest& request,
                           const LongInputChoice& choice, std::string_view documents) {
  call.work = {.job = Job::kPredict, .batch = true, .characters = request.query.size()};
  for (const std::string& document : request.documents) call.work.characters += document.size();
  Result<RerankReply> reply = call.services.gateway.Rerank(model, request, choice, call.context);
  if (!reply) {
    Error error = std::move(reply).error();
    constexpr std::string_view kName = "documents";
    if (error.where.starts_with(kName)) {
      error.where = std::string(documents) + error.where.substr(kName.size());
    }
    return tl::unexpected(std::move(error));
  }
  Record(reply->relevance, reply->model, call.work);
  return reply;
}

Result<ClassifyReply> Classify(Call& call, std::string_view model,
                               const std::vector<SequenceInput>& inputs,
                               const LongInputChoice& choice, bool batch) {
  call.work = {.job = Job::kPredict, .batch = batch, .characters = CharactersOf(inputs)};
  ASSIGN_OR_RETURN(ClassifyReply reply,
                   call.services.gateway.Classify(model, inputs, choice, call.context));
  Record(reply.classes, reply.model, call.work);
  return reply;
}

Result<HttpResponse> RerankTei(Call& call) {
  ASSIGN_OR_RETURN(const TeiRerankCall decoded, DecodeTeiRerank(call.body));
  ASSIGN_OR_RETURN(const RerankReply reply,
                   Rerank(call, "", decoded.request, decoded.choice, "texts"));
  return JsonResponse(EncodeTeiRerank(decoded, reply.relevance));
}

Result<HttpResponse> RerankHome(Call& call) {
  ASSIGN_OR_RETURN(const HomeRerankCall decoded, DecodeHomeRerank(call.body));
  ASSIGN_OR_RETURN(const RerankReply reply, Rerank(call, "", decoded.request, {}, "candidates"));
  return JsonResponse(EncodeHomeRerank(decoded, reply.relevance, reply.model, call.elapsed()));
}

Result<HttpResponse> RerankCohere(Call& call) {
  ASSIGN_OR_RETURN(const CohereRerankCall decoded, DecodeCohereRerank(call.body));
  ASSIGN_OR_RETURN(const RerankReply reply,
                   Rerank(call, decoded.model, decoded.request, decoded.choice, "documents"));
  return JsonResponse(
      EncodeCohereRerank(decoded, reply.relevance, reply.model, call.services.new_id()));
}

}  // namespace

Result<HttpResponse> HandleRerank(Call& call) {
  const bool object = call.body.is_object();
  if (object && call.body.contains("texts")) {
    call.dialect = Dialect::kTei;
    return RerankTei(call);
  }
  if (object && call.body.contains("candidates")) {
    call.dialect = Dialect::kHome;
    return RerankHome(call);
  }
  call.dialect = Dialect::kCohere;
  return RerankCohere(call);
}

Result<HttpResponse> HandleTeiPredict(Call& call) {
  ASSIGN_OR_RETURN(const TeiPredictCall decoded, DecodeTeiPredict(call.body));
  ASSIGN_OR_RETURN(const ClassifyReply reply,
                   Classify(call, "", decoded.inputs, decoded.choice, decoded.batch));
  return JsonResponse(EncodeTeiPredict(decoded, reply.classes, reply.labels));
}

Result<HttpResponse> HandleClassify(Call& call) {
  if (call.body.is_object() && call.body.contains("pattern_description")) {
    call.dialect = Dialect::kHome;
    return FailAt("pattern_description", Code::kUnimplemented,
                  "a pattern is classified by a text-to-text model (flan-t5), which this version "
                  "cannot run yet; send \"input\" to a classifier instead");
  }
  ASSIGN_OR_RETURN(const ClassifyCall decoded, DecodeClassify(call.body));
  ASSIGN_OR_RETURN(const ClassifyReply reply, Classify(call, decoded.model, decoded.inputs, {},
                                                       call.body["input"].is_array()));
  const auto created = std::chrono::duration_cast<std::chrono::seconds>(
                           call.services.clock.WallNow().time_since_epoch())
                           .count();
  return JsonResponse(EncodeClassify(decoded, reply.classes, reply.labels, reply.model,
                                     call.services.new_id(), created));
}

Result<HttpResponse> HandleTeiDefault(Call& call) {
  const std::vector<ModelStatus> models = call.services.gateway.Models();
  const ModelStatus& model = models.front();
  if (model.reranks) return RerankTei(call);
  return model.classifies ? HandleTeiPredict(call) : HandleTeiEmbed(call);
}

Result<HttpResponse> HandleOpenAiModerations(Call& call) {
  ASSIGN_OR_RETURN(const OpenAiModerationsCall decoded, DecodeOpenAiModerations(call.body));
  ASSIGN_OR_RETURN(const ModerateReply reply,
                   call.services.gateway.Moderate(decoded.model, decoded.texts, call.context));
  call.other_tokens = reply.tokens;
  return JsonResponse(
      EncodeOpenAiModerations(reply.moderations, "modr-" + call.services.new_id(), reply.model));
}

}  // namespace garrison
