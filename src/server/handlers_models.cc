// Routes about the models themselves, and their tokenizers.
#include <fmt/chrono.h>

#include <algorithm>
#include <utility>

#include "core/json.h"
#include "server/handlers.h"
#include "server/model_work.h"
#include "wire/home.h"
#include "wire/ollama.h"
#include "wire/openai.h"
#include "wire/tei.h"

namespace garrison {
namespace {

std::int64_t StartedSeconds(const Call& call) {
  return std::chrono::duration_cast<std::chrono::seconds>(call.services.started.time_since_epoch())
      .count();
}

// Models come with the service: they are as old as it is.
std::string StartedText(const Call& call) {
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}Z",
                     fmt::gmtime(std::chrono::system_clock::to_time_t(call.services.started)));
}

nlohmann::ordered_json Rows(const Embeddings& embeddings) {
  nlohmann::ordered_json rows = nlohmann::ordered_json::array();
  for (std::size_t i = 0; i < embeddings.size(); ++i) {
    const std::span<const float> row = embeddings.row(i);
    rows.push_back(std::vector<float>(row.begin(), row.end()));
  }
  return rows;
}

using Job = ModelWork::Job;

Result<HttpResponse> InferRerank(Call& call, const HomeInferCall& decoded) {
  call.work = {.job = Job::kPredict, .batch = true, .characters = decoded.query.size()};
  for (const std::string& document : decoded.documents) call.work.characters += document.size();
  ASSIGN_OR_RETURN(
      const RerankReply reply,
      call.services.gateway.Rerank(
          decoded.model, {.query = decoded.query, .documents = decoded.documents, .long_input = {}},
          {}, call.context));
  Record(reply.relevance, reply.model, call.work);
  const std::vector<float>& scores = reply.relevance.scores;
  return JsonResponse(
      EncodeHomeInfer(scores, *std::max_element(scores.begin(), scores.end()), call.elapsed()));
}

Result<HttpResponse> InferClassify(Call& call, const HomeInferCall& decoded) {
  const std::vector<SequenceInput> inputs(decoded.texts.begin(), decoded.texts.end());
  call.work = {.job = Job::kPredict, .batch = !decoded.single, .characters = CharactersOf(inputs)};
  ASSIGN_OR_RETURN(const ClassifyReply reply,
                   call.services.gateway.Classify(decoded.model, inputs, {}, call.context));
  Record(reply.classes, reply.model, call.work);
  nlohmann::ordered_json output = nlohmann::ordered_json::array();
  double lowest = 1;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const auto begin =
        reply.classes.scores.begin() + static_cast<std::ptrdiff_t>(i * reply.classes.labels);
    const auto best =
        std::max_element(begin, begin + static_cast<std::ptrdiff_t>(reply.classes.labels));
    output.push_back(reply.labels[static_cast<std::size_t>(best - begin)]);
    lowest = std::min<double>(lowest, *best);
  }
  return JsonResponse(EncodeHomeInfer(decoded.single ? nlohmann::ordered_json(output[0]) : output,
                                      lowest, call.elapsed()));
}

}  // namespace

Result<HttpResponse> HandleOpenAiModels(Call& call) {
  return JsonResponse(EncodeOpenAiModels(call.services.gateway.Models(),
                                         call.services.chat.Models(), StartedSeconds(call)));
}

Result<HttpResponse> HandleOpenAiModel(Call& call) {
  const std::string_view id =
      std::string_view(call.request.path).substr(std::string_view("/v1/models/").size());
  if (const Result<ChatModelStatus> model = call.services.chat.FindModel(id)) {
    return JsonResponse(EncodeOpenAiModel(*model, StartedSeconds(call)));
  }
  ASSIGN_OR_RETURN(const ModelStatus model, call.services.gateway.FindModel(id));
  return JsonResponse(EncodeOpenAiModel(model, StartedSeconds(call)));
}

Result<HttpResponse> HandleTeiInfo(Call& call) {
  const std::vector<ModelStatus> models = call.services.gateway.Models();
  return JsonResponse(EncodeTeiInfo(models.front(), call.services.settings, call.services.threads,
                                    GARRISON_VERSION));
}

