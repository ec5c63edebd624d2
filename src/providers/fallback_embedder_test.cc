#include "providers/fallback_embedder.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "core/test_embedder.h"
#include "providers/failure.h"
#include "providers/provider_catalog.h"

namespace garrison {
namespace {

// Letters counted, seen through another model: turned, scaled, or broken.
class OtherEmbedder final : public Embedder {
 public:
  explicit OtherEmbedder(std::string id) { info_.id = std::move(id), info_.dimension = 26; }

  std::size_t turn = 0;  // components are moved by so many
  float scale = 1;
  std::optional<FailureClass> broken;
  std::string content;
  mutable int asked = 0;

  const ModelInfo& info() const override { return info_; }
  Result<std::string> Content() const override { return content; }
  Result<Embeddings> Embed(const EmbedRequest& request,
                           const RequestContext& context) const override {
    ++asked;
    if (broken) return tl::unexpected(FailureError(info_.id, {*broken, ""}, 500));
    Embeddings rows;
    rows.dimension = 26;
    for (const EmbedInput& input : request.inputs) {
      if (std::holds_alternative<TokenIds>(input)) return Fail(Code::kInvalidArgument, "no ids");
      std::string text = std::get<std::string>(input) + "etaoin";  // some probes have no letter
      EmbedRequest one;
      one.inputs.emplace_back(text);
      ASSIGN_OR_RETURN(const Embeddings letters, letters_.Embed(one, context));
      for (std::size_t d = 0; d < 26; ++d)
        rows.values.push_back(scale * letters.values[(d + turn) % 26]);
      rows.tokens.push_back(letters.tokens[0]);
    }
    rows.total_tokens = rows.tokens;
    return rows;
  }

 private:
  TestEmbedder letters_;
  ModelInfo info_;
};

class FallbackTest : public testing::Test {
 protected:
  FallbackTest() {
    std::string name = (std::filesystem::path(testing::TempDir()) / "fall-XXXXXX").string();
    EXPECT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
    options_.on = {FailureClass::kServer, FailureClass::kRateLimit};
  }
  ~FallbackTest() override { std::filesystem::remove_all(folder_); }

  std::unique_ptr<FallbackEmbedder> Make() {
    std::vector<Fallback> fallbacks;
    for (const auto& one : {first_, second_}) {
      fallbacks.push_back(
          {one->info().id, [one]() -> Result<std::shared_ptr<const Embedder>> { return one; }});
    }
    return std::make_unique<FallbackEmbedder>(
        primary_, std::move(fallbacks), adapters_,
        FingerprintStore::Open(folder_ / "f" / "prints.json").value(), options_, clock_, *logger_);
  }
  static EmbedRequest Of(std::string text) {
    EmbedRequest request;
    request.inputs.emplace_back(std::move(text));
    return request;
  }

