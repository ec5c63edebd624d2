#include "server/grpc_tei.h"

#include <algorithm>
#include <limits>
#include <map>
#include <numeric>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "server/model_work.h"

namespace garrison {
namespace {

namespace pb = ::tei::v1;

std::uint32_t Clamp(std::size_t count) {
  return static_cast<std::uint32_t>(
      std::min<std::size_t>(count, std::numeric_limits<std::uint32_t>::max()));
}

// Code points of valid UTF-8.
std::size_t CountChars(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  }));
}

std::size_t Sum(const std::vector<std::size_t>& counts) {
  return std::accumulate(counts.begin(), counts.end(), std::size_t{0});
}

using Job = ModelWork::Job;

// The fields of the gateway's errors as a request of one input has them.
Error ForOneInput(Error error) {
  if (error.where == "input[0]" || error.where == "input") error.where = "inputs";
  if (error.where == "ids[0]") error.where = "ids";
  if (error.where == "prompt") error.where = "prompt_name";
  return error;
}

template <typename T>
Result<T> ForOneInput(Result<T> result) {
  if (result) return result;
  return tl::unexpected(ForOneInput(std::move(result).error()));
}

// A field that is not set reads as false and as RIGHT: then the settings decide, as for a request
// that says nothing.
template <typename Request>
Result<LongInputChoice> ChoiceOf(const Request& request) {
  LongInputChoice choice;
  switch (request.truncation_direction()) {
    case pb::TRUNCATION_DIRECTION_RIGHT:
      if (request.truncate()) choice.side = LongInput::Side::kRight;
      break;
    case pb::TRUNCATION_DIRECTION_LEFT:
      choice.side = LongInput::Side::kLeft;
      break;
    default:
      return FailAt("truncation_direction", Code::kInvalidArgument,
                    "expected TRUNCATION_DIRECTION_RIGHT (0) or TRUNCATION_DIRECTION_LEFT (1), got "
                    "{}",
                    static_cast<int>(request.truncation_direction()));
  }
  if (request.truncate()) choice.policy = LongInput::Policy::kTruncate;
  return choice;
}

template <typename Request>
Result<std::string> PromptOf(const Request& request) {
  if (!request.has_prompt_name()) return std::string();
  if (!request.prompt_name().empty()) return request.prompt_name();
  return FailAt("prompt_name", Code::kInvalidArgument,
                "expected the name of a prompt, got an empty one; leave it out for the model's "
                "default prompt");
}

// "int8" of "cpu-int8-avx2", as GET /info says it.
std::string_view DtypeOf(std::string_view compute) {
  const std::size_t dash = compute.find('-');
  if (dash == std::string_view::npos) return compute;
  compute.remove_prefix(dash + 1);
  return compute.substr(0, compute.find('-'));
}

void Add(const ModelWork& part, ModelWork& sum) {
  sum.job = part.job;
  sum.batch = part.batch;
  sum.tokens.insert(sum.tokens.end(), part.tokens.begin(), part.tokens.end());
  sum.truncated += part.truncated;
  sum.characters += part.characters;
  sum.times.tokenization += part.times.tokenization;
  sum.times.queue += part.times.queue;
  sum.times.inference += part.times.inference;
  sum.compute = part.compute;
}

void SortRanks(pb::RerankResponse& response) {
  std::sort(response.mutable_ranks()->pointer_begin(), response.mutable_ranks()->pointer_end(),
            [](const pb::Rank* a, const pb::Rank* b) {
              return a->score() != b->score() ? a->score() > b->score() : a->index() < b->index();
            });
}

}  // namespace

TeiGrpc::TeiGrpc(const Gateway& gateway, Metrics& metrics, const Clock& clock,
                 const TeiLimits& limits)
    : gateway_(gateway), metrics_(metrics), clock_(clock), limits_(limits) {}

template <typename GatewayReply, typename Answer>
Result<GatewayReply> TeiGrpc::Count(Result<GatewayReply> reply, Answer GatewayReply::* answer,
                                    SteadyTime start, ModelWork& work) const {
  if (reply) {
    Record((*reply).*answer, reply->model, work);
    metrics_.CountWork(work, std::chrono::duration<double>(clock_.Now() - start).count());
  } else {
    metrics_.CountFailedWork(work, reply.error().code);
  }
  return reply;
}

