// Kept vectors as a file that can be carried to another machine: docs/formats/cache.md.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "storage/vector_table.h"

namespace garrison {

struct ExportCounts {
  std::uint64_t vectors = 0;
  std::uint64_t bytes = 0;    // of the file
  std::uint64_t damaged = 0;  // rows of the database that were left out
};

// The payload of a record. A row is unset when its fields do not fit together.
std::string EncodeRecord(const VectorRow& row);
std::optional<VectorRow> DecodeRecord(std::string_view payload);

// Takes the file's bytes in pieces, in order.
using ExportSink = std::function<Result<>(std::string_view)>;

// In constant memory. Errors are those of the table and of the sink.
Result<ExportCounts> ExportVectors(VectorTable& table, const ExportSink& sink);

struct ImportCounts {
  std::uint64_t vectors = 0;
  std::uint64_t expired = 0;  // left out
};

// Reads the whole file twice: nothing of it is taken over unless all of it is sound. In constant
// memory. NOT_FOUND or PERMISSION_DENIED for the file; INVALID_ARGUMENT (not such a file, or a
// newer version) and DATA_LOSS name the record and its place. What the table has already is
// replaced.
Result<ImportCounts> ImportVectors(const std::string& file, VectorTable& table, UnixMs now);

}  // namespace garrison
