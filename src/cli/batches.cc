#include "cli/batches.h"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <optional>
#include <utility>

namespace garrison {
namespace {

// Enough to keep an engine busy, little enough for constant memory.
constexpr std::size_t kBatchInputs = 256;
constexpr std::size_t kBatchBytes = 1 << 20;

using Take = std::function<Result<>(Batch&)>;

class BatchReader {
 public:
  BatchReader(InputReader& reader, const BatchOptions& options, const Take& take)
      : reader_(reader), options_(options), take_(take), index_(options.skip_inputs) {}

  Result<> Run() {
    ASSIGN_OR_RETURN(const bool long_enough, reader_.Skip(options_.skip_lines));
    if (!long_enough) {
      return FailAt("--resume", Code::kFailedPrecondition,
                    "expected an input of at least the {} lines that were done before, got {}; "
                    "give the same input again",
                    options_.skip_lines, reader_.line());
    }
    for (bool more = true; more;) {
      Result<std::optional<InputRecord>> next = reader_.Next();
      more = !next || next->has_value();
      if (!next) {
        RETURN_IF_ERROR(AddBad(std::move(next).error()));
      } else if (more) {
        Add(*std::move(*next));
      }
      const std::size_t inputs = batch_.records.size() + batch_.bad.size();
      if (inputs == kBatchInputs || bytes_ >= kBatchBytes || (!more && inputs > 0)) {
        RETURN_IF_ERROR(Flush());
      }
    }
    return {};
  }

 private:
  void Add(InputRecord record) {
    record.index = index_++;
    bytes_ += InputBytes(record);
    batch_.records.push_back(std::move(record));
  }

  Result<> AddBad(Error error) {
    const bool of_the_line = error.code == Code::kInvalidArgument;
    if (of_the_line && options_.keep_going) {
      batch_.bad.push_back({reader_.line(), index_++, std::move(error)});
      return {};
    }
    // What came before the bad line is good and is not lost.
    if (!batch_.records.empty()) RETURN_IF_ERROR(Flush());
    if (!of_the_line) return tl::unexpected(std::move(error));
    return tl::unexpected(At(PlaceOf(reader_.line(), 0), std::move(error)));
  }

  Result<> Flush() {
    batch_.lines_read = reader_.line();
    batch_.inputs_read = index_;
    batch_.bytes_read = reader_.bytes();
    RETURN_IF_ERROR(take_(batch_));
    batch_ = {};
    bytes_ = 0;
    return {};
  }

  InputReader& reader_;
  const BatchOptions& options_;
  const Take& take_;
  std::size_t index_;
  Batch batch_;
  std::size_t bytes_ = 0;
};

Result<> TakeArguments(const std::vector<std::string>& texts, const LimitSettings& limits,
                       bool keep_going, const Take& take) {
  Batch batch;
  for (const std::string& text : texts) {
    InputRecord record{.input = text, .index = batch.inputs_read++};
    if (Result<> small = CheckInputSize(record, limits); small) {
      batch.records.push_back(std::move(record));
    } else if (keep_going) {
      batch.bad.push_back({0, record.index, std::move(small).error()});
    } else {
      return tl::unexpected(At(PlaceOf(0, record.index), std::move(small).error()));
    }
  }
  return take(batch);
}

// The i of an error's "input[i]", which is taken off.
std::optional<std::size_t> TakeInputIndex(Error& error, std::size_t count) {
  constexpr std::string_view kPrefix = "input[";
  if (!error.where.starts_with(kPrefix)) return std::nullopt;
  std::size_t index = 0;
  const char* end = error.where.data() + error.where.size();
  const auto [rest, bad] = std::from_chars(error.where.data() + kPrefix.size(), end, index);
  if (bad != std::errc() || rest == end || *rest != ']' || index >= count) return std::nullopt;
  std::string_view inner(rest + 1, static_cast<std::size_t>(end - rest - 1));
  if (inner.starts_with(": ")) inner.remove_prefix(2);
  error.where = std::string(inner);
  return index;
}

using Compute = std::function<Result<>(std::span<const InputRecord>)>;

Result<> ComputePart(std::span<const InputRecord> records, bool keep_going,
                     std::vector<BadInput>& bad, const Compute& compute) {
  while (!records.empty()) {
    Result<> done = compute(records);
    if (done) return {};
    Error error = std::move(done).error();
    const std::optional<std::size_t> index = TakeInputIndex(error, records.size());
    if (!index) return tl::unexpected(std::move(error));
    // Models need not name the first bad input first.
    RETURN_IF_ERROR(ComputePart(records.first(*index), keep_going, bad, compute));
    const InputRecord& record = records[*index];
    if (!keep_going || error.code != Code::kInvalidArgument) {
      return tl::unexpected(At(PlaceOf(record.line, record.index), std::move(error)));
    }
    bad.push_back({record.line, record.index, std::move(error)});
    records = records.subspan(*index + 1);
  }
  return {};
}

}  // namespace

std::string PlaceOf(std::size_t line, std::size_t index) {
  return line == 0 ? fmt::format("text {}", index + 1) : fmt::format("line {}", line);
}

Result<> ForEachBatch(const CommandContext& context, const ModelFlags& flags,
                      const LimitSettings& limits, const BatchOptions& options, const Take& take) {
  if (!flags.texts.empty() && !flags.input.empty()) {
    return FailAt("--input", Code::kInvalidArgument, "expected texts or --input, got both");
  }
  if (!flags.texts.empty()) return TakeArguments(flags.texts, limits, options.keep_going, take);
  // "auto": a line of JSON begins with a brace.
  const auto read = [&](std::istream& in) {
    const bool json_lines =
        flags.input_format == "jsonl" || (flags.input_format == "auto" && in.peek() == '{');
    InputReader reader(in, {json_lines, flags.skip_blank_texts, options.form}, limits);
    return BatchReader(reader, options, take).Run();
  };
  if (flags.input.empty() || flags.input == "-") {
    if (context.environment.in_is_terminal) {
      context.environment.err << "reading from the keyboard; end with Ctrl-D\n";
    }
    return read(context.environment.in);
  }
  std::ifstream file(flags.input, std::ios::binary);
  if (!file) {
    return FailAt(flags.input, Code::kNotFound,
                  "cannot open the file; check the name and permissions");
  }
  return read(file);
}

Result<> ForEachBatch(const CommandContext& context, const ModelFlags& flags,
                      const LimitSettings& limits,
                      const std::function<Result<>(std::vector<InputRecord>&)>& take) {
  return ForEachBatch(context, flags, limits, BatchOptions{},
                      [&take](Batch& batch) { return take(batch.records); });
}

Result<> ComputeGood(Batch& batch, bool keep_going, const Compute& compute) {
  RETURN_IF_ERROR(ComputePart(batch.records, keep_going, batch.bad, compute));
  std::sort(batch.bad.begin(), batch.bad.end(),
            [](const BadInput& a, const BadInput& b) { return a.index < b.index; });
  return {};
}

Result<Embeddings> EmbedRecords(const Embedder& embedder, const std::vector<InputRecord>& records,
                                const EmbedRequest& request) {
  Result<Embeddings> embeddings = embedder.Embed(request, RequestContext{});
  if (embeddings) return embeddings;
  Error error = std::move(embeddings).error();
  if (const auto index = TakeInputIndex(error, records.size())) {
    return tl::unexpected(
        At(PlaceOf(records[*index].line, records[*index].index), std::move(error)));
  }
  return tl::unexpected(std::move(error));
}

}  // namespace garrison
