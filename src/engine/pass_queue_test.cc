#include "engine/pass_queue.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <future>
#include <new>
#include <numeric>
#include <random>
#include <thread>

namespace garrison {
namespace {

using std::chrono::milliseconds;
using Ids = std::vector<std::int32_t>;

constexpr std::int32_t kPoison = -13;
constexpr std::int32_t kTooMuch = -14;  // no memory for it

Sequence Of(Ids ids) { return {.input = 0, .ids = std::move(ids)}; }
float StateOf(const Ids& ids) {
  return std::accumulate(ids.begin(), ids.end(), 0.5F,
                         [](float sum, std::int32_t id) { return sum + static_cast<float>(id); });
}

// A queue over an encoder whose state is the sum of the ids. While the gate is closed passes wait
// before they compute.
class Passes {
 public:
  explicit Passes(PassQueue::Options options = {.most_tokens = 8,
                                                .patience = std::chrono::hours(1)})
      : team_(options.lanes, static_cast<double>(options.lanes)),
        queue_(options, team_, clock_,
               [this](std::span<const Sequence* const> sequences, PassQueue::States, bool,
                      PassQueue::Deliver deliver) { return Compute(sequences, deliver); }) {}

  // Begins a request on a thread of its own; its states, or its error.
  std::future<Result<std::vector<float>>> Begin(std::vector<Sequence> sequences,
                                                RequestContext context = {},
                                                std::optional<Error> taking = std::nullopt) {
    return std::async(
        std::launch::async,
        [this, sequences = std::move(sequences), context, taking]() -> Result<std::vector<float>> {
          std::vector<float> states(sequences.size());
          const auto take = [&](std::size_t s, const float* rows, std::size_t,
                                std::size_t) -> Result<> {
            if (taking) return tl::unexpected(*taking);
            states[s] = *rows;
            return {};
          };
          RETURN_IF_ERROR(queue_.Run(sequences, PassQueue::States::kRead, context, take));
          return states;
        });
  }

  // A request that holds the only lane until Open().
  std::future<Result<std::vector<float>>> Block() {
    open_ = false;
    auto blocker = Begin({Of({1000})});
    Await([this] { return running_ > 0; });
    return blocker;
  }
  void Open() { open_ = true; }

  template <typename Condition>
  void Await(Condition condition) const {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (!condition() && std::chrono::steady_clock::now() < end) std::this_thread::yield();
    ASSERT_TRUE(condition());
  }
  void AwaitWaiting(std::size_t sequences) const {
    Await([&] { return queue_.waiting() == sequences; });
  }

  // Of every pass but the blocker's: the ids of its sequences.
  std::vector<std::vector<Ids>> passes() const {
    const std::lock_guard lock(mutex_);
    return passes_;
  }
  const PassQueue& queue() const { return queue_; }
  std::size_t most_at_once() const { return most_; }

 private:
  Result<> Compute(std::span<const Sequence* const> sequences, PassQueue::Deliver deliver) {
    const std::size_t now = ++running_;
    for (std::size_t seen = most_; now > seen && !most_.compare_exchange_weak(seen, now);) {
    }
    while (!open_) std::this_thread::yield();
    std::vector<Ids> pass;
    for (const Sequence* sequence : sequences) pass.push_back(sequence->ids);
    Result<> result;
    for (const Ids& ids : pass) {
      if (std::find(ids.begin(), ids.end(), kTooMuch) != ids.end()) {
        --running_;
        throw std::bad_alloc();
      }
      if (std::find(ids.begin(), ids.end(), kPoison) != ids.end()) {
        result = Fail(Code::kDataLoss, "poison");
      }
    }
    if (result && pass.front().front() != 1000) {
      const std::lock_guard lock(mutex_);
      passes_.push_back(pass);
    }
    for (std::size_t i = 0; result && i < pass.size(); ++i) {
      const float state = StateOf(pass[i]);
      deliver(i, &state, 1, 1);
    }
    --running_;
    return result;
  }

