// Conversations on both databases: compare-and-swap under threads, processes and kill -9, bounds,
// damage, and a database that goes away.
#include "storage/database_conversations.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <thread>

#include "db/test_databases.h"

namespace garrison {
namespace {

using namespace std::chrono_literals;

constexpr std::int64_t kFar = 4'102'444'800'000;  // 2100

class DatabaseConversationsTest : public DatabaseTest {
 protected:
  std::unique_ptr<DatabaseConversations> Open(std::size_t conversations = 1'000) {
    return std::make_unique<DatabaseConversations>(
        DatabaseConversationsOptions{.place = place_, .conversations = conversations}, clock_,
        *logger_);
  }
  std::int64_t NowMs() const {
    return std::chrono::duration_cast<std::chrono::milliseconds>(
               clock_.WallNow().time_since_epoch())
        .count();
  }
  void Add(DatabaseConversations& store, std::string_view tenant, std::string_view id) {
    ASSERT_TRUE(store.Save({tenant, id}, id, 0, kFar).value());
    clock_.Advance(1ms);
  }
  static bool Has(DatabaseConversations& store, std::string_view tenant, std::string_view id) {
    return store.Load({tenant, id}).value().has_value();
  }
  // Counts in the state of "a" to one more, as a turn does; the number it got.
  static int Count(ConversationStore& store) {
    while (true) {
      const auto now = store.Load({"t", "a"}).value();
      const int next = now ? std::stoi(now->state) + 1 : 1;
      const auto saved = store.Save({"t", "a"}, std::to_string(next), now ? now->version : 0, kFar);
      if (saved.value()) return next;
    }
  }
  void Sql(const std::string& sql) {
    ASSERT_TRUE(OpenDatabase(place_, {}).value()->ExecuteScript(sql));
  }

