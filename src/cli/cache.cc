// `garrison cache`: the vectors that cache.file or database.url keeps.
#include <fmt/chrono.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <ctime>
#include <filesystem>
#include <optional>
#include <utility>

#include "base/clock.h"
#include "cli/command.h"
#include "cli/output_file.h"
#include "core/json.h"
#include "gateway/vector_key.h"
#include "storage/legacy_table.h"
#include "storage/tiered_cache.h"
#include "storage/vector_export.h"
#include "storage/vector_table.h"

namespace garrison {
namespace {

constexpr std::size_t kRowsTogether = 2048;
// So many old vectors are computed again, to see that the model is the same.
constexpr std::size_t kCheckedVectors = 8;
constexpr double kSameVector = 0.999;

struct CacheFlags {
  std::string file;
  std::string model;
  std::string from;
  std::string from_model;
};

// A command takes as long as it takes.
constexpr DbOptions kPatient = {.lock_time = std::chrono::milliseconds(10'000),
                                .statement_time = std::chrono::milliseconds(0),
                                .connect_time = std::chrono::milliseconds(10'000)};

Result<VectorTable> OpenCache(const Settings& settings) {
  const std::string place = CachePlace(settings.cache, settings.database);
  if (place.empty()) {
    return FailAt("cache.file", Code::kFailedPrecondition,
                  "there is no database of vectors: set cache.file to a file, or database.url to "
                  "postgres://...");
  }
  return VectorTable::Open(place, kPatient);
}

std::string TimeText(UnixMs time) {
  return fmt::format("{:%FT%TZ}", fmt::gmtime(static_cast<std::time_t>(time / 1000)));
}

UnixMs Now() { return ToUnixMs(SystemClock().WallNow()); }

Result<> Print(CommandContext& context, const nlohmann::ordered_json& line) {
  context.environment.out << DumpJson(line) << "\n";
  return CheckOutput(context.environment.out);
}

Result<> ShowStats(CommandContext& context) {
  ASSIGN_OR_RETURN(const LoadedSettings loaded, LoadSettings(context));
  ASSIGN_OR_RETURN(VectorTable table, OpenCache(loaded.settings));
  ASSIGN_OR_RETURN(const std::vector<VectorModelStats> models, table.Models());
  VectorModelStats all;
  for (const VectorModelStats& stats : models) {
    RETURN_IF_ERROR(Print(context, {{"model", stats.model},
                                    {"vectors", stats.totals.entries},
                                    {"bytes", stats.totals.bytes},
                                    {"hits", stats.hits},
                                    {"saved_tokens", stats.saved_tokens},
                                    {"oldest", TimeText(stats.oldest)},
                                    {"last_used", TimeText(stats.last_used)}}));
    all.totals.entries += stats.totals.entries;
    all.totals.bytes += stats.totals.bytes;
    all.hits += stats.hits;
    all.saved_tokens += stats.saved_tokens;
  }
  return Print(context, {{"total", true},
                         {"vectors", all.totals.entries},
                         {"bytes", all.totals.bytes},
                         {"most_bytes", loaded.settings.cache.bytes},
                         {"hits", all.hits},
                         {"saved_tokens", all.saved_tokens}});
}

Result<std::uint64_t> RemoveDamaged(VectorTable& table) {
  std::uint64_t removed = 0;
  std::optional<VectorKey> last;
  while (true) {
    ASSIGN_OR_RETURN(const RowPage page, table.ReadPage(last, kRowsTogether));
    if (!page.last) return removed;
    last = page.last;
    if (page.damaged.empty()) continue;
    ASSIGN_OR_RETURN(const std::uint64_t gone, table.Remove(page.damaged));
    removed += gone;
  }
}

Result<> CollectGarbage(CommandContext& context, const CacheFlags& flags) {
  ASSIGN_OR_RETURN(const LoadedSettings loaded, LoadSettings(context));
  ASSIGN_OR_RETURN(VectorTable table, OpenCache(loaded.settings));
  std::uint64_t of_model = 0;
  if (!flags.model.empty()) {
    ASSIGN_OR_RETURN(of_model, table.RemoveModel(flags.model));
  }
  ASSIGN_OR_RETURN(const std::uint64_t expired, table.RemoveExpired(Now()));
  ASSIGN_OR_RETURN(const std::uint64_t damaged, RemoveDamaged(table));
  ASSIGN_OR_RETURN(const std::uint64_t evicted,
                   table.Shrink(static_cast<std::uint64_t>(loaded.settings.cache.bytes)));
  RETURN_IF_ERROR(table.Compact());
  ASSIGN_OR_RETURN(const VectorTotals left, table.Totals());
  nlohmann::ordered_json line = {{"expired", expired}, {"damaged", damaged}, {"evicted", evicted}};
  if (!flags.model.empty()) line["of_model"] = of_model;
  line["vectors"] = left.entries;
  line["bytes"] = left.bytes;
  return Print(context, line);
}

// An export may hold texts, so it is the owner's; and the one that was there before stays until the
// new one is whole. A pipe or a device is written to as it is.
Result<ExportCounts> ExportTo(const std::string& file, VectorTable& table) {
  std::error_code error;
  const bool as_it_is =
      std::filesystem::exists(file, error) && !std::filesystem::is_regular_file(file, error);
  const std::string written = as_it_is ? file : fmt::format("{}.{}.partial", file, getpid());
  const auto write = [&]() -> Result<ExportCounts> {
    ASSIGN_OR_RETURN(OutputFile out, OutputFile::Create(written, OutputFile::Readers::kOwner));
    ASSIGN_OR_RETURN(
        const ExportCounts counts,
        ExportVectors(table, [&out](std::string_view bytes) { return out.Append(bytes); }));
    RETURN_IF_ERROR(out.Sync());
    return counts;
  };
  Result<ExportCounts> counts = write();
  if (as_it_is) return counts;
  if (counts) std::filesystem::rename(written, file, error);
  if (counts && !error) return counts;
  std::error_code ignored;
  std::filesystem::remove(written, ignored);
  if (!counts) return counts;
  return FailAt(file, Code::kUnavailable, "cannot replace it: {}", error.message());
}

Result<> Export(CommandContext& context, const CacheFlags& flags) {
  ASSIGN_OR_RETURN(const LoadedSettings loaded, LoadSettings(context));
  ASSIGN_OR_RETURN(VectorTable table, OpenCache(loaded.settings));
  ASSIGN_OR_RETURN(const ExportCounts counts, ExportTo(flags.file, table));
  return Print(context, {{"exported", counts.vectors},
                         {"file_bytes", counts.bytes},
                         {"damaged_left_out", counts.damaged}});
}

Result<> Import(CommandContext& context, const CacheFlags& flags) {
  ASSIGN_OR_RETURN(const LoadedSettings loaded, LoadSettings(context));
  ASSIGN_OR_RETURN(VectorTable table, OpenCache(loaded.settings));
  ASSIGN_OR_RETURN(const ImportCounts counts, ImportVectors(flags.file, table, Now()));
  ASSIGN_OR_RETURN(const std::uint64_t evicted,
                   table.Shrink(static_cast<std::uint64_t>(loaded.settings.cache.bytes)));
  return Print(
      context,
      {{"imported", counts.vectors}, {"expired_left_out", counts.expired}, {"evicted", evicted}});
}

// ---------------------------------------------------------------- migrate

double Cosine(std::span<const float> a, std::span<const float> b) {
  double dot = 0, aa = 0, bb = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    dot += double{a[i]} * double{b[i]};
    aa += double{a[i]} * double{a[i]};
    bb += double{b[i]} * double{b[i]};
  }
  return aa == 0 || bb == 0 ? 0 : dot / std::sqrt(aa * bb);
}

// Takes old rows over for one embedder, under the keys that its requests will ask for.
class Migration {
 public:
  Migration(std::shared_ptr<const Embedder> embedder, const std::string& content,
            const Settings& settings, VectorTable table)
      : embedder_(std::move(embedder)),
        keys_(embedder_->info(), content),
        settings_(settings),
        table_(std::move(table)) {
    request_.long_input = LongInputOf(settings.engine);
  }

  Result<> Take(std::vector<LegacyVector> vectors) {
    if (!checked_) RETURN_IF_ERROR(CheckSpace(vectors));
    checked_ = true;
    // The old rows do not say how many tokens their texts had.
    EmbedRequest request = request_;
    for (const LegacyVector& vector : vectors) request.inputs.emplace_back(vector.text);
    const UnixMs now = Now();
    const UnixMs expires =
        settings_.cache.ttl_s == 0 ? 0 : now + settings_.cache.ttl_s * UnixMs{1000};
    std::vector<VectorRow> rows;
    for (std::size_t i = 0; i < vectors.size(); ++i) {
      NewVector kept;
      kept.key = keys_.KeyOf(request_, request.inputs[i]);
      kept.model = keys_.label();
      kept.text = vectors[i].text;
      kept.vector.values = std::move(vectors[i].values);
      ASSIGN_OR_RETURN(kept.vector.tokens, CountTokens(vectors[i].text));
      kept.vector.total_tokens = kept.vector.tokens;
      const VectorPrecision precision = settings_.cache.precision == "f16"
                                            ? VectorPrecision::kFloat16
                                            : VectorPrecision::kFloat32;
      VectorRow& row =
          rows.emplace_back(MakeRow(kept, precision, settings_.cache.keep_text == "on"));
      row.created_at = now;
      row.expires_at = expires;
    }
    return table_.Write(rows, now);
  }

  void CountWith(std::shared_ptr<const TextCodec> codec) { codec_ = std::move(codec); }

 private:
  Result<std::size_t> CountTokens(const std::string& text) const {
    if (codec_ == nullptr) return std::size_t{0};
    ASSIGN_OR_RETURN(const std::vector<TextToken> tokens, codec_->Tokenize(text, "", true));
    return tokens.size();
  }

  // What an operator says about old rows may be wrong; what the model says about them is not.
  Result<> CheckSpace(const std::vector<LegacyVector>& vectors) const {
    EmbedRequest request = request_;
    for (std::size_t i = 0; i < std::min(vectors.size(), kCheckedVectors); ++i) {
      request.inputs.emplace_back(vectors[i].text);
    }
    ASSIGN_OR_RETURN(const Embeddings computed, embedder_->Embed(request, {}));
    for (std::size_t i = 0; i < computed.size(); ++i) {
      const double cosine = Cosine(computed.row(i), vectors[i].values);
      if (cosine >= kSameVector) continue;
      return FailAt("--model", Code::kFailedPrecondition,
                    "expected the old vectors to be those of {}, but one of them and the model's "
                    "own of the same text have a cosine of {:.3f}; nothing was taken over",
                    embedder_->info().id, cosine);
    }
    return {};
  }

  const std::shared_ptr<const Embedder> embedder_;
  const VectorKeyMaker keys_;
  const Settings& settings_;
  VectorTable table_;
  EmbedRequest request_;
  std::shared_ptr<const TextCodec> codec_;
  bool checked_ = false;
};

Result<> Report(CommandContext& context, const LegacyReport& report) {
  RETURN_IF_ERROR(Print(context, {{"rows", report.rows}, {"taken_over", report.good}}));
  for (const auto& [model, count] : report.other_model) {
    RETURN_IF_ERROR(
        Print(context, {{"left", count}, {"because", "another model"}, {"model", model}}));
  }
  const std::pair<std::uint64_t, const char*> reasons[] = {
      {report.text_missing, "the text is not the one that was hashed (cut after 500 characters?)"},
      {report.other_dimension, "another dimension than the model's"},
      {report.unreadable, "not a list of numbers"},
      {report.not_a_vector, "all zeros or not finite: a failure that was kept"}};
  for (const auto& [count, why] : reasons) {
    if (count > 0) RETURN_IF_ERROR(Print(context, {{"left", count}, {"because", why}}));
  }
  return {};
}

Result<> MigrateOld(CommandContext& context, const CacheFlags& flags) {
  ASSIGN_OR_RETURN(LoadedSettings loaded, LoadSettings(context));
  Settings& settings = loaded.settings;
  if (!flags.model.empty()) settings.engine.model = flags.model;
  ASSIGN_OR_RETURN(VectorTable table, OpenCache(settings));
  ASSIGN_OR_RETURN(const std::unique_ptr<ModelCatalog> models,
                   OpenModels(context, settings.engine));
  ASSIGN_OR_RETURN(const std::shared_ptr<const Embedder> embedder, models->FindEmbedder(""));
  ASSIGN_OR_RETURN(const std::string content, embedder->Content());
  Migration migration(embedder, content, settings, std::move(table));
  if (Result<std::shared_ptr<const TextCodec>> codec = models->FindCodec("")) {
    migration.CountWith(*std::move(codec));
  }
  const std::string& called = flags.from_model.empty() ? embedder->info().id : flags.from_model;
  ASSIGN_OR_RETURN(const LegacyReport report,
                   ReadLegacyTable(flags.from, {called, embedder->info().dimension},
                                   [&](std::vector<LegacyVector> vectors) {
                                     return migration.Take(std::move(vectors));
                                   }));
  return Report(context, report);
}

void AddMigrate(CLI::App& cache, CommandContext& context) {
  const auto flags = std::make_shared<CacheFlags>();
  CLI::App* verb = cache.add_subcommand(
      "migrate", "Take over vectors from a table embedding_cache of the service before this one");
  verb->add_option("--from", flags->from, "postgres://... or an SQLite file; it is only read")
      ->required();
  verb->add_option("--model", flags->model,
                   "The model of the vectors, as here: a name or a folder; default engine.model");
  verb->add_option("--from-model", flags->from_model,
                   "What the old rows call it; default: the same");
  verb->footer(
      "Only rows are taken whose key is the SHA-256 of their text and whose model and dimension "
      "are "
      "right;\nthe first of them are computed again and must agree.\nExample:\n"
      "  garrison cache migrate --from postgres://news@db/news --model models/all-MiniLM-L6-v2 \\\n"
      "    --from-model all-MiniLM-L6-v2");
  verb->callback([flags, &context] { context.outcome = MigrateOld(context, *flags); });
}

}  // namespace

void AddCache(CLI::App& app, CommandContext& context) {
  CLI::App* cache =
      app.add_subcommand("cache", "Vectors kept by the service (cache.file or database.url)");
  cache->require_subcommand(1);
  const auto flags = std::make_shared<CacheFlags>();
  cache->add_subcommand("stats", "What is there and what it saved, a JSON line for each model")
      ->footer("Example:\n  garrison cache stats --set cache.file=vectors.db")
      ->callback([&context] { context.outcome = ShowStats(context); });
  CLI::App* gc = cache->add_subcommand(
      "gc", "Remove what has expired, is damaged or is too much, and make the file smaller");
  gc->add_option("--model", flags->model, "And all of this model, as `cache stats` names it");
  gc->footer("Example:\n  garrison cache gc --set cache.file=vectors.db");
  gc->callback([flags, &context] { context.outcome = CollectGarbage(context, *flags); });
  CLI::App* out = cache->add_subcommand("export", "Write all vectors into one file");
  out->add_option("file", flags->file, "The new file")->required();
  out->footer("Example:\n  garrison cache export vectors.garrvec --set cache.file=vectors.db");
  out->callback([flags, &context] { context.outcome = Export(context, *flags); });
  CLI::App* in = cache->add_subcommand(
      "import", "Take over the vectors of such a file; all of them, or none when it is damaged");
  in->add_option("file", flags->file, "Made by `garrison cache export`")->required();
  in->footer("Example:\n  garrison cache import vectors.garrvec --set cache.file=other.db");
  in->callback([flags, &context] { context.outcome = Import(context, *flags); });
  AddMigrate(*cache, context);
}

}  // namespace garrison
