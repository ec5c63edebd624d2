#include "storage/vector_export.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <fstream>

#include "db/test_databases.h"
#include "storage/test_vectors.h"

namespace garrison {
namespace {

class Exported : public DatabaseTest {
 protected:
  VectorTable Open() const { return VectorTable::Open(place_, {}).value(); }

  static std::string Export(VectorTable& table) {
    std::string out;
    const auto counts = ExportVectors(table, [&out](std::string_view bytes) -> Result<> {
      out += bytes;
      return {};
    });
    EXPECT_TRUE(counts);
    return out;
  }
  Result<ImportCounts> Import(VectorTable& table, const std::string& content) const {
    const std::string file = (folder_ / "file").string();
    std::ofstream(file, std::ios::binary) << content;
    return ImportVectors(file, table, 50);
  }
  static std::vector<VectorRow> Rows() {
    return {RowOfText("a"), RowOfText("b", 99, VectorPrecision::kFloat16, true),
            RowOfText("c", 0, VectorPrecision::kFloat32, true)};
  }
};
GARRISON_BOTH_DATABASES(Exported);

TEST_P(Exported, AFileHasEverythingAndComesBackAsItWas) {
  VectorTable table = Open();
  std::vector<VectorRow> rows = Rows();
  ASSERT_TRUE(table.Write(rows, 1));
  const std::string file = Export(table);
  ASSERT_TRUE(table.RemoveModel("local/test/r1"));
  EXPECT_EQ(Import(table, file).value().vectors, 3U);
  EXPECT_EQ(table.ReadPage(std::nullopt, 9).value().rows, rows);
  EXPECT_EQ(Export(table), file);
}

TEST_P(Exported, WhatHasExpiredMeanwhileIsLeftOut) {
  VectorTable table = Open();
  std::vector<VectorRow> rows = {RowOfText("a", 50), RowOfText("b", 51)};
  ASSERT_TRUE(table.Write(rows, 1));
  const ImportCounts counts = Import(table, Export(table)).value();
  EXPECT_EQ(counts.vectors, 1U);
  EXPECT_EQ(counts.expired, 1U);
}

TEST_P(Exported, AnyBitThatFlipsAndAnyCutIsRefusedAndNothingIsTakenOver) {
  VectorTable table = Open();
  std::vector<VectorRow> rows = Rows();
  ASSERT_TRUE(table.Write(rows, 1));
  const std::string file = Export(table);
  ASSERT_TRUE(table.RemoveModel("local/test/r1"));
  const bool held = rc::check([&](std::uint32_t where, std::uint8_t bit, bool cut) {
    std::string damaged = file;
    if (cut) {
      damaged.resize(where % file.size());
    } else {
      char& byte = damaged[where % file.size()];
      byte = static_cast<char>(byte ^ (1 << bit % 8));
    }
    const auto imported = Import(table, damaged);
    RC_ASSERT(!imported.has_value());
    const Error& error = imported.error();
    RC_ASSERT(error.code == Code::kDataLoss || error.code == Code::kInvalidArgument);
    RC_ASSERT(error.code == Code::kInvalidArgument ||
              error.message.find("record ") != std::string::npos);
    RC_ASSERT(table.Totals().value().entries == 0U);
  });
  EXPECT_TRUE(held);
}

TEST_P(Exported, RecordsThatChangePlacesAndWhatFollowsTheEndAreRefused) {
  VectorTable table = Open();
  std::vector<VectorRow> rows = {RowOfText("a"), RowOfText("b")};
  ASSERT_TRUE(table.Write(rows, 1));
  const std::string file = Export(table);
  const std::size_t head = 9, end = 4 + 16 + 8, record = (file.size() - head - end) / 2;
  const std::string swapped = file.substr(0, head) + file.substr(head + record, record) +
                              file.substr(head, record) + file.substr(head + 2 * record);
  EXPECT_NE(Import(table, swapped).error().message.find("record 1 (byte 9)"), std::string::npos);
  EXPECT_EQ(Import(table, file + "x").error().code, Code::kDataLoss);
  const std::string shorter = file.substr(0, head + record) + file.substr(head + 2 * record);
  EXPECT_EQ(Import(table, shorter).error().code, Code::kDataLoss);
  EXPECT_EQ(Import(table, "something else").error().code, Code::kInvalidArgument);
  EXPECT_EQ(ImportVectors("/no/such/file", table, 1).error().code, Code::kNotFound);
}

}  // namespace
}  // namespace garrison
