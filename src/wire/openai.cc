#include "wire/openai.h"

#include <fmt/format.h>

#include <bit>
#include <iterator>
#include <optional>
#include <utility>
#include <vector>

#include "base/base64.h"
#include "core/json.h"
#include "wire/fields.h"

namespace garrison {
namespace {

using Json = nlohmann::json;
using OrderedJson = nlohmann::ordered_json;

std::string_view StateName(ModelState state) {
  switch (state) {
    case ModelState::kUnloaded:
      return "unloaded";
    case ModelState::kLoading:
      return "loading";
    case ModelState::kLoaded:
      return "loaded";
    case ModelState::kFailed:
      return "failed";
  }
  return "failed";
}

OrderedJson ModelEntry(const ModelStatus& model, std::int64_t created) {
  OrderedJson capabilities = OrderedJson::array();
  if (model.embeds) capabilities.push_back("embed");
  if (model.reranks) capabilities.push_back("rerank");
  if (model.classifies) capabilities.push_back("classify");
  OrderedJson entry = {{"id", model.info.id},
                       {"object", "model"},
                       {"created", created},
                       {"owned_by", "garrison"},
                       {"capabilities", std::move(capabilities)},
                       {"state", StateName(model.state)}};
  if (!model.aliases.empty()) entry["aliases"] = model.aliases;
  if (model.state == ModelState::kFailed) entry["error"] = model.error;
  if (model.state != ModelState::kLoaded) return entry;
  entry["revision"] = model.info.revision;
  // A vendor's is not known before its first answer.
  if (model.embeds && model.info.dimension > 0) entry["dimension"] = model.info.dimension;
  if (model.info.max_tokens > 0) entry["max_tokens"] = model.info.max_tokens;
  if (model.classifies) entry["labels"] = model.labels;
  entry["compute"] = model.info.compute;
  entry["description"] = model.info.description;
  return entry;
}

OrderedJson ModelEntry(const ChatModelStatus& model, std::int64_t created) {
  OrderedJson entry = {
      {"id", model.id},
      {"object", "model"},
      {"created", created},
      {"owned_by", model.provider},
      {"capabilities", {"chat"}},
      {"state", StateName(model.available ? ModelState::kLoaded : ModelState::kFailed)}};
  if (!model.aliases.empty()) entry["aliases"] = model.aliases;
  if (!model.available) entry["error"] = model.error;
  return entry;
}

}  // namespace

Result<OpenAiEmbeddingsCall> DecodeOpenAiEmbeddings(const Json& body) {
  ASSIGN_OR_RETURN(const Fields fields, Fields::Of(body));
  OpenAiEmbeddingsCall call;
  ASSIGN_OR_RETURN(call.model, fields.TextOr("model", ""));
  ASSIGN_OR_RETURN(call.request.inputs, fields.Inputs("input"));
  ASSIGN_OR_RETURN(call.request.dimensions, fields.Count("dimensions"));
  ASSIGN_OR_RETURN(const std::string format, fields.TextOr("encoding_format", "float"));
  if (format != "float" && format != "base64") {
    return FailAt("encoding_format", Code::kInvalidArgument,
                  "expected \"float\" or \"base64\", got \"{}\"", format);
  }
  call.encoding = format == "base64" ? EmbeddingEncoding::kBase64 : EmbeddingEncoding::kFloat;
  return call;
}

Result<OpenAiModerationsCall> DecodeOpenAiModerations(const Json& body) {
  ASSIGN_OR_RETURN(const Fields fields, Fields::Of(body));
  OpenAiModerationsCall call;
  ASSIGN_OR_RETURN(call.model, fields.TextOr("model", ""));
  const Json* input = fields.Find("input");
  if (input == nullptr || !input->is_array()) {
    ASSIGN_OR_RETURN(std::string text, fields.Text("input"));
    call.texts.push_back(std::move(text));
    return call;
  }
  if (input->empty()) {
    return FailAt("input", Code::kInvalidArgument, "expected at least one text, got an empty list");
  }
  // Parts of one message: [{"type": "text", "text": ..}].
  for (std::size_t i = 0; i < input->size(); ++i) {
    const std::string where = fmt::format("input[{}]", i);
    const Json& one = (*input)[i];
    if (one.is_string()) {
      call.texts.push_back(one.get<std::string>());
      continue;
    }
    if (!one.is_object()) return WrongType(where, "a string or a part with a text", one);
    ASSIGN_OR_RETURN(const Fields part, Fields::Of(one, where + "."));
    ASSIGN_OR_RETURN(const std::string type, part.Text("type"));
    if (type != "text") {
      return FailAt(part.Place("type"), Code::kUnimplemented,
                    "expected \"text\", got \"{}\"; images are not moderated here",
                    type.substr(0, 40));
    }
    ASSIGN_OR_RETURN(std::string text, part.Text("text"));
    call.texts.push_back(std::move(text));
  }
  return call;
}

std::string EncodeOpenAiEmbeddings(const Embeddings& embeddings, const ModelInfo& model,
                                   EmbeddingEncoding encoding) {
  static_assert(std::endian::native == std::endian::little, "base64 carries little-endian floats");
  // Written by hand: a tree of a million JSON numbers costs more than the embedding itself.
  std::string text = R"({"object":"list","data":[)";
  std::size_t tokens = 0;
  for (std::size_t i = 0; i < embeddings.size(); ++i) {
    fmt::format_to(std::back_inserter(text), R"({}{{"object":"embedding","index":{},"embedding":)",
                   i == 0 ? "" : ",", i);
    const std::span<const float> row = embeddings.row(i);
    if (encoding == EmbeddingEncoding::kBase64) {
      text += '"';
      text += EncodeBase64(std::as_bytes(row));
      text += '"';
    } else {
      AppendFloats(row, text);
    }
    text += '}';
    tokens += embeddings.tokens[i];
  }
  fmt::format_to(std::back_inserter(text),
                 R"(],"model":{},"usage":{{"prompt_tokens":{},"total_tokens":{}}}}})",
                 DumpJson(model.id), tokens, tokens);
  return text;
}

std::string EncodeOpenAiModels(std::span<const ModelStatus> models,
                               std::span<const ChatModelStatus> chat, std::int64_t created) {
  OrderedJson data = OrderedJson::array();
  for (const ModelStatus& model : models) data.push_back(ModelEntry(model, created));
  for (const ChatModelStatus& model : chat) data.push_back(ModelEntry(model, created));
  return DumpJson({{"object", "list"}, {"data", std::move(data)}});
}

std::string EncodeOpenAiModel(const ModelStatus& model, std::int64_t created) {
  return DumpJson(ModelEntry(model, created));
}

std::string EncodeOpenAiModel(const ChatModelStatus& model, std::int64_t created) {
  return DumpJson(ModelEntry(model, created));
}

std::string EncodeOpenAiModerations(std::span<const Moderation> moderations, std::string_view id,
                                    std::string_view model) {
  OrderedJson results = OrderedJson::array();
  for (const Moderation& moderation : moderations) {
    OrderedJson categories = OrderedJson::object();
    OrderedJson scores = OrderedJson::object();
    OrderedJson types = OrderedJson::object();
    for (const Moderation::Category& category : moderation.categories) {
      categories[category.name] = category.flagged;
      scores[category.name] = category.score;
      types[category.name] = {"text"};
    }
    results.push_back({{"flagged", moderation.flagged},
                       {"categories", std::move(categories)},
                       {"category_scores", std::move(scores)},
                       {"category_applied_input_types", std::move(types)}});
  }
  return DumpJson({{"id", id}, {"model", model}, {"results", std::move(results)}});
}

std::string EncodeOpenAiError(const Error& error, std::string_view type) {
  OrderedJson body = {{"message", error.Sentence()},
                      {"type", type},
                      {"param", nullptr},
                      {"code", error.reason.empty() ? CodeName(error.code) : error.reason}};
  if (!error.where.empty()) body["param"] = error.where;
  return DumpJson({{"error", std::move(body)}});
}

}  // namespace garrison
