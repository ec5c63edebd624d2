// What Garrison does with a request once it is understood, whatever the front end: limits, models,
// guard.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "core/embedder.h"
#include "core/guard_alert.h"
#include "core/model_catalog.h"
#include "core/moderation.h"
#include "core/request_context.h"
#include "core/reranker.h"
#include "core/safety.h"
#include "core/settings.h"
#include "core/text_codec.h"
#include "guard/drift.h"
#include "guard/measured.h"
#include "guard/monitor.h"
#include "guard/sessions.h"
#include "guard/turn_report.h"

namespace garrison {

struct EmbedReply {
  Embeddings embeddings;
  ModelInfo model;
};

struct TokenVectorsReply {
  TokenVectors vectors;
  ModelInfo model;
};

struct RerankReply {
  Relevance relevance;
  ModelInfo model;
};

struct ClassifyReply {
  Classifications classes;
  std::vector<std::string> labels;
  ModelInfo model;
};

struct SimilarityReply {
  std::vector<float> cosines;  // of the source with each sentence
  // Of the source and the sentences.
  std::vector<std::size_t> tokens;
  std::vector<std::size_t> total_tokens;
  ComputeTimes times;
  std::optional<Served> served;  // as Embeddings
  ModelInfo model;
};

struct ModerateReply {
  std::vector<Moderation> moderations;  // one per text
  std::string model;                    // what was asked: "guard", "guard+NAME"
  std::size_t tokens = 0;               // that the models read
};

struct SafetyReply {
  std::string conversation_id;  // empty: a preview of a conversation that has not begun
  SessionTurnReport turn;
  bool repeated = false;  // under its idempotency key it had been answered before
  bool preview = false;   // it was not taken
  Provenance provenance;
  std::chrono::nanoseconds embed_time{0};
  std::chrono::nanoseconds total_time{0};
};

// What the guard may have beside the compatible mode; null: it has not.
struct GuardParts {
  const MeasuredMonitor* measured = nullptr;  // that of the sessions
  GuardDrift* drift = nullptr;                // compares live turns with the calibration
  GuardAlertSink* alerts = nullptr;           // wants to be told of alarms
};

// Thread-safe. What it is made of must outlive it.
//
// A model named by an empty string is the default one. Errors name the field as the port does
// ("input[i]", "query", "documents[i]"): INVALID_ARGUMENT past limits.inputs_per_request and
// limits.input_bytes, NOT_FOUND and FAILED_PRECONDITION for the model, otherwise those of the
// model. A `choice` overrides engine.long_input and engine.truncation_side.
class Gateway {
 public:
  Gateway(const ModelCatalog& models, const GuardMonitor& monitor, GuardSessions& sessions,
          const Settings& settings, const Clock& clock, const GuardParts& parts = {});

  Result<EmbedReply> Embed(std::string_view model, EmbedRequest request,
                           const LongInputChoice& choice, const RequestContext& context) const;
  Result<TokenVectorsReply> EmbedTokens(std::string_view model, EmbedRequest request,
                                        const LongInputChoice& choice,
                                        const RequestContext& context) const;
  // Models that read pairs cannot read in chunks: engine.long_input = "chunk" is "error" for them.
  Result<RerankReply> Rerank(std::string_view model, RerankRequest request,
                             const LongInputChoice& choice, const RequestContext& context) const;
  Result<ClassifyReply> Classify(std::string_view model, const std::vector<SequenceInput>& inputs,
                                 const LongInputChoice& choice,
                                 const RequestContext& context) const;
  // Errors name "source_sentence" and "sentences[i]". `prompt` as in EmbedRequest.
  Result<SimilarityReply> Similarity(std::string_view model, const std::string& source,
                                     const std::vector<std::string>& sentences,
                                     const std::string& prompt, const LongInputChoice& choice,
                                     const RequestContext& context) const;

  // `prompt` as in EmbedRequest.
  Result<std::vector<std::vector<TextToken>>> Tokenize(std::string_view model,
                                                       const std::vector<std::string>& texts,
                                                       const std::string& prompt,
                                                       bool add_special_tokens) const;
  Result<std::vector<std::string>> Decode(std::string_view model,
                                          const std::vector<std::vector<std::int32_t>>& ids,
                                          bool skip_special_tokens) const;

  // Scores the next turn of a conversation of `context.client`. INVALID_ARGUMENT names
  // user_message, model_message, conversation_id or idempotency_key; the others are those of
  // GuardSessions::Step. A turn that fails leaves the conversation as it was.
  Result<SafetyReply> CheckSafety(const SafetyRequest& request,
                                  const RequestContext& context) const;
  // Several of them, taken in order, with one call of the embedder; what fails leaves the others.
  // INVALID_ARGUMENT (where: "items") for none or more than half of limits.inputs_per_request.
  Result<std::vector<Result<SafetyReply>>> CheckSafetyOfAll(
      const std::vector<SafetyRequest>& requests, const RequestContext& context) const;

  // The conversations of `context.client`; docs/api.md. Errors are those of GuardSessions.
  Result<SessionState> FindConversation(const std::string& id, const RequestContext& context) const;
  Result<SessionState> ExportConversation(const std::string& id,
                                          const RequestContext& context) const;
  Result<> EndConversation(const std::string& id, const RequestContext& context) const;
  Result<SessionState> ImportConversation(const std::string& id, const nlohmann::json& json,
                                          bool replace, const RequestContext& context) const;
  const GuardSessions& sessions() const { return sessions_; }
  // Null in compatible mode.
  const MeasuredMonitor* measured() const { return parts_.measured; }

  // Each text as a first message: the guard's likelihood ("guard/likelihood"), and, where `model`
  // or guard.toxicity_model names a classifier, a category for each of its labels. Only what was
  // measured is there. Errors name "input[i]".
  Result<ModerateReply> Moderate(std::string_view model, const std::vector<std::string>& texts,
                                 const RequestContext& context) const;

  std::vector<ModelStatus> Models() const { return models_.List(); }
  // NOT_FOUND when there is none of that name or alias.
  Result<ModelStatus> FindModel(std::string_view name) const;
  // True: this call loaded it; false: it was there.
  Result<bool> LoadModel(std::string_view name) const { return models_.Load(name); }

 private:
  Result<> CheckSize(std::size_t size, std::string where) const;
  Result<> CheckCount(std::size_t count, const char* where, const char* what) const;
  Result<> CheckEmbed(EmbedRequest& request, const LongInputChoice& choice,
                      const RequestContext& context) const;
  Result<> CheckTurn(const SafetyRequest& request) const;
  Result<SessionScores> ScoreOne(const SafetyRequest& request, const RequestContext& context) const;
  Result<std::vector<SessionScores>> ScoreTogether(std::span<const SafetyRequest* const> requests,
                                                   const RequestContext& context) const;
  std::vector<Result<SessionScores>> ScoreEach(const std::vector<SafetyRequest>& requests,
                                               const RequestContext& context) const;
  Result<SafetyReply> TakeTurn(const SafetyRequest& request, const SessionScores& scores,
                               const RequestContext& context) const;
  void Tell(const SafetyReply& reply, const RequestContext& context) const;
  LongInput LongInputFor(const LongInputChoice& choice) const;
  LongInput LongInputForPairs(const LongInputChoice& choice) const;

  const ModelCatalog& models_;
  const GuardMonitor& monitor_;
  GuardSessions& sessions_;
  const LimitSettings limits_;
  const LongInput long_input_;
  const GuardSettings guard_;
  const GuardParts parts_;
  const Clock& clock_;
};

}  // namespace garrison
