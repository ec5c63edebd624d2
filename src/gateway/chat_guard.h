// The measured guard before and after whoever answers conversations.
//
// A chat request carries its whole history, so nothing is remembered between requests: the turns in
// it are scored again each time, and every replica comes to the same verdict.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "core/chat.h"
#include "core/guard_alert.h"
#include "core/request_context.h"
#include "core/settings.h"
#include "guard/drift.h"
#include "guard/measured.h"

namespace garrison {

// Thread-safe. What it is made of must outlive it and every model that it wrapped.
class ChatGuard {
 public:
  // `monitor` is null where guard.mode is not "measured"; `alerts` where nobody wants to be told of
  // alarms, `drift` where nobody compares answers with the calibration.
  ChatGuard(const MeasuredMonitor* monitor, const GuardSettings& settings, const Clock& clock,
            GuardAlertSink* alerts = nullptr, GuardDrift* drift = nullptr);

  // `model` behind the guard, or `model` itself where there is none to be.
  //
  // Before it is asked (guard.chat "before", "both") the last guard.chat_turns turns are scored,
  // the message to be answered included. While it answers ("after", "both") the answer is scored a
  // few sentences at a time, and at its end as a whole; where the guard may block, text goes on
  // only once it was scored.
  // Verdicts are in ChatServed. With guard.action "block" an alarm is INVALID_ARGUMENT with
  // `reason` "content_policy_violation", before the model is asked or in the middle of its answer.
  // When the guard itself fails, the verdict is "failed", or with guard.failure "closed" the answer
  // UNAVAILABLE with `reason` "guard_failed".
  std::shared_ptr<const ChatModel> Wrap(std::shared_ptr<const ChatModel> model) const;

 private:
  friend class GuardedChatModel;
  friend class GuardedSink;

  struct History {
    MeasuredState state;            // after all turns but the last
    std::size_t turns = 0;          // the last one included
    MeasuredMonitor::Message user;  // of the last turn; empty: it has none
    bool user_unreadable = false;   // it has one, with nothing to read
    MeasuredTurn last;              // with the user alone
  };
  Result<History> Read(const ChatRequest& request, const RequestContext& context) const;
  // The verdict, or the refusal.
  Result<ChatVerdict> Judge(const MeasuredTurn& turn) const;
  // Tells of an alarm that this turn raised; true if it did.
  bool Tell(const MeasuredTurn& turn, std::size_t number, const RequestContext& context) const;
  Result<ChatVerdict> Failed(const Error& error) const;

  const MeasuredMonitor* const monitor_;
  const bool before_;
  const bool after_;
  const bool advise_;
  const bool block_;
  const bool fail_closed_;
  const std::size_t turns_max_;
  const Clock& clock_;
  GuardAlertSink* const alerts_;
  GuardDrift* const drift_;
};

}  // namespace garrison
