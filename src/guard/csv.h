// RFC 4180 CSV: quotes, doubled quotes, line ends inside quotes, LF and CRLF. Strict: what it
// cannot read for certain is an error with its line, because a guess would move text into the wrong
// column.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace garrison {

struct CsvRecord {
  std::size_t line = 0;  // 1-based line of the file on which the record starts
  std::vector<std::string> fields;
};

struct CsvTable {
  std::vector<std::string> header;  // trimmed
  std::vector<CsvRecord> rows;      // each as wide as the header; blank lines are left out

  // Index of the column of that exact name; header.size() if there is none.
  std::size_t Column(std::string_view name) const;
};

struct CsvLimits {
  std::size_t columns_max = 256;
  std::size_t rows_max = 100'000;
};

// The first record only, without judging what follows; empty if it is no CSV.
std::vector<std::string> PeekCsvHeader(std::string_view text);

// INVALID_ARGUMENT (where: "line N"): no header, two columns of the same name, a row of another
// width, a quote out of place, a limit passed. `text` starts without a byte order mark.
Result<CsvTable> ParseCsv(std::string_view text, const CsvLimits& limits);

}  // namespace garrison
