#include "wire/home.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "core/json.h"
#include "wire/fields.h"

namespace garrison {
namespace {

using Json = nlohmann::json;
using OrderedJson = nlohmann::ordered_json;

constexpr std::size_t kTopK = 10;

Result<std::string> CandidateText(const Json& candidate, const std::string& where) {
  if (candidate.is_string()) return candidate.get<std::string>();
  ASSIGN_OR_RETURN(const Fields fields, Fields::Of(candidate, where + "."));
  for (const char* name : {"text", "description", "content"}) {
    if (fields.Find(name) != nullptr) return fields.Text(name);
  }
  return FailAt(where, Code::kInvalidArgument, "expected a text, description or content");
}

// The first model that can do it, whatever its state; null when there is none.
const ModelStatus* FirstThat(std::span<const ModelStatus> models, bool ModelStatus::* can) {
  const auto found = std::find_if(models.begin(), models.end(),
                                  [&](const ModelStatus& model) { return model.*can; });
  return found == models.end() ? nullptr : &*found;
}

}  // namespace

Result<EmbedRequest> DecodeHomeEmbeddings(const Json& body) {
  ASSIGN_OR_RETURN(const Fields fields, Fields::Of(body));
  EmbedRequest request;
  ASSIGN_OR_RETURN(std::vector<std::string> texts, fields.Texts("texts"));
  if (texts.empty()) {
    return FailAt("texts", Code::kInvalidArgument, "expected at least one text");
  }
  for (std::string& text : texts) request.inputs.emplace_back(std::move(text));
  ASSIGN_OR_RETURN(request.normalize, fields.FlagOr("normalize", true));
  return request;
}

std::string EncodeHomeEmbeddings(const Embeddings& embeddings, const ModelInfo& model,
                                 std::chrono::duration<double> time) {
  std::string json = R"({"embeddings":[)";
  for (std::size_t i = 0; i < embeddings.size(); ++i) {
    if (i > 0) json += ',';
    AppendFloats(embeddings.row(i), json);
  }
  return json + fmt::format(R"(],"model_name":{},"processing_time":{:.6f}}})", DumpJson(model.id),
                            time.count());
}

Result<HomeRerankCall> DecodeHomeRerank(const Json& body) {
  ASSIGN_OR_RETURN(const Fields fields, Fields::Of(body));
  HomeRerankCall call;
  ASSIGN_OR_RETURN(call.request.query, fields.Text("query"));
  const Json* candidates = fields.Find("candidates");
  if (candidates == nullptr || !candidates->is_array() || candidates->empty()) {
    return FailAt("candidates", Code::kInvalidArgument, "expected a list of at least one");
  }
  for (std::size_t i = 0; i < candidates->size(); ++i) {
    ASSIGN_OR_RETURN(std::string text,
                     CandidateText((*candidates)[i], fmt::format("candidates[{}]", i)));
    call.request.documents.push_back(std::move(text));
    call.candidates.emplace_back((*candidates)[i]);
  }
  ASSIGN_OR_RETURN(const std::optional<std::size_t> top_k, fields.Count("top_k"));
  call.top_k = std::min(top_k.value_or(kTopK), candidates->size());
  return call;
}

std::string EncodeHomeRerank(const HomeRerankCall& call, const Relevance& relevance,
                             const ModelInfo& model, std::chrono::duration<double> time) {
  OrderedJson ranked = OrderedJson::array();
  for (const std::size_t i : Ranking(relevance.logits)) {
    if (ranked.size() == call.top_k) break;
    OrderedJson candidate = call.candidates[i].is_object()
                                ? call.candidates[i]
                                : OrderedJson{{"text", call.candidates[i]}};
    candidate["score"] = relevance.scores[i];
    ranked.push_back(std::move(candidate));
  }
  return DumpJson({{"ranked_candidates", std::move(ranked)},
                   {"model_name", model.id},
                   {"processing_time", time.count()}});
}

Result<std::string> DecodeHomeLoad(const Json& body) {
  ASSIGN_OR_RETURN(const Fields fields, Fields::Of(body));
  return fields.Text("modelId");
}

std::string EncodeHomeLoad(std::string_view model, bool loaded_now) {
  return DumpJson({{"status", loaded_now ? "loaded" : "already_loaded"}, {"modelId", model}});
}

Result<HomeInferCall> DecodeHomeInfer(const Json& body) {
  ASSIGN_OR_RETURN(const Fields fields, Fields::Of(body));
  HomeInferCall call;
  ASSIGN_OR_RETURN(call.model, fields.Text("modelId"));
  const Json* input = fields.Find("input");
  if (input != nullptr && input->is_object()) {
    ASSIGN_OR_RETURN(const Fields pair, Fields::Of(*input, "input."));
    ASSIGN_OR_RETURN(call.query, pair.Text("query"));
    ASSIGN_OR_RETURN(call.documents, pair.Texts("documents"));
    if (call.documents.empty()) {
      return FailAt("input.documents", Code::kInvalidArgument, "expected at least one document");
    }
    return call;
  }
  call.single = input == nullptr || !input->is_array();
  if (call.single) {
    ASSIGN_OR_RETURN(std::string text, fields.Text("input"));
    call.texts.push_back(std::move(text));
  } else {
    ASSIGN_OR_RETURN(call.texts, fields.Texts("input"));
  }
  if (call.texts.empty()) {
    return FailAt("input", Code::kInvalidArgument, "expected at least one text");
  }
  return call;
}

std::string EncodeHomeInfer(OrderedJson output, double confidence,
                            std::chrono::duration<double> time) {
  OrderedJson reply = {
      {"output", std::move(output)}, {"confidence", nullptr}, {"latency_ms", 1000 * time.count()}};
  if (confidence >= 0) reply["confidence"] = confidence;
  return DumpJson(reply);
}

std::string EncodeHomeStatus(std::span<const ModelStatus> models, std::string_view models_folder) {
  OrderedJson status = OrderedJson::object();
  const auto add = [&](const std::string& job, bool ModelStatus::* can) {
    const ModelStatus* model = FirstThat(models, can);
    status[job + "_model"] = nullptr;
    if (model != nullptr) status[job + "_model"] = model->info.id;
    status[job + "_loaded"] = model != nullptr && model->state == ModelState::kLoaded;
  };
  add("embedding", &ModelStatus::embeds);
  add("reranker", &ModelStatus::reranks);
  add("classifier", &ModelStatus::classifies);
  status["openvino_enabled"] = false;
  status["models_dir"] = models_folder;
  return DumpJson(status);
}

std::string EncodeHomeError(const Error& error) { return DumpJson({{"detail", error.Sentence()}}); }

}  // namespace garrison
