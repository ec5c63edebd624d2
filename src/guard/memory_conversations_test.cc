#include "guard/memory_conversations.h"

#include <thread>

#include "guard/test_support.h"

namespace garrison {
namespace {

using namespace std::chrono_literals;

class MemoryConversationsTest : public testing::Test {
 protected:
  std::int64_t NowMs() const {
    return std::chrono::duration_cast<std::chrono::milliseconds>(
               clock_.WallNow().time_since_epoch())
        .count();
  }
  // Saves one anew, for an hour; its version.
  std::int64_t Add(MemoryConversations& store, std::string_view tenant, std::string_view id) {
    EXPECT_TRUE(store.Save({tenant, id}, id, 0, NowMs() + 3'600'000).value());
    return store.Load({tenant, id}).value().value().version;
  }
  static bool Has(MemoryConversations& store, std::string_view tenant, std::string_view id) {
    return store.Load({tenant, id}).value().has_value();
  }

  ManualClock clock_;
};

TEST_F(MemoryConversationsTest, SavesOnlyOverWhatWasLoaded) {
  MemoryConversations store(10, clock_);
  const std::int64_t later = NowMs() + 1'000;
  EXPECT_FALSE(store.Save({"t", "a"}, "x", 7, later).value()) << "nothing is there";
  EXPECT_TRUE(store.Save({"t", "a"}, "one", 0, later).value());
  EXPECT_FALSE(store.Save({"t", "a"}, "two", 0, later).value()) << "something is there";
  const StoredConversation one = store.Load({"t", "a"}).value().value();
  EXPECT_EQ(one.state, "one");
  EXPECT_TRUE(store.Save({"t", "a"}, "two", one.version, later).value());
  EXPECT_FALSE(store.Save({"t", "a"}, "three", one.version, later).value());
  EXPECT_EQ(store.Load({"t", "a"}).value()->state, "two");
  // One that was deleted and made anew is another.
  EXPECT_TRUE(store.Delete({"t", "a"}).value());
  EXPECT_FALSE(store.Delete({"t", "a"}).value());
  EXPECT_TRUE(store.Save({"t", "a"}, "anew", 0, later).value());
  EXPECT_FALSE(store.Save({"t", "a"}, "three", one.version, later).value());
}

TEST_F(MemoryConversationsTest, TenantsHaveTheirOwn) {
  MemoryConversations store(10, clock_);
  Add(store, "alice", "a");
  EXPECT_FALSE(Has(store, "bob", "a"));
  EXPECT_FALSE(Has(store, "", "a"));
  EXPECT_FALSE(store.Delete({"bob", "a"}).value());
  Add(store, "bob", "a");
  EXPECT_TRUE(store.Delete({"bob", "a"}).value());
  EXPECT_TRUE(Has(store, "alice", "a"));
}

TEST_F(MemoryConversationsTest, WhatHasExpiredIsNotThere) {
  MemoryConversations store(10, clock_);
  ASSERT_TRUE(store.Save({"t", "short"}, "x", 0, NowMs() + 1'000).value());
  Add(store, "u", "long");
  clock_.Advance(1s);
  EXPECT_FALSE(Has(store, "t", "short"));
  EXPECT_FALSE(store.Delete({"t", "short"}).value());
  ASSERT_TRUE(store.Save({"t", "short"}, "x", 0, NowMs() + 1'000).value());
  clock_.Advance(1s);
  EXPECT_EQ(store.stats().conversations, 2u);
  ASSERT_TRUE(store.Sweep());
  EXPECT_EQ(store.stats().conversations, 1u);
  EXPECT_EQ(store.stats().expired, 2u);
  EXPECT_EQ(store.stats().evicted, 0u);
  EXPECT_TRUE(Has(store, "u", "long"));
}

TEST_F(MemoryConversationsTest, WhoHoldsTheMostMakesRoom) {
  MemoryConversations store(4, clock_);
  Add(store, "quiet", "a");
  for (const char* id : {"1", "2", "3"}) Add(store, "busy", id);
  const std::int64_t first = store.Load({"busy", "1"}).value()->version;
  ASSERT_TRUE(store.Save({"busy", "1"}, "again", first, NowMs() + 3'600'000).value());
  Add(store, "busy", "4");
  EXPECT_TRUE(Has(store, "quiet", "a")) << "the oldest of all, but another's";
  EXPECT_FALSE(Has(store, "busy", "2")) << "used longest ago";
  EXPECT_TRUE(Has(store, "busy", "1"));
  Add(store, "newcomer", "a");
  EXPECT_FALSE(Has(store, "busy", "3"));
  EXPECT_EQ(store.stats().evicted, 2u);
  EXPECT_EQ(store.stats().conversations, 4u);
}

TEST_F(MemoryConversationsTest, AClockThatIsSetBackDoesNoHarm) {
  MemoryConversations store(10, clock_);
  // As if saved before the clock was set back, and then one that expires sooner.
  ASSERT_TRUE(store.Save({"t", "late"}, "x", 0, NowMs() + 10'000).value());
  ASSERT_TRUE(store.Save({"t", "soon"}, "x", 0, NowMs() + 1'000).value());
  clock_.Advance(1s);
  EXPECT_FALSE(Has(store, "t", "soon"));
  EXPECT_TRUE(store.Save({"t", "soon"}, "anew", 0, NowMs() + 1'000).value());
}

TEST_F(MemoryConversationsTest, ThreadsThatChangeOneNeverBothWin) {
  MemoryConversations store(10, clock_);
  const std::int64_t later = NowMs() + 1'000'000;
  ASSERT_TRUE(store.Save({"t", "a"}, "0", 0, later).value());
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int done = 0; done < 500;) {
        const StoredConversation now = store.Load({"t", "a"}).value().value();
        done += store.Save({"t", "a"}, std::to_string(std::stoi(now.state) + 1), now.version, later)
                    .value();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(store.Load({"t", "a"}).value()->state, "2000");
}

}  // namespace
}  // namespace garrison
