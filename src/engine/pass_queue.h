// The sequences of all requests that wait for a pass through one encoder: which go together, and
// who comes next. Private to engine/.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <unordered_set>
#include <vector>

#include "base/clock.h"
#include "base/function_ref.h"
#include "base/result.h"
#include "base/worker_team.h"
#include "core/pass_counts.h"
#include "core/request_context.h"

namespace garrison {

// What the encoder reads at once for one input, or for one piece of a long one.
struct Sequence {
  std::size_t input = 0;  // index of the input it belongs to
  std::vector<std::int32_t> ids;
  std::vector<std::int32_t> type_ids;  // empty: all zero
  std::size_t prompt_tokens = 0;       // leading tokens that belong to the prompt
};

// Thread-safe. A thread that brings sequences computes passes itself, of whatever is next, as long
// as its own wait; at most `lanes` threads do so at once. So passes fill with the sequences of
// requests that came meanwhile, and nothing waits while a lane is free.
//
// Next are sequences of interactive requests, then of bulk ones; a bulk request that has waited for
// `patience` counts as interactive. Among those, clients take turns by the tokens they were given
// (start-time fair queueing, Goyal et al. 1996), and requests of one client come in their order. A
// sequence equal to one that waits or is being computed gets that one's states.
class PassQueue {
 public:
  struct Options {
    std::size_t lanes = 1;
    // Tokens of one pass, but for a sequence that is longer by itself. With several lanes a pass
    // takes its lane's half of what waits, within these bounds, so that lanes end together (guided
    // self-scheduling, Polychronopoulos and Kuck 1987).
    std::size_t least_tokens = 96;
    std::size_t most_tokens = 256;
    std::chrono::milliseconds patience{2000};
    // Told of every pass, with what happened since the one before. May be empty.
    std::function<void(const PassCounts& since)> on_pass = {};
  };

  enum class States { kRead, kAll };  // hidden states of the tokens that the model reads, or of all

  using Deliver =
      FunctionRef<void(std::size_t i, const float* rows, std::size_t stride, std::size_t tokens)>;
  // Computes one pass and delivers the states of every sequence, or fails before any. `alone`:
  // nothing else runs or waits. Called by up to `lanes` threads at once.
  using Compute = std::function<Result<>(std::span<const Sequence* const> sequences, States states,
                                         bool alone, Deliver deliver)>;
  // Gets the states of one sequence; called by any thread, also by several at once.
  using Take = std::function<Result<>(std::size_t sequence, const float* rows, std::size_t stride,
                                      std::size_t tokens)>;

  struct Times {
    SteadyTime first;  // when the first pass with a sequence of the request began
    SteadyTime end;
  };

  // `team` computes passes of a large request beside the thread that brought it. It and `clock`
  // must outlive the queue.
  PassQueue(const Options& options, WorkerTeam& team, const Clock& clock, Compute compute);
  ~PassQueue();

  // Returns when all sequences were taken, at the first error of a pass or of `take`, or when
  // `context` ends while none of them is being taken.
  Result<Times> Run(std::span<const Sequence> sequences, States states,
                    const RequestContext& context, const Take& take);

  PassCounts counts() const;
  // Sequences that no pass has yet.
  std::size_t waiting() const;

 private:
  struct Item;
  struct Job;
  struct Client {
    std::size_t jobs = 0;
    double given = 0;  // tokens, from the start of virtual time
  };
  // By what is computed, not by who asked.
  struct Hash {
    std::size_t operator()(const std::shared_ptr<Item>& item) const;
  };
  struct Equal {
    bool operator()(const std::shared_ptr<Item>& a, const std::shared_ptr<Item>& b) const;
  };
  using Items = std::vector<std::shared_ptr<Item>>;
  using Lock = std::unique_lock<std::mutex>;

  void Enter(Job& job);
  void Leave(Job& job, Lock& lock);
  void Withdraw(Job& job);
  void Fail(Job& job, Error error);
  struct WorkOptions {
    bool may_share = false;  // of one pass with the team
    bool one_pass = false;
  };
  void Work(Job& job, Lock& lock, WorkOptions options);
  bool MayWork(Job& job) const;
  void WakeOne();
  std::size_t PassTokens() const;
  void NextPass(SteadyTime now, Items& pass);
  Job* NextJob(SteadyTime now);
  bool IsInteractive(const Job& job, SteadyTime now) const;
  Item* NextItem(Job& job) const;
  PassCounts News();
  void ComputePass(std::span<const std::shared_ptr<Item>> pass, States states, bool alone);
  void Hand(const std::shared_ptr<Item>& item, const float* rows, std::size_t stride,
            std::size_t tokens);
  void FailItem(const std::shared_ptr<Item>& item, const Error& error);

  const Options options_;
  WorkerTeam& team_;
  const Clock& clock_;
  const Compute compute_;

  mutable std::mutex mutex_;
  // Guarded by mutex_.
  std::size_t busy_ = 0;    // lanes
  std::vector<Job*> jobs_;  // with sequences that wait, in the order they came
  std::unordered_set<std::shared_ptr<Item>, Hash, Equal> items_;  // that wait or are computed
  std::size_t waiting_tokens_ = 0;
  std::size_t waiting_ = 0;
  std::map<std::string, Client, std::less<>> clients_;  // with jobs
  double virtual_time_ = 0;                             // tokens given to the client served last
  PassCounts counts_;
  PassCounts told_;  // to on_pass
};

}  // namespace garrison
