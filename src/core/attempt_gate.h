// The one place that every call which may cost money passes: it may refuse before, and learns
// afterwards what came of it.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"
#include "core/chat.h"
#include "core/money.h"
#include "core/request_context.h"

namespace garrison {

// What one attempt can use at most. Nothing of it is a guess: a bound that is too low is money that
// nobody reserved.
struct AttemptBound {
  std::string provider;  // "openai"
  std::string model;
  std::string kind = "embed";  // "chat", "embed", "shadow", "judge", "classify"
  std::string parent = {};     // "", or why it is not the first: "retry", "fallback", "hedge"
  // Of texts; a byte of text is at most one token.
  std::uint64_t tokens = 0;
  std::uint64_t messages = 0;  // each brings tokens of its own (the vendor's template)
  std::uint64_t tools = 0;
  std::uint64_t images = 0;
  std::uint64_t output_tokens = 0;
  // Whether the vendor may bill writing to a cache, which some price above other input.
  bool cache_writes = true;
  // It leaves as soon as it is admitted: Admit() does what MarkSent() would, which is not called.
  bool leaves = false;
};

// What it did use.
struct AttemptUse {
  std::optional<std::uint64_t> tokens;  // of the input; unset: the vendor does not say
  std::optional<ChatUsage> chat;        // of a chat; unset: the vendor did not say
};

// What is known of an answer that was not whole.
struct AttemptTrace {
  std::uint64_t reply_bytes = 0;    // of its body that came
  std::uint64_t output_tokens = 0;  // that were delivered at least, by the vendor's own count
};

// Reasons of a refusal (Error::reason), beside "budget_exceeded": "request_too_dear",
// "unknown_price", "kill_switch_active", "premium_paused", "model_frozen", "ledger_unavailable".

// Thread-safe. Every ticket of Admit() is ended by exactly one of Settle, Release and Dispute.
class AttemptGate {
 public:
  virtual ~AttemptGate() = default;
  // Before anything is sent: the bound's price is put aside, and stays so if the machine dies. A
  // refusal is the error of the call: RESOURCE_EXHAUSTED, FAILED_PRECONDITION or UNAVAILABLE with
  // one of the reasons above.
  virtual Result<std::uint64_t> Admit(const AttemptBound& bound, const RequestContext& context) = 0;
  // Right before the first byte leaves: from now on the call may be billed, whatever happens here.
  // After an error nothing may be sent, and the ticket is to be released.
  virtual Result<> MarkSent(std::uint64_t ticket) = 0;
  // It was answered. What it cost; unset: not known.
  virtual std::optional<Pusd> Settle(std::uint64_t ticket, const AttemptUse& use) = 0;
  // It cannot have been billed: nothing was sent, or the vendor refused it.
  virtual void Release(std::uint64_t ticket) = 0;
  // Nobody knows: it was sent, and no whole answer came. What it counts as from now on.
  virtual std::optional<Pusd> Dispute(std::uint64_t ticket, const AttemptTrace& trace) = 0;
};

// Admits everything and counts.
class CountingGate final : public AttemptGate {
 public:
  // `token_price`: what a token is said to cost; unset: nobody knows.
  explicit CountingGate(std::optional<Pusd> token_price = std::nullopt)
      : token_price_(token_price) {}

  struct Counts {
    std::uint64_t admitted = 0;
    std::uint64_t sent = 0;
    std::uint64_t settled = 0;
    std::uint64_t released = 0;
    std::uint64_t disputed = 0;
    std::uint64_t tokens = 0;  // of those settled, as far as vendors say
  };

  Result<std::uint64_t> Admit(const AttemptBound& bound, const RequestContext&) override {
    if (bound.leaves) ++sent_;
    return ++admitted_;
  }
  Result<> MarkSent(std::uint64_t) override {
    ++sent_;
    return {};
  }
  std::optional<Pusd> Settle(std::uint64_t, const AttemptUse& use) override {
    ++settled_;
    const std::uint64_t tokens =
        use.chat ? use.chat->all_input() + use.chat->output : use.tokens.value_or(0);
    tokens_ += tokens;
    if (!token_price_ || (!use.chat && !use.tokens)) return std::nullopt;
    return MultiplyCapped(*token_price_, tokens);
  }
  void Release(std::uint64_t) override { ++released_; }
  std::optional<Pusd> Dispute(std::uint64_t, const AttemptTrace&) override {
    ++disputed_;
    return std::nullopt;
  }

  Counts counts() const { return {admitted_, sent_, settled_, released_, disputed_, tokens_}; }

 private:
  const std::optional<Pusd> token_price_;
  std::atomic<std::uint64_t> admitted_ = 0;
  std::atomic<std::uint64_t> sent_ = 0;
  std::atomic<std::uint64_t> settled_ = 0;
  std::atomic<std::uint64_t> released_ = 0;
  std::atomic<std::uint64_t> disputed_ = 0;
  std::atomic<std::uint64_t> tokens_ = 0;
};

}  // namespace garrison
