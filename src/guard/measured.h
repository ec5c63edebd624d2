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
  double cosine = 0;     // with the mean direction of its sentences, of centred vectors
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
  // False: a side is, in part at least, in a language that nothing was calibrated for. Numbers of a
  // side that is foreign altogether say nothing.
  bool calibrated = true;
  std::size_t tokens = 0;  // that the embedder read
};

// What the alarm adds up: the larger of what the sides' evidence is above that of ordinary messages
// and replies. A probe of messages and one of replies stand at different levels in ordinary
// conversations; without this one side would always speak for both. Unset if there is no side, or
// only foreign ones.
std::optional<double> Excess(const MeasuredScores& scores, const AlarmRule& rule);

// The alarm after a turn. One that is not calibrated may raise it by what is known of the turn, but
// not lower it: foreign characters must be no way around it.
Result<Alarm::Step> CountTurn(const MeasuredScores& scores, const AlarmRule& rule, Alarm& alarm);

struct MeasuredTurn {
  MeasuredScores scores;
  Alarm::Step alarm;
  std::optional<RobustnessRatio::Value> robustness;  // unset where not calibrated
  bool turn_alert = false;  // this turn alone is beyond the threshold of single turns
  // Block while the alarm is on; review for a turn alert, or what is not calibrated.
  Action action = Action::kAllow;
};

// "alarm", "not calibrated", "suspicious turn" or "ordinary".
std::string_view MeasuredStatus(const MeasuredTurn& turn);

// Sentences for the person at the keyboard; empty unless the alarm is on.
std::vector<std::string> MeasuredMessages(const MeasuredTurn& turn);

// What is remembered of a turn: the core of its scores, and what it did to the conversation.
struct MeasuredRecord {
  std::optional<double> user;  // evidence
  std::optional<double> reply;
  std::optional<double> compliance;
  bool calibrated = true;
  bool turn_alert = false;
  Alarm::Step alarm;
  std::optional<RobustnessRatio::Value> robustness;

  bool operator==(const MeasuredRecord&) const = default;
};
MeasuredRecord RecordOf(const MeasuredTurn& turn);
// The turn again from its scores and what it did then.
MeasuredTurn TurnAgain(MeasuredScores scores, const MeasuredRecord& record);
// The same from the record alone: without windows, anchors and languages. `prior_log_odds` is the
// monitor's.
MeasuredTurn TurnAgain(const MeasuredRecord& record, double prior_log_odds);

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

  // The same in two steps, for whoever needs a message more than once. Read takes one call of the
  // embedder for all texts, which are "input[i]" in its errors; an unset one is an empty message.
  struct Message {
    MessageSide side;
    LanguageVerdict language = LanguageVerdict::kKnown;
  };
  Result<std::vector<Message>> Read(std::span<const std::optional<std::string>> texts,
                                    const RequestContext& context) const;
  Result<MeasuredScores> Score(const Message& user, const Message& reply) const;

  // The same without embedder and language. INTERNAL: a vector is not finite.
  Result<MeasuredScores> ScoreSides(const MessageSide& user, const MessageSide& reply) const;

  const GuardFile& file() const { return file_; }
  double prior_log_odds() const { return prior_log_odds_; }

 private:
  MeasuredMonitor(const Embedder& embedder, GuardFile file, double prior);

  Result<> EmbedAnchors();
  NearestAnchor Nearest(const Eigen::Ref<const Eigen::RowVectorXf>& centred) const;
  SideScore WorstWindow(const Probe& probe, const MessageSide& side, const RowMatrixF& centred,
                        std::span<const double> scores) const;

  const Embedder& embedder_;
  const GuardFile file_;
  const double prior_log_odds_;
  RowMatrixF anchors_;  // [sets, d], the mean direction of each, of length 1
};

// Scores a whole conversation from its first turn. Errors name the turn (where: "turn 3: ...").
Result<std::vector<MeasuredTurn>> CheckConversation(const MeasuredMonitor& monitor,
                                                    const Conversation& conversation,
                                                    const RequestContext& context);

}  // namespace garrison
