// garrison embed.
#include <array>
#include <filesystem>
#include <utility>

#include "base/clock.h"
#include "cli/batches.h"
#include "cli/command.h"
#include "cli/embed_output.h"
#include "cli/progress.h"

namespace garrison {
namespace {

struct EmbedFlags : ModelFlags {
  std::size_t dimensions = 0;
  std::string prompt;
  std::string output;
  std::string output_format;  // not given
  std::string output_type;    // not given
  std::string errors;
  bool resume = false;
};

Result<> CheckFlags(const EmbedFlags& flags) {
  const char* needs_file = nullptr;
  if (!flags.output_format.empty()) needs_file = "--output-format";
  if (!flags.output_type.empty()) needs_file = "--output-type";
  if (flags.resume) needs_file = "--resume";
  if (flags.output.empty() && needs_file != nullptr) {
    return FailAt(needs_file, Code::kInvalidArgument,
                  "expected --output FILE beside it; standard output takes JSON lines only");
  }
  if (flags.resume && !flags.texts.empty()) {
    return FailAt("--resume", Code::kInvalidArgument,
                  "expected an input of lines to continue, got texts as arguments");
  }
  const auto same = [](const std::string& a, const std::string& b) {
    std::error_code ignored;
    return !a.empty() && !b.empty() && (a == b || std::filesystem::equivalent(a, b, ignored)) &&
           !std::filesystem::is_character_file(a, ignored);
  };
  if (same(flags.output, flags.input) || same(flags.errors, flags.input) ||
      same(flags.output, flags.errors)) {
    return FailAt("--output", Code::kInvalidArgument,
                  "expected three different files as --input, --output and --errors");
  }
  return {};
}

Result<RowLayout> LayoutOf(const EmbedFlags& flags, const Embedder& embedder) {
  RowLayout layout;
  layout.dimension = flags.dimensions > 0 ? flags.dimensions : embedder.info().dimension;
  std::string format = flags.output_format;
  if (format.empty()) format = std::filesystem::path(flags.output).extension().string();
  if (format == "npy" || format == ".npy") layout.format = RowFormat::kNpy;
  if (format == "csv" || format == ".csv") layout.format = RowFormat::kCsv;
  if (!flags.output_type.empty() && layout.format != RowFormat::kNpy) {
    return FailAt("--output-type", Code::kInvalidArgument,
                  "expected the output format npy beside it; the others are text");
  }
  if (flags.output_type == "float16") layout.type = NumberType::kFloat16;
  if (flags.output_type == "int8") layout.type = NumberType::kInt8;
  if (flags.output_type == "binary") layout.type = NumberType::kBinary;
  return layout;
}

EmbedRequest RequestOf(const EmbedFlags& flags, const EngineSettings& engine) {
  EmbedRequest request;
  request.long_input = LongInputOf(engine);
  request.prompt = flags.prompt;
  if (flags.dimensions > 0) request.dimensions = flags.dimensions;
  return request;
}

// BulkState::run.
nlohmann::ordered_json RunOf(const EmbedFlags& flags, const EngineSettings& engine,
                             const ModelInfo& info, const RowLayout& layout) {
  constexpr std::array kFormats = {"jsonl", "csv", "npy"};
  constexpr std::array kTypes = {"float32", "float16", "int8", "binary"};
  return {{"model", info.id},
          {"revision", info.revision},
          {"dtype", engine.dtype},
          {"compute", info.compute},
          {"bf16_layers", engine.bf16_layers},
          {"dimensions", layout.dimension},
          {"prompt", flags.prompt},
          {"long_input", engine.long_input},
          {"truncation_side", engine.truncation_side},
          {"input_format", flags.input_format},
          {"format", kFormats[static_cast<std::size_t>(layout.format)]},
          {"type", kTypes[static_cast<std::size_t>(layout.type)]}};
}

Result<EmbedRequest> WithInputs(EmbedRequest request, std::span<const InputRecord> records) {
  for (std::size_t i = 0; i < records.size(); ++i) {
    if (records[i].pair) {
      return FailAt(fmt::format("input[{}]", i), Code::kInvalidArgument,
                    "expected one text to embed, got a pair; `garrison similarity` compares pairs");
    }
    request.inputs.push_back(records[i].input);
  }
  return request;
}

std::uint64_t FileBytes(const std::string& name) {
  std::error_code error;
  if (!std::filesystem::is_regular_file(name, error)) return 0;
  const std::uintmax_t bytes = std::filesystem::file_size(name, error);
  return error ? 0 : bytes;
}

Result<> Embed(CommandContext& context, const EmbedFlags& flags) {
  RETURN_IF_ERROR(CheckFlags(flags));
  ASSIGN_OR_RETURN(const LoadedSettings loaded, LoadSettings(context, flags));
  ASSIGN_OR_RETURN(const std::shared_ptr<const Embedder> embedder,
                   OpenEmbedder(context, loaded.settings));
  const ModelInfo& info = embedder->info();
  std::ostream& err = context.environment.err;
  if (flags.dimensions > 0 && flags.dimensions < info.dimension && !info.matryoshka) {
    err << fmt::format(
        "warning: {} was not trained for fewer dimensions than {}; what is left may be much "
        "worse\n",
        info.id, info.dimension);
  }
  const EngineSettings& engine = loaded.settings.engine;
  ASSIGN_OR_RETURN(const RowLayout layout, LayoutOf(flags, *embedder));
  const SystemClock clock;
  ASSIGN_OR_RETURN(EmbedOutput output,
                   EmbedOutput::Open(context.environment.out, clock,
                                     {flags.output, flags.errors, flags.resume, layout,
                                      RunOf(flags, engine, info, layout)}));
  Progress progress(
      err, clock,
      {context.environment.err_is_terminal && !flags.output.empty(), FileBytes(flags.input)});
  const EmbedRequest request = RequestOf(flags, engine);
  const auto compute = [&](std::span<const InputRecord> records) -> Result<> {
    ASSIGN_OR_RETURN(const EmbedRequest filled, WithInputs(request, records));
    ASSIGN_OR_RETURN(const Embeddings embeddings, embedder->Embed(filled, RequestContext{}));
    return output.Add(records, embeddings);
  };
  const bool keep_going = output.report().keep_going();
  const auto take = [&](Batch& batch) -> Result<> {
    RETURN_IF_ERROR(ComputeGood(batch, keep_going, compute));
    RETURN_IF_ERROR(output.EndBatch(batch));
    progress.Update(output.state().rows, batch.bytes_read);
    return {};
  };
  const BatchOptions options{.keep_going = keep_going,
                             .skip_lines = output.state().lines,
                             .skip_inputs = output.state().inputs};
  const Result<> done = ForEachBatch(context, flags, loaded.settings.limits, options, take);
  progress.Finish();
  const Result<> finished = output.Finish();
  RETURN_IF_ERROR(done);
  RETURN_IF_ERROR(finished);
  output.report().Print(err);
  return {};
}

void AddOutputFlags(CLI::App& verb, EmbedFlags& flags) {
  verb.add_option("--output", flags.output, "File to write (default: JSON lines on stdout)");
  verb.add_option("--output-format", flags.output_format,
                  "jsonl, npy or csv (default: what the name of --output ends in)")
      ->check(CLI::IsMember({"jsonl", "npy", "csv"}));
  verb.add_option("--output-type", flags.output_type,
                  "Numbers of npy: float32 (default), float16, int8 (127 times the component), "
                  "binary (signs, packed)")
      ->check(CLI::IsMember({"float32", "float16", "int8", "binary"}));
  verb.add_flag("--resume", flags.resume,
                "Continue --output where a run like this one was cut off");
}

}  // namespace

void AddEmbed(CLI::App& app, CommandContext& context) {
  auto flags = std::make_shared<EmbedFlags>();
  CLI::App* verb = app.add_subcommand("embed", "Turn texts into vectors, one JSON line each");
  AddModelFlags(*verb, *flags);
  AddInputFlags(*verb, *flags);
  AddErrorsFlag(*verb, flags->errors);
  verb->add_option("--dimensions", flags->dimensions,
                   "Keep the first so many components and normalise again")
      ->check(CLI::Range(1, 65536));
  verb->add_option("--prompt", flags->prompt, "Name of one of the model's prompts");
  AddOutputFlags(*verb, *flags);
  verb->footer(
      "Examples:\n"
      "  garrison embed \"a cat sat on the mat\"\n"
      "  garrison embed --input texts.txt --input-format text > vectors.jsonl\n"
      "  echo '{\"text\":\"hello\"}' | garrison embed --input -\n"
      "  garrison embed --input million.jsonl --output vectors.npy --output-type float16 "
      "--errors bad.jsonl --resume");
  verb->callback([flags, &context] {
    if (flags->output == "-") flags->output.clear();
    context.outcome = Embed(context, *flags);
  });
}

}  // namespace garrison
