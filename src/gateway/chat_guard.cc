#include "gateway/chat_guard.h"

#include <algorithm>
#include <array>
#include <utility>
#include <variant>

namespace garrison {
namespace {

bool Blank(std::string_view text) { return text.find_first_not_of(" \t\r\n") == text.npos; }

// The texts that people read, joined. Thoughts, tool calls and their results are between programs.
std::string TextOf(const ChatMessage& message) {
  std::string out;
  for (const ChatPart& part : message.parts) {
    const auto* text = std::get_if<ChatText>(&part.value);
    if (text == nullptr || Blank(text->text)) continue;
    if (!out.empty()) out += "\n";
    out += text->text;
  }
  return out;
}

// Turns as Conversation pairs them: several messages of one side in a row are one.
std::vector<Turn> TurnsOf(const ChatRequest& request) {
  std::vector<Turn> turns;
  for (const ChatMessage& message : request.messages) {
    const bool user = message.role == ChatRole::kUser;
    if (!user && message.role != ChatRole::kAssistant) continue;
    std::string text = TextOf(message);
    if (text.empty()) continue;
    const bool opens = turns.empty() || (user && turns.back().model);
    if (opens) turns.emplace_back();
    auto& side = user ? turns.back().user : turns.back().model;
    side = side ? *side + "\n" + text : std::move(text);
  }
  return turns;
}

using Message = MeasuredMonitor::Message;

struct ReadTurn {
  Message user;
  Message reply;
  bool unreadable = false;  // a side has a text, but nothing in it to read
};

// Both sides, empty where there is no text or nothing in it to read: that is nothing that was
// calibrated for, rather than a failure of the guard, and must not spare the other side.
Result<ReadTurn> ReadBoth(const MeasuredMonitor& monitor, const std::optional<std::string>& user,
                          const std::optional<std::string>& reply, const RequestContext& context) {
  ReadTurn turn;
  auto together = monitor.Read(std::array{user, reply}, context);
  if (together) {
    turn.user = std::move((*together)[0]);
    turn.reply = std::move((*together)[1]);
    return turn;
  }
  if (together.error().code != Code::kInvalidArgument) {
    return tl::unexpected(std::move(together).error());
  }
  for (const auto& [text, message] : {std::pair{&user, &turn.user}, {&reply, &turn.reply}}) {
    auto alone = monitor.Read({text, 1}, context);
    if (alone) {
      *message = std::move(alone->front());
    } else if (alone.error().code == Code::kInvalidArgument) {
      turn.unreadable = true;
    } else {
      return tl::unexpected(std::move(alone).error());
    }
  }
  return turn;
}

Result<MeasuredScores> ScoreBoth(const MeasuredMonitor& monitor, const Message& user,
                                 const Message& reply, bool unreadable) {
  MeasuredScores scores;
  if (!user.side.empty() || !reply.side.empty()) {
    ASSIGN_OR_RETURN(scores, monitor.Score(user, reply));
  }
  if (unreadable) scores.calibrated = false;
  return scores;
}

// Whether there is a whole sentence at the end of `text`, blanks apart, or a little before it.
bool EndsASentence(std::string_view text) {
  for (std::size_t i = text.size(); i > 0 && text.size() - i < kWindowBytes / 4; --i) {
    const char c = text[i - 1];
    if (c == '\n') return true;
    const bool stop = c == '.' || c == '!' || c == '?';
    if (stop && i < text.size() && text[i] == ' ') return true;
    if (i < 3) break;
    const std::string_view last = text.substr(i - 3, 3);
    if (last == "\xE3\x80\x82" || last == "\xEF\xBC\x81" || last == "\xEF\xBC\x9F") return true;
  }
  return false;
}

}  // namespace

ChatGuard::ChatGuard(const MeasuredMonitor* monitor, const GuardSettings& settings,
                     const Clock& clock, GuardAlertSink* alerts, GuardDrift* drift)
    : monitor_(monitor),
      before_(monitor != nullptr && (settings.chat == "before" || settings.chat == "both")),
      after_(monitor != nullptr && (settings.chat == "after" || settings.chat == "both")),
      advise_(settings.action != "monitor"),
      block_(settings.action == "block"),
      fail_closed_(settings.failure == "closed"),
      turns_max_(static_cast<std::size_t>(settings.chat_turns)),
      clock_(clock),
      alerts_(alerts),
      drift_(drift) {}

Result<ChatGuard::History> ChatGuard::Read(const ChatRequest& request,
                                           const RequestContext& context) const {
  std::vector<Turn> turns = TurnsOf(request);
  if (turns.size() > turns_max_) {
    turns.erase(turns.begin(), turns.end() - static_cast<std::ptrdiff_t>(turns_max_));
  }
  History history;
  history.turns = turns.size();
  // What is to be answered; a request that ends with the assistant's words is continued.
  std::optional<std::string> user;
  if (!turns.empty() && !turns.back().model) {
    user = std::move(turns.back().user);
    turns.pop_back();
  }
  const MeasuredModel& model = monitor_->file().model();
  for (const Turn& turn : turns) {
    ASSIGN_OR_RETURN(const ReadTurn read, ReadBoth(*monitor_, turn.user, turn.model, context));
    ASSIGN_OR_RETURN(MeasuredScores scores,
                     ScoreBoth(*monitor_, read.user, read.reply, read.unreadable));
    ASSIGN_OR_RETURN(history.last, history.state.Take(std::move(scores), model));
  }
  if (user) {
    ASSIGN_OR_RETURN(ReadTurn read, ReadBoth(*monitor_, user, std::nullopt, context));
    ASSIGN_OR_RETURN(MeasuredScores scores,
                     ScoreBoth(*monitor_, read.user, Message(), read.unreadable));
    history.user = std::move(read.user);
    history.user_unreadable = read.unreadable;
    MeasuredState with_user = history.state;
    ASSIGN_OR_RETURN(history.last, with_user.Take(std::move(scores), model));
  }
  return history;
}

Result<ChatVerdict> ChatGuard::Judge(const MeasuredTurn& turn) const {
  const std::vector<std::string> messages = MeasuredMessages(turn);
  const bool alarm = !messages.empty();
  if (alarm && block_) {
    Error error{Code::kInvalidArgument, messages.front(), "messages", std::nullopt};
    error.reason = "content_policy_violation";
    return tl::unexpected(std::move(error));
  }
  ChatVerdict verdict;
  verdict.evidence = turn.scores.evidence;
  verdict.sum = turn.alarm.sum;
  verdict.status = MeasuredStatus(turn);
  if (alarm && advise_) verdict.advice = messages.front();
  return verdict;
}

bool ChatGuard::Tell(const MeasuredTurn& turn, std::size_t number,
                     const RequestContext& context) const {
  if (!turn.alarm.rose) return false;
  if (alerts_ != nullptr) {
    alerts_->Notify({.at = clock_.WallNow(),
                     .source = "chat",
                     .conversation_id = {},
                     .tenant = context.client,
                     .request_id = context.id,
                     .turn = static_cast<std::int64_t>(number),
                     .status = std::string(MeasuredStatus(turn)),
                     .evidence = turn.scores.evidence,
                     .sum = turn.alarm.sum,
                     .guard = monitor_->file().hash()});
  }
  return true;
}

Result<ChatVerdict> ChatGuard::Failed(const Error& error) const {
  if (error.code == Code::kCancelled || error.code == Code::kDeadlineExceeded) {
    return tl::unexpected(error);
  }
  if (fail_closed_) {
    Error closed{Code::kUnavailable,
                 "the guard could not score this conversation, and guard.failure is \"closed\": " +
                     error.Sentence(),
                 "", std::nullopt};
    closed.reason = "guard_failed";
    return tl::unexpected(std::move(closed));
  }
  ChatVerdict verdict;
  verdict.status = "failed";
  verdict.error = error.Sentence();
  return verdict;
}

// ---- the answer
// ---------------------------------------------------------------------------------

// Scores an answer while it is made, and once more as a whole. Used by one thread at a time.
//
// Text is scored at the end of a sentence, once there is half a window of it: about as often as
// CutWindows begins one. More windows would be more chances of a false alarm than the threshold was
// calibrated for.
class GuardedSink final : public ChatSink {
 public:
  // `verdict`: of the request; `told`: of its alarm. All must outlive it.
  GuardedSink(const ChatGuard& guard, const ChatGuard::History& history, ChatVerdict verdict,
              bool told, ChatSink& next, const RequestContext& context)
      : guard_(guard),
        history_(history),
        next_(next),
        context_(context),
        verdict_(std::move(verdict)),
        told_(told) {}

