#include "storage/tiered_cache.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <fstream>
#include <mutex>
#include <random>
#include <thread>

#include "db/test_databases.h"
#include "storage/test_vectors.h"

namespace garrison {
namespace {

constexpr std::chrono::seconds kPatience{30};

// Remembers its lines.
class TestLogger final : public Logger {
 public:
  bool Enabled(LogLevel) const override { return true; }
  void SetLevel(LogLevel) override {}
  void Write(LogLevel, std::string_view line) override {
    const std::lock_guard lock(mutex_);
    lines_ += std::string(line) + "\n";
  }
  std::string lines() const {
    const std::lock_guard lock(mutex_);
    return lines_;
  }

 private:
  mutable std::mutex mutex_;
  std::string lines_;  // guarded by mutex_
};

class Cache : public DatabaseTest {
 protected:
  std::unique_ptr<TieredCache> Make(bool memory = false) {
    CacheSettings settings = settings_;
    DatabaseSettings database;
    settings.memory_bytes = memory ? 1 << 20 : 0;
    (GetParam() == DbKind::kSqlite ? settings.file : database.url) = place_;
    return std::make_unique<TieredCache>(settings, database, clock_, logger_);
  }
  static std::optional<CachedVector> FindOne(TieredCache& cache, const std::string& text) {
    const VectorKey key = KeyOfText(text);
    return cache.Find(std::span(&key, 1))[0];
  }
  static void Keep(TieredCache& cache, const std::vector<std::string>& texts) {
    std::vector<NewVector> vectors;
    for (const std::string& text : texts) vectors.push_back(NewOfText(text));
    cache.Store(std::move(vectors));
  }
  static std::vector<std::string> Numbers(int from, int to) {
    std::vector<std::string> texts;
    for (int i = from; i < to; ++i) texts.push_back(std::to_string(i));
    return texts;
  }
  template <typename Condition>
  static bool Eventually(Condition condition) {
    const auto end = std::chrono::steady_clock::now() + kPatience;
    while (!condition()) {
      if (std::chrono::steady_clock::now() > end) return false;
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return true;
  }

  CacheSettings settings_;
  ManualClock clock_;
  TestLogger logger_;
};
GARRISON_BOTH_DATABASES(Cache);

TEST_P(Cache, FindsAfterARestartWhatWasStoredBefore) {
  {
    const auto cache = Make(true);
    Keep(*cache, {"a", "b"});
    EXPECT_EQ(FindOne(*cache, "a"), VectorOfText("a")) << "at once, from memory";
  }
  const auto cache = Make(true);
  EXPECT_EQ(FindOne(*cache, "a"), VectorOfText("a"));
  EXPECT_EQ(FindOne(*cache, "a"), VectorOfText("a"));
  EXPECT_EQ(FindOne(*cache, "c"), std::nullopt);
  EXPECT_EQ(cache->stats().database_hits, 1U);
  EXPECT_EQ(cache->stats().memory_hits, 1U);
  EXPECT_EQ(cache->stats().misses, 1U);
  EXPECT_EQ(logger_.lines(), "");
}

TEST_P(Cache, AnyBatchOfHitsAndMissesGivesEveryKeyItsOwnVector) {
  const auto database_only = Make();
  const auto both = Make(true);
  int rounds = 0;
  const bool held = rc::check([&](const std::vector<std::uint8_t>& asked,
                                  const std::vector<std::uint8_t>& kept, bool with_memory) {
    TieredCache& cache = with_memory ? *both : *database_only;
    const std::string round = std::to_string(++rounds);
    const auto name = [&](std::uint8_t n) { return round + "/" + std::to_string(n % 40); };
    std::vector<std::string> stored;
    for (const std::uint8_t n : kept) stored.push_back(name(n));
    Keep(cache, stored);
    RC_ASSERT(database_only->Flush(kPatience) && both->Flush(kPatience));
    std::vector<VectorKey> keys;
    for (const std::uint8_t n : asked) keys.push_back(KeyOfText(name(n)));
    const auto found = cache.Find(keys);
    RC_ASSERT(found.size() == asked.size());
    for (std::size_t i = 0; i < asked.size(); ++i) {
      const std::string text = name(asked[i]);
      const bool there = std::find(stored.begin(), stored.end(), text) != stored.end();
      RC_ASSERT(found[i] == (there ? std::optional(VectorOfText(text)) : std::nullopt));
    }
  });
  EXPECT_TRUE(held);
}

TEST_P(Cache, VectorsExpireInBothTiersAndAHitDoesNotProlongThem) {
  settings_.ttl_s = 100;
  const auto both = Make(true), database = Make();
  Keep(*both, {"a"});
  ASSERT_TRUE(both->Flush(kPatience));
  clock_.Advance(std::chrono::seconds(60));
  const auto later = Make(true);
  EXPECT_TRUE(FindOne(*both, "a") && FindOne(*database, "a") && FindOne(*later, "a"));
  clock_.Advance(std::chrono::seconds(40));
  EXPECT_FALSE(FindOne(*both, "a") || FindOne(*database, "a") || FindOne(*later, "a"));
}

TEST_P(Cache, TheDatabaseStaysBelowItsBytesAndDropsTheLeastRecentlyUsed) {
  const std::uint64_t one = RowOfText("0000").Bytes();
  settings_.bytes = static_cast<std::int64_t>(100 * one);
  const auto cache = Make();
  Keep(*cache, {"kept"});
  ASSERT_TRUE(cache->Flush(kPatience));
  for (int i = 0; i < 20; ++i) {
    clock_.Advance(std::chrono::seconds(1));
    EXPECT_TRUE(FindOne(*cache, "kept"));
    Keep(*cache, Numbers(1000 + 20 * i, 1020 + 20 * i));
    ASSERT_TRUE(cache->Flush(kPatience));
  }
  EXPECT_LE(cache->stats().database_bytes, 100 * one);
  EXPECT_GT(cache->stats().evictions, 250U);
  EXPECT_TRUE(FindOne(*cache, "1399"));
  EXPECT_FALSE(FindOne(*cache, "1001"));
}

TEST_P(Cache, HalvesAreNotGivenToThoseWhoWantWholeNumbers) {
  settings_.precision = "f16";
  const auto rounding = Make();
  Keep(*rounding, {"a"});
  ASSERT_TRUE(rounding->Flush(kPatience));
  EXPECT_TRUE(FindOne(*rounding, "a"));
  settings_.precision = "f32";
  const auto exact = Make();
  EXPECT_FALSE(FindOne(*exact, "a"));
  Keep(*exact, {"a"});
  ASSERT_TRUE(exact->Flush(kPatience));
  EXPECT_EQ(FindOne(*exact, "a"), VectorOfText("a"));
}

TEST_P(Cache, TextsAreKeptOnlyWhereAskedFor) {
  for (const bool keep : {false, true}) {
    settings_.keep_text = keep ? "on" : "off";
    const auto cache = Make();
    EXPECT_EQ(cache->KeepsTexts(), keep);
    Keep(*cache, {"secret"});
    ASSERT_TRUE(cache->Flush(kPatience));
    VectorTable table = VectorTable::Open(place_, {}).value();
    EXPECT_EQ(table.ReadPage(std::nullopt, 9).value().rows[0].text.has_value(), keep);
  }
}

TEST_P(Cache, ATextThatADatabaseCannotKeepDoesNotHoldUpTheOthers) {
  settings_.keep_text = "on";
  const auto cache = Make();
  const std::string zero("a\0b", 3);
  Keep(*cache, {zero, "fine"});
  ASSERT_TRUE(cache->Flush(kPatience)) << logger_.lines();
  EXPECT_EQ(FindOne(*cache, zero), VectorOfText(zero));
  Keep(*cache, {"not \xff UTF-8"});
  cache->Flush(std::chrono::milliseconds(200));
  Keep(*cache, {"later"});
  EXPECT_TRUE(cache->Flush(kPatience));
  EXPECT_EQ(FindOne(*cache, "later"), VectorOfText("later"));
}

TEST_P(Cache, DamagedRowsAreRemovedAndCanBeKeptAnew) {
  const auto cache = Make();
  Keep(*cache, {"a"});
  ASSERT_TRUE(cache->Flush(kPatience));
  ASSERT_TRUE(OpenDatabase(place_, {})
                  .value()
                  ->ExecuteScript("UPDATE garrison_vectors SET total_tokens = 77"));
  EXPECT_FALSE(FindOne(*cache, "a"));
  EXPECT_EQ(cache->stats().damaged, 1U);
  ASSERT_TRUE(cache->Flush(kPatience));
  EXPECT_EQ(VectorTable::Open(place_, {}).value().Totals().value().entries, 0U);
  Keep(*cache, {"a"});
  ASSERT_TRUE(cache->Flush(kPatience));
  EXPECT_EQ(FindOne(*cache, "a"), VectorOfText("a"));
}

TEST_P(Cache, ManyThreadsReadAndWriteAtOnce) {
  const auto cache = Make(true), other = Make();
  std::vector<std::jthread> threads;
  for (int n = 0; n < 4; ++n) {
    threads.emplace_back([&, n] {
      TieredCache& mine = n % 2 == 0 ? *cache : *other;
      for (int i = 0; i < 60; ++i) {
        const std::vector<std::string> texts = Numbers(i * 3 % 50, i * 3 % 50 + 5);
        std::vector<VectorKey> keys;
        for (const std::string& text : texts) keys.push_back(KeyOfText(text));
        const auto found = mine.Find(keys);
        for (std::size_t k = 0; k < texts.size(); ++k) {
          if (found[k]) {
            ASSERT_EQ(*found[k], VectorOfText(texts[k]));
          }
        }
        Keep(mine, texts);
      }
    });
  }
  threads.clear();
  EXPECT_TRUE(cache->Flush(kPatience) && other->Flush(kPatience));
  EXPECT_EQ(cache->stats().errors + other->stats().errors, 0U) << logger_.lines();
}

// In a process of its own: writes until it is killed.
pid_t StartWriter(const std::function<void()>& write) {
  const pid_t child = fork();
  if (child == 0) {
    write();
    _exit(0);
  }
  return child;
}

TEST_P(Cache, AProcessThatIsKilledWhileItWritesLeavesWholeVectors) {
  for (int round = 0; round < 4; ++round) {
    // A process with one thread must fork; the cache's own come after that.
    const pid_t child = StartWriter([&] {
      VectorTable table = VectorTable::Open(place_, {}).value();
      for (int i = 0;; i += 50) {
        std::vector<VectorRow> rows;
        for (int k = i; k < i + 50; ++k) rows.push_back(RowOfText(std::to_string(k)));
        if (!table.Write(rows, 1)) _exit(1);
      }
    });
    std::this_thread::sleep_for(std::chrono::milliseconds(150 + 40 * round));
    ASSERT_EQ(kill(child, SIGKILL), 0);
    waitpid(child, nullptr, 0);
  }
  const auto cache = Make();
  std::size_t found = 0;
  for (const std::string& text : Numbers(0, 300)) {
    const auto vector = FindOne(*cache, text);
    found += vector.has_value() ? 1 : 0;
    if (vector) {
      ASSERT_EQ(*vector, VectorOfText(text));
    }
  }
  EXPECT_GE(found, 50U);
  EXPECT_EQ(cache->stats().damaged, 0U);
  Keep(*cache, {"after"});
  EXPECT_TRUE(cache->Flush(kPatience)) << logger_.lines();
}

TEST_P(Cache, TwoProcessesMayWriteTheSameKeysAtOnce) {
  std::vector<pid_t> children;
  for (int n = 0; n < 2; ++n) {
    children.push_back(StartWriter([&, n] {
      VectorTable table = VectorTable::Open(place_, {.lock_time = kPatience}).value();
      for (int i = 0; i < 40; ++i) {
        std::vector<VectorRow> rows;
        std::vector<VectorUse> uses;
        for (int k = 0; k < 60; ++k) {
          const std::string text = std::to_string(n == 0 ? k : 59 - k);
          rows.push_back(RowOfText(text));
          uses.push_back({KeyOfText(text), 1, 5});
        }
        if (!table.Write(rows, 1) || !table.CountUses(uses)) _exit(1);
      }
    }));
  }
  for (const pid_t child : children) {
    int status = -1;
    waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
  }
  VectorTable table = VectorTable::Open(place_, {}).value();
  const auto models = table.Models().value();
  ASSERT_EQ(models.size(), 1U);
  EXPECT_EQ(models[0].totals.entries, 60U);
  EXPECT_EQ(models[0].hits, 60U * 80);
}

class SqliteCache : public Cache {};
INSTANTIATE_TEST_SUITE_P(Sqlite, SqliteCache, testing::Values(DbKind::kSqlite));

TEST_P(SqliteCache, ALockedFileCostsVectorsNotRequests) {
  const auto cache = Make();
  Keep(*cache, {"a"});
  ASSERT_TRUE(cache->Flush(kPatience));
  const auto holder = OpenDatabase(place_, {}).value();
  {
    DbTransaction held = DbTransaction::Begin(*holder).value();
    Keep(*cache, {"b"});
    EXPECT_FALSE(cache->Flush(std::chrono::milliseconds(2600)));
    EXPECT_EQ(FindOne(*cache, "a"), VectorOfText("a")) << "reading goes on";
    EXPECT_GE(cache->stats().errors, 1U);
    EXPECT_NE(logger_.lines().find("cannot be written"), std::string::npos) << logger_.lines();
  }
  EXPECT_TRUE(cache->Flush(kPatience)) << "and what was to be written is not lost";
  EXPECT_EQ(FindOne(*cache, "b"), VectorOfText("b"));
}

TEST_P(SqliteCache, AFileThatIsLockedAgainstReadersToo) {
  const auto cache = Make();
  Keep(*cache, {"a"});
  ASSERT_TRUE(cache->Flush(kPatience));
  const auto begin = std::chrono::steady_clock::now();
  std::filesystem::remove(place_ + "-shm");
  std::filesystem::remove(place_ + "-wal");
  std::filesystem::remove(place_);
  std::filesystem::create_directory(place_);  // nothing can be opened here
  EXPECT_FALSE(FindOne(*cache, "a"));
  EXPECT_FALSE(FindOne(*cache, "a"));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(5));
  EXPECT_GE(cache->stats().errors, 1U);
  EXPECT_NE(logger_.lines().find(place_), std::string::npos) << logger_.lines();
}

TEST_P(SqliteCache, AFileThatVanishesIsMadeAnew) {
  const auto cache = Make();
  Keep(*cache, {"a"});
  ASSERT_TRUE(cache->Flush(kPatience));
  for (const char* suffix : {"", "-wal", "-shm"}) std::filesystem::remove(place_ + suffix);
  EXPECT_TRUE(Eventually([&] { return !FindOne(*cache, "a"); }));
  Keep(*cache, {"b"});
  EXPECT_TRUE(cache->Flush(kPatience)) << logger_.lines();
  EXPECT_TRUE(Eventually([&] { return FindOne(*cache, "b") == VectorOfText("b"); }));
  EXPECT_TRUE(std::filesystem::exists(place_));
}

TEST_P(SqliteCache, AFullDiskCostsVectorsNotRequests) {
  const auto cache = Make();
  Keep(*cache, {"a"});
  ASSERT_TRUE(cache->Flush(kPatience));
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  std::signal(SIGXFSZ, SIG_IGN);
  const rlimit full{100'000, before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &full), 0);
  Keep(*cache, Numbers(0, 2000));
  EXPECT_FALSE(cache->Flush(std::chrono::milliseconds(500)));
  EXPECT_EQ(FindOne(*cache, "a"), VectorOfText("a"));
  EXPECT_GE(cache->stats().errors, 1U);
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  EXPECT_TRUE(cache->Flush(kPatience));
  EXPECT_EQ(FindOne(*cache, "1999"), VectorOfText("1999"));
}

TEST_P(SqliteCache, AFileThatMayOnlyBeReadOrIsNoDatabase) {
  {
    const auto cache = Make();
    Keep(*cache, {"a"});
  }
  std::ofstream(place_, std::ios::binary) << std::string(20'000, 'x');
  const auto cache = Make(true);
  EXPECT_FALSE(FindOne(*cache, "a"));
  Keep(*cache, {"b"});
  EXPECT_EQ(FindOne(*cache, "b"), VectorOfText("b")) << "memory works without the database";
  EXPECT_FALSE(cache->Flush(std::chrono::milliseconds(300)));
  EXPECT_FALSE(cache->stats().database_answers);
  EXPECT_NE(logger_.lines().find("DATA_LOSS"), std::string::npos) << logger_.lines();
}

class PostgresCache : public Cache {};
INSTANTIATE_TEST_SUITE_P(Postgres, PostgresCache, testing::Values(DbKind::kPostgres));

TEST_P(PostgresCache, AServerThatIsStoppedIsDoneWithoutAndUsedAgainWhenItIsBack) {
  const auto cache = Make();
  Keep(*cache, {"a"});
  ASSERT_TRUE(cache->Flush(kPatience));
  ASSERT_TRUE(FindOne(*cache, "a"));
  ASSERT_TRUE(SharedPostgres()->Stop());
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_FALSE(FindOne(*cache, "a"));
  for (int i = 0; i < 100; ++i) FindOne(*cache, "a");
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(5));
  Keep(*cache, {"b"});
  EXPECT_FALSE(cache->Flush(std::chrono::milliseconds(200)));
  EXPECT_GE(cache->stats().errors, 2U);
  ASSERT_TRUE(SharedPostgres()->Start());
  EXPECT_TRUE(Eventually([&] { return FindOne(*cache, "a") == VectorOfText("a"); }));
  EXPECT_TRUE(cache->Flush(kPatience)) << "and what was to be written is not lost";
  EXPECT_EQ(FindOne(*cache, "b"), VectorOfText("b"));
  EXPECT_NE(logger_.lines().find("answers again"), std::string::npos) << logger_.lines();
}

TEST_P(PostgresCache, AServerThatHangsCostsARequestLittle) {
  const auto cache = Make();
  Keep(*cache, {"a"});
  ASSERT_TRUE(cache->Flush(kPatience));
  ASSERT_TRUE(FindOne(*cache, "a"));
  ASSERT_TRUE(SharedPostgres()->Freeze(true));
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_FALSE(FindOne(*cache, "a"));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(8));
  ASSERT_TRUE(SharedPostgres()->Freeze(false));
  EXPECT_TRUE(Eventually([&] { return FindOne(*cache, "a") == VectorOfText("a"); }));
}

TEST(CacheSettingsTest, WithoutMemoryAndDatabaseThereIsNoCache) {
  const ManualClock clock;
  TestLogger logger;
  CacheSettings settings;
  EXPECT_NE(MakeVectorCache(settings, {}, clock, logger), nullptr);
  settings.memory_bytes = 0;
  EXPECT_EQ(MakeVectorCache(settings, {}, clock, logger), nullptr);
}

}  // namespace
}  // namespace garrison