void TeiGrpc::FillMetadata(const ModelWork& work, SteadyTime start, pb::Metadata& metadata) const {
  const auto ns = [](std::chrono::nanoseconds time) {
    return static_cast<std::uint64_t>(std::max<std::int64_t>(0, time.count()));
  };
  metadata.set_compute_chars(Clamp(work.characters));
  metadata.set_compute_tokens(Clamp(Sum(work.tokens)));
  metadata.set_total_time_ns(ns(clock_.Now() - start));
  metadata.set_tokenization_time_ns(ns(work.times.tokenization));
  metadata.set_queue_time_ns(ns(work.times.queue));
  metadata.set_inference_time_ns(ns(work.times.inference));
}

TeiGrpc::Reply<pb::InfoResponse> TeiGrpc::Info(const pb::InfoRequest&,
                                               const RequestContext&) const {
  const std::vector<ModelStatus> models = gateway_.Models();
  if (models.empty()) return Fail(Code::kUnavailable, "there is no model");
  const ModelStatus& model = models.front();
  pb::InfoResponse info;
  info.set_version(GARRISON_VERSION);
  info.set_model_id(model.info.id);
  if (!model.info.revision.empty()) info.set_model_sha(model.info.revision);
  info.set_model_dtype(std::string(DtypeOf(model.info.compute)));
  info.set_model_type(model.embeds    ? pb::MODEL_TYPE_EMBEDDING
                      : model.reranks ? pb::MODEL_TYPE_RERANKER
                                      : pb::MODEL_TYPE_CLASSIFIER);
  info.set_max_concurrent_requests(Clamp(limits_.concurrent_requests));
  info.set_max_input_length(Clamp(model.info.max_tokens));
  info.set_max_batch_tokens(Clamp(limits_.input_bytes));
  info.set_max_client_batch_size(Clamp(limits_.inputs_per_request));
  info.set_tokenization_workers(Clamp(limits_.threads));
  return TeiReply<pb::InfoResponse>{std::move(info), {}};
}

TeiGrpc::Reply<pb::EmbedResponse> TeiGrpc::Embed(const pb::EmbedRequest& request,
                                                 const RequestContext& context) const {
  const SteadyTime start = clock_.Now();
  ASSIGN_OR_RETURN(const LongInputChoice choice, ChoiceOf(request));
  EmbedRequest embed;
  ASSIGN_OR_RETURN(embed.prompt, PromptOf(request));
  embed.inputs.emplace_back(request.inputs());
  embed.normalize = request.normalize();
  if (request.has_dimensions()) embed.dimensions = request.dimensions();
  ModelWork work{.job = Job::kEmbed, .characters = CountChars(request.inputs())};
  ASSIGN_OR_RETURN(const EmbedReply reply,
                   ForOneInput(Count(gateway_.Embed("", std::move(embed), choice, context),
                                     &EmbedReply::embeddings, start, work)));
  pb::EmbedResponse response;
  const std::span<const float> row = reply.embeddings.row(0);
  response.mutable_embeddings()->Add(row.begin(), row.end());
  FillMetadata(work, start, *response.mutable_metadata());
  return TeiReply<pb::EmbedResponse>{std::move(response), std::move(work)};
}

TeiGrpc::Reply<pb::EmbedSparseResponse> TeiGrpc::EmbedSparse(const pb::EmbedSparseRequest&,
                                                             const RequestContext&) const {
  return Fail(Code::kUnimplemented,
              "there are no sparse (SPLADE) models here; Embed gives dense vectors");
}

TeiGrpc::Reply<pb::EmbedAllResponse> TeiGrpc::EmbedAll(const pb::EmbedAllRequest& request,
                                                       const RequestContext& context) const {
  const SteadyTime start = clock_.Now();
  ASSIGN_OR_RETURN(const LongInputChoice choice, ChoiceOf(request));
  EmbedRequest embed;
  ASSIGN_OR_RETURN(embed.prompt, PromptOf(request));
  embed.inputs.emplace_back(request.inputs());
  ModelWork work{.job = Job::kEmbed, .characters = CountChars(request.inputs())};
  ASSIGN_OR_RETURN(const TokenVectorsReply reply,
                   ForOneInput(Count(gateway_.EmbedTokens("", std::move(embed), choice, context),
                                     &TokenVectorsReply::vectors, start, work)));
  const TokenVectors& vectors = reply.vectors;
  pb::EmbedAllResponse response;
  for (std::size_t i = 0; i < vectors.tokens.front(); ++i) {
    const std::span<const float> row =
        std::span(vectors.values).subspan(i * vectors.dimension, vectors.dimension);
    response.add_token_embeddings()->mutable_embeddings()->Add(row.begin(), row.end());
  }
  FillMetadata(work, start, *response.mutable_metadata());
  return TeiReply<pb::EmbedAllResponse>{std::move(response), std::move(work)};
}

