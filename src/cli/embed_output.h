// Where the vectors of `garrison embed` go: standard output, or a file that can be continued.
// Private to cli/.
#pragma once

#include <cstddef>
#include <optional>
#include <ostream>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "cli/batches.h"
#include "cli/bulk_state.h"
#include "cli/input_report.h"
#include "cli/output_file.h"
#include "cli/row_format.h"
#include "core/embedder.h"

namespace garrison {

class EmbedOutput {
 public:
  struct Options {
    std::string file;  // empty: standard output
    std::string errors_file;
    bool resume = false;
    RowLayout layout;
    nlohmann::ordered_json run;  // BulkState::run
  };

  // With `resume` continues options.file, if it was begun: whatever came after its last checkpoint
  // is cut off. FAILED_PRECONDITION when it was begun in another way.
  static Result<EmbedOutput> Open(std::ostream& out, const Clock& clock, Options options);

  // What of the input is done already.
  const BulkState& state() const { return state_; }
  InputReport& report() { return report_; }

  Result<> Add(std::span<const InputRecord> records, const Embeddings& embeddings);
  // Notes the bad inputs, and makes a checkpoint if one is due.
  Result<> EndBatch(const Batch& batch);
  // Makes the file complete. To be called at the end; after a failure too, so that what is there
  // can be read.
  Result<> Finish();

 private:
  EmbedOutput(std::ostream& out, const Clock& clock, Options options, InputReport report)
      : out_(&out), clock_(&clock), options_(std::move(options)), report_(std::move(report)) {}

  Result<> Begin();
  Result<> Checkpoint();
  Result<> PatchHeader();

  std::ostream* out_;
  const Clock* clock_;
  Options options_;
  InputReport report_;
  std::optional<OutputFile> file_;
  BulkState state_;  // at the end of the last whole batch
  std::size_t rows_ = 0;
  SteadyTime next_checkpoint_;
};

}  // namespace garrison
