#include "cli/row_format.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <iterator>
#include <vector>

#include "base/half.h"

namespace garrison {
namespace {

// Numpy wants a multiple of 64; 128 has room for any shape.
constexpr std::size_t kNpyHeaderBytes = 128;

void AppendLittleEndian(std::uint32_t value, std::size_t bytes, std::string& out) {
  for (std::size_t i = 0; i < bytes; ++i) out += static_cast<char>((value >> (8 * i)) & 0xff);
}

std::string NpyHeader(const RowLayout& layout, std::size_t rows) {
  const char* type = "<f4";
  std::size_t columns = layout.dimension;
  if (layout.type == NumberType::kFloat16) type = "<f2";
  if (layout.type == NumberType::kInt8) type = "|i1";
  if (layout.type == NumberType::kBinary) {
    type = "|u1";
    columns = (columns + 7) / 8;
  }
  std::string header("\x93NUMPY\x01\x00", 8);
  AppendLittleEndian(kNpyHeaderBytes - 10, 2, header);
  header += fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}, {}), }}", type,
                        rows, columns);
  header.resize(kNpyHeaderBytes - 1, ' ');
  return header + '\n';
}

void AppendNpyRow(NumberType type, std::span<const float> row, std::string& out) {
  switch (type) {
    case NumberType::kFloat32:
      for (const float x : row) AppendLittleEndian(std::bit_cast<std::uint32_t>(x), 4, out);
      return;
    case NumberType::kFloat16:
      for (const float x : row) AppendLittleEndian(HalfOf(x), 2, out);
      return;
    case NumberType::kInt8:
      for (const float x : row) {
        const float scaled = std::clamp(std::nearbyint(127 * x), -127.0F, 127.0F);
        out += static_cast<char>(static_cast<std::int8_t>(scaled));
      }
      return;
    case NumberType::kBinary:
      for (std::size_t first = 0; first < row.size(); first += 8) {
        unsigned bits = 0;
        for (std::size_t i = first; i < first + 8; ++i) {
          bits = 2 * bits + (i < row.size() && row[i] > 0 ? 1 : 0);
        }
        out += static_cast<char>(bits);
      }
      return;
  }
}

}  // namespace

std::string FileHeader(const RowLayout& layout, std::size_t rows) {
  if (layout.format == RowFormat::kNpy) return NpyHeader(layout, rows);
  std::string header;
  if (layout.format == RowFormat::kCsv) {
    header = "index,tokens";
    for (std::size_t d = 0; d < layout.dimension; ++d) header += fmt::format(",e{}", d);
    header += '\n';
  }
  return header;
}

void AppendRow(const RowLayout& layout, const RowHead& head, std::span<const float> row,
               std::string& out) {
  if (layout.format == RowFormat::kNpy) return AppendNpyRow(layout.type, row, out);
  // With the digits of a double: programs that read the numbers as doubles get the very same.
  const std::vector<double> exact(row.begin(), row.end());
  if (layout.format == RowFormat::kCsv) {
    fmt::format_to(std::back_inserter(out), "{},{},{}\n", head.index, head.tokens,
                   fmt::join(exact, ","));
  } else {
    fmt::format_to(std::back_inserter(out), "{{\"index\":{},{},\"embedding\":[{}]}}\n", head.index,
                   head.tokens_json, fmt::join(exact, ","));
  }
}

}  // namespace garrison
