// The lines that a model verb reads.
#pragma once

#include <cstddef>
#include <istream>
#include <optional>
#include <string>

#include "base/result.h"
#include "core/embedder.h"
#include "core/settings.h"

namespace garrison {

struct InputRecord {
  std::size_t line = 0;  // 1-based; 0 for an argument of the command line
  EmbedInput input;
  std::optional<EmbedInput> pair;
};

// One line of JSON: {"text":"...","text_pair":"..."?} or
// {"ids":[...],"type_ids":[...]?,"ids_pair":[...]?}. Fields it does not know are ignored.
// INVALID_ARGUMENT names the field.
Result<InputRecord> ParseInputLine(std::string_view line, const LimitSettings& limits);

// limits.input_bytes, which counts bytes of a text or ids of a list. INVALID_ARGUMENT.
Result<> CheckInputSize(const InputRecord& record, const LimitSettings& limits);

// Reads records one by one in constant memory.
class InputReader {
 public:
  // `json_lines` false: every line is a text.
  InputReader(std::istream& in, bool json_lines, bool skip_blank_texts,
              const LimitSettings& limits);

  // The next record, or nullopt at the end. Blank lines of JSON are skipped; a blank line of text
  // is an error unless `skip_blank_texts`, because skipping it would shift the answers.
  // INVALID_ARGUMENT with where "line N"; UNAVAILABLE when the input cannot be read.
  Result<std::optional<InputRecord>> Next();

 private:
  Result<bool> ReadLine(std::string& line);

  std::istream& in_;
  const bool json_lines_;
  const bool skip_blank_texts_;
  const LimitSettings limits_;
  std::size_t line_ = 0;
};

}  // namespace garrison
