// The one place that every call which may cost money passes: it may refuse before, and learns
// afterwards what came of it.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"
#include "net/http_client.h"

namespace garrison {

// What one attempt can cost at most.
struct AttemptBound {
  std::string provider;  // "openai"
  std::string model;
  std::uint64_t tokens = 0;  // a byte of text is at most one token
};

// What it did cost.
struct AttemptUse {
  std::optional<std::uint64_t> tokens;  // as the vendor counts; unset: it does not say
};

// Thread-safe. Every ticket of Admit() is ended by exactly one of the other three.
class AttemptGate {
 public:
  virtual ~AttemptGate() = default;
  // Before the first byte is sent. A refusal is the error of the call.
  virtual Result<std::uint64_t> Admit(const AttemptBound& bound) = 0;
  // It was answered.
  virtual void Settle(std::uint64_t ticket, const AttemptUse& use) = 0;
  // It cannot have been billed: nothing was sent, or the vendor refused it.
  virtual void Release(std::uint64_t ticket) = 0;
  // Nobody knows: it was sent, and no whole answer came.
  virtual void Dispute(std::uint64_t ticket, const HttpProgress& progress) = 0;
};

// Admits everything and counts.
class CountingGate final : public AttemptGate {
 public:
  struct Counts {
    std::uint64_t admitted = 0;
    std::uint64_t settled = 0;
    std::uint64_t released = 0;
    std::uint64_t disputed = 0;
    std::uint64_t tokens = 0;  // of those settled, as far as vendors say
  };

  Result<std::uint64_t> Admit(const AttemptBound&) override { return ++admitted_; }
  void Settle(std::uint64_t, const AttemptUse& use) override {
    ++settled_;
    tokens_ += use.tokens.value_or(0);
  }
  void Release(std::uint64_t) override { ++released_; }
  void Dispute(std::uint64_t, const HttpProgress&) override { ++disputed_; }

  Counts counts() const { return {admitted_, settled_, released_, disputed_, tokens_}; }

 private:
  std::atomic<std::uint64_t> admitted_ = 0;
  std::atomic<std::uint64_t> settled_ = 0;
  std::atomic<std::uint64_t> released_ = 0;
  std::atomic<std::uint64_t> disputed_ = 0;
  std::atomic<std::uint64_t> tokens_ = 0;
};

}  // namespace garrison
