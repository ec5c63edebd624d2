// OUTPUT.state: what a cut-off run needs to go on. docs/formats/embeddings.md describes the bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/result.h"
#include "cli/input_report.h"

namespace garrison {

struct BulkState {
  // Everything that the bytes of the output depend on beside the input: name -> value. Two runs may
  // be joined only if theirs are equal.
  nlohmann::ordered_json run = nlohmann::ordered_json::object();
  // Done up to here.
  std::size_t lines = 0;    // of the input
  std::size_t inputs = 0;   // of the input
  std::size_t rows = 0;     // of the output
  std::uint64_t bytes = 0;  // of the output
  InputReport::Counts counts;
};

std::string StateFileOf(const std::string& output);

std::string FormatState(const BulkState& state);
// DATA_LOSS when `text` is not what FormatState writes.
Result<BulkState> ParseState(std::string_view text);

// FAILED_PRECONDITION naming the first difference.
Result<> CheckSameRun(const nlohmann::ordered_json& before, const nlohmann::ordered_json& now);

}  // namespace garrison