  Result<> Begin(const ChatServed& served) override {
    ChatServed with = served;
    with.verdict = verdict_;
    return next_.Begin(with);
  }

  Result<> Take(const ChatEvent& event) override {
    const auto* delta = std::get_if<ChatTextDelta>(&event);
    if (done()) return next_.Take(event);
    if (guard_.block_) {
      held_.push_back(event);
    } else {
      // Whoever only watches holds nothing up.
      RETURN_IF_ERROR(next_.Take(event));
    }
    if (delta != nullptr) text_ += delta->text;
    const std::string_view fresh = std::string_view(text_).substr(scored_);
    if (fresh.empty()) return Release();
    // What is no text, a call of a tool, comes behind a text that has ended. And a sentence that
    // does not end must not be held for ever.
    const bool ended = delta == nullptr || fresh.size() > kWindowBytes ||
                       (fresh.size() >= kWindowBytes / 2 && EndsASentence(fresh));
    return ended ? ScoreTail() : Result<>();
  }

  // Scores the whole answer and passes on what is left. Once, after an answer that ended well.
  Result<> Finish() {
    if (done() || Blank(text_)) return Release();
    worst_.reset();
    RETURN_IF_ERROR(Score(text_));
    if (guard_.drift_ != nullptr && !failed_ && calibrated_) {
      guard_.drift_->Observe(verdict_.evidence, history_.turns <= 1);
    }
    return Release();
  }

