#include "guard/csv.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "guard/text_scan.h"

namespace garrison {
namespace {

class CsvReader {
 public:
  CsvReader(std::string_view text, std::size_t columns_max)
      : text_(text), columns_max_(columns_max) {}

  // The next record that is not a blank line; empty at the end.
  Result<std::optional<CsvRecord>> Next() {
    while (position_ < text_.size()) {
      CsvRecord record{line_, {}};
      RETURN_IF_ERROR(ReadRecord(record));
      if (record.fields.size() > 1 || !Trim(record.fields[0]).empty()) return std::optional(record);
    }
    return std::optional<CsvRecord>();
  }

 private:
  Result<> ReadRecord(CsvRecord& record) {
    while (true) {
      if (record.fields.size() == columns_max_) {
        return FailAt(LineName(record.line), Code::kInvalidArgument,
                      "expected at most {} columns, got more", columns_max_);
      }
      ASSIGN_OR_RETURN(std::string field, ReadField());
      record.fields.push_back(std::move(field));
      if (TakeLineEnd()) return {};
      ++position_;  // the comma
    }
  }

  // Stops before a comma, a line end or the end of the text.
  Result<std::string> ReadField() {
    if (position_ < text_.size() && text_[position_] == '"') return ReadQuoted();
    const std::size_t start = position_;
    while (position_ < text_.size() && text_[position_] != ',' && !AtLineEnd()) {
      if (text_[position_] == '"') {
        return FailAt(
            LineName(line_), Code::kInvalidArgument,
            "a quote stands inside a field that does not start with one; put the whole field "
            "in quotes and double the quotes inside");
      }
      ++position_;
    }
    return std::string(text_.substr(start, position_ - start));
  }

  Result<std::string> ReadQuoted() {
    const std::size_t first_line = line_;
    std::string field;
    for (++position_; position_ < text_.size(); ++position_) {
      const char c = text_[position_];
      if (c == '"') {
        const bool doubled = text_.substr(position_).starts_with("\"\"");
        if (!doubled) break;
        ++position_;
      }
      if (c == '\n') ++line_;
      field += c;
    }
    if (position_ == text_.size()) {
      return FailAt(LineName(first_line), Code::kInvalidArgument,
                    "the quote that opens here is never closed");
    }
    ++position_;
    if (position_ < text_.size() && text_[position_] != ',' && !AtLineEnd()) {
      return FailAt(
          LineName(line_), Code::kInvalidArgument,
          "expected a comma or the end of the line after a closing quote; double the quotes "
          "inside a field");
    }
    return field;
  }

  bool AtLineEnd() const {
    const std::string_view rest = text_.substr(position_);
    return rest.starts_with('\n') || rest.starts_with("\r\n");
  }

  bool TakeLineEnd() {
    if (position_ == text_.size()) return true;
    if (!AtLineEnd()) return false;
    position_ += text_[position_] == '\r' ? 2 : 1;
    ++line_;
    return true;
  }

  const std::string_view text_;
  const std::size_t columns_max_;
  std::size_t position_ = 0;
  std::size_t line_ = 1;
};

Result<> CheckHeader(const CsvRecord& record, const std::vector<std::string>& header) {
  for (std::size_t i = 0; i < header.size(); ++i) {
    if (header[i].empty()) continue;
    if (std::find(header.begin(), header.begin() + static_cast<std::ptrdiff_t>(i), header[i]) !=
        header.begin() + static_cast<std::ptrdiff_t>(i)) {
      return FailAt(LineName(record.line), Code::kInvalidArgument,
                    "the column \"{}\" is there twice; keep one", Excerpt(header[i]));
    }
  }
  return {};
}

}  // namespace

std::size_t CsvTable::Column(std::string_view name) const {
  return static_cast<std::size_t>(std::find(header.begin(), header.end(), name) - header.begin());
}

std::vector<std::string> PeekCsvHeader(std::string_view text) {
  const auto record = CsvReader(text, CsvLimits().columns_max).Next();
  if (!record || !*record) return {};
  std::vector<std::string> names;
  for (const std::string& field : (*record)->fields) names.emplace_back(Trim(field));
  return names;
}

Result<CsvTable> ParseCsv(std::string_view text, const CsvLimits& limits) {
  CsvReader reader(text, limits.columns_max);
  ASSIGN_OR_RETURN(const std::optional<CsvRecord> first, reader.Next());
  if (!first)
    return FailAt(LineName(1), Code::kInvalidArgument, "expected a CSV header, got nothing");
  CsvTable table;
  for (const std::string& field : first->fields) table.header.emplace_back(Trim(field));
  RETURN_IF_ERROR(CheckHeader(*first, table.header));
  while (true) {
    ASSIGN_OR_RETURN(std::optional<CsvRecord> record, reader.Next());
    if (!record) return table;
    if (record->fields.size() != table.header.size()) {
      return FailAt(
          LineName(record->line), Code::kInvalidArgument,
          "expected {} fields as in the header, got {}; a field with a comma needs quotes",
          table.header.size(), record->fields.size());
    }
    if (table.rows.size() == limits.rows_max) {
      return FailAt(LineName(record->line), Code::kInvalidArgument,
                    "expected at most {} rows, got more", limits.rows_max);
    }
    table.rows.push_back(*std::move(record));
  }
}

}  // namespace garrison
