// The lines that a model verb reads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <istream>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "core/embedder.h"
#include "core/settings.h"

namespace garrison {

struct InputRecord {
  std::size_t line = 0;  // 1-based; 0 for an argument of the command line
  EmbedInput input;
  std::optional<EmbedInput> pair;
  // With `is_query`: `input` is a query, to be matched with these.
  std::vector<std::string> documents;
  bool is_query = false;
  std::size_t index = 0;  // 0-based, counts inputs (bad ones too, blank lines not)
};

// What lines of JSON may hold.
enum class LineForm {
  kInput,           // texts, ids and pairs of them
  kInputOrQueries,  // also {"query":"...","documents":["..."]}
};

// One line of JSON: {"text":"...","text_pair":"..."?} or
// {"ids":[...],"type_ids":[...]?,"ids_pair":[...]?}; under kInputOrQueries also
// {"query":"...","documents":["..."]} ("texts" means the same as "documents"). Fields it does not
// know are ignored. INVALID_ARGUMENT names the field.
Result<InputRecord> ParseInputLine(std::string_view line, const LimitSettings& limits,
                                   LineForm form = LineForm::kInput);

// What a cross-encoder reads. INVALID_ARGUMENT (where: ids_pair) for two lists of ids: ready ids
// hold both parts and what separates them.
Result<SequenceInput> SequenceOf(const InputRecord& record);

// limits.input_bytes, which counts bytes of a text or ids of a list. INVALID_ARGUMENT.
Result<> CheckInputSize(const InputRecord& record, const LimitSettings& limits);

// Bytes that the record holds, roughly: what batches are measured by.
std::size_t InputBytes(const InputRecord& record);

// Reads records one by one in constant memory.
class InputReader {
 public:
  struct Options {
    bool json_lines = true;  // false: every line is a text
    bool skip_blank_texts = false;
    LineForm form = LineForm::kInput;
  };

  InputReader(std::istream& in, const Options& options, const LimitSettings& limits);

  // The next record, or nullopt at the end. Blank lines of JSON are skipped; a blank line of text
  // is an error unless `skip_blank_texts`, because skipping it would shift the answers.
  // INVALID_ARGUMENT when line() is bad, and the call after it goes on with the next line;
  // UNAVAILABLE when the input cannot be read.
  Result<std::optional<InputRecord>> Next();

  // Passes over so many lines without looking into them. False when the input has fewer.
  Result<bool> Skip(std::size_t lines);

  std::size_t line() const { return line_; }      // of what Next returned last; 0 before
  std::uint64_t bytes() const { return bytes_; }  // read so far

 private:
  enum class Got { kLine, kTooLong, kEnd };
  // `line` comes without its end (LF or CRLF); empty when the line is too long or `keep` is false.
  Result<Got> ReadLine(std::string& line, bool keep);
  Got ReadLineOrThrow(std::string& line, bool keep);

  std::istream& in_;
  const Options options_;
  const LimitSettings limits_;
  const std::size_t line_max_;
  std::size_t line_ = 0;
  std::uint64_t bytes_ = 0;
  bool inside_long_line_ = false;
};

}  // namespace garrison
