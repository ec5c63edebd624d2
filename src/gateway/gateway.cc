#include "gateway/gateway.h"

#include <algorithm>
#include <functional>
#include <numeric>
#include <optional>
#include <utility>
#include <variant>

#include "guard/kinematics.h"

namespace garrison {

Gateway::Gateway(const ModelCatalog& models, const GuardMonitor& monitor, GuardSessions& sessions,
                 const Settings& settings, const Clock& clock, const GuardParts& parts)
    : models_(models),
      monitor_(monitor),
      sessions_(sessions),
      limits_(settings.limits),
      long_input_(LongInputOf(settings.engine)),
      guard_(settings.guard),
      parts_(parts),
      clock_(clock) {}

Result<> Gateway::CheckSize(std::size_t size, std::string where) const {
  if (size <= static_cast<std::size_t>(limits_.input_bytes)) return {};
  return FailAt(std::move(where), Code::kInvalidArgument,
                "expected at most {} bytes or ids, got {}; split the text", limits_.input_bytes,
                size);
}

Result<> Gateway::CheckCount(std::size_t count, const char* where, const char* what) const {
  if (count <= static_cast<std::size_t>(limits_.inputs_per_request)) return {};
  return FailAt(where, Code::kInvalidArgument,
                "expected at most {} {}, got {}; send several requests", limits_.inputs_per_request,
                what, count);
}

LongInput Gateway::LongInputFor(const LongInputChoice& choice) const {
  return {choice.policy.value_or(long_input_.policy), choice.side.value_or(long_input_.side)};
}

LongInput Gateway::LongInputForPairs(const LongInputChoice& choice) const {
  LongInput long_input = LongInputFor(choice);
  if (!choice.policy && long_input.policy == LongInput::Policy::kChunk) {
    long_input.policy = LongInput::Policy::kError;
  }
  return long_input;
}

Result<> Gateway::CheckEmbed(EmbedRequest& request, const LongInputChoice& choice,
                             const RequestContext& context) const {
  RETURN_IF_ERROR(context.Check(clock_.Now()));
  RETURN_IF_ERROR(CheckCount(request.inputs.size(), "input", "texts"));
  for (std::size_t i = 0; i < request.inputs.size(); ++i) {
    const auto* text = std::get_if<std::string>(&request.inputs[i]);
    const std::size_t size =
        text != nullptr ? text->size() : std::get<TokenIds>(request.inputs[i]).ids.size();
    RETURN_IF_ERROR(CheckSize(size, fmt::format("input[{}]", i)));
  }
  request.long_input = LongInputFor(choice);
  return {};
}

Result<EmbedReply> Gateway::Embed(std::string_view model, EmbedRequest request,
                                  const LongInputChoice& choice,
                                  const RequestContext& context) const {
  RETURN_IF_ERROR(CheckEmbed(request, choice, context));
  ASSIGN_OR_RETURN(const std::shared_ptr<const Embedder> embedder, models_.FindEmbedder(model));
  ASSIGN_OR_RETURN(Embeddings embeddings, embedder->Embed(request, context));
  return EmbedReply{std::move(embeddings), embedder->info()};
}

Result<TokenVectorsReply> Gateway::EmbedTokens(std::string_view model, EmbedRequest request,
                                               const LongInputChoice& choice,
                                               const RequestContext& context) const {
  RETURN_IF_ERROR(CheckEmbed(request, choice, context));
  ASSIGN_OR_RETURN(const std::shared_ptr<const Embedder> embedder, models_.FindEmbedder(model));
  ASSIGN_OR_RETURN(TokenVectors vectors, embedder->EmbedTokens(request, context));
  return TokenVectorsReply{std::move(vectors), embedder->info()};
}

Result<RerankReply> Gateway::Rerank(std::string_view model, RerankRequest request,
                                    const LongInputChoice& choice,
                                    const RequestContext& context) const {
  RETURN_IF_ERROR(context.Check(clock_.Now()));
  RETURN_IF_ERROR(CheckCount(request.documents.size(), "documents", "documents"));
  RETURN_IF_ERROR(CheckSize(request.query.size(), "query"));
  for (std::size_t i = 0; i < request.documents.size(); ++i) {
    RETURN_IF_ERROR(CheckSize(request.documents[i].size(), fmt::format("documents[{}]", i)));
  }
  ASSIGN_OR_RETURN(const std::shared_ptr<const Reranker> reranker, models_.FindReranker(model));
  request.long_input = LongInputForPairs(choice);
  ASSIGN_OR_RETURN(Relevance relevance, reranker->Rerank(request, context));
  return RerankReply{std::move(relevance), reranker->info()};
}

Result<ClassifyReply> Gateway::Classify(std::string_view model,
                                        const std::vector<SequenceInput>& inputs,
                                        const LongInputChoice& choice,
                                        const RequestContext& context) const {
  RETURN_IF_ERROR(context.Check(clock_.Now()));
  RETURN_IF_ERROR(CheckCount(inputs.size(), "input", "texts"));
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    std::size_t size = 0;
    if (const auto* text = std::get_if<std::string>(&inputs[i])) {
      size = text->size();
    } else if (const auto* pair = std::get_if<TextPair>(&inputs[i])) {
      size = std::max(pair->text.size(), pair->text_pair.size());
    } else {
      size = std::get<TokenIds>(inputs[i]).ids.size();
    }
    RETURN_IF_ERROR(CheckSize(size, fmt::format("input[{}]", i)));
  }
  ASSIGN_OR_RETURN(const std::shared_ptr<const Classifier> classifier,
                   models_.FindClassifier(model));
  ASSIGN_OR_RETURN(Classifications classes,
                   classifier->Classify(inputs, LongInputForPairs(choice), context));
  return ClassifyReply{std::move(classes), classifier->labels(), classifier->info()};
}

