// How rows of vectors are written: JSON lines, CSV, NPY. Pure. docs/formats/embeddings.md describes
// the bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace garrison {

enum class RowFormat { kJsonl, kCsv, kNpy };
enum class NumberType { kFloat32, kFloat16, kInt8, kBinary };  // of NPY

struct RowLayout {
  RowFormat format = RowFormat::kJsonl;
  NumberType type = NumberType::kFloat32;
  std::size_t dimension = 0;
};

struct RowHead {
  std::size_t index = 0;
  std::size_t tokens = 0;
  std::string_view tokens_json;  // the members of a JSON line that speak of tokens
};

// What stands before the first row. For NPY its length does not depend on `rows`, so that it can
// be written again when there are more.
std::string FileHeader(const RowLayout& layout, std::size_t rows);

// `row` has `layout.dimension` components in [-1, 1].
void AppendRow(const RowLayout& layout, const RowHead& head, std::span<const float> row,
               std::string& out);

}  // namespace garrison
