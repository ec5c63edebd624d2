// The measured mode: calibrated scores of single turns, and what they add up to in a conversation.
// docs/guard.md says how well it does and what it cannot do.
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
#include "guard/alarm.h"
#include "guard/conversation.h"
#include "guard/guard_file.h"
#include "guard/language.h"
#include "guard/message_side.h"
#include "guard/verdict.h"

namespace garrison {

struct NearestAnchor {
  std::string_view set;  // lives as long as the monitor
  double cosine = 0;     // in whitened space
};

// What one side of a turn scores. Of a long message, its worst window.
struct SideScore {
  // log P(message | risky) / P(message | ordinary), of the probe and its calibration.
  double evidence = 0;
  double probability = 0;   // that it is risky, at the prior of the settings
  TextWindow window;        // the one that scored so
  std::size_t windows = 1;  // 0: of a remembered turn, whose text is not there any more
  NearestAnchor nearest;    // of that window; set "" without anchors
  LanguageVerdict language = LanguageVerdict::kKnown;
};

struct MeasuredScores {
  std::optional<SideScore> user;
  std::optional<SideScore> reply;
  // P(the reply goes along), as if the message were harmful; needs both sides.
  std::optional<double> compliance;
  std::optional<double> toxic_sycophancy;  // P(user harmful) P(reply complies)
  // The larger evidence of the two sides.
  double evidence = 0;
  // False: a side is in a language that nothing was calibrated for. Its numbers say nothing.
  bool calibrated = true;
  std::size_t tokens = 0;  // that the embedder read
};

struct MeasuredTurn {
  MeasuredScores scores;
  // Both unset for a turn that is not calibrated: it leaves the conversation as it was.
  std::optional<Alarm::Step> alarm;
  std::optional<RobustnessRatio::Value> robustness;
  bool turn_alert = false;  // this turn alone is beyond the threshold of single turns
  // Block while the alarm is on; review for a turn alert, or what is not calibrated.
  Action action = Action::kAllow;
};

// "not calibrated", "alarm", "suspicious turn" or "ordinary".
std::string_view MeasuredStatus(const MeasuredTurn& turn);

// Sentences for the person at the keyboard; empty unless the alarm is on.
std::vector<std::string> MeasuredMessages(const MeasuredTurn& turn);

// What is remembered of a turn: the core of its scores, and what it did to the conversation.
struct MeasuredRecord {
  std::optional<double> user;  // evidence
  std::optional<double> reply;
  std::optional<double> compliance;
  std::optional<Alarm::Step> alarm;  // unset: the turn was not calibrated
  std::optional<RobustnessRatio::Value> robustness;

  bool operator==(const MeasuredRecord&) const = default;
};
MeasuredRecord RecordOf(const MeasuredTurn& turn);
// The turn again from its scores and what it did then.
MeasuredTurn TurnAgain(MeasuredScores scores, const MeasuredRecord& record,
                       const MeasuredModel& model);
// The same from the record alone: without windows, anchors and languages. `prior` as the monitor's.
MeasuredTurn TurnAgain(const MeasuredRecord& record, const MeasuredModel& model, double prior);

// A conversation's state; a small value, O(1) per turn. Not synchronised.
class MeasuredState {
 public:
  // Takes the scores of the next turn. `model` is that of the monitor that made them.
  Result<MeasuredTurn> Take(MeasuredScores scores, const MeasuredModel& model);

  struct Data {
    Alarm::State alarm;
    RobustnessRatio::State robustness;
    bool operator==(const Data&) const = default;
  };
  Data data() const { return {alarm_.state(), robustness_.state()}; }
  // INVALID_ARGUMENT: numbers that Take could not have left.
  static Result<MeasuredState> Restore(const Data& data);

 private:
  Alarm alarm_;
  RobustnessRatio robustness_;
};

// Immutable after Create; safe to use from any number of threads.
class MeasuredMonitor {
 public:
  // Embeds the anchors, once. `embedder` must outlive the monitor; `prior` is the share of risky
  // turns that is expected where it runs. FAILED_PRECONDITION: the file belongs to another model.
  static Result<std::unique_ptr<MeasuredMonitor>> Create(const Embedder& embedder, GuardFile file,
                                                         double prior);

  // One call of the embedder for all windows of both texts. Empty: that side did not speak; at
  // least one must have. Errors of the embedder name the side (where: "user" or "model").
  Result<MeasuredScores> Score(const std::optional<std::string>& user,
                               const std::optional<std::string>& model,
                               const RequestContext& context) const;

  // The same of turns with both sides, with one call of the embedder, which names "input[i]", of
  // which each turn has two. Beside the scores the vectors that they were made from.
  struct ScoredSides {
    MeasuredScores scores;
    MessageSide user;
    MessageSide reply;
  };
  Result<std::vector<ScoredSides>> ScoreAll(std::span<const std::optional<std::string>> texts,
                                            const RequestContext& context) const;

  // The same without embedder and language. INTERNAL: a vector is not finite.
  Result<MeasuredScores> ScoreSides(const MessageSide& user, const MessageSide& reply) const;

  const GuardFile& file() const { return file_; }
  double prior() const { return prior_; }

 private:
  MeasuredMonitor(const Embedder& embedder, GuardFile file, double prior);

  Result<> EmbedAnchors();
  NearestAnchor Nearest(const Eigen::Ref<const Eigen::RowVectorXf>& whitened) const;
  SideScore WorstWindow(const Probe& probe, const MessageSide& side, const RowMatrixF& whitened,
                        std::span<const double> scores) const;

  const Embedder& embedder_;
  const GuardFile file_;
  const double prior_;
  RowMatrixF anchors_;                   // [texts of all sets, d], whitened, of length 1
  std::vector<std::size_t> anchor_set_;  // of each row
};

// Scores a whole conversation from its first turn. Errors name the turn (where: "turn 3: ...").
Result<std::vector<MeasuredTurn>> CheckConversation(const MeasuredMonitor& monitor,
                                                    const Conversation& conversation,
                                                    const RequestContext& context);

}  // namespace garrison
