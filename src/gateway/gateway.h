// What Garrison does with a request once it is understood, whatever the front end: limits, models,
// guard.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "core/embedder.h"
#include "core/model_catalog.h"
#include "core/request_context.h"
#include "core/safety.h"
#include "core/settings.h"
#include "guard/monitor.h"
#include "guard/sessions.h"
#include "guard/turn_report.h"

namespace garrison {

struct EmbedReply {
  Embeddings embeddings;
  ModelInfo model;
};

struct SafetyReply {
  std::string conversation_id;
  TurnReport turn;
  Provenance provenance;
  std::chrono::nanoseconds embed_time{0};
  std::chrono::nanoseconds total_time{0};
};

// Thread-safe. What it is made of must outlive it.
class Gateway {
 public:
  Gateway(const ModelCatalog& models, const GuardMonitor& monitor, GuardSessions& sessions,
          const Settings& settings, const Clock& clock);

  // `model` empty: the default one. INVALID_ARGUMENT (where: "input" or "input[i]") past
  // limits.inputs_per_request and limits.input_bytes; otherwise the errors of the model.
  // engine.long_input and engine.truncation_side decide about inputs that are too long.
  Result<EmbedReply> Embed(std::string_view model, EmbedRequest request,
                           const RequestContext& context) const;

  // Scores the next turn of a conversation. INVALID_ARGUMENT names user_message, model_message or
  // conversation_id; RESOURCE_EXHAUSTED past limits.conversation_turns. A turn that fails leaves
  // the conversation as it was.
  Result<SafetyReply> CheckSafety(const SafetyRequest& request,
                                  const RequestContext& context) const;

  std::vector<ModelInfo> Models() const { return models_.List(); }

 private:
  Result<> CheckSize(std::size_t size, std::string where) const;

  const ModelCatalog& models_;
  const GuardMonitor& monitor_;
  GuardSessions& sessions_;
  const LimitSettings limits_;
  const LongInput long_input_;
  const GuardSettings guard_;
  const Clock& clock_;
};

}  // namespace garrison
