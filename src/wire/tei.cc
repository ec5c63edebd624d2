#include "wire/tei.h"

#include <fmt/format.h>

#include <utility>

#include "core/json.h"
#include "wire/fields.h"

namespace garrison {
namespace {

using Json = nlohmann::json;
using OrderedJson = nlohmann::ordered_json;

Result<LongInputChoice> DecodeChoice(const Fields& fields) {
  LongInputChoice choice;
  ASSIGN_OR_RETURN(const std::optional<bool> truncate, fields.Flag("truncate"));
  if (truncate) {
    choice.policy = *truncate ? LongInput::Policy::kTruncate : LongInput::Policy::kError;
  }
  ASSIGN_OR_RETURN(const std::string side, fields.TextOr("truncation_direction", ""));
  if (side == "left" || side == "Left") {
    choice.side = LongInput::Side::kLeft;
  } else if (side == "right" || side == "Right") {
    choice.side = LongInput::Side::kRight;
  } else if (!side.empty()) {
    return FailAt(fields.Place("truncation_direction"), Code::kInvalidArgument,
                  "expected \"right\" or \"left\", got \"{}\"", side.substr(0, 40));
  }
  return choice;
}

// That server refuses empty texts by themselves, with an error of their own.
Result<> RefuseEmpty(std::string_view text, std::string where) {
  if (!text.empty()) return {};
  return FailAt(std::move(where), Code::kOutOfRange, "the text cannot be empty");
}

// One text or pair: "text", ["text"] or ["text", "pair"].
Result<SequenceInput> DecodeSequence(const Json& input, const std::string& where) {
  constexpr std::string_view kExpected = "a text, or a list of one text or two";
  if (input.is_string()) {
    RETURN_IF_ERROR(RefuseEmpty(input.get_ref<const std::string&>(), where));
    return SequenceInput(input.get<std::string>());
  }
  if (!input.is_array()) return WrongType(where, kExpected, input);
  if (input.empty() || input.size() > 2) {
    return FailAt(where, Code::kInvalidArgument, "expected {}, got {} of them", kExpected,
                  input.size());
  }
  for (std::size_t i = 0; i < input.size(); ++i) {
    const std::string place = fmt::format("{}[{}]", where, i);
    if (!input[i].is_string()) return WrongType(place, "a text", input[i]);
    RETURN_IF_ERROR(RefuseEmpty(input[i].get_ref<const std::string&>(), place));
  }
  if (input.size() == 1) return SequenceInput(input[0].get<std::string>());
  return SequenceInput(TextPair{input[0].get<std::string>(), input[1].get<std::string>()});
}

OrderedJson Predictions(std::span<const float> scores, std::span<const std::string> labels) {
  OrderedJson list = OrderedJson::array();
  for (const std::size_t i : Ranking(scores)) {
    list.push_back({{"score", scores[i]}, {"label", labels[i]}});
  }
  return list;
}

}  // namespace

Result<TeiEmbedCall> DecodeTeiEmbed(const Json& body) {
  ASSIGN_OR_RETURN(const Fields fields, Fields::Of(body));
  TeiEmbedCall call;
  if (const Json* inputs = fields.Find("inputs");
      inputs != nullptr && inputs->is_array() && inputs->empty()) {
    return FailAt("inputs", Code::kOutOfRange, "the list cannot be empty");
  }
  ASSIGN_OR_RETURN(call.request.inputs, fields.Inputs("inputs"));
  call.batch = call.request.inputs.size() > 1 || fields.Find("inputs")->is_array();
  for (std::size_t i = 0; i < call.request.inputs.size(); ++i) {
    const auto* text = std::get_if<std::string>(&call.request.inputs[i]);
    if (text != nullptr) RETURN_IF_ERROR(RefuseEmpty(*text, fmt::format("inputs[{}]", i)));
  }
  ASSIGN_OR_RETURN(call.choice, DecodeChoice(fields));
  ASSIGN_OR_RETURN(call.request.prompt, fields.TextOr("prompt_name", ""));
  ASSIGN_OR_RETURN(call.request.dimensions, fields.Count("dimensions"));
  ASSIGN_OR_RETURN(call.request.normalize, fields.FlagOr("normalize", true));
  return call;
}

std::string EncodeTeiEmbed(const Embeddings& embeddings) {
  std::string json = "[";
  for (std::size_t i = 0; i < embeddings.size(); ++i) {
    if (i > 0) json += ',';
    AppendFloats(embeddings.row(i), json);
  }
  return json + "]";
}

std::string EncodeTeiEmbedAll(const TokenVectors& vectors) {
  std::string json = "[";
  const std::span<const float> values(vectors.values);
  std::size_t row = 0;
  for (std::size_t i = 0; i < vectors.tokens.size(); ++i) {
    json += i > 0 ? ",[" : "[";
    for (std::size_t t = 0; t < vectors.tokens[i]; ++t, ++row) {
      if (t > 0) json += ',';
      AppendFloats(values.subspan(row * vectors.dimension, vectors.dimension), json);
    }
    json += ']';
  }
  return json + "]";
}

Result<TeiRerankCall> DecodeTeiRerank(const Json& body) {
  ASSIGN_OR_RETURN(const Fields fields, Fields::Of(body));
  TeiRerankCall call;
  ASSIGN_OR_RETURN(call.request.query, fields.Text("query"));
  RETURN_IF_ERROR(RefuseEmpty(call.request.query, "query"));
  ASSIGN_OR_RETURN(call.request.documents, fields.Texts("texts"));
  if (call.request.documents.empty()) {
    return FailAt("texts", Code::kOutOfRange, "the list cannot be empty");
  }
  ASSIGN_OR_RETURN(call.choice, DecodeChoice(fields));
  ASSIGN_OR_RETURN(call.raw_scores, fields.FlagOr("raw_scores", false));
  ASSIGN_OR_RETURN(call.return_text, fields.FlagOr("return_text", false));
  return call;
}

std::string EncodeTeiRerank(const TeiRerankCall& call, const Relevance& relevance) {
  const std::vector<float>& scores = call.raw_scores ? relevance.logits : relevance.scores;
  OrderedJson list = OrderedJson::array();
  for (const std::size_t i : Ranking(relevance.logits)) {
    OrderedJson entry = {{"index", i}};
    if (call.return_text) entry["text"] = call.request.documents[i];
    entry["score"] = scores[i];
    list.push_back(std::move(entry));
  }
  return DumpJson(list);
}

Result<TeiPredictCall> DecodeTeiPredict(const Json& body) {
  ASSIGN_OR_RETURN(const Fields fields, Fields::Of(body));
  TeiPredictCall call;
  const Json* inputs = fields.Find("inputs");
  if (inputs == nullptr) {
    return FailAt("inputs", Code::kInvalidArgument, "the field is missing; expected a text");
  }
  if (inputs->is_array() && inputs->empty()) {
    return FailAt("inputs", Code::kOutOfRange, "the list cannot be empty");
  }
  call.batch = inputs->is_array() && inputs->front().is_array();
  if (call.batch) {
    for (std::size_t i = 0; i < inputs->size(); ++i) {
      ASSIGN_OR_RETURN(SequenceInput input,
                       DecodeSequence((*inputs)[i], fmt::format("inputs[{}]", i)));
      call.inputs.push_back(std::move(input));
    }
  } else {
    ASSIGN_OR_RETURN(SequenceInput input, DecodeSequence(*inputs, "inputs"));
    call.inputs.push_back(std::move(input));
  }
  ASSIGN_OR_RETURN(call.choice, DecodeChoice(fields));
  ASSIGN_OR_RETURN(call.raw_scores, fields.FlagOr("raw_scores", false));
  return call;
}

std::string EncodeTeiPredict(const TeiPredictCall& call, const Classifications& classes,
                             std::span<const std::string> labels) {
  const std::span<const float> scores(call.raw_scores ? classes.logits : classes.scores);
  OrderedJson lists = OrderedJson::array();
  for (std::size_t i = 0; i < call.inputs.size(); ++i) {
    lists.push_back(Predictions(scores.subspan(i * classes.labels, classes.labels), labels));
  }
  return DumpJson(call.batch ? lists : lists[0]);
}

Result<TeiSimilarityCall> DecodeTeiSimilarity(const Json& body) {
  ASSIGN_OR_RETURN(const Fields fields, Fields::Of(body));
  const Json* inputs = fields.Find("inputs");
  if (inputs == nullptr) {
    return FailAt("inputs", Code::kInvalidArgument,
                  "the field is missing; expected {{source_sentence, sentences}}");
  }
  ASSIGN_OR_RETURN(const Fields texts, Fields::Of(*inputs, "inputs."));
  TeiSimilarityCall call;
  ASSIGN_OR_RETURN(call.source, texts.Text("source_sentence"));
  RETURN_IF_ERROR(RefuseEmpty(call.source, "inputs.source_sentence"));
  ASSIGN_OR_RETURN(call.sentences, texts.Texts("sentences"));
  if (call.sentences.empty()) {
    return FailAt("inputs.sentences", Code::kOutOfRange, "the list cannot be empty");
  }
  if (const Json* parameters = fields.Find("parameters"); parameters != nullptr) {
    ASSIGN_OR_RETURN(const Fields options, Fields::Of(*parameters, "parameters."));
    ASSIGN_OR_RETURN(call.choice, DecodeChoice(options));
    ASSIGN_OR_RETURN(call.prompt, options.TextOr("prompt_name", ""));
  }
  return call;
}

std::string EncodeTeiSimilarity(std::span<const float> cosines) {
  std::string json;
  AppendFloats(cosines, json);
  return json;
}

Result<TeiTokenizeCall> DecodeTeiTokenize(const Json& body) {
  ASSIGN_OR_RETURN(const Fields fields, Fields::Of(body));
  TeiTokenizeCall call;
  const Json* inputs = fields.Find("inputs");
  if (inputs != nullptr && inputs->is_array()) {
    ASSIGN_OR_RETURN(call.texts, fields.Texts("inputs"));
  } else {
    ASSIGN_OR_RETURN(std::string text, fields.Text("inputs"));
    call.texts.push_back(std::move(text));
  }
  if (call.texts.empty()) return FailAt("inputs", Code::kOutOfRange, "the list cannot be empty");
  ASSIGN_OR_RETURN(call.prompt, fields.TextOr("prompt_name", ""));
  ASSIGN_OR_RETURN(call.add_special_tokens, fields.FlagOr("add_special_tokens", true));
  return call;
}

std::string EncodeTeiTokenize(std::span<const std::vector<TextToken>> texts) {
  OrderedJson lists = OrderedJson::array();
  for (const std::vector<TextToken>& tokens : texts) {
    OrderedJson list = OrderedJson::array();
    for (const TextToken& token : tokens) {
      OrderedJson entry = {{"id", token.id},
                           {"text", token.text},
                           {"special", token.special},
                           {"start", nullptr},
                           {"stop", nullptr}};
      if (token.range) {
        entry["start"] = token.range->first;
        entry["stop"] = token.range->second;
      }
      list.push_back(std::move(entry));
    }
    lists.push_back(std::move(list));
  }
  return DumpJson(lists);
}

Result<TeiDecodeCall> DecodeTeiDecode(const Json& body) {
  ASSIGN_OR_RETURN(const Fields fields, Fields::Of(body));
  TeiDecodeCall call;
  const Json* ids = fields.Find("ids");
  if (ids == nullptr || !ids->is_array()) {
    return FailAt("ids", Code::kInvalidArgument, "expected a list of token ids, got {}",
                  ids == nullptr ? "nothing" : JsonTypeName(*ids));
  }
  if (ids->empty()) return FailAt("ids", Code::kOutOfRange, "the list cannot be empty");
  if (ids->front().is_array()) {
    for (std::size_t i = 0; i < ids->size(); ++i) {
      const std::string where = fmt::format("ids[{}]", i);
      ASSIGN_OR_RETURN(std::vector<std::int32_t> list, JsonTokenIds((*ids)[i], where));
      if (list.empty()) return FailAt(where, Code::kOutOfRange, "the list cannot be empty");
      call.ids.push_back(std::move(list));
    }
  } else {
    ASSIGN_OR_RETURN(std::vector<std::int32_t> list, JsonTokenIds(*ids, "ids"));
    call.ids.push_back(std::move(list));
  }
  ASSIGN_OR_RETURN(call.skip_special_tokens, fields.FlagOr("skip_special_tokens", true));
  return call;
}

std::string EncodeTeiTexts(std::span<const std::string> texts) {
  OrderedJson list = OrderedJson::array();
  for (const std::string& text : texts) list.push_back(text);
  return DumpJson(list);
}

std::string EncodeTeiInfo(const ModelStatus& model, const Settings& settings, std::size_t threads,
                          std::string_view version) {
  OrderedJson type;
  if (model.embeds) {
    type = {{"embedding", {{"pooling", model.info.pooling}}}};
  } else {
    OrderedJson id2label = OrderedJson::object(), label2id = OrderedJson::object();
    for (std::size_t i = 0; i < model.labels.size(); ++i) {
      id2label[std::to_string(i)] = model.labels[i];
      label2id[model.labels[i]] = i;
    }
    type = {{model.reranks ? "reranker" : "classifier",
             {{"id2label", std::move(id2label)}, {"label2id", std::move(label2id)}}}};
  }
  const std::string& compute = model.info.compute;  // "cpu-int8-avx2"
  const std::size_t dash = compute.find('-');
  const std::string dtype = dash == std::string::npos
                                ? compute
                                : compute.substr(dash + 1, compute.find('-', dash + 1) - dash - 1);
  return DumpJson({{"model_id", model.info.id},
                   {"model_sha", model.info.revision},
                   {"model_dtype", dtype},
                   {"served_model_name", model.info.id},
                   {"model_type", std::move(type)},
                   {"max_concurrent_requests", settings.limits.queue},
                   {"max_input_length", model.info.max_tokens},
                   {"max_batch_tokens", settings.limits.input_bytes},
                   {"max_batch_requests", nullptr},
                   {"max_client_batch_size", settings.limits.inputs_per_request},
                   {"auto_truncate", settings.engine.long_input == "truncate"},
                   {"tokenization_workers", threads},
                   {"version", version},
                   {"sha", nullptr},
                   {"docker_label", nullptr}});
}

std::string EncodeTeiError(const Error& error, std::string_view type) {
  return DumpJson({{"error", error.Sentence()}, {"error_type", type}});
}

}  // namespace garrison