  std::filesystem::path folder_;
  std::shared_ptr<OtherEmbedder> primary_ = std::make_shared<OtherEmbedder>("acme/m");
  std::shared_ptr<OtherEmbedder> first_ = std::make_shared<OtherEmbedder>("first/m");
  std::shared_ptr<OtherEmbedder> second_ = std::make_shared<OtherEmbedder>("second/m");
  std::vector<Adapter> adapters_;
  FallbackOptions options_;
  ManualClock clock_;
  std::unique_ptr<Logger> logger_ = MakeNullLogger();
};

TEST_F(FallbackTest, TheSameSpaceStandsInAndSaysSo) {
  const auto embedder = Make();
  const auto before = embedder->Embed(Of("cat"), {});
  ASSERT_TRUE(before);
  primary_->broken = FailureClass::kServer;
  const auto after = embedder->Embed(Of("cat"), {});
  ASSERT_TRUE(after) << after.error().ToString();
  EXPECT_EQ(after->values, before->values);
  EXPECT_EQ(after->served->by, "first/m");
  EXPECT_FALSE(after->served->adapted);
  EXPECT_EQ(embedder->info().id, "acme/m");
}

TEST_F(FallbackTest, AnotherSpaceNeverStandsIn) {
  first_->turn = 1;
  second_->scale = 2;
  const auto embedder = Make();
  ASSERT_TRUE(embedder->Embed(Of("cat"), {}));
  primary_->broken = FailureClass::kServer;
  const auto result = embedder->Embed(Of("cat"), {});
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().reason, "upstream_server");
  EXPECT_NE(result.error().message.find("different vector spaces"), std::string::npos);
  EXPECT_NE(result.error().message.find("differ in length"), std::string::npos);
  // It is not asked again and again.
  const int asked = first_->asked;
  EXPECT_FALSE(embedder->Embed(Of("cat"), {}));
  EXPECT_EQ(first_->asked, asked);
}

TEST_F(FallbackTest, TheSecondIsAskedWhenTheFirstFailsToo) {
  first_->broken = FailureClass::kRateLimit;
  const auto embedder = Make();
  ASSERT_TRUE(embedder->Embed(Of("cat"), {}));
  primary_->broken = FailureClass::kServer;
  EXPECT_EQ(embedder->Embed(Of("cat"), {})->served->by, "second/m");
}

TEST_F(FallbackTest, OnlyTheListedFailuresCount) {
  const auto embedder = Make();
  ASSERT_TRUE(embedder->Embed(Of("cat"), {}));
  primary_->broken = FailureClass::kBadRequest;
  EXPECT_EQ(embedder->Embed(Of("cat"), {}).error().reason, "upstream_bad_request");
  EXPECT_EQ(first_->asked, 0);
}

TEST_F(FallbackTest, ASpaceThatWasNeverSeenProvesNothingButTheFileRemembers) {
  primary_->broken = FailureClass::kServer;
  const auto unknown = Make()->Embed(Of("cat"), {});
  EXPECT_NE(unknown.error().message.find("not known yet"), std::string::npos);
  primary_->broken.reset();
  ASSERT_TRUE(Make()->Embed(Of("cat"), {}));
  primary_->broken = FailureClass::kServer;  // in another process, later
  EXPECT_TRUE(Make()->Embed(Of("cat"), {}));
}

TEST_F(FallbackTest, AnotherAddressIsAnotherModelAndItsFileProvesNothing) {
  ASSERT_TRUE(Make()->Embed(Of("cat"), {}));
  primary_->broken = FailureClass::kServer;
  EXPECT_TRUE(Make()->Embed(Of("cat"), {}));
  primary_->content = "https://elsewhere/v1";
  EXPECT_FALSE(Make()->Embed(Of("cat"), {}));
}

TEST_F(FallbackTest, WhatWasProvedByAnOldSpaceHasToBeProvedAgain) {
  ASSERT_TRUE(Make()->Embed(Of("cat"), {}));
  const auto embedder = Make();
  primary_->broken = FailureClass::kServer;
  ASSERT_TRUE(embedder->Embed(Of("cat"), {}));  // by the file
  primary_->broken.reset();
  primary_->turn = 1;  // the vendor has another model under the name now
  ASSERT_TRUE(embedder->Embed(Of("cat"), {}));
  primary_->broken = FailureClass::kServer;
  EXPECT_FALSE(embedder->Embed(Of("cat"), {}));
  // One that has followed is taken.
  first_->turn = 1;
  primary_->broken.reset();
  const auto later = Make();
  ASSERT_TRUE(later->Embed(Of("cat"), {}));
  primary_->broken = FailureClass::kServer;
  EXPECT_TRUE(later->Embed(Of("cat"), {}));
}

TEST_F(FallbackTest, AFailedProofIsNotRepeatedByEveryRequest) {
  const auto embedder = Make();
  ASSERT_TRUE(embedder->Embed(Of("cat"), {}));
  primary_->broken = first_->broken = second_->broken = FailureClass::kServer;
  EXPECT_FALSE(embedder->Embed(Of("cat"), {}));
  const int asked = first_->asked;
  EXPECT_FALSE(embedder->Embed(Of("cat"), {}));
  EXPECT_EQ(first_->asked, asked);
  first_->broken.reset();
  clock_.Advance(std::chrono::seconds(3));
  EXPECT_TRUE(embedder->Embed(Of("cat"), {}));
}

TEST_F(FallbackTest, AnAdapterMapsAnotherSpaceAndSaysSo) {
  first_->turn = 3;
  AdapterData data;
  data.from = {"first/m", "", 26};
  data.to = {"acme/m", "", 26};
  data.normalized = true;
  data.mean_from.assign(26, 0);
  data.mean_to.assign(26, 0);
  data.matrix.assign(26 * 26, 0);
  for (std::size_t d = 0; d < 26; ++d) data.matrix[d * 26 + (d + 3) % 26] = 1;
  adapters_.push_back(Adapter::Create(data).value());
  const auto embedder = Make();
  const auto before = embedder->Embed(Of("cat"), {});
  primary_->broken = FailureClass::kServer;
  const auto after = embedder->Embed(Of("cat"), {});
  ASSERT_TRUE(after) << after.error().ToString();
  EXPECT_TRUE(after->served->adapted);
  for (std::size_t d = 0; d < 26; ++d) EXPECT_NEAR(after->values[d], before->values[d], 1e-6);
  EmbedRequest ids;
  ids.inputs.emplace_back(TokenIds{{1}, {}});
  EXPECT_FALSE(embedder->Embed(ids, {}));
}

TEST(Fingerprints, ReadBackAndRefuseWhatIsDamaged) {
  Fingerprint one{"a/b", "r", 2, {}};
  for (std::size_t i = 0; i < 2 * FingerprintProbes().size(); ++i) {
    one.vectors.push_back(static_cast<float>(i) + 0.25F);
  }
  const std::string text = FormatFingerprints(std::span(&one, 1));
  EXPECT_EQ(ParseFingerprints(text)->at(0), one);
  EXPECT_TRUE(CheckSameSpace(one, one, 0));
  Fingerprint other = one;
  other.dimension = 1;
  EXPECT_FALSE(CheckSameSpace(one, other, 0.1));
  for (const auto& [what, with] :
       std::vector<std::pair<std::string, std::string>>{{"\"version\":1", "\"version\":2"},
                                                        {"\"dimension\":2", "\"dimension\":3"},
                                                        {"garrison-fingerprints", "garrison"},
                                                        {"\"probes\":\"", "\"probes\":\"0"},
                                                        {"\"id\":\"a/b\"", "\"id\":7"}}) {
    std::string damaged = text;
    damaged.replace(damaged.find(what), what.size(), with);
    EXPECT_FALSE(ParseFingerprints(damaged)) << what;
  }
  for (std::size_t cut = 0; cut + 2 < text.size(); cut += 7) {
    EXPECT_FALSE(ParseFingerprints(text.substr(0, cut)));
  }
}

TEST(Catalog, TheRemoteModelIsTheDefaultAndTheLocalOnesStay) {
  const TestCatalog local;
  auto remote = std::make_shared<OtherEmbedder>("acme/m");
  const ProviderCatalog catalog(local, remote);
  for (const char* name : {"", "acme/m", "acme", "m"}) {
    EXPECT_EQ(catalog.FindEmbedder(name).value().get(), remote.get()) << name;
  }
  EXPECT_EQ(catalog.FindEmbedder("test:letters").value()->info().id, "test:letters");
  EXPECT_EQ(catalog.List().at(0).info.id, "acme/m");
  EXPECT_EQ(catalog.List().at(1).info.id, "test:letters");
  EXPECT_EQ(catalog.FindCodec("").error().code, Code::kFailedPrecondition);
}

}  // namespace
}  // namespace garrison
