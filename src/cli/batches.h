// Where the texts of a model verb come from, and how a bad one is kept from spoiling its batch.
// Private to cli/.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/command.h"
#include "cli/text_input.h"

namespace garrison {

// An input that cannot be used. Its error's place is within the input ("ids[3]").
struct BadInput {
  std::size_t line = 0;   // as InputRecord
  std::size_t index = 0;  // as InputRecord
  Error error;
};

// A part of the input: every one of its inputs is a record or bad.
struct Batch {
  std::vector<InputRecord> records;
  std::vector<BadInput> bad;
  // Of the whole input up to the end of this batch.
  std::size_t lines_read = 0;
  std::size_t inputs_read = 0;
  std::uint64_t bytes_read = 0;
};

struct BatchOptions {
  LineForm form = LineForm::kInput;
  bool keep_going = false;  // bad inputs become Batch::bad; otherwise the first ends the reading
  // What an earlier run has done already.
  std::size_t skip_lines = 0;
  std::size_t skip_inputs = 0;
};

// Calls `take` with batches in order, in constant memory: the texts of the command line if there
// are any, else --input, else standard input. Errors name the line.
Result<> ForEachBatch(const CommandContext& context, const ModelFlags& flags,
                      const LimitSettings& limits, const BatchOptions& options,
                      const std::function<Result<>(Batch&)>& take);

// The same for those who stop at the first bad input.
Result<> ForEachBatch(const CommandContext& context, const ModelFlags& flags,
                      const LimitSettings& limits,
                      const std::function<Result<>(std::vector<InputRecord>&)>& take);

// "line 3", or "text 2" for an argument of the command line.
std::string PlaceOf(std::size_t line, std::size_t index);

// Calls `compute` with consecutive parts of the batch until every good record was in one call that
// succeeded, in order. A call that fails must have had no effect; its error names the record at
// fault as "input[i]", counted within the part, or ends everything. A bad record goes to
// batch.bad, which is sorted afterwards, or ends everything if not `keep_going`.
Result<> ComputeGood(Batch& batch, bool keep_going,
                     const std::function<Result<>(std::span<const InputRecord>)>& compute);

// Embeds one text or id list per record. An error names the line of its record instead of
// "input[i]".
Result<Embeddings> EmbedRecords(const Embedder& embedder, const std::vector<InputRecord>& records,
                                const EmbedRequest& request);

}  // namespace garrison
