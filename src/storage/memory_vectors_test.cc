#include "storage/memory_vectors.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <list>
#include <thread>

#include "storage/test_vectors.h"

namespace garrison {
namespace {

TEST(MemoryVectorsTest, FindsWhatWasStoredAndNothingElse) {
  MemoryVectors memory(1 << 20);
  memory.Store(KeyOfText("a"), {VectorOfText("a"), 0});
  EXPECT_EQ(memory.Find(KeyOfText("a"), 1), VectorOfText("a"));
  EXPECT_EQ(memory.Find(KeyOfText("b"), 1), std::nullopt);
  memory.Store(KeyOfText("a"), {VectorOfText("other"), 0});
  EXPECT_EQ(memory.Find(KeyOfText("a"), 1), VectorOfText("other"));
  EXPECT_EQ(memory.stats().entries, 1U);
}

TEST(MemoryVectorsTest, WhatHasExpiredIsGone) {
  MemoryVectors memory(1 << 20);
  memory.Store(KeyOfText("a"), {VectorOfText("a"), 100});
  EXPECT_TRUE(memory.Find(KeyOfText("a"), 99));
  EXPECT_FALSE(memory.Find(KeyOfText("a"), 100));
  EXPECT_EQ(memory.stats().bytes, 0U);
}

TEST(MemoryVectorsTest, KeepsTheMostRecentlyUsedAsAListWould) {
  const bool held = rc::check([](const std::vector<std::pair<bool, std::uint8_t>>& calls) {
    constexpr std::size_t kRoom = 5;
    MemoryVectors memory(kRoom * MemoryVectors::BytesOf(48) + 100);
    std::list<std::string> reference;  // the most recently used first
    std::size_t evicted = 0;
    for (const auto& [store, number] : calls) {
      const std::string text = std::to_string(number % 12);
      const auto place = std::find(reference.begin(), reference.end(), text);
      const bool known = place != reference.end();
      if (known) reference.erase(place);
      if (store) {
        memory.Store(KeyOfText(text), {VectorOfText(text), 0});
      } else {
        RC_ASSERT(memory.Find(KeyOfText(text), 1) ==
                  (known ? std::optional(VectorOfText(text)) : std::nullopt));
      }
      if (store || known) reference.push_front(text);
      if (reference.size() > kRoom) {
        reference.pop_back();
        ++evicted;
      }
      RC_ASSERT(memory.stats().entries == reference.size());
      RC_ASSERT(memory.stats().evictions == evicted);
    }
  });
  EXPECT_TRUE(held);
}

TEST(MemoryVectorsTest, NeverTakesMoreThanItsBytes) {
  constexpr std::uint64_t kBytes = 20 << 20;  // several shards
  MemoryVectors memory(kBytes);
  for (int i = 0; i < 30'000; ++i) {
    const std::string text = std::to_string(i);
    memory.Store(KeyOfText(text), {VectorOfText(text, 384), 0});
  }
  EXPECT_LE(memory.stats().bytes, kBytes);
  EXPECT_GT(memory.stats().bytes, kBytes * 9 / 10);
  EXPECT_EQ(memory.stats().entries + memory.stats().evictions, 30'000U);
  memory.Store(KeyOfText("large"), {VectorOfText("large", 10 << 20), 0});
  EXPECT_FALSE(memory.Find(KeyOfText("large"), 1));
}

TEST(MemoryVectorsTest, ThreadsFindWholeVectors) {
  MemoryVectors memory(4 << 20);
  std::vector<std::jthread> threads;
  for (int n = 0; n < 4; ++n) {
    threads.emplace_back([&memory, n] {
      for (int i = 0; i < 3000; ++i) {
        const std::string text = std::to_string((i * 7 + n) % 500);
        if (const auto found = memory.Find(KeyOfText(text), 1)) {
          ASSERT_EQ(*found, VectorOfText(text));
        } else {
          memory.Store(KeyOfText(text), {VectorOfText(text), 0});
        }
      }
    });
  }
}

}  // namespace
}  // namespace garrison
