#include "gateway/cached_embedder.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <condition_variable>
#include <map>
#include <mutex>
#include <set>
#include <thread>

#include "core/test_embedder.h"

namespace garrison {
namespace {

constexpr std::chrono::seconds kPatience{30};

// Everything in a map, for ever.
class MapCache final : public VectorCache {
 public:
  std::vector<std::optional<CachedVector>> Find(std::span<const VectorKey> keys) override {
    const std::lock_guard lock(mutex_);
    std::vector<std::optional<CachedVector>> found;
    for (const VectorKey& key : keys) {
      const auto place = map_.find(key);
      found.push_back(place == map_.end() ? std::nullopt : std::optional(place->second.vector));
    }
    return found;
  }
  void Store(std::vector<NewVector> vectors) override {
    const std::lock_guard lock(mutex_);
    for (NewVector& vector : vectors) map_.insert_or_assign(vector.key, std::move(vector));
  }
  bool KeepsTexts() const override { return keeps_texts; }
  VectorCacheStats stats() const override { return {}; }

  std::map<VectorKey, NewVector> map() const {
    const std::lock_guard lock(mutex_);
    return map_;
  }
  void Edit(const std::function<void(NewVector&)>& edit) {
    const std::lock_guard lock(mutex_);
    for (auto& [key, vector] : map_) edit(vector);
  }

  bool keeps_texts = false;

 private:
  mutable std::mutex mutex_;
  std::map<VectorKey, NewVector> map_;
};

// Remembers what it was asked; can be made to wait before it answers.
class CountingEmbedder final : public Embedder {
 public:
  const ModelInfo& info() const override { return letters_.info(); }
  Result<Embeddings> Embed(const EmbedRequest& request,
                           const RequestContext& context) const override {
    std::optional<Error> failure;
    {
      std::unique_lock lock(mutex_);
      failure = std::exchange(fail_next, std::nullopt);
      std::vector<std::string>& texts = requests_.emplace_back();
      for (const EmbedInput& input : request.inputs) {
        const auto* text = std::get_if<std::string>(&input);
        texts.push_back(text == nullptr ? "ids" : *text);
      }
      changed_.notify_all();
      changed_.wait_for(lock, kPatience, [this] { return !held_; });
    }
    if (failure) return tl::unexpected(*failure);
    Result<Embeddings> embedded = letters_.Embed(request, context);
    if (embedded) embedded->times.inference = std::chrono::milliseconds(7);
    if (embedded) embedded->served = served;
    return embedded;
  }

  void Hold(bool held) {
    const std::lock_guard lock(mutex_);
    held_ = held;
    changed_.notify_all();
  }
  void AwaitRequests(std::size_t count) const {
    std::unique_lock lock(mutex_);
    EXPECT_TRUE(changed_.wait_for(lock, kPatience, [&] { return requests_.size() >= count; }));
  }
  std::vector<std::vector<std::string>> requests() const {
    const std::lock_guard lock(mutex_);
    return requests_;
  }

  mutable std::optional<Error> fail_next;  // set before any request
  std::optional<Served> served;            // set before any request

 private:
  const TestEmbedder letters_;
  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  mutable std::vector<std::vector<std::string>> requests_;
  bool held_ = false;
};

class CachedEmbedderTest : public testing::Test {
 protected:
  static EmbedRequest Texts(std::vector<std::string> texts) {
    EmbedRequest request;
    request.inputs.assign(texts.begin(), texts.end());
    return request;
  }
  Result<Embeddings> Embed(const std::vector<std::string>& texts,
                           const RequestContext& context = {}) {
    return cached_.Embed(Texts(texts), context);
  }
  static void ExpectSame(const Embeddings& got, const Embeddings& expected) {
    EXPECT_EQ(got.dimension, expected.dimension);
    EXPECT_EQ(got.values, expected.values);
    EXPECT_EQ(got.tokens, expected.tokens);
    EXPECT_EQ(got.total_tokens, expected.total_tokens);
  }

