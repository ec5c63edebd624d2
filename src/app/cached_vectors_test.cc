// The cached embedder over the real tiers: what requests see of them.
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <map>

#include "core/test_embedder.h"
#include "db/test_databases.h"
#include "gateway/cached_embedder.h"
#include "storage/tiered_cache.h"

namespace garrison {
namespace {

constexpr std::chrono::seconds kPatience{30};

// Says what it was asked, one request after the other.
class RecordingEmbedder final : public Embedder {
 public:
  const ModelInfo& info() const override { return letters_.info(); }
  Result<Embeddings> Embed(const EmbedRequest& request,
                           const RequestContext& context) const override {
    for (const EmbedInput& input : request.inputs) asked.push_back(std::get<std::string>(input));
    return letters_.Embed(request, context);
  }

  mutable std::vector<std::string> asked;

 private:
  const TestEmbedder letters_;
};

class CachedVectors : public DatabaseTest {
 protected:
  // Before every request some texts are computed and kept, the others are not: any mask of hits.
  // Whatever is asked, in whatever order and how often: each input gets its own text's vector, and
  // only those that were not kept are computed, once.
  void CheckMasks(bool memory, bool database) {
    CacheSettings settings;
    settings.memory_bytes = memory ? 8 << 20 : 0;
    DatabaseSettings url;
    if (database) (GetParam() == DbKind::kSqlite ? settings.file : url.url) = place_;
    TieredCache cache(settings, url, clock_, *logger_);
    Flights flights;
    const CacheParts parts{cache, flights, {}};
    const auto inner = std::make_shared<RecordingEmbedder>();
    const CachedEmbedder cached(inner, "c", parts);
    const TestEmbedder plain;
    int rounds = 0;
    const bool held = rc::check([&](const std::vector<std::pair<std::uint8_t, bool>>& batch) {
      const std::string round = LettersOf(++rounds);
      std::map<std::string, bool> kept;
      EmbedRequest before, request;
      for (const auto& [number, hit] : batch) {
        const std::string text = round + " " + LettersOf(number % 30);
        if (kept.emplace(text, hit).second && hit) before.inputs.emplace_back(text);
        request.inputs.emplace_back(text);
      }
      RC_ASSERT(cached.Embed(before, {}).has_value());
      RC_ASSERT(cache.Flush(kPatience));
      inner->asked.clear();
      const Embeddings got = cached.Embed(request, {}).value();
      const Embeddings expected = plain.Embed(request, {}).value();
      RC_ASSERT(got.values == expected.values);
      RC_ASSERT(got.tokens == expected.tokens);
      std::vector<std::string> computed = inner->asked;
      std::sort(computed.begin(), computed.end());
      std::vector<std::string> missing;
      for (const auto& [text, hit] : kept) {
        if (!hit) missing.push_back(text);
      }
      RC_ASSERT(computed == missing);
      RC_ASSERT(cache.Flush(kPatience));
    });
    EXPECT_TRUE(held);
    EXPECT_EQ(cache.stats().errors, 0U);
  }

  static std::string LettersOf(int number) {
    std::string letters;
    for (; number >= 0; number = number / 26 - 1) letters += static_cast<char>('a' + number % 26);
    return letters;
  }

  const SystemClock clock_;
  const std::unique_ptr<Logger> logger_ = MakeNullLogger();
};
GARRISON_BOTH_DATABASES(CachedVectors);

TEST_P(CachedVectors, AnyMaskOfHitsInTheDatabase) { CheckMasks(false, true); }
TEST_P(CachedVectors, AnyMaskOfHitsInBothTiers) { CheckMasks(true, true); }
TEST_P(CachedVectors, AnyMaskOfHitsInMemory) { CheckMasks(true, false); }

}  // namespace
}  // namespace garrison