Result<SimilarityReply> Gateway::Similarity(std::string_view model, const std::string& source,
                                            const std::vector<std::string>& sentences,
                                            const std::string& prompt,
                                            const LongInputChoice& choice,
                                            const RequestContext& context) const {
  EmbedRequest request;
  request.prompt = prompt;
  request.normalize = true;
  request.inputs.emplace_back(source);
  for (const std::string& sentence : sentences) request.inputs.emplace_back(sentence);
  Result<EmbedReply> embedded = Embed(model, std::move(request), choice, context);
  if (!embedded) {
    Error error = std::move(embedded).error();
    for (std::size_t i = 0; i <= sentences.size(); ++i) {
      if (error.where != fmt::format("input[{}]", i)) continue;
      error.where = i == 0 ? "source_sentence" : fmt::format("sentences[{}]", i - 1);
      break;
    }
    return tl::unexpected(std::move(error));
  }
  SimilarityReply reply;
  const Embeddings& embeddings = embedded->embeddings;
  const std::span<const float> first = embeddings.row(0);
  for (std::size_t i = 1; i < embeddings.size(); ++i) {
    const std::span<const float> row = embeddings.row(i);
    reply.cosines.push_back(static_cast<float>(
        std::inner_product(first.begin(), first.end(), row.begin(), 0.0, std::plus<>(),
                           [](float a, float b) { return static_cast<double>(a) * b; })));
  }
  reply.tokens = embeddings.tokens;
  reply.total_tokens = embeddings.total_tokens;
  reply.times = embeddings.times;
  reply.served = embeddings.served;
  reply.model = std::move(embedded->model);
  return reply;
}

