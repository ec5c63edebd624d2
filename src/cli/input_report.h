// What a run says about its inputs beside the answers: which were cut, which were bad. Private to
// cli/.
#pragma once

#include <CLI/App.hpp>
#include <cstddef>
#include <optional>
#include <ostream>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/batches.h"
#include "cli/output_file.h"

namespace garrison {

// Adds --errors.
void AddErrorsFlag(CLI::App& verb, std::string& file);

class InputReport {
 public:
  struct Counts {
    std::size_t truncated = 0;
    std::size_t bad = 0;
    std::uint64_t error_bytes = 0;  // of the error file
  };

  // `errors_file`: the value of --errors; empty: the first bad input ends the run. `before`: what
  // the part of the run that --resume continues has counted.
  static Result<InputReport> Open(const std::string& errors_file,
                                  const std::optional<Counts>& before = std::nullopt);

  bool keep_going() const { return errors_.has_value(); }

  // Writes {"line":N,"error":{"code":..,"message":..,"where":..}} for each.
  Result<> AddBad(std::span<const BadInput> bad);
  // The members "tokens" and, where the model did not read all, "total_tokens" and "truncated" of
  // an answer; counts the latter.
  std::string Tokens(std::size_t tokens, std::size_t total);
  void CountTruncated(std::size_t tokens, std::size_t total);

  Result<> Sync();
  const Counts& counts() const { return counts_; }
  // One line for each thing that the reader should know.
  void Print(std::ostream& err) const;

 private:
  InputReport() = default;

  std::string errors_name_;
  std::optional<OutputFile> errors_;
  Counts counts_;
};

// With the digits of a double: programs that read JSON numbers as doubles get the very same
// numbers.
inline std::vector<double> Exact(std::span<const float> row) { return {row.begin(), row.end()}; }

}  // namespace garrison
