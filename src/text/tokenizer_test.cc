#include "text/tokenizer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "text/test_tokenizers.h"

namespace garrison {
namespace {

using Json = nlohmann::json;
using Tokenizers = std::map<std::string, std::shared_ptr<const Tokenizer>>;

const Tokenizers& Fixtures() {
  static const Tokenizers tokenizers = [] {
    Tokenizers made;
    for (const auto& [name, json] : FixtureJson().items()) {
      auto tokenizer = Tokenizer::Parse(json.dump());
      EXPECT_TRUE(tokenizer) << name << ": " << tokenizer.error().ToString();
      if (tokenizer) made[name] = *tokenizer;
    }
    return made;
  }();
  return tokenizers;
}

std::vector<std::int32_t> Ids(const Tokenizer& tokenizer, std::string_view text) {
  Tokenizer::Scratch scratch;
  Pieces pieces;
  const auto done = tokenizer.Tokenize(text, false, scratch, pieces);
  EXPECT_TRUE(done) << done.error().ToString();
  return pieces.ids;
}

// Made by the reference library: tools/tokenizers/golden.mjs.
TEST(Tokenizer, GivesWhatTheReferenceLibraryGives) {
  std::ifstream file(GARRISON_SOURCE_DIR "/tests/fixtures/tokenizers/golden.jsonl");
  Tokenizer::Scratch scratch;
  Pieces pieces, second, ids_only;
  Encoding encoding;
  std::size_t rows = 0;
  for (std::string line; std::getline(file, line); ++rows) {
    const Json row = Json::parse(line);
    const auto found = Fixtures().find(row["name"]);
    ASSERT_NE(found, Fixtures().end()) << row["name"];
    const Tokenizer& tokenizer = *found->second;
    const std::string text = row["text"];
    const std::string place = row["name"].dump() + " " + row["text"].dump();
    ASSERT_TRUE(tokenizer.TokenizeInFull(text, scratch, pieces)) << place;
    ASSERT_TRUE(tokenizer.Tokenize(text, false, scratch, ids_only)) << place;
    EXPECT_EQ(pieces.ids, ids_only.ids) << place;
    ASSERT_TRUE(tokenizer.Assemble(pieces, nullptr, true, std::nullopt, encoding)) << place;
    EXPECT_EQ(Json(encoding.ids), row["ids"]) << place;
    EXPECT_EQ(Json(encoding.texts), row["tokens"]) << place;
    EXPECT_EQ(Json(encoding.words), row["words"]) << place;
    Json ranges = Json::array();
    for (const TextRange& range : encoding.ranges) ranges.push_back({range.start, range.end});
    EXPECT_EQ(ranges, row["offsets"]) << place;
    EXPECT_EQ(tokenizer.Decode(encoding.ids, true), row["decoded"]) << place;
    EXPECT_EQ(tokenizer.Decode(encoding.ids, false), row["all"]) << place;
    if (!row.contains("pair")) continue;
    ASSERT_TRUE(tokenizer.TokenizeInFull("the b", scratch, second)) << place;
    ASSERT_TRUE(tokenizer.Assemble(pieces, &second, true, std::nullopt, encoding)) << place;
    EXPECT_EQ(Json(encoding.ids), row["pair"]) << place;
    EXPECT_EQ(Json(encoding.type_ids), row["pair_types"]) << place;
  }
  EXPECT_GT(rows, 1000U);
}

TEST(Tokenizer, KnowsItsVocabulary) {
  const Tokenizer& tokenizer = *Fixtures().at("word-piece");
  EXPECT_EQ(tokenizer.vocabulary_size(), 30U);
  EXPECT_EQ(tokenizer.IdOf("##able"), 10);
  EXPECT_EQ(tokenizer.IdOf("<word>"), 27);
  EXPECT_EQ(tokenizer.IdOf("nothing"), std::nullopt);
  EXPECT_EQ(tokenizer.TokenOf(10), "##able");
  EXPECT_EQ(tokenizer.TokenOf(27), "<word>");
  EXPECT_EQ(tokenizer.TokenOf(30), "");
  EXPECT_EQ(tokenizer.TokenOf(-1), "");
  EXPECT_EQ(tokenizer.SpecialTokens(false), 2U);
  EXPECT_EQ(tokenizer.SpecialTokens(true), 3U);
  EXPECT_EQ(tokenizer.Normalize("Caf\u00e9").value(), "cafe");
}

TEST(Tokenizer, RefusesWhatIsNotUtf8) {
  Tokenizer::Scratch scratch;
  Pieces pieces;
  for (const auto& [name, tokenizer] : Fixtures()) {
    const auto done = tokenizer->Tokenize("a\xFF", true, scratch, pieces);
    ASSERT_FALSE(done) << name;
    EXPECT_EQ(done.error().code, Code::kInvalidArgument) << name;
  }
}

class Truncating : public ::testing::Test {
 protected:
  // `first` times "a", `second` times "b".
  Result<> Cut(std::size_t first, std::optional<std::size_t> second, const Truncation& truncation) {
    const Tokenizer& tokenizer = *Fixtures().at("word-piece");
    Pieces a{std::vector<std::int32_t>(first, 13), {}, {}, {}, {}};
    Pieces b{std::vector<std::int32_t>(second.value_or(0), 14), {}, {}, {}, {}};
    return tokenizer.Assemble(a, second ? &b : nullptr, true, truncation, encoding_);
  }
  std::size_t Count(std::int32_t id) const {
    return static_cast<std::size_t>(std::count(encoding_.ids.begin(), encoding_.ids.end(), id));
  }
  Encoding encoding_;
};

TEST_F(Truncating, GivesTheLongerTextTheOddToken) {
  ASSERT_TRUE(Cut(100, 30, {.max_length = 20}));
  EXPECT_EQ(encoding_.ids.size(), 20U);
  EXPECT_EQ(Count(13), 9U);  // releases from 0.23 on: 8
  EXPECT_EQ(Count(14), 8U);
  ASSERT_TRUE(Cut(3, 30, {.max_length = 20}));
  EXPECT_EQ(Count(13), 3U);
  EXPECT_EQ(Count(14), 14U);
}

TEST_F(Truncating, MakesWindowsFromBothSides) {
  ASSERT_TRUE(Cut(10, std::nullopt, {.max_length = 6, .stride = 1}));
  EXPECT_EQ(Count(13), 4U);
  ASSERT_EQ(encoding_.overflow.size(), 2U);
  EXPECT_EQ(encoding_.overflow[1].ids.size(), 6U);
  ASSERT_TRUE(
      Cut(11, std::nullopt, {.max_length = 6, .stride = 1, .side = Truncation::Side::kLeft}));
  EXPECT_EQ(encoding_.overflow.size(), 3U);
  ASSERT_TRUE(Cut(10, std::nullopt, {.max_length = 6, .stride = 1, .overflow = false}));
  EXPECT_TRUE(encoding_.overflow.empty());
}

TEST_F(Truncating, RefusesWhatCannotBeDone) {
  const auto code = [&](std::size_t first, std::optional<std::size_t> second,
                        const Truncation& truncation) {
    const auto done = Cut(first, second, truncation);
    return done ? std::nullopt : std::optional(done.error().code);
  };
  using Strategy = Truncation::Strategy;
  EXPECT_EQ(code(9, std::nullopt, {.max_length = 1}), Code::kInvalidArgument);
  EXPECT_EQ(code(9, std::nullopt, {.max_length = 6, .stride = 4}), Code::kInvalidArgument);
  EXPECT_EQ(code(9, std::nullopt, {.max_length = 6, .strategy = Strategy::kOnlySecond}),
            Code::kInvalidArgument);
  EXPECT_EQ(code(9, 2, {.max_length = 8, .strategy = Strategy::kOnlySecond}),
            Code::kInvalidArgument);
  EXPECT_EQ(code(100'000, 100'000, {.max_length = 5}), Code::kResourceExhausted);
  // Nothing to cut, nothing to refuse.
  EXPECT_EQ(code(2, std::nullopt, {.max_length = 6, .strategy = Strategy::kOnlySecond}),
            std::nullopt);
  EXPECT_EQ(code(9, std::nullopt, {.max_length = 2}), std::nullopt);
  EXPECT_EQ(encoding_.ids, (std::vector<std::int32_t>{2, 3}));
}

TEST_F(Truncating, PadsAfterwards) {
  ASSERT_TRUE(Cut(3, std::nullopt, {.max_length = 4, .stride = 1}));
  Padding padding;
  padding.multiple_of = 8;
  padding.type_id = 7;
  padding.side = Truncation::Side::kLeft;
  Fixtures().at("word-piece")->Pad(padding, {&encoding_, 1});
  EXPECT_EQ(encoding_.ids, (std::vector<std::int32_t>{0, 0, 0, 0, 2, 13, 13, 3}));
  EXPECT_EQ(encoding_.attention[3], 0);
  EXPECT_EQ(encoding_.special[0], 1);
  EXPECT_EQ(encoding_.type_ids[0], 7);
  ASSERT_EQ(encoding_.overflow.size(), 1U);
  EXPECT_EQ(encoding_.overflow[0].ids.size(), 8U);
}

TEST(Tokenizer, TakesLongTextsInLinearTime) {
  // A quadratic step would take minutes here.
  constexpr std::size_t kBytes = 300'000;
  for (const auto& [name, tokenizer] : Fixtures()) {
    for (const std::string_view unit : {"a", " ", "e\u0301", "<", "\u4f60", "\n", "ab", "<word>"}) {
      std::string text;
      while (text.size() < kBytes) text.append(unit);
      (void)Ids(*tokenizer, text);
    }
  }
}

TEST(Tokenizer, IsTheSameAfterAnotherTokenizerUsedTheScratch) {
  Tokenizer::Scratch scratch;
  Pieces pieces;
  for (const auto& [name, tokenizer] : Fixtures()) {
    ASSERT_TRUE(tokenizer->Tokenize("the cat ab abc", false, scratch, pieces)) << name;
    EXPECT_EQ(pieces.ids, Ids(*tokenizer, "the cat ab abc")) << name;
  }
}

TEST(Tokenizer, HostileExpressionsGiveUp) {
  Json json = FixtureJson()["split-Isolated"];
  json["pre_tokenizer"]["pattern"]["Regex"] = "(a+)+$";
  const auto tokenizer = Tokenizer::Parse(json.dump()).value();
  Tokenizer::Scratch scratch;
  Pieces pieces;
  const auto done = tokenizer->Tokenize(std::string(60, 'a') + "b", false, scratch, pieces);
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, Code::kResourceExhausted);
}

}  // namespace
}  // namespace garrison
