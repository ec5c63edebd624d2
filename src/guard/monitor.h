// Scores the texts of one turn against the anchors. Stateless: what happens over turns is
// Kinematics.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "core/embedder.h"
#include "core/request_context.h"
#include "core/settings.h"
#include "guard/conversation.h"
#include "guard/kinematics.h"
#include "guard/projection.h"
#include "guard/provenance.h"
#include "guard/turn_report.h"

namespace garrison {

// Immutable after Create; safe to use from any number of threads.
class GuardMonitor {
 public:
  // Embeds both anchors, once. `embedder` must outlive the monitor. Without a projection vectors
  // are compared in the model's full space. FAILED_PRECONDITION: the projection belongs to another
  // model. INVALID_ARGUMENT (where: "guard.safe_anchor" or "guard.sycophancy_anchor"): an anchor
  // cannot be embedded or has no direction.
  static Result<std::unique_ptr<GuardMonitor>> Create(const Embedder& embedder,
                                                      const GuardSettings& settings,
                                                      std::optional<Projection> projection);

  // One call of the embedder for both texts. Empty: that side did not speak; at least one must
  // have. Errors of the embedder name the side (where: "user" or "model").
  Result<TurnScores> Score(const std::optional<std::string>& user,
                           const std::optional<std::string>& model,
                           const RequestContext& context) const;

  // The same for several turns with both sides, with one call of the embedder. Errors of the
  // embedder name "input[i]", of which each turn has two.
  struct Exchange {
    std::string_view user;
    std::string_view model;
  };
  Result<std::vector<TurnScores>> ScoreAll(std::span<const Exchange> turns,
                                           const RequestContext& context) const;

  // Of vectors that the embedder made of whole messages. Empty: that side did not speak.
  Result<TurnScores> ScoreRows(std::optional<std::span<const float>> user,
                               std::optional<std::span<const float>> model) const;

  struct MessageRisks {
    std::vector<double> risks;
    std::size_t tokens = 0;  // that the embedder read
  };
  // The risk of each message of a model, with one call of the embedder. Errors name "input[i]".
  Result<MessageRisks> Risks(const std::vector<std::string>& messages,
                             const RequestContext& context) const;

  const Provenance& provenance() const { return provenance_; }
  // The safe anchor's vector in the monitor's space.
  std::span<const double> v_safe() const { return v_safe_; }

 private:
  GuardMonitor(const Embedder& embedder, const GuardSettings& settings,
               std::optional<Projection> projection);

  Result<std::vector<double>> EmbedAnchor(const std::string& text,
                                          const std::string& setting) const;
  std::vector<double> ToSpace(std::span<const float> row) const;

  const Embedder& embedder_;
  const GuardSettings settings_;
  const std::optional<Projection> projection_;
  std::vector<double> v_safe_;
  std::vector<double> v_sycophancy_;
  Provenance provenance_;
};

// Scores a whole conversation from its first turn. Errors name the turn (where: "turn 3: ...").
Result<std::vector<TurnReport>> CheckConversation(const GuardMonitor& monitor,
                                                  const Conversation& conversation,
                                                  const GuardSettings& settings,
                                                  const RequestContext& context);

}  // namespace garrison
