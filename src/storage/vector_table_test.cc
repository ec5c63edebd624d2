#include "storage/vector_table.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <cmath>
#include <map>

#include "db/test_databases.h"
#include "storage/legacy_table.h"
#include "storage/test_vectors.h"

namespace garrison {
namespace {

class Vectors : public DatabaseTest {
 protected:
  VectorTable Open() const { return VectorTable::Open(place_, {}).value(); }
  static void Write(VectorTable& table, std::vector<VectorRow> rows, UnixMs last_used = 1) {
    ASSERT_TRUE(table.Write(rows, last_used));
  }
  static std::vector<VectorKey> Keys(const std::vector<std::string>& texts) {
    std::vector<VectorKey> keys;
    for (const std::string& text : texts) keys.push_back(KeyOfText(text));
    return keys;
  }
};
GARRISON_BOTH_DATABASES(Vectors);

TEST_P(Vectors, RowsComeBackForTheirKeysInTheOrderAsked) {
  VectorTable table = Open();
  Write(table, {RowOfText("a"), RowOfText("b", 5, VectorPrecision::kFloat16, true)});
  const FoundRows found = table.Find(Keys({"b", "none", "a", "b"})).value();
  ASSERT_EQ(found.rows.size(), 4U);
  EXPECT_TRUE(found.damaged.empty());
  EXPECT_EQ(found.rows[2], RowOfText("a"));
  EXPECT_EQ(found.rows[1], std::nullopt);
  EXPECT_EQ(found.rows[0]->blob, RowOfText("b", 5, VectorPrecision::kFloat16).blob);
  EXPECT_EQ(found.rows[3]->expires_at, 5);
  EXPECT_EQ(found.rows[2]->Decode()->vector, VectorOfText("a"));
}

TEST_P(Vectors, WritingAgainReplacesTheVectorAndKeepsTheHits) {
  VectorTable table = Open();
  Write(table, {RowOfText("a"), RowOfText("b")});
  ASSERT_TRUE(table.CountUses({{KeyOfText("a"), 3, 70}, {KeyOfText("gone"), 1, 70}}));
  ASSERT_TRUE(table.CountUses({{KeyOfText("a"), 2, 60}}));
  VectorRow changed = RowOfText("other");
  changed.key = KeyOfText("a");
  Write(table, {changed, changed});
  EXPECT_EQ(table.Find(Keys({"a"})).value().rows[0]->blob, changed.blob);
  const auto models = table.Models().value();
  ASSERT_EQ(models.size(), 1U);
  EXPECT_EQ(models[0].totals.entries, 2U);
  EXPECT_EQ(models[0].totals.bytes, table.Totals().value().bytes);
  EXPECT_EQ(models[0].hits, 5U);
  EXPECT_EQ(models[0].saved_tokens, 5 * changed.tokens);
}

TEST_P(Vectors, MakesRoomByWhatWasUnusedForLongest) {
  VectorTable table = Open();
  for (int i = 0; i < 10; ++i) Write(table, {RowOfText(std::to_string(i))}, 100 + i);
  ASSERT_TRUE(table.CountUses({{KeyOfText("0"), 1, 500}}));
  const std::uint64_t one = RowOfText("0").Bytes();
  EXPECT_EQ(table.Shrink(10 * one).value(), 0U);
  EXPECT_EQ(table.Shrink(4 * one + 1).value(), 6U);
  const FoundRows left = table.Find(Keys({"0", "1", "6", "7", "8", "9"})).value();
  EXPECT_TRUE(left.rows[0] && left.rows[3] && left.rows[4] && left.rows[5]);
  EXPECT_TRUE(!left.rows[1] && !left.rows[2]);
  EXPECT_LE(table.Totals().value().bytes, 4 * one + 1);
}

TEST_P(Vectors, WhatHasExpiredAndWhatIsOfAModelGoes) {
  VectorTable table = Open();
  Write(table, {RowOfText("never"), RowOfText("soon", 100), RowOfText("late", 200)});
  EXPECT_EQ(table.RemoveExpired(100).value(), 1U);
  EXPECT_EQ(table.Totals().value().entries, 2U);
  VectorRow other = RowOfText("other");
  other.model = "openai/x/";
  Write(table, {other});
  EXPECT_EQ(table.RemoveModel("local/test/r1").value(), 2U);
  EXPECT_TRUE(table.Find(Keys({"other"})).value().rows[0]);
}

TEST_P(Vectors, PagesHaveEveryRowOnceWithItsText) {
  VectorTable table = Open();
  std::map<VectorKey, VectorRow> expected;
  std::vector<VectorRow> rows;
  for (int i = 0; i < 25; ++i) {
    rows.push_back(RowOfText(std::to_string(i), 0, VectorPrecision::kFloat32, i % 2 == 0));
    expected.emplace(rows.back().key, rows.back());
  }
  Write(table, rows);
  std::map<VectorKey, VectorRow> got;
  std::optional<VectorKey> last;
  while (true) {
    const RowPage page = table.ReadPage(last, 7).value();
    if (!page.last) break;
    last = page.last;
    for (const VectorRow& row : page.rows) EXPECT_TRUE(got.emplace(row.key, row).second);
  }
  EXPECT_EQ(got, expected);
}

TEST_P(Vectors, AnyColumnThatIsChangedIsFound) {
  VectorTable table = Open();
  const auto connection = OpenDatabase(place_, {}).value();
  for (const std::string change :
       {"model = 'local/other/r1'", "dimension = 24", "precision = 'f16'", "precision = 'f64'",
        "tokens = tokens + 1", "total_tokens = 0", "created_at = 3", "expires_at = 99",
        "tokens = -1"}) {
    Write(table, {RowOfText("a")});
    ASSERT_TRUE(connection->ExecuteScript("UPDATE garrison_vectors SET " + change));
    const FoundRows found = table.Find(Keys({"a"})).value();
    EXPECT_FALSE(found.rows[0]) << change;
    EXPECT_EQ(found.damaged, Keys({"a"})) << change;
  }
}

TEST_P(Vectors, AnyBitOfAVectorOrAChecksumThatFlipsIsFoundAndSoAreSwappedRows) {
  VectorTable table = Open();
  const auto connection = OpenDatabase(place_, {}).value();
  const bool held = rc::check([&](std::uint32_t where, std::uint8_t bit, bool in_checksum) {
    VectorRow row = RowOfText("a");
    std::vector<VectorRow> rows = {row};
    RC_ASSERT(table.Write(rows, 1).has_value());
    const RowChecksum checksum = row.Checksum();
    std::vector<std::byte> bytes =
        in_checksum ? std::vector<std::byte>(checksum.begin(), checksum.end()) : row.blob;
    bytes[where % bytes.size()] ^= std::byte{1} << (bit % 8);
    const DbParameters changed = {std::span<const std::byte>(bytes)};
    RC_ASSERT(connection
                  ->Execute(in_checksum ? "UPDATE garrison_vectors SET checksum = $1"
                                        : "UPDATE garrison_vectors SET vector = $1",
                            changed)
                  .has_value());
    const FoundRows found = table.Find(Keys({"a"})).value();
    RC_ASSERT(!found.rows[0].has_value());
    RC_ASSERT(found.damaged.size() == 1U);
  });
  EXPECT_TRUE(held);
  VectorRow b = RowOfText("b");
  Write(table, {RowOfText("a"), b});
  const DbParameters keys = {std::span<const std::byte>(b.key)};
  ASSERT_TRUE(connection->Execute("DELETE FROM garrison_vectors WHERE key <> $1", keys));
  const VectorKey a = KeyOfText("a");
  const DbParameters moved = {std::span<const std::byte>(a)};
  ASSERT_TRUE(connection->Execute("UPDATE garrison_vectors SET key = $1", moved));
  EXPECT_EQ(table.Find(Keys({"a"})).value().damaged.size(), 1U);
}

TEST_P(Vectors, TablesOfANewerProgramAreLeftAlone) {
  {
    const VectorTable made = Open();
  }
  ASSERT_TRUE(
      OpenDatabase(place_, {}).value()->ExecuteScript("UPDATE garrison_schema SET version = 99"));
  EXPECT_EQ(VectorTable::Open(place_, {}).error().code, Code::kFailedPrecondition);
}

TEST_P(Vectors, TheOldTableGivesOnlyRowsThatCanBeBelieved) {
  const auto connection = OpenDatabase(place_, {}).value();
  const bool postgres = GetParam() == DbKind::kPostgres;
  ASSERT_TRUE(connection->ExecuteScript(
      postgres
          ? "CREATE TABLE embedding_cache (id BIGSERIAL PRIMARY KEY, cache_key TEXT UNIQUE,"
            " text TEXT, embedding JSONB, model TEXT, created_at TIMESTAMP DEFAULT now())"
          : "CREATE TABLE embedding_cache (id INTEGER PRIMARY KEY AUTOINCREMENT, cache_key TEXT"
            " UNIQUE, text TEXT, embedding JSON, model TEXT, created_at TIMESTAMP)"));
  const auto add = [&](const std::string& hashed, const std::string& text, const std::string& json,
                       const std::string& model) {
    const std::string key = Sha256Hex(hashed);
    const DbParameters row = {std::string_view(key), std::string_view(text), std::string_view(json),
                              std::string_view(model)};
    const Result<DbResult> added = connection->Execute(
        postgres ? "INSERT INTO embedding_cache (cache_key, text, embedding, model)"
                   " VALUES ($1, $2, CAST($3 AS JSONB), $4)"
                 : "INSERT INTO embedding_cache (cache_key, text, embedding, model)"
                   " VALUES ($1, $2, $3, $4)",
        row);
    ASSERT_TRUE(added) << added.error().ToString();
  };
  add("good", "good", "[0.5, -0.25]", "minilm");
  const std::string whole(700, 'x');
  add(whole, whole.substr(0, 500), "[0.5, 0.25]", "minilm");
  add("ada", "ada", "[0.5, 0.25]", "ada-002");
  add("zero", "zero", "[0, 0]", "minilm");
  add("three", "three", "[1, 2, 3]", "minilm");
  add("words", "words", R"({"a": 1})", "minilm");
  std::vector<LegacyVector> taken;
  const LegacyReport report =
      ReadLegacyTable(place_, {"minilm", 2}, [&](std::vector<LegacyVector> vectors) -> Result<> {
        for (LegacyVector& vector : vectors) taken.push_back(std::move(vector));
        return {};
      }).value();
  ASSERT_EQ(taken.size(), 1U);
  EXPECT_EQ(taken[0].text, "good");
  EXPECT_EQ(taken[0].values, (std::vector<float>{0.5, -0.25}));
  EXPECT_EQ(report.rows, 6U);
  EXPECT_EQ(report.good, 1U);
  EXPECT_EQ(report.text_missing, 1U);
  EXPECT_EQ(report.other_model, (std::map<std::string, std::uint64_t>{{"ada-002", 1}}));
  EXPECT_EQ(report.not_a_vector, 1U);
  EXPECT_EQ(report.other_dimension, 1U);
  EXPECT_EQ(report.unreadable, 1U);
}

TEST_P(Vectors, WithoutAnOldTableThereIsNothingToMigrate) {
  {
    const VectorTable made = Open();
  }
  const auto report = ReadLegacyTable(place_, {"m", 2}, [](auto) { return Result<>(); });
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().code, Code::kNotFound);
}

TEST(VectorRowTest, HalvesAreRoundedAndWhatIsTooLargeForThemStaysWhole) {
  const CachedVector whole = VectorOfText("a");
  const VectorRow half = MakeRow(NewOfText("a"), VectorPrecision::kFloat16, false);
  EXPECT_EQ(half.blob.size(), 2 * whole.values.size());
  const CachedVector back = half.Decode()->vector;
  for (std::size_t i = 0; i < whole.values.size(); ++i) {
    EXPECT_LE(std::abs(back.values[i] - whole.values[i]),
              std::abs(whole.values[i]) * 0x1p-11F + 1e-7F);
  }
  NewVector large = NewOfText("a");
  large.vector.values[3] = 70'000;
  const VectorRow kept = MakeRow(large, VectorPrecision::kFloat16, false);
  EXPECT_EQ(kept.precision, VectorPrecision::kFloat32);
  EXPECT_EQ(kept.Decode()->vector, large.vector);
}

}  // namespace
}  // namespace garrison