  MapCache cache_;
  Flights flights_;
  CacheUse use_;
  std::mutex use_mutex_;
  const CacheParts parts_{cache_, flights_, [this](const ModelInfo&, const CacheUse& use) {
                            const std::lock_guard lock(use_mutex_);
                            use_ = use;
                          }};
  const std::shared_ptr<CountingEmbedder> inner_ = std::make_shared<CountingEmbedder>();
  const CachedEmbedder cached_{inner_, "content", parts_};
  const TestEmbedder plain_;
};

TEST_F(CachedEmbedderTest, AsksForWhatIsMissingInOneRequestAndForEqualTextsOnce) {
  ASSERT_TRUE(Embed({"ab", "c"}));
  const Embeddings got = Embed({"d", "c", "e", "d", "ab", "e"}).value();
  ExpectSame(got, plain_.Embed(Texts({"d", "c", "e", "d", "ab", "e"}), {}).value());
  ASSERT_EQ(inner_->requests().size(), 2U);
  EXPECT_EQ(inner_->requests()[1], (std::vector<std::string>{"d", "e"}));
  EXPECT_EQ(use_.hits, 4U);
  EXPECT_EQ(use_.misses, 2U);
  EXPECT_EQ(use_.saved_tokens, 5U);
  EXPECT_EQ(got.times.inference, std::chrono::milliseconds(7));
  EXPECT_EQ(Embed({"ab"}).value().times.inference.count(), 0);
  EXPECT_EQ(inner_->requests().size(), 2U);
}

TEST_F(CachedEmbedderTest, AnswersSayWhoServedThem) {
  inner_->served = Served{.by = inner_->info().id, .attempts = 2, .cost_pusd = 30};
  const std::optional<Served> first = Embed({"ab", "c"}).value().served;
  ASSERT_TRUE(first);
  EXPECT_EQ(first->by, inner_->info().id);
  EXPECT_EQ(first->attempts, 2U);
  EXPECT_EQ(first->cost_pusd, 30);
  EXPECT_EQ(Embed({"ab", "d"}).value().served->attempts, 2U);
  const std::optional<Served> hit = Embed({"d", "c"}).value().served;
  ASSERT_TRUE(hit);
  EXPECT_EQ(hit->by, "cache");
  EXPECT_EQ(hit->attempts, 0U);
  EXPECT_FALSE(hit->cost_pusd);
}

TEST_F(CachedEmbedderTest, WhatAnotherModelGaveIsNotKeptAsThisOnes) {
  for (const Served& served :
       {Served{.by = "fallback"}, Served{.by = inner_->info().id, .adapted = true}}) {
    inner_->served = served;
    ASSERT_TRUE(Embed({"ab"}));
    EXPECT_EQ(Embed({"ab"}).value().served->by, served.by);
    EXPECT_TRUE(cache_.map().empty());
  }
  EXPECT_EQ(inner_->requests().size(), 4U);
}

TEST_F(CachedEmbedderTest, WhoWaitsForTheModelsOwnVectorDoesNotGetAnotherOnes) {
  inner_->served = Served{.by = "fallback"};
  inner_->Hold(true);
  std::thread first([this] { EXPECT_TRUE(Embed({"ab"})); });
  inner_->AwaitRequests(1);
  std::thread second([this] { EXPECT_EQ(Embed({"ab"}).value().served->by, "fallback"); });
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  EXPECT_EQ(inner_->requests().size(), 1U);
  inner_->Hold(false);
  first.join();
  second.join();
  EXPECT_EQ(inner_->requests().size(), 2U);
}

TEST_F(CachedEmbedderTest, AnyMixOfHitsAndMissesGivesEveryInputTheVectorOfItsOwnText) {
  const bool held = rc::check([&](const std::vector<std::vector<std::uint8_t>>& requests) {
    for (const std::vector<std::uint8_t>& numbers : requests) {
      std::vector<std::string> texts;
      for (const std::uint8_t n : numbers) {
        texts.push_back(std::string(n / 26U % 4, 'z') + static_cast<char>('a' + n % 26));
      }
      const Embeddings got = Embed(texts).value();
      const Embeddings expected = plain_.Embed(Texts(texts), {}).value();
      RC_ASSERT(got.values == expected.values);
      RC_ASSERT(got.tokens == expected.tokens);
    }
  });
  EXPECT_TRUE(held);
}

TEST_F(CachedEmbedderTest, ADifferentWayOfAskingIsADifferentVector) {
  EmbedRequest shorter = Texts({"abc"});
  shorter.dimensions = 4;
  ASSERT_TRUE(Embed({"abc"}));
  EXPECT_EQ(cached_.Embed(shorter, {}).value().dimension, 4U);
  EXPECT_EQ(cached_.Embed(shorter, {}).value().dimension, 4U);
  EXPECT_EQ(Embed({"abc"}).value().dimension, 26U);
  EmbedRequest ids;
  ids.inputs = {TokenIds{{0, 1, 2}, {}}};
  EXPECT_EQ(cached_.Embed(ids, {}).value().values, Embed({"abc"}).value().values);
  EXPECT_EQ(inner_->requests().size(), 3U);
}

TEST_F(CachedEmbedderTest, ErrorsAreNotKeptAndNameTheInputOfTheWholeRequest) {
  ASSERT_TRUE(Embed({"a", "b"}));
  const Result<Embeddings> failed = Embed({"a", "c", "b", "?", "a"});
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().where, "input[3]");
  EXPECT_EQ(cache_.map().size(), 2U);
  EXPECT_EQ(Embed({"?"}).error().where, "input[0]");
  EXPECT_TRUE(Embed({"a", "c"}));
}

TEST_F(CachedEmbedderTest, AKeptVectorOfAnotherDimensionIsNotUsed) {
  ASSERT_TRUE(Embed({"a", "b"}));
  cache_.Edit([](NewVector& vector) { vector.vector.values.resize(7); });
  ExpectSame(Embed({"a", "b"}).value(), plain_.Embed(Texts({"a", "b"}), {}).value());
}

TEST_F(CachedEmbedderTest, TextsAreHandedOverOnlyToWhoKeepsThem) {
  ASSERT_TRUE(Embed({"secret"}));
  for (const auto& [key, vector] : cache_.map()) EXPECT_EQ(vector.text, "");
  cache_.keeps_texts = true;
  ASSERT_TRUE(Embed({"wanted"}));
  std::set<std::string> texts;
  for (const auto& [key, vector] : cache_.map()) {
    texts.insert(vector.text);
    EXPECT_EQ(vector.model, "local/test:letters/r1");
  }
  EXPECT_EQ(texts, (std::set<std::string>{"", "wanted"}));
}

TEST_F(CachedEmbedderTest, ManyAtOnceAreComputedOnce) {
  inner_->Hold(true);
  std::vector<std::jthread> threads;
  for (int n = 0; n < 8; ++n) {
    threads.emplace_back([&, n] {
      const std::vector<std::string> texts =
          n % 2 == 0 ? std::vector<std::string>{"ab", "c"} : std::vector<std::string>{"c", "ab"};
      ExpectSame(Embed(texts).value(), plain_.Embed(Texts(texts), {}).value());
    });
  }
  inner_->AwaitRequests(1);
  inner_->Hold(false);
  threads.clear();
  EXPECT_EQ(inner_->requests().size(), 1U);
  EXPECT_EQ(flights_.landed(), 2U);
}

TEST_F(CachedEmbedderTest, WhoeverWaitedForAFailureComputesItself) {
  inner_->Hold(true);
  std::jthread first([&] { EXPECT_EQ(Embed({"ok", "?"}).error().where, "input[1]"); });
  inner_->AwaitRequests(1);
  std::vector<std::jthread> others;
  for (int n = 0; n < 3; ++n) {
    others.emplace_back([&] {
      ExpectSame(Embed({"b", "ok"}).value(), plain_.Embed(Texts({"b", "ok"}), {}).value());
    });
  }
  // One of them computes "b" meanwhile.
  inner_->AwaitRequests(2);
  inner_->Hold(false);
  first.join();
  others.clear();
  std::set<VectorKey> kept;
  for (const auto& [key, vector] : cache_.map()) kept.insert(key);
  EXPECT_EQ(kept.size(), 2U);
}

TEST_F(CachedEmbedderTest, WhoeverWaitedForAClientThatLeftGoesOnTogether) {
  inner_->Hold(true);
  inner_->fail_next = Error{Code::kCancelled, "the client left", "", std::nullopt};
  std::jthread first([&] { EXPECT_EQ(Embed({"a"}).error().code, Code::kCancelled); });
  inner_->AwaitRequests(1);
  std::vector<std::jthread> others;
  for (int n = 0; n < 4; ++n) {
    others.emplace_back([&] { EXPECT_TRUE(Embed({"a"})); });
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  inner_->Hold(false);
  first.join();
  inner_->AwaitRequests(2);
  others.clear();
}

TEST_F(CachedEmbedderTest, AWaiterHasItsOwnDeadlineAndItsOwnClient) {
  inner_->Hold(true);
  std::jthread first([&] { EXPECT_TRUE(Embed({"a"})); });
  inner_->AwaitRequests(1);
  RequestContext hurried;
  hurried.deadline = SystemClock().Now() + std::chrono::milliseconds(30);
  EXPECT_EQ(Embed({"a"}, hurried).error().code, Code::kDeadlineExceeded);
  std::stop_source left;
  RequestContext leaving;
  leaving.stop = left.get_token();
  std::jthread second([&] { EXPECT_EQ(Embed({"a"}, leaving).error().code, Code::kCancelled); });
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  left.request_stop();
  second.join();
  EXPECT_EQ(inner_->requests().size(), 1U);
  inner_->Hold(false);
}

TEST_F(CachedEmbedderTest, TwoRequestsThatNeedEachOthersTextsDoNotWaitForEver) {
  std::vector<std::jthread> threads;
  for (int n = 0; n < 4; ++n) {
    threads.emplace_back([&, n] {
      for (int i = 0; i < 200; ++i) {
        std::vector<std::string> texts;
        for (int k = 0; k < 6; ++k) {
          texts.push_back(std::string(static_cast<std::size_t>(i % 50 + 1), 'x') +
                          static_cast<char>('a' + (n % 2 == 0 ? k : 5 - k)));
        }
        ASSERT_TRUE(Embed(texts));
      }
    });
  }
  threads.clear();
  EXPECT_EQ(cache_.map().size(), 300U);
}

TEST_F(CachedEmbedderTest, TheCatalogueWrapsWhatIsWorthKeeping) {
  const TestCatalog models;
  const std::unique_ptr<Logger> logger = MakeNullLogger();
  std::string asked;
  const CachingCatalog catalog(
      models, cache_, [&](const ModelInfo& model, const CacheUse&) { asked = model.id; }, *logger);
  const auto embedder = catalog.FindEmbedder("").value();
  ASSERT_TRUE(embedder->Embed(Texts({"a"}), {}));
  EXPECT_EQ(asked, "test:letters");
  EXPECT_EQ(cache_.map().size(), 1U);
  EXPECT_EQ(catalog.FindEmbedder("nobody").error().code, Code::kNotFound);
  EXPECT_EQ(catalog.FindReranker("").error().code, Code::kFailedPrecondition);
  EXPECT_EQ(catalog.List().size(), 1U);
}

}  // namespace
}  // namespace garrison