TeiGrpc::Reply<pb::PredictResponse> TeiGrpc::Classify(const SequenceInput& input,
                                                      std::size_t characters,
                                                      const LongInputChoice& choice,
                                                      bool raw_scores,
                                                      const RequestContext& context) const {
  const SteadyTime start = clock_.Now();
  ModelWork work{.job = Job::kPredict, .characters = characters};
  ASSIGN_OR_RETURN(const ClassifyReply reply,
                   ForOneInput(Count(gateway_.Classify("", {input}, choice, context),
                                     &ClassifyReply::classes, start, work)));
  const std::vector<float>& scores = raw_scores ? reply.classes.logits : reply.classes.scores;
  std::vector<std::size_t> order(reply.labels.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return scores[a] > scores[b]; });
  pb::PredictResponse response;
  for (const std::size_t label : order) {
    pb::Prediction& prediction = *response.add_predictions();
    prediction.set_score(scores[label]);
    prediction.set_label(reply.labels[label]);
  }
  FillMetadata(work, start, *response.mutable_metadata());
  return TeiReply<pb::PredictResponse>{std::move(response), std::move(work)};
}

TeiGrpc::Reply<pb::PredictResponse> TeiGrpc::Predict(const pb::PredictRequest& request,
                                                     const RequestContext& context) const {
  ASSIGN_OR_RETURN(const LongInputChoice choice, ChoiceOf(request));
  return Classify(request.inputs(), CountChars(request.inputs()), choice, request.raw_scores(),
                  context);
}

TeiGrpc::Reply<pb::PredictResponse> TeiGrpc::PredictPair(const pb::PredictPairRequest& request,
                                                         const RequestContext& context) const {
  ASSIGN_OR_RETURN(const LongInputChoice choice, ChoiceOf(request));
  if (request.inputs_size() != 1 && request.inputs_size() != 2) {
    return FailAt("inputs", Code::kInvalidArgument,
                  "expected one text, or the two texts of a pair, got {}", request.inputs_size());
  }
  std::size_t chars = 0;
  for (const std::string& text : request.inputs()) chars += CountChars(text);
  const SequenceInput input = request.inputs_size() == 1
                                  ? SequenceInput(request.inputs(0))
                                  : SequenceInput(TextPair{request.inputs(0), request.inputs(1)});
  return Classify(input, chars, choice, request.raw_scores(), context);
}

TeiGrpc::Reply<pb::RerankResponse> TeiGrpc::Rerank(const pb::RerankRequest& request,
                                                   const RequestContext& context) const {
  const SteadyTime start = clock_.Now();
  ASSIGN_OR_RETURN(const LongInputChoice choice, ChoiceOf(request));
  if (request.texts().empty()) {
    return FailAt("texts", Code::kInvalidArgument, "expected at least one text, got none");
  }
  RerankRequest rerank;
  rerank.query = request.query();
  rerank.documents.assign(request.texts().begin(), request.texts().end());
  ModelWork work{.job = Job::kPredict, .batch = true};
  for (const std::string& text : request.texts()) {
    work.characters += CountChars(request.query()) + CountChars(text);
  }
  Result<RerankReply> reply = Count(gateway_.Rerank("", std::move(rerank), choice, context),
                                    &RerankReply::relevance, start, work);
  if (!reply) {
    Error error = std::move(reply).error();
    if (error.where.starts_with("documents")) error.where.replace(0, 9, "texts");
    return tl::unexpected(std::move(error));
  }
  const Relevance& relevance = reply->relevance;
  pb::RerankResponse response;
  for (int i = 0; i < request.texts_size(); ++i) {
    const auto at = static_cast<std::size_t>(i);
    pb::Rank& rank = *response.add_ranks();
    rank.set_index(static_cast<std::uint32_t>(i));
    rank.set_score(request.raw_scores() ? relevance.logits[at] : relevance.scores[at]);
    if (request.return_text()) rank.set_text(request.texts(i));
  }
  SortRanks(response);
  FillMetadata(work, start, *response.mutable_metadata());
  return TeiReply<pb::RerankResponse>{std::move(response), std::move(work)};
}

