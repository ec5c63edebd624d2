#include "wire/cohere.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <utility>

#include "core/json.h"
#include "wire/fields.h"

namespace garrison {
namespace {

using Json = nlohmann::json;
using OrderedJson = nlohmann::ordered_json;

Result<std::string> DecodeDocument(const Json& document, const std::string& where,
                                   const std::vector<std::string>& rank_fields) {
  if (document.is_string()) return document.get<std::string>();
  if (!document.is_object()) return WrongType(where, "a text or an object with a text", document);
  ASSIGN_OR_RETURN(const Fields fields, Fields::Of(document, where + "."));
  if (rank_fields.empty()) return fields.Text("text");
  std::string text;
  for (const std::string& name : rank_fields) {
    ASSIGN_OR_RETURN(const std::string part, fields.TextOr(name.c_str(), ""));
    if (part.empty()) continue;
    if (!text.empty()) text += '\n';
    text += part;
  }
  return text;
}

std::size_t Sum(std::span<const std::size_t> counts) {
  return std::accumulate(counts.begin(), counts.end(), std::size_t{0});
}

OrderedJson Usage(std::span<const std::size_t> tokens) {
  const std::size_t total = Sum(tokens);
  return {{"prompt_tokens", total}, {"total_tokens", total}};
}

}  // namespace

Result<CohereRerankCall> DecodeCohereRerank(const Json& body) {
  ASSIGN_OR_RETURN(const Fields fields, Fields::Of(body));
  CohereRerankCall call;
  ASSIGN_OR_RETURN(call.model, fields.TextOr("model", ""));
  ASSIGN_OR_RETURN(call.request.query, fields.Text("query"));
  std::vector<std::string> rank_fields;
  if (fields.Find("rank_fields") != nullptr) {
    ASSIGN_OR_RETURN(rank_fields, fields.Texts("rank_fields"));
  }
  const Json* documents = fields.Find("documents");
  if (documents == nullptr) {
    return FailAt("documents", Code::kInvalidArgument,
                  "the field is missing; expected a list of texts");
  }
  if (!documents->is_array()) return WrongType("documents", "a list of texts", *documents);
  if (documents->empty()) {
    return FailAt("documents", Code::kInvalidArgument,
                  "expected at least one document, got an empty list");
  }
  for (std::size_t i = 0; i < documents->size(); ++i) {
    ASSIGN_OR_RETURN(std::string text,
                     DecodeDocument((*documents)[i], fmt::format("documents[{}]", i), rank_fields));
    call.request.documents.push_back(std::move(text));
  }
  ASSIGN_OR_RETURN(const std::optional<std::size_t> top_n, fields.Count("top_n"));
  call.top_n = std::min(top_n.value_or(documents->size()), documents->size());
  ASSIGN_OR_RETURN(call.return_documents, fields.FlagOr("return_documents", false));
  ASSIGN_OR_RETURN(call.raw_scores, fields.FlagOr("raw_scores", false));
  ASSIGN_OR_RETURN(const std::optional<std::size_t> cut, fields.Count("max_tokens_per_doc"));
  if (cut) call.choice.policy = LongInput::Policy::kTruncate;
  return call;
}

std::string EncodeCohereRerank(const CohereRerankCall& call, const Relevance& relevance,
                               const ModelInfo& model, std::string_view id) {
  const std::vector<float>& scores = call.raw_scores ? relevance.logits : relevance.scores;
  OrderedJson results = OrderedJson::array();
  for (const std::size_t i : Ranking(relevance.logits)) {
    if (results.size() == call.top_n) break;
    OrderedJson entry = {{"index", i}, {"relevance_score", scores[i]}};
    if (call.return_documents) entry["document"] = {{"text", call.request.documents[i]}};
    results.push_back(std::move(entry));
  }
  // Nothing is billed for a model of one's own.
  return DumpJson({{"id", id},
                   {"object", "list"},
                   {"model", model.id},
                   {"results", std::move(results)},
                   {"usage", Usage(relevance.tokens)},
                   {"meta",
                    {{"api_version", {{"version", "2"}}},
                     {"billed_units", {{"search_units", 0}}},
                     {"tokens", {{"input_tokens", Sum(relevance.tokens)}}}}}});
}

std::string EncodeCohereError(const Error& error) {
  return DumpJson({{"message", error.Sentence()}});
}

Result<ClassifyCall> DecodeClassify(const Json& body) {
  ASSIGN_OR_RETURN(const Fields fields, Fields::Of(body));
  ClassifyCall call;
  ASSIGN_OR_RETURN(call.model, fields.TextOr("model", ""));
  ASSIGN_OR_RETURN(call.raw_scores, fields.FlagOr("raw_scores", false));
  ASSIGN_OR_RETURN(std::vector<EmbedInput> inputs, fields.Inputs("input"));
  for (EmbedInput& input : inputs) {
    std::visit([&](auto& value) { call.inputs.emplace_back(std::move(value)); }, input);
  }
  return call;
}

std::string EncodeClassify(const ClassifyCall& call, const Classifications& classes,
                           std::span<const std::string> labels, const ModelInfo& model,
                           std::string_view id, std::int64_t created) {
  const std::span<const float> all(call.raw_scores ? classes.logits : classes.scores);
  OrderedJson data = OrderedJson::array();
  for (std::size_t i = 0; i < call.inputs.size(); ++i) {
    const std::span<const float> scores = all.subspan(i * classes.labels, classes.labels);
    OrderedJson list = OrderedJson::array();
    for (const std::size_t label : Ranking(scores)) {
      list.push_back({{"score", scores[label]}, {"label", labels[label]}});
    }
    data.push_back(std::move(list));
  }
  return DumpJson({{"object", "classify"},
                   {"data", std::move(data)},
                   {"model", model.id},
                   {"usage", Usage(classes.tokens)},
                   {"id", id},
                   {"created", created}});
}

}  // namespace garrison
