#include "cli/row_format.h"

#include <gtest/gtest.h>

#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <vector>

namespace garrison {
namespace {

std::string Row(const RowLayout& layout, std::vector<float> row) {
  std::string out;
  AppendRow(layout, {7, 3, "\"tokens\":3"}, row, out);
  return out;
}

TEST(RowFormat, TextFormsHaveTheDigitsOfADouble) {
  EXPECT_EQ(Row({RowFormat::kJsonl, NumberType::kFloat32, 2}, {0.1F, -1}),
            "{\"index\":7,\"tokens\":3,\"embedding\":[0.10000000149011612,-1]}\n");
  const RowLayout csv{RowFormat::kCsv, NumberType::kFloat32, 2};
  EXPECT_EQ(FileHeader(csv, 0), "index,tokens,e0,e1\n");
  EXPECT_EQ(Row(csv, {0.5F, -0.25F}), "7,3,0.5,-0.25\n");
  EXPECT_EQ(FileHeader({}, 0), "");
}

TEST(RowFormat, NpyHeaderHasOneLengthForAnyNumberOfRows) {
  const RowLayout layout{RowFormat::kNpy, NumberType::kFloat16, 384};
  const std::string header = FileHeader(layout, 12);
  EXPECT_EQ(header.substr(0, 10), std::string("\x93NUMPY\x01\x00\x76\x00", 10));
  EXPECT_EQ(header.substr(10, 63),
            "{'descr': '<f2', 'fortran_order': False, 'shape': (12, 384), } ");
  EXPECT_EQ(header.back(), '\n');
  EXPECT_EQ(header.size(), 128u);
  EXPECT_EQ(FileHeader(layout, std::numeric_limits<std::size_t>::max()).size(), 128u);
  EXPECT_NE(FileHeader({RowFormat::kNpy, NumberType::kBinary, 12}, 5)
                .find("'|u1', 'fortran_order': False, 'shape': (5, 2)"),
            std::string::npos);
}

TEST(RowFormat, NpyNumbers) {
  const std::vector<float> row = {1, -1, 0.5F, 0, 0.25F, -0.25F, 1e-9F, -0.0F, 0.1F};
  const auto npy = [&](NumberType type) { return Row({RowFormat::kNpy, type, 9}, row); };
  EXPECT_EQ(npy(NumberType::kFloat32).substr(0, 8), std::string("\0\0\x80\x3f\0\0\x80\xbf", 8));
  EXPECT_EQ(npy(NumberType::kFloat16).substr(0, 6), std::string("\0\x3c\0\xbc\0\x38", 6));
  // 63.5 and 31.75: ties go to the even number.
  EXPECT_EQ(npy(NumberType::kInt8), std::string("\x7f\x81\x40\x00\x20\xe0\x00\x00\x0d", 9));
  EXPECT_EQ(npy(NumberType::kBinary), std::string("\xaa\x80", 2));
}

}  // namespace
}  // namespace garrison
