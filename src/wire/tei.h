// text-embeddings-inference's JSON shapes to and from core types. Pure: no input or output.
//
// Field names, defaults and the order of results are that server's. INVALID_ARGUMENT names the
// field at fault; OUT_OF_RANGE is its error "Empty". Fields that it does not know are ignored.
#pragma once

#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "core/embedder.h"
#include "core/model_catalog.h"
#include "core/reranker.h"
#include "core/settings.h"
#include "core/text_codec.h"

namespace garrison {

struct TeiEmbedCall {
  EmbedRequest request;
  LongInputChoice choice;
  bool batch = false;  // inputs was a list
};
// Bodies of POST /embed and /embed_all: {inputs, truncate?, truncation_direction?, prompt_name?,
// normalize?, dimensions?}.
Result<TeiEmbedCall> DecodeTeiEmbed(const nlohmann::json& body);
// [[f32]], also for one input.
std::string EncodeTeiEmbed(const Embeddings& embeddings);
// [[[f32]]]: for each input a vector for each token.
std::string EncodeTeiEmbedAll(const TokenVectors& vectors);

struct TeiRerankCall {
  RerankRequest request;
  LongInputChoice choice;
  bool raw_scores = false;
  bool return_text = false;
};
// {query, texts, truncate?, truncation_direction?, raw_scores?, return_text?}
Result<TeiRerankCall> DecodeTeiRerank(const nlohmann::json& body);
// [{"index","text"?,"score"}] from the highest score to the lowest.
std::string EncodeTeiRerank(const TeiRerankCall& call, const Relevance& relevance);

struct TeiPredictCall {
  std::vector<SequenceInput> inputs;
  LongInputChoice choice;
  bool raw_scores = false;
  bool batch = false;
};
// inputs: "text", ["text", "pair"], or a batch [["text"], ["text", "pair"]].
Result<TeiPredictCall> DecodeTeiPredict(const nlohmann::json& body);
// [{"score","label"}], of a batch a list of these, from the highest score to the lowest.
std::string EncodeTeiPredict(const TeiPredictCall& call, const Classifications& classes,
                             std::span<const std::string> labels);

struct TeiSimilarityCall {
  std::string source;
  std::vector<std::string> sentences;
  std::string prompt;
  LongInputChoice choice;
};
// {inputs: {source_sentence, sentences}, parameters?: {truncate, truncation_direction,
// prompt_name}}
Result<TeiSimilarityCall> DecodeTeiSimilarity(const nlohmann::json& body);
std::string EncodeTeiSimilarity(std::span<const float> cosines);

struct TeiTokenizeCall {
  std::vector<std::string> texts;
  std::string prompt;
  bool add_special_tokens = true;
};
// {inputs: text or list, add_special_tokens?, prompt_name?}
Result<TeiTokenizeCall> DecodeTeiTokenize(const nlohmann::json& body);
// [[{"id","text","special","start","stop"}]]
std::string EncodeTeiTokenize(std::span<const std::vector<TextToken>> texts);

struct TeiDecodeCall {
  std::vector<std::vector<std::int32_t>> ids;
  bool skip_special_tokens = true;
};
// {ids: list or list of lists, skip_special_tokens?}
Result<TeiDecodeCall> DecodeTeiDecode(const nlohmann::json& body);
std::string EncodeTeiTexts(std::span<const std::string> texts);

// Body of GET /info. `model` is the default one.
std::string EncodeTeiInfo(const ModelStatus& model, const Settings& settings, std::size_t threads,
                          std::string_view version);

// {"error","error_type"}
std::string EncodeTeiError(const Error& error, std::string_view type);

}  // namespace garrison