  const SystemClock clock_;
  WorkerTeam team_;
  std::atomic<bool> open_{true};
  std::atomic<std::size_t> running_{0};
  std::atomic<std::size_t> most_{0};
  mutable std::mutex mutex_;
  std::vector<std::vector<Ids>> passes_;
  PassQueue queue_;
};

TEST(PassQueue, RequestsThatCameMeanwhileShareAPass) {
  Passes passes;
  auto blocker = passes.Block();
  std::vector<std::future<Result<std::vector<float>>>> requests;
  for (std::int32_t i = 1; i <= 5; ++i) {
    requests.push_back(passes.Begin({Of({i})}));
    passes.AwaitWaiting(static_cast<std::size_t>(i));
  }
  passes.Open();
  for (std::int32_t i = 1; i <= 5; ++i) {
    EXPECT_EQ(requests[static_cast<std::size_t>(i) - 1].get().value(),
              std::vector<float>{StateOf({i})});
  }
  EXPECT_EQ(passes.passes(), (std::vector<std::vector<Ids>>{{{1}, {2}, {3}, {4}, {5}}}));
  EXPECT_TRUE(blocker.get());
  EXPECT_EQ(passes.queue().counts().passes, 2U);
  EXPECT_EQ(passes.queue().counts().sequences, 6U);
  EXPECT_EQ(passes.queue().counts().tokens, 6U);
  EXPECT_EQ(passes.queue().waiting(), 0U);
}

TEST(PassQueue, APassHasItsTokensButForOneLongSequence) {
  Passes passes;
  const Ids long_one(20, 1);
  ASSERT_TRUE(
      passes.Begin({Of({1, 2, 3, 4, 5}), Of({6, 7, 8}), Of({9}), Of(long_one), Of({10})}).get());
  EXPECT_EQ(passes.passes(), (std::vector<std::vector<Ids>>{
                                 {{1, 2, 3, 4, 5}, {6, 7, 8}}, {{9}}, {long_one}, {{10}}}));
}

TEST(PassQueue, EqualSequencesAreComputedOnce) {
  Passes passes;
  auto blocker = passes.Block();
  auto twin = passes.Begin({Of({1000})});  // of what is being computed
  passes.Await([&] { return passes.queue().counts().shared == 1; });
  auto first = passes.Begin({Of({1, 2}), Of({3}), Of({1, 2})});
  passes.AwaitWaiting(2);
  auto second = passes.Begin({Of({3}), Of({4})});
  passes.AwaitWaiting(3);
  passes.Open();
  EXPECT_EQ(first.get().value(),
            (std::vector<float>{StateOf({1, 2}), StateOf({3}), StateOf({1, 2})}));
  EXPECT_EQ(second.get().value(), (std::vector<float>{StateOf({3}), StateOf({4})}));
  EXPECT_EQ(twin.get().value(), blocker.get().value());
  EXPECT_EQ(passes.passes(), (std::vector<std::vector<Ids>>{{{1, 2}, {3}, {4}}}));
  EXPECT_EQ(passes.queue().counts().shared, 3U);
}

TEST(PassQueue, TypesAndStatesMakeSequencesDifferent) {
  Passes passes;
  Sequence typed = Of({1, 2});
  typed.type_ids = {0, 1};
  ASSERT_TRUE(passes.Begin({Of({1, 2}), typed}).get());
  EXPECT_EQ(passes.queue().counts().shared, 0U);
  EXPECT_EQ(passes.queue().counts().sequences, 2U);
}

TEST(PassQueue, InteractiveRequestsComeBeforeBulkOnes) {
  Passes passes;
  auto blocker = passes.Block();
  auto large = passes.Begin({Of({1, 1, 1, 1, 1, 1}), Of({2, 2, 2, 2, 2, 2})});  // bulk by its size
  passes.AwaitWaiting(2);
  auto bulk = passes.Begin({Of({3, 3, 3, 3, 3, 3})}, {.priority = Priority::kBulk});
  passes.AwaitWaiting(3);
  auto small = passes.Begin({Of({4, 4, 4, 4, 4, 4})});
  passes.AwaitWaiting(4);
  passes.Open();
  EXPECT_TRUE(large.get() && bulk.get() && small.get() && blocker.get());
  const auto order = passes.passes();
  ASSERT_EQ(order.size(), 4U);
  EXPECT_EQ(order[0][0][0], 4);
}

TEST(PassQueue, BulkDoesNotWaitForEver) {
  Passes passes({.most_tokens = 8, .patience = milliseconds(0)});
  auto blocker = passes.Block();
  auto bulk = passes.Begin({Of({1, 1, 1, 1, 1, 1})}, {.priority = Priority::kBulk});
  passes.AwaitWaiting(1);
  auto small = passes.Begin({Of({2, 2, 2, 2, 2, 2})});
  passes.AwaitWaiting(2);
  passes.Open();
  EXPECT_TRUE(bulk.get() && small.get() && blocker.get());
  EXPECT_EQ(passes.passes().front()[0][0], 1);
}

TEST(PassQueue, ClientsTakeTurnsByTokens) {
  Passes passes({.most_tokens = 2});
  auto blocker = passes.Block();
  std::vector<Sequence> much;
  for (std::int32_t i = 0; i < 6; ++i) much.push_back(Of({100 + i, 0}));
  auto greedy = passes.Begin(much, {.client = "greedy", .priority = Priority::kInteractive});
  passes.AwaitWaiting(6);
  auto modest = passes.Begin({Of({1, 0}), Of({2, 0})},
                             {.client = "modest", .priority = Priority::kInteractive});
  passes.AwaitWaiting(8);
  passes.Open();
  EXPECT_TRUE(greedy.get() && modest.get() && blocker.get());
  std::vector<std::int32_t> order;
  for (const auto& pass : passes.passes()) order.push_back(pass[0][0]);
  EXPECT_EQ(order, (std::vector<std::int32_t>{100, 1, 101, 2, 102, 103, 104, 105}));
}

TEST(PassQueue, WhoLeavesIsNotComputed) {
  Passes passes;
  auto blocker = passes.Block();
  std::stop_source leaves;
  auto gone = passes.Begin({Of({1}), Of({2})}, {.stop = leaves.get_token()});
  passes.AwaitWaiting(2);
  auto stays = passes.Begin({Of({2}), Of({3})});  // one of them both want
  passes.AwaitWaiting(3);
  leaves.request_stop();
  EXPECT_EQ(gone.get().error().code, Code::kCancelled);  // while the pass of another runs
  EXPECT_EQ(passes.queue().waiting(), 2U);
  passes.Open();
  EXPECT_EQ(stays.get().value(), (std::vector<float>{StateOf({2}), StateOf({3})}));
  EXPECT_TRUE(blocker.get());
  EXPECT_EQ(passes.passes(), (std::vector<std::vector<Ids>>{{{2}, {3}}}));
}

TEST(PassQueue, ADeadlineEndsTheWait) {
  Passes passes;
  auto blocker = passes.Block();
  auto late =
      passes.Begin({Of({1})}, {.deadline = std::chrono::steady_clock::now() + milliseconds(20)});
  EXPECT_EQ(late.get().error().code, Code::kDeadlineExceeded);
  passes.Open();
  EXPECT_TRUE(blocker.get());
  EXPECT_TRUE(passes.passes().empty());
}

TEST(PassQueue, AFailureFallsOnWhoBroughtIt) {
  Passes passes;
  auto blocker = passes.Block();
  auto good = passes.Begin({Of({1})});
  passes.AwaitWaiting(1);
  auto bad = passes.Begin({Of({kPoison})});
  passes.AwaitWaiting(2);
  auto refuses = passes.Begin({Of({2})}, {}, Error{Code::kDataLoss, "not finite", "input[0]", {}});
  passes.AwaitWaiting(3);
  passes.Open();
  EXPECT_EQ(good.get().value(), std::vector<float>{StateOf({1})});
  EXPECT_EQ(bad.get().error().message, "poison");
  EXPECT_EQ(refuses.get().error().where, "input[0]");
  EXPECT_TRUE(blocker.get());
}

TEST(PassQueue, OutOfMemoryIsAnErrorOfWhoBroughtIt) {
  Passes passes;
  auto blocker = passes.Block();
  auto good = passes.Begin({Of({1}), Of({2})});
  passes.AwaitWaiting(2);
  auto bad = passes.Begin({Of({3}), Of({kTooMuch})});
  passes.AwaitWaiting(4);
  passes.Open();
  EXPECT_EQ(good.get().value(), (std::vector<float>{StateOf({1}), StateOf({2})}));
  EXPECT_EQ(bad.get().error().code, Code::kResourceExhausted);
  EXPECT_TRUE(blocker.get());
  EXPECT_EQ(passes.queue().waiting(), 0U);
  EXPECT_EQ(passes.Begin({Of({3})}).get().value(), std::vector<float>{StateOf({3})});
}

TEST(PassQueue, NothingToComputeIsDone) {
  Passes passes;
  EXPECT_TRUE(passes.Begin({}).get());
  std::stop_source stopped;
  stopped.request_stop();
  EXPECT_EQ(passes.Begin({Of({1})}, {.stop = stopped.get_token()}).get().error().code,
            Code::kCancelled);
}

TEST(PassQueue, ManyRequestsAtOnceOfManyClients) {
  for (const std::size_t lanes : {1U, 3U}) {
    Passes passes({.lanes = lanes, .least_tokens = 3, .most_tokens = 12});
    std::vector<std::thread> threads;
    std::atomic<int> ended{0};
    for (unsigned t = 0; t < 8; ++t) {
      threads.emplace_back([&, t] {
        std::mt19937 random(t);
        for (int round = 0; round < 60; ++round) {
          std::vector<Sequence> sequences;
          std::vector<float> expected;
          for (unsigned n = random() % 9; n > 0; --n) {
            Ids ids(random() % 6 + 1);
            for (std::int32_t& id : ids) id = static_cast<std::int32_t>(random() % 3);
            expected.push_back(StateOf(ids));
            sequences.push_back(Of(std::move(ids)));
          }
          std::stop_source leaves;
          const bool stays = random() % 4 != 0;
          auto request = passes.Begin(
              sequences, {.stop = leaves.get_token(), .client = std::to_string(random() % 3)});
          if (!stays) leaves.request_stop();
          const auto states = request.get();
          if (states) {
            EXPECT_EQ(*states, expected);
          } else {
            EXPECT_FALSE(stays);
            EXPECT_EQ(states.error().code, Code::kCancelled);
          }
          ++ended;
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(ended, 480);
    EXPECT_LE(passes.most_at_once(), lanes);
    EXPECT_EQ(passes.queue().waiting(), 0U);
  }
}

}  // namespace
}  // namespace garrison