  const ChatVerdict& verdict() const { return verdict_; }

 private:
  bool done() const { return failed_ || !guard_.after_; }

  Result<> ScoreTail() {
    // What is new, and as much before it as fits, so that nothing hides on a seam.
    std::size_t begin = std::min(scored_, text_.size() - std::min(text_.size(), kWindowBytes));
    while (begin > 0 && (static_cast<unsigned char>(text_[begin]) & 0xC0) == 0x80) --begin;
    scored_ = text_.size();
    const std::string tail = text_.substr(begin);
    if (!Blank(tail)) RETURN_IF_ERROR(Score(tail));
    return Release();
  }

  // The verdict over a part of the answer, and all that was scored before.
  Result<> Score(const std::string& part) {
    const Result<MeasuredTurn> turn = TurnWith(part);
    if (turn) {
      calibrated_ = turn->scores.calibrated;
      if (!told_) told_ = guard_.Tell(*turn, history_.turns, context_);
      ASSIGN_OR_RETURN(verdict_, guard_.Judge(*turn));
    } else {
      failed_ = true;
      ASSIGN_OR_RETURN(verdict_, guard_.Failed(turn.error()));
    }
    return {};
  }

  // The turn as it would stand if the answer ended here.
  Result<MeasuredTurn> TurnWith(const std::string& tail) {
    // The user's message was read with the request: it may be long, and there are many parts.
    ASSIGN_OR_RETURN(const ReadTurn read, ReadBoth(*guard_.monitor_, std::nullopt, tail, context_));
    ASSIGN_OR_RETURN(MeasuredScores scores, ScoreBoth(*guard_.monitor_, history_.user, read.reply,
                                                      read.unreadable || history_.user_unreadable));
    // The worst of all windows so far speaks for the answer.
    const bool known = scores.reply && scores.reply->language != LanguageVerdict::kForeign;
    if (known && (!worst_ || scores.reply->evidence > worst_->evidence)) worst_ = scores.reply;
    if (worst_) {
      scores.reply = worst_;
      scores.evidence =
          std::max(worst_->evidence, scores.user ? scores.user->evidence : worst_->evidence);
    }
    MeasuredState state = history_.state;
    return state.Take(std::move(scores), guard_.monitor_->file().model());
  }

