#include "engine/pass_queue.h"

#include <algorithm>
#include <new>
#include <string_view>
#include <utility>

#include "base/check.h"

namespace garrison {
namespace {

Error OutOfMemory() {
  return {Code::kResourceExhausted, "out of memory; send less at once", "", std::nullopt};
}

}  // namespace

// One sequence to compute, for everyone who asked for it.
struct PassQueue::Item {
  struct Taker {
    Job* job;
    std::size_t index;  // of the job's sequences
  };

  Sequence sequence;
  States states;
  std::vector<Taker> takers;
  bool waits = true;  // no pass has it yet
};

struct PassQueue::Job {
  const RequestContext& context;
  const Take& take;
  States states;
  Priority priority;
  SteadyTime since;

  Items items;               // one for each sequence
  std::size_t queued = 0;    // of items, from the first, in items_
  Client* client = nullptr;  // once it is among its jobs
  std::size_t next = 0;      // those before it do not wait
  std::size_t missing = 0;
  std::size_t being_taken = 0;
  bool closed = false;  // takes nothing any more
  bool sleeps = false;  // its thread waits for the end or for a lane
  std::optional<SteadyTime> first;
  std::optional<Error> error;
  std::condition_variable_any changed;

  bool done() const { return missing == 0 || error; }
};

std::size_t PassQueue::Hash::operator()(const std::shared_ptr<Item>& item) const {
  const auto bytes = [](const std::vector<std::int32_t>& ids) {
    return std::hash<std::string_view>()(
        {reinterpret_cast<const char*>(ids.data()), ids.size() * sizeof(std::int32_t)});
  };
  const Sequence& sequence = item->sequence;
  return bytes(sequence.ids) ^ (bytes(sequence.type_ids) * 31) ^
         static_cast<std::size_t>(item->states);
}

bool PassQueue::Equal::operator()(const std::shared_ptr<Item>& a,
                                  const std::shared_ptr<Item>& b) const {
  return a->states == b->states && a->sequence.ids == b->sequence.ids &&
         a->sequence.type_ids == b->sequence.type_ids;
}

PassQueue::PassQueue(const Options& options, WorkerTeam& team, const Clock& clock, Compute compute)
    : options_(options), team_(team), clock_(clock), compute_(std::move(compute)) {
  CHECK(options.lanes > 0);
}

PassQueue::~PassQueue() = default;

PassCounts PassQueue::counts() const {
  const Lock lock(mutex_);
  return counts_;
}

std::size_t PassQueue::waiting() const {
  const Lock lock(mutex_);
  return waiting_;
}

Result<PassQueue::Times> PassQueue::Run(std::span<const Sequence> sequences, States states,
                                        const RequestContext& context, const Take& take) {
  const SteadyTime since = clock_.Now();
  RETURN_IF_ERROR(context.Check(since));
  std::size_t tokens = 0;
  for (const Sequence& sequence : sequences) tokens += sequence.ids.size();
  const Priority by_size = tokens > options_.most_tokens ? Priority::kBulk : Priority::kInteractive;
  Job job{.context = context,
          .take = take,
          .states = states,
          .priority = context.priority.value_or(by_size),
          .since = since};
  job.missing = sequences.size();
  job.items.reserve(sequences.size());
  for (const Sequence& sequence : sequences) {
    job.items.push_back(std::make_shared<Item>(Item{.sequence = sequence, .states = states}));
  }

  Lock lock(mutex_);
  try {
    Enter(job);
  } catch (const std::bad_alloc&) {
    job.error = OutOfMemory();
  }
  while (!job.done()) {
    if (Result<> live = context.Check(clock_.Now()); !live) {
      job.error = std::move(live).error();
      break;
    }
    if (MayWork(job)) {
      if (team_.threads() > 1 && sequences.size() > 1 && tokens > PassTokens()) {
        lock.unlock();
        const bool shared = team_.TryRun(team_.threads(), [&](std::size_t) {
          Lock mine(mutex_);
          Work(job, mine, {});
        });
        lock.lock();
        // Another request has the team for now.
        if (!shared) Work(job, lock, {.one_pass = true});
      } else {
        Work(job, lock, {.may_share = true});
      }
      continue;
    }
    job.sleeps = true;
    job.changed.wait_until(lock, context.stop, context.deadline,
                           [&] { return job.done() || MayWork(job); });
    job.sleeps = false;
  }
  Leave(job, lock);
  const SteadyTime end = clock_.Now();
  if (job.error) return tl::unexpected(*std::move(job.error));
  return Times{job.first.value_or(since), end};
}

// ---------------------------------------------------------------- who waits for what

void PassQueue::Enter(Job& job) {
  job.client = &clients_[job.context.client];
  if (job.client->jobs++ == 0) job.client->given = virtual_time_;
  jobs_.reserve(jobs_.size() + 1);
  for (std::size_t i = 0; i < job.items.size(); ++i) {
    job.items[i]->takers.reserve(1);
    const auto [known, added] = items_.insert(job.items[i]);
    if (added) {
      waiting_tokens_ += job.items[i]->sequence.ids.size();
      ++waiting_;
    } else {
      job.items[i] = *known;
      ++counts_.shared;
    }
    ++job.queued;
    job.items[i]->takers.push_back({&job, i});
  }
  if (NextItem(job) != nullptr) jobs_.push_back(&job);
}

// From now on nothing of the job is touched.
void PassQueue::Leave(Job& job, Lock& lock) {
  Withdraw(job);
  if (job.client != nullptr && --job.client->jobs == 0) {
    clients_.erase(clients_.find(job.context.client));
  }
  WakeOne();
  job.changed.wait(lock, [&] { return job.being_taken == 0; });
}

// Its sequences that wait for nobody else are not computed.
void PassQueue::Withdraw(Job& job) {
  if (std::exchange(job.closed, true)) return;
  std::erase(jobs_, &job);
  for (std::size_t i = 0; i < job.queued; ++i) {
    const std::shared_ptr<Item>& item = job.items[i];
    std::erase_if(item->takers, [&](const Item::Taker& taker) { return taker.job == &job; });
    if (!item->waits || !item->takers.empty()) continue;
    item->waits = false;
    waiting_tokens_ -= item->sequence.ids.size();
    --waiting_;
    items_.erase(item);
  }
}

void PassQueue::Fail(Job& job, Error error) {
  if (!job.error) job.error = std::move(error);
  Withdraw(job);
  job.changed.notify_all();
}

// A lane is free, or sequences have come: a thread that sleeps takes over.
void PassQueue::WakeOne() {
  if (busy_ >= options_.lanes) return;
  const auto sleeper = std::find_if(jobs_.begin(), jobs_.end(), [this](Job* job) {
    return job->sleeps && NextItem(*job) != nullptr;
  });
  if (sleeper != jobs_.end()) (*sleeper)->changed.notify_all();
}

// Its own sequences wait and there is a free lane.
bool PassQueue::MayWork(Job& job) const {
  return busy_ < options_.lanes && NextItem(job) != nullptr;
}

// ---------------------------------------------------------------- passes

// Computes what is next as long as sequences of the job wait: then it is soon done, and others go
// on.
void PassQueue::Work(Job& job, Lock& lock, WorkOptions options) {
  if (busy_ >= options_.lanes) return;
  ++busy_;
  while (!job.done() && NextItem(job) != nullptr) {
    Items pass;
    try {
      NextPass(clock_.Now(), pass);
    } catch (const std::bad_alloc&) {
      if (pass.empty()) Fail(job, OutOfMemory());
    }
    if (pass.empty()) break;
    const bool alone = options.may_share && busy_ == 1 && waiting_ == 0;
    const PassCounts news = News();
    WakeOne();  // lanes that became free meanwhile
    lock.unlock();
    if (options_.on_pass) options_.on_pass(news);
    ComputePass(pass, pass.front()->states, alone);
    lock.lock();
    if (options.one_pass) break;
  }
  --busy_;
  WakeOne();
}

bool PassQueue::IsInteractive(const Job& job, SteadyTime now) const {
  return job.priority == Priority::kInteractive || now - job.since > options_.patience;
}

PassQueue::Item* PassQueue::NextItem(Job& job) const {
  while (job.next < job.items.size() && !job.items[job.next]->waits) ++job.next;
  return job.next < job.items.size() ? job.items[job.next].get() : nullptr;
}

// Null when nothing waits. Requests that ended are failed on the way, before anything is spent on
// them.
PassQueue::Job* PassQueue::NextJob(SteadyTime now) {
  Job* best = nullptr;
  bool best_interactive = false;
  double best_given = 0;
  for (std::size_t i = 0; i < jobs_.size();) {
    Job* const job = jobs_[i];
    if (NextItem(*job) == nullptr) {
      jobs_.erase(jobs_.begin() + static_cast<std::ptrdiff_t>(i));
      continue;
    }
    if (Result<> live = job->context.Check(now); !live) {
      Fail(*job, std::move(live).error());
      continue;
    }
    ++i;
    const bool interactive = IsInteractive(*job, now);
    const double given = job->client->given;
    const bool better = best == nullptr || (interactive && !best_interactive) ||
                        (interactive == best_interactive && given < best_given);
    if (!better) continue;
    best = job;
    best_interactive = interactive;
    best_given = given;
  }
  return best;
}

std::size_t PassQueue::PassTokens() const {
  if (options_.lanes == 1) return options_.most_tokens;
  return std::clamp(waiting_tokens_ / (2 * options_.lanes), options_.least_tokens,
                    options_.most_tokens);
}

void PassQueue::NextPass(SteadyTime now, Items& pass) {
  const std::size_t target = PassTokens();
  std::size_t tokens = 0;
  while (Job* const job = NextJob(now)) {
    const std::shared_ptr<Item>& item = job->items[job->next];
    const std::size_t length = item->sequence.ids.size();
    if (!pass.empty() && (tokens + length > target || item->states != pass.front()->states)) {
      break;
    }
    pass.push_back(item);
    tokens += length;
    ++counts_.sequences;
    counts_.tokens += length;
    item->waits = false;
    waiting_tokens_ -= length;
    --waiting_;
    virtual_time_ = job->client->given;
    job->client->given += static_cast<double>(length);
    for (const Item::Taker& taker : item->takers) {
      if (!taker.job->first) taker.job->first = now;
    }
  }
  if (!pass.empty()) ++counts_.passes;
}

PassCounts PassQueue::News() {
  const PassCounts before = std::exchange(told_, counts_);
  return {.passes = counts_.passes - before.passes,
          .sequences = counts_.sequences - before.sequences,
          .shared = counts_.shared - before.shared,
          .tokens = counts_.tokens - before.tokens,
          .waiting = waiting_};
}

void PassQueue::ComputePass(std::span<const std::shared_ptr<Item>> pass, States states,
                            bool alone) {
  const auto compute = [&]() -> Result<> {
    try {
      std::vector<const Sequence*> sequences;
      sequences.reserve(pass.size());
      for (const std::shared_ptr<Item>& item : pass) sequences.push_back(&item->sequence);
      return compute_(sequences, states, alone,
                      [&](std::size_t i, const float* rows, std::size_t stride,
                          std::size_t tokens) { Hand(pass[i], rows, stride, tokens); });
    } catch (const std::bad_alloc&) {
      return tl::unexpected(OutOfMemory());
    }
  };
  const Result<> computed = compute();
  if (computed) return;
  if (pass.size() == 1) return FailItem(pass.front(), computed.error());
  // Whose fault it is shows when each is computed by itself.
  for (std::size_t i = 0; i < pass.size(); ++i) {
    ComputePass(pass.subspan(i, 1), states, false);
  }
}

void PassQueue::Hand(const std::shared_ptr<Item>& item, const float* rows, std::size_t stride,
                     std::size_t tokens) {
  std::vector<Item::Taker> takers;
  {
    const Lock lock(mutex_);
    items_.erase(item);
    takers = std::exchange(item->takers, {});
    for (const Item::Taker& taker : takers) ++taker.job->being_taken;
  }
  for (const Item::Taker& taker : takers) {
    Job& job = *taker.job;
    const auto take = [&]() -> Result<> {
      try {
        return job.take(taker.index, rows, stride, tokens);
      } catch (const std::bad_alloc&) {
        return tl::unexpected(OutOfMemory());
      }
    };
    Result<> taken = take();
    const Lock lock(mutex_);
    --job.being_taken;
    --job.missing;
    if (!taken && !job.closed) Fail(job, std::move(taken).error());
    if (job.done()) job.changed.notify_all();
  }
}

void PassQueue::FailItem(const std::shared_ptr<Item>& item, const Error& error) {
  const Lock lock(mutex_);
  items_.erase(item);
  const std::vector<Item::Taker> takers = std::exchange(item->takers, {});
  for (const Item::Taker& taker : takers) Fail(*taker.job, error);
}

}  // namespace garrison
