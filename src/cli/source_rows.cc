#include "cli/source_rows.h"

#include <cmath>
#include <utility>
#include <variant>

#include "base/hash.h"
#include "cli/batches.h"

namespace garrison {
namespace {

// Small enough that the time of a call says something, large enough for vendors.
constexpr std::size_t kBatch = 64;

Result<> Embed(const std::vector<InputRecord>& records, const LongInput& long_input,
               SourceRows& rows) {
  EmbedRequest request;
  request.long_input = long_input;
  for (const InputRecord& record : records) request.inputs.push_back(record.input);
  const SystemClock clock;
  const SteadyTime start = clock.Now();
  ASSIGN_OR_RETURN(const Embeddings embedded, EmbedRecords(*rows.embedder, records, request));
  rows.calls.push_back(clock.Now() - start);
  rows.dimension = embedded.dimension;
  rows.values.insert(rows.values.end(), embedded.values.begin(), embedded.values.end());
  for (const std::size_t tokens : embedded.tokens) rows.tokens += tokens;
  for (std::size_t i = 0; i < embedded.size(); ++i) {
    double squares = 0;
    for (const float x : embedded.row(i)) squares += double{x} * double{x};
    rows.normalized = rows.normalized && std::abs(std::sqrt(squares) - 1) < 1e-3;
  }
  if (!embedded.served) return {};
  rows.attempts += embedded.served->attempts;
  rows.tokens_estimated = rows.tokens_estimated || embedded.served->tokens_estimated;
  if (embedded.served->cost_pusd) {
    rows.cost_pusd = rows.cost_pusd.value_or(0) + *embedded.served->cost_pusd;
  }
  return {};
}

}  // namespace

Result<TwoSources> EmbedBySources(CommandContext& context, const ModelFlags& flags,
                                  const std::string& a, const std::string& b) {
  ASSIGN_OR_RETURN(const LoadedSettings loaded, LoadSettings(context, flags));
  TwoSources both;
  ASSIGN_OR_RETURN(both.a.embedder, OpenSource(context, loaded.settings, a));
  ASSIGN_OR_RETURN(both.b.embedder, OpenSource(context, loaded.settings, b));
  const LongInput long_input = LongInputOf(loaded.settings.engine);
  Sha256 hash;
  const auto take = [&](std::vector<InputRecord>& records) -> Result<> {
    for (const InputRecord& record : records) {
      const auto* text = std::get_if<std::string>(&record.input);
      if (text == nullptr || record.pair) {
        return FailAt(PlaceOf(record.line, record.index), Code::kInvalidArgument,
                      "expected one text; ids and pairs mean something to one model only");
      }
      hash.Update(*text);
      hash.Update("\n");
    }
    both.texts += records.size();
    if (both.texts > kSourceTextsMax) {
      return FailAt("--input", Code::kInvalidArgument, "expected at most {} texts",
                    kSourceTextsMax);
    }
    for (std::size_t first = 0; first < records.size(); first += kBatch) {
      const auto begin = records.begin() + static_cast<std::ptrdiff_t>(first);
      const auto end = first + kBatch < records.size() ? begin + kBatch : records.end();
      const std::vector<InputRecord> part(begin, end);
      RETURN_IF_ERROR(Embed(part, long_input, both.a));
      RETURN_IF_ERROR(Embed(part, long_input, both.b));
    }
    return {};
  };
  RETURN_IF_ERROR(ForEachBatch(context, flags, loaded.settings.limits, take));
  if (both.texts == 0) {
    return FailAt("--input", Code::kInvalidArgument, "expected texts, got none");
  }
  both.texts_sha256 = hash.FinishHex();
  return both;
}

}  // namespace garrison