  Result<> Release() {
    for (const ChatEvent& event : std::exchange(held_, {})) RETURN_IF_ERROR(next_.Take(event));
    return {};
  }

  const ChatGuard& guard_;
  const ChatGuard::History& history_;
  ChatSink& next_;
  const RequestContext& context_;
  std::string text_;             // all of the answer
  std::size_t scored_ = 0;       // bytes of it
  std::vector<ChatEvent> held_;  // not scored yet
  std::optional<SideScore> worst_;
  ChatVerdict verdict_;
  bool told_;
  bool calibrated_ = true;  // of the part that was scored last
  bool failed_ = false;     // nothing is scored any more
};

class GuardedChatModel final : public ChatModel {
 public:
  GuardedChatModel(const ChatGuard& guard, std::shared_ptr<const ChatModel> model)
      : guard_(guard), model_(std::move(model)) {}

  const std::string& id() const override { return model_->id(); }

  Result<ChatOutcome> Answer(const ChatRequest& request, ChatSink& sink,
                             const RequestContext& context) const override {
    const Result<ChatGuard::History> read = guard_.Read(request, context);
    if (!read) {
      ASSIGN_OR_RETURN(ChatVerdict failed, guard_.Failed(read.error()));
      return Unguarded(std::move(failed), request, sink, context);
    }
    ChatVerdict verdict;
    bool told = false;
    if (guard_.before_) {
      told = guard_.Tell(read->last, read->turns, context);
      ASSIGN_OR_RETURN(verdict, guard_.Judge(read->last));
    }
    GuardedSink guarded(guard_, *read, std::move(verdict), told, sink, context);
    ASSIGN_OR_RETURN(ChatOutcome outcome, model_->Answer(request, guarded, context));
    RETURN_IF_ERROR(guarded.Finish());
    outcome.served.verdict = guarded.verdict();
    return outcome;
  }

  Result<std::uint64_t> CountTokens(const ChatRequest& request,
                                    const RequestContext& context) const override {
    return model_->CountTokens(request, context);
  }

 private:
  // The guard failed, and may: its verdict goes with the answer all the same.
  Result<ChatOutcome> Unguarded(ChatVerdict failed, const ChatRequest& request, ChatSink& sink,
                                const RequestContext& context) const {
    class Labelled final : public ChatSink {
     public:
      Labelled(const ChatVerdict& verdict, ChatSink& next) : verdict_(verdict), next_(next) {}
      Result<> Begin(const ChatServed& served) override {
        ChatServed with = served;
        with.verdict = verdict_;
        return next_.Begin(with);
      }
      Result<> Take(const ChatEvent& event) override { return next_.Take(event); }

     private:
      const ChatVerdict& verdict_;
      ChatSink& next_;
    } labelled(failed, sink);
    ASSIGN_OR_RETURN(ChatOutcome outcome, model_->Answer(request, labelled, context));
    outcome.served.verdict = std::move(failed);
    return outcome;
  }

  const ChatGuard& guard_;
  const std::shared_ptr<const ChatModel> model_;
};

std::shared_ptr<const ChatModel> ChatGuard::Wrap(std::shared_ptr<const ChatModel> model) const {
  if (!before_ && !after_) return model;
  return std::make_shared<const GuardedChatModel>(*this, std::move(model));
}

}  // namespace garrison
