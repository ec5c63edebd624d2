#include "cli/embed_output.h"

#include <chrono>
#include <filesystem>
#include <utility>

#include "base/mapped_file.h"

namespace garrison {
namespace {

// What a crash costs at most, beside the batch that was running.
constexpr std::chrono::seconds kCheckpoint{1};
constexpr std::uint64_t kStateBytesMax = 1 << 20;

// What is left of an earlier run, if there is anything to continue.
Result<std::optional<BulkState>> ReadState(const EmbedOutput::Options& options) {
  const std::string name = StateFileOf(options.file);
  std::error_code ignored;
  if (!std::filesystem::exists(name, ignored)) {
    const bool begun = std::filesystem::exists(options.file, ignored) &&
                       std::filesystem::file_size(options.file, ignored) > 0;
    if (!begun) return std::nullopt;
    return FailAt("--resume", Code::kFailedPrecondition,
                  "expected {} beside the output, which says how it was made; it is missing, so "
                  "start over without --resume",
                  name);
  }
  ASSIGN_OR_RETURN(const std::string text, ReadTextFile(name, kStateBytesMax));
  Result<BulkState> state = ParseState(text);
  if (!state) return tl::unexpected(At(name, std::move(state).error()));
  RETURN_IF_ERROR(CheckSameRun(state->run, options.run));
  if (state->counts.error_bytes > 0 && options.errors_file.empty()) {
    return FailAt("--resume", Code::kFailedPrecondition,
                  "the output was begun with --errors and has {} bad inputs; give the same file "
                  "again",
                  state->counts.bad);
  }
  return *std::move(state);
}

}  // namespace

Result<EmbedOutput> EmbedOutput::Open(std::ostream& out, const Clock& clock, Options options) {
  std::optional<BulkState> before;
  if (options.resume) {
    ASSIGN_OR_RETURN(before, ReadState(options));
  }
  std::optional<InputReport::Counts> counts;
  if (before) counts = before->counts;
  ASSIGN_OR_RETURN(InputReport report, InputReport::Open(options.errors_file, counts));
  EmbedOutput output(out, clock, std::move(options), std::move(report));
  if (!before) {
    RETURN_IF_ERROR(output.Begin());
    output.next_checkpoint_ = clock.Now();  // the first batch may take long with a slow model
    return output;
  }
  output.next_checkpoint_ = clock.Now();
  ASSIGN_OR_RETURN(output.file_, OutputFile::Continue(output.options_.file, before->bytes));
  output.rows_ = before->rows;
  output.state_ = *std::move(before);
  output.state_.run = output.options_.run;
  return output;
}

Result<> EmbedOutput::Begin() {
  state_.run = options_.run;
  if (options_.file.empty()) return {};
  // An old state must never stand beside a new output.
  std::error_code ignored;
  std::filesystem::remove(StateFileOf(options_.file), ignored);
  ASSIGN_OR_RETURN(file_, OutputFile::Create(options_.file));
  if (!file_->is_regular() && options_.layout.format == RowFormat::kNpy) {
    return FailAt("--output", Code::kInvalidArgument,
                  "expected a regular file for npy, whose header is written last; got a pipe or "
                  "a device");
  }
  RETURN_IF_ERROR(file_->Append(FileHeader(options_.layout, 0)));
  state_.bytes = file_->size();
  return Checkpoint();
}

Result<> EmbedOutput::Add(std::span<const InputRecord> records, const Embeddings& embeddings) {
  if (embeddings.dimension != options_.layout.dimension) {
    return Fail(Code::kInternal, "expected vectors of {} components, got {}",
                options_.layout.dimension, embeddings.dimension);
  }
  std::string rows;
  for (std::size_t i = 0; i < embeddings.size(); ++i) {
    const std::string tokens = report_.Tokens(embeddings.tokens[i], embeddings.total_tokens[i]);
    AppendRow(options_.layout, {records[i].index, embeddings.tokens[i], tokens}, embeddings.row(i),
              rows);
  }
  rows_ += embeddings.size();
  if (file_) return file_->Append(rows);
  *out_ << rows;
  return CheckOutput(*out_);
}

Result<> EmbedOutput::EndBatch(const Batch& batch) {
  RETURN_IF_ERROR(report_.AddBad(batch.bad));
  state_.lines = batch.lines_read;
  state_.inputs = batch.inputs_read;
  state_.rows = rows_;
  state_.bytes = file_ ? file_->size() : 0;
  state_.counts = report_.counts();
  return clock_->Now() < next_checkpoint_ ? Result<>() : Checkpoint();
}

Result<> EmbedOutput::PatchHeader() {
  if (!file_ || options_.layout.format != RowFormat::kNpy) return {};
  return file_->Overwrite(0, FileHeader(options_.layout, rows_));
}

// The data is on the disk before the state speaks of it.
Result<> EmbedOutput::Checkpoint() {
  if (!file_ || !file_->is_regular()) return {};
  RETURN_IF_ERROR(PatchHeader());
  RETURN_IF_ERROR(file_->Sync());
  RETURN_IF_ERROR(report_.Sync());
  RETURN_IF_ERROR(WriteFileAtomically(StateFileOf(options_.file), FormatState(state_)));
  next_checkpoint_ = clock_->Now() + kCheckpoint;
  return {};
}

Result<> EmbedOutput::Finish() { return Checkpoint(); }

}  // namespace garrison
