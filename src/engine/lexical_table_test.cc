#include "engine/lexical_table.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <cstring>
#include <string>
#include <vector>

#include "base/hash.h"

namespace garrison {
namespace {

struct Contents {
  std::uint32_t version = 1;
  std::uint32_t dims = LexicalTable::kDims;
  std::uint32_t unlisted_weight = 1000;
  std::uint32_t hashed_scale = 70;
  std::vector<std::uint64_t> keys = {'<' << 21 | 'a', std::uint64_t{'<'} << 42 | 'a' << 21 | '>'};
  std::vector<std::uint16_t> weights = {5, 2047};
  std::vector<std::uint8_t> lengths = {1, 2};
  std::string words = "a\u00E9";
  std::size_t rows = 2;
};

template <typename T>
void Append(std::string& out, const T& value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof(value));
}

// Puts the digest of the rest of the file into it, so that only the damage meant by a test is left.
void Seal(std::string& file) {
  Sha256 hash;
  hash.Update(std::string_view(file).substr(0, 64));
  hash.Update(std::string_view(file).substr(96));
  const std::string hex = hash.FinishHex();
  for (std::size_t i = 0; i < 32; ++i) {
    file[64 + i] = static_cast<char>(std::stoi(hex.substr(2 * i, 2), nullptr, 16));
  }
}

std::string Write(const Contents& c) {
  std::string out("GRNLEX1\0", 8);
  Append(out, c.version);
  Append(out, c.dims);
  Append(out, static_cast<std::uint32_t>(c.weights.size()));
  Append(out, static_cast<std::uint32_t>(c.keys.size()));
  Append(out, static_cast<std::uint32_t>(c.words.size()));
  Append(out, c.unlisted_weight);
  Append(out, c.hashed_scale);
  out.append(28 + 32, '\0');
  for (const auto key : c.keys) Append(out, key);
  for (const auto weight : c.weights) Append(out, weight);
  for (const auto length : c.lengths) Append(out, length);
  out += c.words;
  for (std::size_t i = 0; i < c.rows * LexicalTable::kDims; ++i) out += static_cast<char>(i % 200);
  Seal(out);
  return out;
}

Result<std::unique_ptr<LexicalTable>> Load(const std::string& file) {
  return LexicalTable::Load(std::as_bytes(std::span(file)));
}

void ExpectDamaged(const Contents& contents, std::string_view reason) {
  const std::string file = Write(contents);
  const auto result = Load(file);
  ASSERT_FALSE(result) << reason;
  EXPECT_EQ(result.error().code, Code::kDataLoss);
  EXPECT_NE(result.error().message.find(reason), std::string::npos) << result.error().message;
}

TEST(LexicalTable, ReadsWhatWasWritten) {
  const std::string file = Write({});
  const auto table = Load(file);
  ASSERT_TRUE(table) << table.error().ToString();
  const std::int32_t e_acute = 0xE9;
  const std::int32_t b = 'b';
  EXPECT_EQ((*table)->words(), 2);
  EXPECT_EQ((*table)->FindWord({&e_acute, 1}), 2);
  EXPECT_EQ((*table)->FindWord({&b, 1}), LexicalTable::kOpenWord);
  EXPECT_EQ((*table)->weight(0), 1000);
  EXPECT_EQ((*table)->weight(2), 2047);
  EXPECT_EQ((*table)->id_end(), 1 + 2 + 2 + LexicalTable::kHashedRows);
  const auto pieces = (*table)->pieces(1);  // "<a", "a>", "<a>"
  ASSERT_EQ(pieces.size(), 3U);
  EXPECT_EQ(pieces[0], 3);
  EXPECT_GE(pieces[1], 5);
  EXPECT_EQ(pieces[2], 4);
}

TEST(LexicalTable, AHashedRowIsSignsOfOneSize) {
  const std::string file = Write({});
  const auto table = Load(file);
  ASSERT_TRUE(table);
  std::vector<std::int16_t> sums(LexicalTable::kDims);
  const std::int32_t hashed = (*table)->id_end() - 1;
  (*table)->SumRows({&hashed, 1}, sums.data());
  int balance = 0;
  for (const std::int16_t x : sums) {
    EXPECT_EQ(std::abs(x), 70);
    balance += x / 70;
  }
  EXPECT_LT(std::abs(balance), 100);
}

TEST(LexicalTable, RefusesEveryTruncation) {
  const std::string file = Write({});
  for (std::size_t size = 0; size < file.size(); ++size)
    EXPECT_FALSE(Load(file.substr(0, size))) << size;
  EXPECT_FALSE(Load(file + "x"));
}

TEST(LexicalTable, RefusesEveryFlippedBit) {
  std::string file = Write({});
  for (std::size_t i = 0; i < file.size(); ++i) {
    file[i] = static_cast<char>(file[i] ^ (1 << i % 8));
    EXPECT_FALSE(Load(file)) << i;
    file[i] = static_cast<char>(file[i] ^ (1 << i % 8));
  }
}

TEST(LexicalTable, RefusesSealedNonsense) {
  Contents c;
  c.version = 2;
  ExpectDamaged(c, "version 2");
  c = {};
  c.dims = 383;
  ExpectDamaged(c, "383");
  c = {};
  c.unlisted_weight = 0;
  ExpectDamaged(c, "weights in 1-2047");
  c = {};
  c.weights[1] = 2048;
  ExpectDamaged(c, "weights in 1-2047");
  c = {};
  c.hashed_scale = 128;
  ExpectDamaged(c, "scale");
  c = {};
  std::swap(c.keys[0], c.keys[1]);
  ExpectDamaged(c, "out of order");
  c = {};
  c.keys[0] = 0;
  ExpectDamaged(c, "out of order");
  c = {};
  c.lengths = {1, 3};
  ExpectDamaged(c, "ends past");
  c = {};
  c.lengths = {1, 1};
  ExpectDamaged(c, "not UTF-8");
  c = {};
  c.lengths = {0, 3};
  ExpectDamaged(c, "empty or out of order");
  c = {};
  c.words = "bab";
  ExpectDamaged(c, "out of order");
  c = {};
  c.words += "z";
  ExpectDamaged(c, "belong to none");
  c = {};
  c.words = "a" + std::string(33, 'b');
  c.lengths = {1, 33};
  ExpectDamaged(c, "too long");
  c = {};
  c.rows = 1;
  ExpectDamaged(c, "bytes, got");
}

TEST(LexicalTable, HugeCountsAreRefusedBeforeAnythingIsAllocated) {
  for (const std::size_t offset : {16U, 20U, 24U}) {
    std::string file = Write({});
    const std::uint32_t huge = 0xFFFFFFFF;
    std::memcpy(file.data() + offset, &huge, sizeof(huge));
    Seal(file);
    EXPECT_FALSE(Load(file)) << offset;
  }
}

TEST(LexicalTable, SealedRandomHeadersNeverCrash) {
  EXPECT_TRUE(rc::check([](const std::vector<std::pair<std::uint8_t, std::uint8_t>>& edits) {
    std::string file = Write({});
    for (const auto& [at, value] : edits) file[8 + at % 120] = static_cast<char>(value);
    Seal(file);
    const auto table = Load(file);
    if (!table) RC_ASSERT(table.error().code == Code::kDataLoss);
  }));
}

}  // namespace
}  // namespace garrison
