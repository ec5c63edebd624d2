#include "wire/ollama.h"

#include <fmt/format.h>

#include <numeric>
#include <utility>

#include "core/json.h"
#include "wire/fields.h"

namespace garrison {
namespace {

using Json = nlohmann::json;
using OrderedJson = nlohmann::ordered_json;

// Clients add the tag of the newest version to names that have none.
std::string WithoutTag(std::string model) {
  constexpr std::string_view kTag = ":latest";
  if (model.ends_with(kTag)) model.resize(model.size() - kTag.size());
  return model;
}

OrderedJson Details(const ModelStatus& model) {
  OrderedJson details = {{"parent_model", ""}, {"format", "safetensors"}};
  if (model.state != ModelState::kLoaded) return details;
  details["family"] = model.info.family;
  details["families"] = {model.info.family};
  details["quantization_level"] = model.info.compute;
  return details;
}

OrderedJson Capabilities(const ModelStatus& model) {
  OrderedJson capabilities = OrderedJson::array();
  if (model.embeds) capabilities.push_back("embedding");
  if (model.reranks) capabilities.push_back("rerank");
  if (model.classifies) capabilities.push_back("classify");
  return capabilities;
}

}  // namespace

Result<OllamaEmbedCall> DecodeOllamaEmbed(const Json& body) {
  ASSIGN_OR_RETURN(const Fields fields, Fields::Of(body));
  OllamaEmbedCall call;
  ASSIGN_OR_RETURN(std::string model, fields.Text("model"));
  call.model = WithoutTag(std::move(model));
  ASSIGN_OR_RETURN(call.request.inputs, fields.Inputs("input"));
  ASSIGN_OR_RETURN(const bool truncate, fields.FlagOr("truncate", true));
  call.choice.policy = truncate ? LongInput::Policy::kTruncate : LongInput::Policy::kError;
  ASSIGN_OR_RETURN(call.request.dimensions, fields.Count("dimensions"));
  call.request.normalize = true;
  return call;
}

std::string EncodeOllamaEmbed(const Embeddings& embeddings, std::string_view model,
                              std::chrono::nanoseconds total) {
  const std::size_t tokens =
      std::accumulate(embeddings.tokens.begin(), embeddings.tokens.end(), std::size_t{0});
  std::string json = fmt::format(R"({{"model":{},"embeddings":[)", DumpJson(model));
  for (std::size_t i = 0; i < embeddings.size(); ++i) {
    if (i > 0) json += ',';
    AppendFloats(embeddings.row(i), json);
  }
  json += fmt::format(R"(],"total_duration":{},"load_duration":0,"prompt_eval_count":{}}})",
                      total.count(), tokens);
  return json;
}

Result<OllamaEmbedCall> DecodeOllamaEmbeddings(const Json& body) {
  ASSIGN_OR_RETURN(const Fields fields, Fields::Of(body));
  OllamaEmbedCall call;
  ASSIGN_OR_RETURN(std::string model, fields.Text("model"));
  call.model = WithoutTag(std::move(model));
  ASSIGN_OR_RETURN(std::string prompt, fields.Text("prompt"));
  call.request.inputs.emplace_back(std::move(prompt));
  call.choice.policy = LongInput::Policy::kTruncate;
  call.request.normalize = true;
  return call;
}

std::string EncodeOllamaEmbeddings(const Embeddings& embeddings) {
  std::string json = R"({"embedding":)";
  AppendFloats(embeddings.row(0), json);
  return json + "}";
}

Result<std::string> DecodeOllamaShow(const Json& body) {
  ASSIGN_OR_RETURN(const Fields fields, Fields::Of(body));
  const char* name =
      fields.Find("model") == nullptr && fields.Find("name") != nullptr ? "name" : "model";
  ASSIGN_OR_RETURN(std::string model, fields.Text(name));
  return WithoutTag(std::move(model));
}

std::string EncodeOllamaShow(const ModelStatus& model, std::string_view modified) {
  OrderedJson info = OrderedJson::object();
  if (model.state == ModelState::kLoaded) {
    info["general.architecture"] = model.info.family;
    if (model.embeds) info[model.info.family + ".embedding_length"] = model.info.dimension;
    if (model.info.max_tokens > 0) {
      info[model.info.family + ".context_length"] = model.info.max_tokens;
    }
  }
  return DumpJson({{"modelfile", ""},
                   {"parameters", ""},
                   {"template", ""},
                   {"details", Details(model)},
                   {"model_info", std::move(info)},
                   {"capabilities", Capabilities(model)},
                   {"modified_at", modified}});
}

std::string EncodeOllamaTags(std::span<const ModelStatus> models, std::string_view modified) {
  OrderedJson list = OrderedJson::array();
  for (const ModelStatus& model : models) {
    list.push_back({{"name", model.info.id},
                    {"model", model.info.id},
                    {"modified_at", modified},
                    {"size", model.info.file_bytes},
                    {"digest", model.info.revision},
                    {"details", Details(model)}});
  }
  return DumpJson({{"models", std::move(list)}});
}

std::string EncodeOllamaError(const Error& error) {
  return DumpJson({{"error", error.Sentence()}});
}

}  // namespace garrison
