#include "cli/embed_input.h"

#include <charconv>
#include <fstream>
#include <utility>

namespace garrison {
namespace {

// Enough to keep an engine busy, little enough for constant memory.
constexpr std::size_t kBatch = 64;

using Take = std::function<Result<>(std::vector<InputRecord>&)>;

Result<> ReadBatches(std::istream& in, bool json_lines, bool skip_blank_texts,
                     const LimitSettings& limits, const Take& take) {
  InputReader reader(in, json_lines, skip_blank_texts, limits);
  std::vector<InputRecord> batch;
  for (bool more = true; more;) {
    ASSIGN_OR_RETURN(std::optional<InputRecord> record, reader.Next());
    more = record.has_value();
    if (more) batch.push_back(*std::move(record));
    if (batch.size() == kBatch || (!more && !batch.empty())) {
      RETURN_IF_ERROR(take(batch));
      batch.clear();
    }
  }
  return {};
}

}  // namespace

Result<> ForEachBatch(const CommandContext& context, const ModelFlags& flags,
                      const LimitSettings& limits, const Take& take) {
  if (!flags.texts.empty() && !flags.input.empty()) {
    return FailAt("--input", Code::kInvalidArgument, "expected texts or --input, got both");
  }
  if (!flags.texts.empty()) {
    std::vector<InputRecord> batch;
    batch.reserve(flags.texts.size());
    for (const std::string& text : flags.texts) {
      batch.push_back({0, text, std::nullopt});
      RETURN_IF_ERROR(CheckInputSize(batch.back(), limits));
    }
    return take(batch);
  }
  // "auto": a line of JSON begins with a brace.
  const auto read = [&](std::istream& in) {
    const bool json_lines =
        flags.input_format == "jsonl" || (flags.input_format == "auto" && in.peek() == '{');
    return ReadBatches(in, json_lines, flags.skip_blank_texts, limits, take);
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

Result<Embeddings> EmbedRecords(const Embedder& embedder, const std::vector<InputRecord>& records,
                                const EmbedRequest& request) {
  Result<Embeddings> embeddings = embedder.Embed(request, RequestContext{});
  if (embeddings) return embeddings;
  Error error = std::move(embeddings).error();
  // "input[i]" counts within the batch; people count lines.
  std::size_t index = 0;
  constexpr std::string_view kPrefix = "input[";
  if (error.where.starts_with(kPrefix)) {
    const char* begin = error.where.data() + kPrefix.size();
    const char* end = error.where.data() + error.where.size();
    if (std::from_chars(begin, end, index).ec == std::errc() && index < records.size()) {
      error.where = records[index].line == 0 ? fmt::format("text {}", index + 1)
                                             : fmt::format("line {}", records[index].line);
    }
  }
  return tl::unexpected(std::move(error));
}

}  // namespace garrison