Result<std::vector<std::vector<TextToken>>> Gateway::Tokenize(std::string_view model,
                                                              const std::vector<std::string>& texts,
                                                              const std::string& prompt,
                                                              bool add_special_tokens) const {
  RETURN_IF_ERROR(CheckCount(texts.size(), "input", "texts"));
  ASSIGN_OR_RETURN(const std::shared_ptr<const TextCodec> codec, models_.FindCodec(model));
  std::vector<std::vector<TextToken>> all;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    const std::string where = fmt::format("input[{}]", i);
    RETURN_IF_ERROR(CheckSize(texts[i].size(), where));
    Result<std::vector<TextToken>> tokens = codec->Tokenize(texts[i], prompt, add_special_tokens);
    if (!tokens && tokens.error().where == "prompt") return tl::unexpected(tokens.error());
    if (!tokens) return tl::unexpected(At(where, std::move(tokens).error()));
    all.push_back(*std::move(tokens));
  }
  return all;
}

Result<std::vector<std::string>> Gateway::Decode(std::string_view model,
                                                 const std::vector<std::vector<std::int32_t>>& ids,
                                                 bool skip_special_tokens) const {
  RETURN_IF_ERROR(CheckCount(ids.size(), "ids", "lists of ids"));
  ASSIGN_OR_RETURN(const std::shared_ptr<const TextCodec> codec, models_.FindCodec(model));
  std::vector<std::string> texts;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    RETURN_IF_ERROR(CheckSize(ids[i].size(), fmt::format("ids[{}]", i)));
    texts.push_back(codec->Decode(ids[i], skip_special_tokens));
  }
  return texts;
}

Result<ModerateReply> Gateway::Moderate(std::string_view model,
                                        const std::vector<std::string>& texts,
                                        const RequestContext& context) const {
  RETURN_IF_ERROR(context.Check(clock_.Now()));
  RETURN_IF_ERROR(CheckCount(texts.size(), "input", "texts"));
  ModerateReply reply;
  reply.model = "guard";
  for (std::size_t i = 0; i < texts.size(); ++i) {
    RETURN_IF_ERROR(CheckSize(texts[i].size(), fmt::format("input[{}]", i)));
  }
  ASSIGN_OR_RETURN(const GuardMonitor::MessageRisks read, monitor_.Risks(texts, context));
  reply.tokens = read.tokens;
  for (const double risk : read.risks) {
    ASSIGN_OR_RETURN(const TurnMetrics metrics,
                     Kinematics(guard_).Step({.model = risk, .user = std::nullopt}));
    const double likelihood = metrics.likelihood.value_or(0);
    Moderation moderation;
    moderation.categories.push_back(
        {"guard/likelihood", likelihood, likelihood > guard_.alert_likelihood});
    reply.moderations.push_back(std::move(moderation));
  }
  const std::string_view classifier = model.empty() ? guard_.toxicity_model : model;
  if (!classifier.empty()) {
    const std::vector<SequenceInput> inputs(texts.begin(), texts.end());
    // A text that is too long is judged by what the model reads: refusing would let it pass unseen.
    ASSIGN_OR_RETURN(
        const ClassifyReply classified,
        Classify(classifier, inputs, {.policy = LongInput::Policy::kTruncate}, context));
    reply.model += "+" + classified.model.id;
    for (const std::size_t tokens : classified.classes.tokens) reply.tokens += tokens;
    const std::size_t labels = classified.labels.size();
    for (std::size_t i = 0; i < texts.size(); ++i) {
      for (std::size_t label = 0; label < labels; ++label) {
        const double score = classified.classes.scores[i * labels + label];
        reply.moderations[i].categories.push_back(
            {classified.labels[label], score, score > guard_.toxicity_threshold});
      }
    }
  }
  for (Moderation& moderation : reply.moderations) {
    moderation.flagged = std::any_of(moderation.categories.begin(), moderation.categories.end(),
                                     [](const auto& category) { return category.flagged; });
  }
  return reply;
}

Result<ModelStatus> Gateway::FindModel(std::string_view name) const {
  for (ModelStatus& model : models_.List()) {
    const auto& aliases = model.aliases;
    if (model.info.id == name || std::find(aliases.begin(), aliases.end(), name) != aliases.end()) {
      return std::move(model);
    }
  }
  return FailAt("model", Code::kNotFound, "there is no model \"{}\"; GET /v1/models lists them",
                name.substr(0, 100));
}

}  // namespace garrison
