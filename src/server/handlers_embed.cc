// Routes that end in vectors.
#include <utility>

#include "server/handlers.h"
#include "server/model_work.h"
#include "wire/home.h"
#include "wire/ollama.h"
#include "wire/openai.h"
#include "wire/tei.h"

namespace garrison {
namespace {

using Job = ModelWork::Job;

Result<EmbedReply> Embed(Call& call, std::string_view model, EmbedRequest request,
                         const LongInputChoice& choice, bool batch) {
  call.work = {.job = Job::kEmbed, .batch = batch, .characters = CharactersOf(request.inputs)};
  ASSIGN_OR_RETURN(EmbedReply reply,
                   call.services.gateway.Embed(model, std::move(request), choice, call.context));
  Record(reply.embeddings, reply.model, call.work);
  return reply;
}

}  // namespace

Result<HttpResponse> HandleOpenAiEmbeddings(Call& call) {
  ASSIGN_OR_RETURN(OpenAiEmbeddingsCall decoded, DecodeOpenAiEmbeddings(call.body));
  const bool batch = call.body["input"].is_array();
  ASSIGN_OR_RETURN(const EmbedReply reply,
                   Embed(call, decoded.model, std::move(decoded.request), {}, batch));
  return JsonResponse(EncodeOpenAiEmbeddings(reply.embeddings, reply.model, decoded.encoding));
}

Result<HttpResponse> HandleAnyEmbeddings(Call& call) {
  if (!call.body.is_object() || !call.body.contains("texts")) return HandleOpenAiEmbeddings(call);
  call.dialect = Dialect::kHome;
  ASSIGN_OR_RETURN(EmbedRequest request, DecodeHomeEmbeddings(call.body));
  ASSIGN_OR_RETURN(const EmbedReply reply,
                   Renamed(Embed(call, "", std::move(request), {}, true), "texts"));
  return JsonResponse(EncodeHomeEmbeddings(reply.embeddings, reply.model, call.elapsed()));
}

Result<HttpResponse> HandleTeiEmbed(Call& call) {
  ASSIGN_OR_RETURN(TeiEmbedCall decoded, DecodeTeiEmbed(call.body));
  ASSIGN_OR_RETURN(const EmbedReply reply, Renamed(Embed(call, "", std::move(decoded.request),
                                                         decoded.choice, decoded.batch),
                                                   "inputs"));
  return JsonResponse(EncodeTeiEmbed(reply.embeddings));
}

Result<HttpResponse> HandleTeiEmbedAll(Call& call) {
  ASSIGN_OR_RETURN(TeiEmbedCall decoded, DecodeTeiEmbed(call.body));
  call.work = {.job = Job::kEmbed,
               .batch = decoded.batch,
               .characters = CharactersOf(decoded.request.inputs)};
  ASSIGN_OR_RETURN(const TokenVectorsReply reply,
                   Renamed(call.services.gateway.EmbedTokens("", std::move(decoded.request),
                                                             decoded.choice, call.context),
                           "inputs"));
  Record(reply.vectors, reply.model, call.work);
  return JsonResponse(EncodeTeiEmbedAll(reply.vectors));
}

Result<HttpResponse> HandleTeiSimilarity(Call& call) {
  ASSIGN_OR_RETURN(const TeiSimilarityCall decoded, DecodeTeiSimilarity(call.body));
  call.work = {.job = Job::kEmbed, .batch = true, .characters = decoded.source.size()};
  for (const std::string& sentence : decoded.sentences) call.work.characters += sentence.size();
  ASSIGN_OR_RETURN(
      const SimilarityReply reply,
      Renamed(call.services.gateway.Similarity("", decoded.source, decoded.sentences,
                                               decoded.prompt, decoded.choice, call.context),
              "inputs"));
  Record(reply, reply.model, call.work);
  return JsonResponse(EncodeTeiSimilarity(reply.cosines));
}

Result<HttpResponse> HandleOllamaEmbed(Call& call) {
  ASSIGN_OR_RETURN(OllamaEmbedCall decoded, DecodeOllamaEmbed(call.body));
  const bool batch = call.body["input"].is_array();
  ASSIGN_OR_RETURN(const EmbedReply reply,
                   Embed(call, decoded.model, std::move(decoded.request), decoded.choice, batch));
  return JsonResponse(EncodeOllamaEmbed(reply.embeddings, decoded.model, call.elapsed()));
}

Result<HttpResponse> HandleOllamaEmbeddings(Call& call) {
  ASSIGN_OR_RETURN(OllamaEmbedCall decoded, DecodeOllamaEmbeddings(call.body));
  ASSIGN_OR_RETURN(
      const EmbedReply reply,
      Renamed(Embed(call, decoded.model, std::move(decoded.request), decoded.choice, false),
              "prompt"));
  return JsonResponse(EncodeOllamaEmbeddings(reply.embeddings));
}

}  // namespace garrison