  ManualClock clock_;
  const std::unique_ptr<Logger> logger_ = MakeNullLogger();
};

TEST_P(DatabaseConversationsTest, SavesOnlyOverWhatWasLoaded) {
  const auto store = Open();
  const auto other = Open();
  EXPECT_FALSE(store->Load({"t", "a"}).value());
  EXPECT_FALSE(store->Save({"t", "a"}, "x", 7, kFar).value()) << "nothing is there";
  EXPECT_TRUE(store->Save({"t", "a"}, std::string("o\0ne", 4), 0, kFar).value());
  EXPECT_FALSE(other->Save({"t", "a"}, "two", 0, kFar).value()) << "something is there";
  const StoredConversation one = other->Load({"t", "a"}).value().value();
  EXPECT_EQ(one.state, std::string("o\0ne", 4));
  EXPECT_TRUE(other->Save({"t", "a"}, "two", one.version, kFar).value());
  EXPECT_FALSE(store->Save({"t", "a"}, "three", one.version, kFar).value());
  EXPECT_EQ(store->Load({"t", "a"}).value()->state, "two");
  EXPECT_TRUE(store->Delete({"t", "a"}).value());
  EXPECT_FALSE(other->Delete({"t", "a"}).value());
  EXPECT_TRUE(store->Save({"t", "a"}, "anew", 0, kFar).value());
  EXPECT_FALSE(other->Save({"t", "a"}, "three", one.version, kFar).value());
}

TEST_P(DatabaseConversationsTest, TenantsHaveTheirOwn) {
  const auto store = Open();
  Add(*store, "alice", "a");
  EXPECT_FALSE(Has(*store, "bob", "a"));
  EXPECT_FALSE(Has(*store, "", "a"));
  EXPECT_FALSE(store->Delete({"bob", "a"}).value());
  Add(*store, "bob", "a");
  EXPECT_TRUE(store->Delete({"bob", "a"}).value());
  EXPECT_TRUE(Has(*store, "alice", "a"));
  // What SQL would take for something else.
  const std::string odd = "'; DROP TABLE garrison_conversations; --%_\\\"";
  Add(*store, "alice", odd);
  EXPECT_EQ(store->Load({"alice", odd}).value()->state, odd);
}

TEST_P(DatabaseConversationsTest, WhatHasExpiredIsNotThere) {
  const auto store = Open();
  ASSERT_TRUE(store->Save({"t", "short"}, "x", 0, NowMs() + 1'000).value());
  ASSERT_TRUE(store->Save({"t", "gone"}, "x", 0, NowMs() + 1'000).value());
  Add(*store, "t", "long");
  clock_.Advance(1s);
  EXPECT_FALSE(Has(*store, "t", "short"));
  EXPECT_FALSE(store->Delete({"t", "gone"}).value());
  EXPECT_TRUE(store->Save({"t", "short"}, "anew", 0, NowMs() + 1'000).value());
  EXPECT_EQ(store->Load({"t", "short"}).value()->state, "anew");
  clock_.Advance(1s);
  ASSERT_TRUE(store->Sweep());
  EXPECT_EQ(store->stats().expired, 1u);
  EXPECT_EQ(store->stats().conversations, 1u);
  EXPECT_TRUE(Has(*store, "t", "long"));
}

TEST_P(DatabaseConversationsTest, WhoHoldsTheMostMakesRoom) {
  const auto store = Open(6);
  for (const char* id : {"1", "2"}) Add(*store, "quiet", id);
  for (const char* id : {"1", "2", "3", "4", "5"}) Add(*store, "busy", id);
  for (const char* id : {"1", "2", "3"}) Add(*store, "other", id);
  const auto first = store->Load({"busy", "1"}).value().value();
  ASSERT_TRUE(store->Save({"busy", "1"}, "again", first.version, kFar).value());
  ASSERT_TRUE(store->Sweep());
  EXPECT_EQ(store->stats().conversations, 6u);
  EXPECT_EQ(store->stats().evicted, 4u);
  EXPECT_TRUE(Has(*store, "quiet", "1") && Has(*store, "quiet", "2"));
  EXPECT_TRUE(Has(*store, "busy", "1") && Has(*store, "busy", "5"));
  EXPECT_FALSE(Has(*store, "busy", "2") || Has(*store, "busy", "4"));
  EXPECT_TRUE(Has(*store, "other", "2") && Has(*store, "other", "3"));
  ASSERT_TRUE(store->Sweep());
  EXPECT_EQ(store->stats().evicted, 4u);
}

TEST_P(DatabaseConversationsTest, WhatIsTooMuchForOneSweepIsLeftForTheNext) {
  const auto store = Open(10);
  for (int i = 0; i < 1'500; ++i) Add(*store, "t", std::to_string(i));
  EXPECT_TRUE(store->Sweep().value());
  EXPECT_EQ(store->stats().conversations, 500u);
  EXPECT_FALSE(store->Sweep().value());
  EXPECT_EQ(store->stats().conversations, 10u);
  EXPECT_EQ(store->stats().evicted, 1'490u);
}

TEST_P(DatabaseConversationsTest, ThreadsOfTwoServicesCountEveryTurnOnce) {
  constexpr int kThreads = 4;
  constexpr int kRounds = 25;
  const auto one = Open();
  const auto other = Open();
  std::vector<std::vector<int>> numbers(kThreads);
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kRounds; ++i) numbers[t].push_back(Count(t % 2 == 0 ? *one : *other));
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::vector<int> seen(kThreads * kRounds + 1);
  for (const auto& of_thread : numbers) {
    for (const int number : of_thread) ++seen.at(static_cast<std::size_t>(number));
  }
  EXPECT_EQ(std::count(seen.begin(), seen.end(), 1), kThreads * kRounds);
}

// Each says a number once it has it; killed in between, one may have been taken that was not said.
TEST_P(DatabaseConversationsTest, KilledProcessesLoseNoTurnAndLeaveNoHalf) {
  constexpr std::size_t kChildren = 3;
  ASSERT_TRUE(Open()->Load({"t", "a"}));  // the tables are there
  std::array<int, 2> pipe_ends{};
  ASSERT_EQ(pipe(pipe_ends.data()), 0);
  std::vector<pid_t> children;
  for (std::size_t i = 0; i < kChildren; ++i) {
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      const auto store = Open();
      while (true) {
        const int number = Count(*store);
        if (write(pipe_ends[1], &number, sizeof(number)) != sizeof(number)) _exit(1);
      }
    }
    children.push_back(child);
  }
  close(pipe_ends[1]);
  std::vector<int> said;
  int number = 0;
  while (said.size() < 200 && read(pipe_ends[0], &number, sizeof(number)) == sizeof(number)) {
    said.push_back(number);
  }
  for (const pid_t child : children) kill(child, SIGKILL);
  while (read(pipe_ends[0], &number, sizeof(number)) == sizeof(number)) said.push_back(number);
  close(pipe_ends[0]);
  for (const pid_t child : children) EXPECT_EQ(waitpid(child, nullptr, 0), child);
  ASSERT_GE(said.size(), 200u);
  std::sort(said.begin(), said.end());
  EXPECT_EQ(std::adjacent_find(said.begin(), said.end()), said.end()) << "a number twice";
  const auto store = Open();
  const int last = std::stoi(store->Load({"t", "a"}).value().value().state);
  EXPECT_GE(last, said.back());
  EXPECT_LE(static_cast<std::size_t>(last), said.size() + kChildren);
  EXPECT_EQ(Count(*store), last + 1);
}

TEST_P(DatabaseConversationsTest, DamageIsNamedAndCanBeDeleted) {
  const auto store = Open();
  Add(*store, "t", "a");
  Add(*store, "t", "b");
  Sql("UPDATE garrison_conversations SET version = version + 2 WHERE id = 'a'");
  Sql("UPDATE garrison_conversations SET id = 'c' WHERE id = 'b'");
  for (const char* id : {"a", "c"}) {
    const auto damaged = store->Load({"t", id});
    ASSERT_FALSE(damaged);
    EXPECT_EQ(damaged.error().code, Code::kDataLoss);
    EXPECT_TRUE(store->Delete({"t", id}).value());
    EXPECT_FALSE(Has(*store, "t", id));
  }
  EXPECT_TRUE(store->stats().answers);
}

TEST_P(DatabaseConversationsTest, ATableThatIsGoneIsUnavailableWithoutDetails) {
  const auto store = Open();
  Add(*store, "t", "a");
  Sql("DROP TABLE garrison_conversations");
  const auto answer = store->Load({"t", "a"});
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Code::kUnavailable);
  EXPECT_EQ(answer.error().reason, "guard_store_unavailable");
  EXPECT_TRUE(answer.error().retry_after);
  EXPECT_EQ(answer.error().message.find("garrison_conversations"), std::string::npos);
  EXPECT_FALSE(store->stats().answers);
  const std::uint64_t failures = store->stats().failures;
  EXPECT_GT(failures, 0u);
  EXPECT_EQ(store->Save({"t", "a"}, "x", 0, kFar).error().code, Code::kUnavailable);
  EXPECT_EQ(store->stats().failures, failures) << "it was asked again at once";
}

GARRISON_BOTH_DATABASES(DatabaseConversationsTest);

TEST(DatabaseConversations, AServerThatCameBackIsUsedAgain) {
  TestPostgres* const postgres = SharedPostgres();
  if (postgres == nullptr) GTEST_SKIP() << "PostgreSQL 15 is not installed";
  const SystemClock clock;
  const auto logger = MakeNullLogger();
  DatabaseConversations store({.place = postgres->url()}, clock, *logger);
  ASSERT_TRUE(store.Delete({"t", "back"}));
  ASSERT_TRUE(store.Save({"t", "back"}, "x", 0, kFar).value());
  ASSERT_TRUE(postgres->Stop());
  EXPECT_EQ(store.Load({"t", "back"}).error().code, Code::kUnavailable);
  ASSERT_TRUE(postgres->Start());
  const auto end = clock.Now() + 60s;
  while (!store.Load({"t", "back"}) && clock.Now() < end) std::this_thread::sleep_for(20ms);
  EXPECT_EQ(store.Load({"t", "back"}).value()->state, "x");
  // A restart that nobody noticed costs nothing.
  ASSERT_TRUE(postgres->Stop());
  ASSERT_TRUE(postgres->Start());
  EXPECT_EQ(store.Load({"t", "back"}).value()->state, "x");
}

}  // namespace
}  // namespace garrison