Result<HttpResponse> HandleTeiTokenize(Call& call) {
  ASSIGN_OR_RETURN(const TeiTokenizeCall decoded, DecodeTeiTokenize(call.body));
  ASSIGN_OR_RETURN(const auto tokens,
                   Renamed(call.services.gateway.Tokenize("", decoded.texts, decoded.prompt,
                                                          decoded.add_special_tokens),
                           "inputs"));
  return JsonResponse(EncodeTeiTokenize(tokens));
}

Result<HttpResponse> HandleTeiDecode(Call& call) {
  ASSIGN_OR_RETURN(const TeiDecodeCall decoded, DecodeTeiDecode(call.body));
  ASSIGN_OR_RETURN(const auto texts,
                   call.services.gateway.Decode("", decoded.ids, decoded.skip_special_tokens));
  return JsonResponse(EncodeTeiTexts(texts));
}

Result<HttpResponse> HandleOllamaTags(Call& call) {
  return JsonResponse(EncodeOllamaTags(call.services.gateway.Models(), StartedText(call)));
}

Result<HttpResponse> HandleOllamaPs(Call& call) {
  std::vector<ModelStatus> models = call.services.gateway.Models();
  std::erase_if(models,
                [](const ModelStatus& model) { return model.state != ModelState::kLoaded; });
  return JsonResponse(EncodeOllamaTags(models, StartedText(call)));
}

Result<HttpResponse> HandleOllamaShow(Call& call) {
  ASSIGN_OR_RETURN(const std::string name, DecodeOllamaShow(call.body));
  ASSIGN_OR_RETURN(const ModelStatus model, call.services.gateway.FindModel(name));
  return JsonResponse(EncodeOllamaShow(model, StartedText(call)));
}

Result<HttpResponse> HandleHomeLoad(Call& call) {
  ASSIGN_OR_RETURN(const std::string name, DecodeHomeLoad(call.body));
  ASSIGN_OR_RETURN(const bool loaded_now, call.services.gateway.LoadModel(name));
  return JsonResponse(EncodeHomeLoad(name, loaded_now));
}

Result<HttpResponse> HandleHomeInfer(Call& call) {
  ASSIGN_OR_RETURN(const HomeInferCall decoded, DecodeHomeInfer(call.body));
  ASSIGN_OR_RETURN(const ModelStatus model, call.services.gateway.FindModel(decoded.model));
  if (!decoded.documents.empty()) return InferRerank(call, decoded);
  if (model.classifies) return InferClassify(call, decoded);
  EmbedRequest request;
  request.inputs.assign(decoded.texts.begin(), decoded.texts.end());
  call.work = {
      .job = Job::kEmbed, .batch = !decoded.single, .characters = CharactersOf(request.inputs)};
  ASSIGN_OR_RETURN(
      const EmbedReply reply,
      call.services.gateway.Embed(decoded.model, std::move(request), {}, call.context));
  Record(reply.embeddings, reply.model, call.work);
  nlohmann::ordered_json rows = Rows(reply.embeddings);
  // An embedding has no confidence.
  return JsonResponse(
      EncodeHomeInfer(decoded.single ? nlohmann::ordered_json(rows[0]) : rows, -1, call.elapsed()));
}

Result<HttpResponse> HandleHomeStatus(Call& call) {
  return JsonResponse(EncodeHomeStatus(call.services.gateway.Models(),
                                       call.services.settings.engine.models_folder));
}

Result<HttpResponse> HandleHomeWarmup(Call& call) {
  nlohmann::ordered_json loaded = nlohmann::ordered_json::array();
  nlohmann::ordered_json failed = nlohmann::ordered_json::object();
  for (const ModelStatus& model : call.services.gateway.Models()) {
    RETURN_IF_ERROR(call.context.Check(call.services.clock.Now()));
    const Result<bool> done = call.services.gateway.LoadModel(model.info.id);
    if (done) {
      loaded.push_back(model.info.id);
    } else {
      failed[model.info.id] = done.error().ToString();
    }
  }
  const int status = failed.empty() ? 200 : 207;  // as the registry's init: some did not load
  return JsonResponse(DumpJson({{"status", failed.empty() ? "ok" : "partial"},
                                {"loaded", std::move(loaded)},
                                {"failed", std::move(failed)}}),
                      status);
}

}  // namespace garrison