// Texts of one query make one request: a score does not depend on what else is in it.
TeiGrpc::Reply<pb::RerankResponse> TeiGrpc::RerankMessages(
    std::span<const pb::RerankStreamRequest> messages, const RequestContext& context) const {
  const SteadyTime start = clock_.Now();
  if (messages.empty()) {
    return Fail(Code::kInvalidArgument, "expected at least one message before the end, got none");
  }
  std::map<std::tuple<std::string_view, bool, int>, std::vector<std::size_t>> groups;
  for (std::size_t i = 0; i < messages.size(); ++i) {
    const pb::RerankStreamRequest& message = messages[i];
    groups[{message.query(), message.truncate(), message.truncation_direction()}].push_back(i);
  }
  TeiReply<pb::RerankResponse> all;
  for (const auto& [key, members] : groups) {
    const pb::RerankStreamRequest& first = messages[members.front()];
    pb::RerankRequest request;
    request.set_query(first.query());
    request.set_truncate(first.truncate());
    request.set_truncation_direction(first.truncation_direction());
    request.set_raw_scores(messages.front().raw_scores());
    request.set_return_text(messages.front().return_text());
    for (const std::size_t i : members) request.add_texts(messages[i].text());
    Reply<pb::RerankResponse> part = Rerank(request, context);
    if (!part) {
      Error error = std::move(part).error();
      for (std::size_t i = 0; i < members.size(); ++i) {
        if (error.where != fmt::format("texts[{}]", i)) continue;
        error.where = fmt::format("message {}: text", members[i] + 1);
        break;
      }
      return tl::unexpected(std::move(error));
    }
    for (pb::Rank& rank : *part->message.mutable_ranks()) {
      rank.set_index(static_cast<std::uint32_t>(members[rank.index()]));
      all.message.add_ranks()->Swap(&rank);
    }
    Add(part->work, all.work);
  }
  SortRanks(all.message);
  FillMetadata(all.work, start, *all.message.mutable_metadata());
  return all;
}

TeiGrpc::Reply<pb::EncodeResponse> TeiGrpc::Tokenize(const pb::EncodeRequest& request,
                                                     const RequestContext& context) const {
  RETURN_IF_ERROR(context.Check(clock_.Now()));
  ASSIGN_OR_RETURN(const std::string prompt, PromptOf(request));
  if (request.inputs().empty()) {
    return FailAt("inputs", Code::kInvalidArgument, "expected a text, got an empty one");
  }
  ASSIGN_OR_RETURN(const auto texts, ForOneInput(gateway_.Tokenize("", {request.inputs()}, prompt,
                                                                   request.add_special_tokens())));
  pb::EncodeResponse response;
  for (const TextToken& token : texts.front()) {
    pb::SimpleToken& simple = *response.add_tokens();
    simple.set_id(static_cast<std::uint32_t>(token.id));
    simple.set_text(token.text);
    simple.set_special(token.special);
    if (!token.range) continue;
    simple.set_start(token.range->first);
    simple.set_stop(token.range->second);
  }
  return TeiReply<pb::EncodeResponse>{std::move(response), {}};
}

TeiGrpc::Reply<pb::DecodeResponse> TeiGrpc::Decode(const pb::DecodeRequest& request,
                                                   const RequestContext& context) const {
  RETURN_IF_ERROR(context.Check(clock_.Now()));
  if (request.ids().empty()) {
    return FailAt("ids", Code::kInvalidArgument, "expected at least one token id, got none");
  }
  std::vector<std::int32_t> ids;
  for (int i = 0; i < request.ids_size(); ++i) {
    if (request.ids(i) > std::numeric_limits<std::int32_t>::max()) {
      return FailAt(fmt::format("ids[{}]", i), Code::kInvalidArgument,
                    "expected a token id from 0 to {}, got {}",
                    std::numeric_limits<std::int32_t>::max(), request.ids(i));
    }
    ids.push_back(static_cast<std::int32_t>(request.ids(i)));
  }
  ASSIGN_OR_RETURN(
      std::vector<std::string> texts,
      ForOneInput(gateway_.Decode("", {std::move(ids)}, request.skip_special_tokens())));
  pb::DecodeResponse response;
  response.set_text(std::move(texts.front()));
  return TeiReply<pb::DecodeResponse>{std::move(response), {}};
}

}  // namespace garrison
