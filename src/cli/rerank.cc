// garrison rerank.
#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "cli/batches.h"
#include "cli/command.h"
#include "cli/input_report.h"
#include "core/json.h"

namespace garrison {
namespace {

struct RerankFlags : ModelFlags {
  std::string query;
  bool raw = false;
  std::size_t top_n = 0;  // all
  bool return_documents = false;
  std::string errors;
};

struct Scored {
  std::size_t index;
  float score;
  std::string tokens;    // members of the answer
  std::string document;  // empty unless it is to be returned
};

// One run of the verb.
class Rerank {
 public:
  Rerank(CommandContext& context, const RerankFlags& flags, const Settings& settings,
         const Reranker& reranker, InputReport& report)
      : context_(context),
        flags_(flags),
        settings_(settings),
        long_input_(LongInputOf(settings.engine)),
        reranker_(reranker),
        report_(report) {}

  // Documents of one query, which are sorted together.
  Result<> ForQuery();
  // Lines with a query and its documents, or with pairs.
  Result<> ForLines();

 private:
  Result<> ScorePairs(std::span<const InputRecord> records);
  Result<> RankLine(const InputRecord& record);
  // Appends the documents, which are called `indexes` in the answer, with their scores.
  Result<> Rank(const std::string& query, std::vector<std::string> documents,
                std::span<const std::size_t> indexes, std::vector<Scored>& ranked);
  std::vector<std::string> Answers(std::vector<Scored>& ranked) const;
  std::span<const float> Values(const Relevance& relevance) const {
    return flags_.raw ? relevance.logits : relevance.scores;
  }
  Result<> Print(const std::string& lines) {
    context_.environment.out << lines;
    return CheckOutput(context_.environment.out);
  }

  CommandContext& context_;
  const RerankFlags& flags_;
  const Settings& settings_;
  const LongInput long_input_;
  const Reranker& reranker_;
  InputReport& report_;
};

Result<> Rerank::Rank(const std::string& query, std::vector<std::string> documents,
                      std::span<const std::size_t> indexes, std::vector<Scored>& ranked) {
  RerankRequest request{query, std::move(documents), long_input_};
  ASSIGN_OR_RETURN(const Relevance relevance, reranker_.Rerank(request, RequestContext{}));
  for (std::size_t i = 0; i < indexes.size(); ++i) {
    ranked.push_back({indexes[i], Values(relevance)[i],
                      report_.Tokens(relevance.tokens[i], relevance.total_tokens[i]),
                      flags_.return_documents ? std::move(request.documents[i]) : ""});
  }
  return {};
}

std::vector<std::string> Rerank::Answers(std::vector<Scored>& ranked) const {
  std::sort(ranked.begin(), ranked.end(), [](const Scored& a, const Scored& b) {
    return a.score != b.score ? a.score > b.score : a.index < b.index;
  });
  if (flags_.top_n > 0 && ranked.size() > flags_.top_n) ranked.resize(flags_.top_n);
  std::vector<std::string> answers;
  for (const Scored& one : ranked) {
    answers.push_back(
        fmt::format("{{\"index\":{},\"score\":{},{}{}}}", one.index, double{one.score}, one.tokens,
                    flags_.return_documents ? ",\"document\":" + DumpJson(one.document) : ""));
  }
  return answers;
}

// What the model calls documents[i] is the input i of this call.
Error AsInputError(Error error) {
  constexpr std::string_view kDocuments = "documents[";
  if (error.where.starts_with(kDocuments)) {
    error.where.replace(0, kDocuments.size(), "input[");
  } else if (error.where.starts_with("query")) {
    error.where = "--query";
  }
  return error;
}

Result<> Rerank::ForQuery() {
  std::vector<Scored> ranked;
  const auto compute = [&](std::span<const InputRecord> records) -> Result<> {
    std::vector<std::string> documents;
    std::vector<std::size_t> indexes;
    for (std::size_t i = 0; i < records.size(); ++i) {
      const auto* text = std::get_if<std::string>(&records[i].input);
      if (text == nullptr || records[i].pair) {
        return FailAt(fmt::format("input[{}]", i), Code::kInvalidArgument,
                      "expected one text, a document for --query; got ids or a pair");
      }
      documents.push_back(*text);
      indexes.push_back(records[i].index);
    }
    Result<> done = Rank(flags_.query, std::move(documents), indexes, ranked);
    if (!done) return tl::unexpected(AsInputError(std::move(done).error()));
    return {};
  };
  const auto take = [&](Batch& batch) -> Result<> {
    RETURN_IF_ERROR(ComputeGood(batch, report_.keep_going(), compute));
    return report_.AddBad(batch.bad);
  };
  RETURN_IF_ERROR(ForEachBatch(context_, flags_, settings_.limits,
                               BatchOptions{.keep_going = report_.keep_going()}, take));
  std::string lines;
  for (const std::string& answer : Answers(ranked)) lines += answer + "\n";
  return Print(lines);
}

Result<> Rerank::ScorePairs(std::span<const InputRecord> records) {
  std::vector<SequenceInput> pairs;
  for (std::size_t i = 0; i < records.size(); ++i) {
    const std::string place = fmt::format("input[{}]", i);
    Result<SequenceInput> pair = SequenceOf(records[i]);
    if (!pair) return tl::unexpected(At(place, std::move(pair).error()));
    if (std::holds_alternative<std::string>(*pair)) {
      return FailAt(place, Code::kInvalidArgument,
                    "expected query and documents, text and text_pair, or ids; got one text");
    }
    pairs.push_back(*std::move(pair));
  }
  ASSIGN_OR_RETURN(const Relevance relevance,
                   reranker_.Score(pairs, long_input_, RequestContext{}));
  std::string lines;
  for (std::size_t i = 0; i < records.size(); ++i) {
    fmt::format_to(std::back_inserter(lines), "{{\"index\":{},\"score\":{},{}}}\n",
                   records[i].index, double{Values(relevance)[i]},
                   report_.Tokens(relevance.tokens[i], relevance.total_tokens[i]));
  }
  return Print(lines);
}

Result<> Rerank::RankLine(const InputRecord& record) {
  std::vector<std::size_t> indexes(record.documents.size());
  for (std::size_t i = 0; i < indexes.size(); ++i) indexes[i] = i;
  std::vector<Scored> ranked;
  Result<> done = Rank(std::get<std::string>(record.input), record.documents, indexes, ranked);
  if (!done) return tl::unexpected(At("input[0]", std::move(done).error()));
  return Print(fmt::format("{{\"index\":{},\"results\":[{}]}}\n", record.index,
                           fmt::join(Answers(ranked), ",")));
}

Result<> Rerank::ForLines() {
  // Consecutive pairs are scored together, each query with its documents.
  const auto take = [&](Batch& batch) -> Result<> {
    Batch part;
    const auto compute = [&](std::span<const InputRecord> records) {
      return records.front().is_query ? RankLine(records.front()) : ScorePairs(records);
    };
    for (auto record = batch.records.begin(); record != batch.records.end(); ++record) {
      const auto next = record + 1;
      const bool ends = next == batch.records.end() || record->is_query || next->is_query;
      part.records.push_back(std::move(*record));
      if (!ends) continue;
      RETURN_IF_ERROR(ComputeGood(part, report_.keep_going(), compute));
      part.records.clear();
    }
    batch.bad.insert(batch.bad.end(), part.bad.begin(), part.bad.end());
    std::sort(batch.bad.begin(), batch.bad.end(),
              [](const BadInput& a, const BadInput& b) { return a.index < b.index; });
    return report_.AddBad(batch.bad);
  };
  return ForEachBatch(
      context_, flags_, settings_.limits,
      BatchOptions{.form = LineForm::kInputOrQueries, .keep_going = report_.keep_going()}, take);
}

Result<> RunRerank(CommandContext& context, const RerankFlags& flags, bool has_query) {
  if (!has_query && (!flags.texts.empty() || flags.input_format == "text")) {
    return FailAt("--query", Code::kInvalidArgument,
                  "documents alone cannot be ranked; give --query, or JSON lines with query and "
                  "documents");
  }
  ASSIGN_OR_RETURN(const LoadedSettings loaded, LoadSettings(context, flags));
  ASSIGN_OR_RETURN(const std::shared_ptr<const Reranker> reranker,
                   OpenReranker(context, loaded.settings));
  ASSIGN_OR_RETURN(InputReport report, InputReport::Open(flags.errors));
  Rerank rerank(context, flags, loaded.settings, *reranker, report);
  RETURN_IF_ERROR(has_query ? rerank.ForQuery() : rerank.ForLines());
  report.Print(context.environment.err);
  return {};
}

}  // namespace

void AddRerank(CLI::App& app, CommandContext& context) {
  auto flags = std::make_shared<RerankFlags>();
  CLI::App* verb =
      app.add_subcommand("rerank", "How well documents answer a query, the best first");
  AddModelFlags(*verb, *flags);
  AddInputFlags(*verb, *flags);
  AddErrorsFlag(*verb, flags->errors);
  const CLI::Option* query = verb->add_option(
      "--query", flags->query, "Rank the texts (arguments or --input) for this query");
  verb->add_flag("--raw", flags->raw, "Print logits instead of their sigmoid");
  verb->add_option("--top-n", flags->top_n, "Print only the best so many")
      ->check(CLI::Range(1, 1'000'000'000));
  verb->add_flag("--return-documents", flags->return_documents,
                 "Print each document with its score");
  verb->footer(
      "Without --query, lines of JSON: {\"query\":..,\"documents\":[..]} gives one sorted list;\n"
      "{\"text\":query,\"text_pair\":document} or {\"ids\":[..],\"type_ids\":[..]} one score.\n"
      "Examples:\n"
      "  garrison rerank --model models/reranker --query \"how do cats purr\" \"the larynx\" \"a "
      "dog\"\n"
      "  garrison rerank --model models/reranker --query \"cats\" --input docs.txt "
      "--input-format text --top-n 10\n"
      "  garrison rerank --model models/reranker --input queries.jsonl --return-documents");
  verb->callback([flags, query, &context] {
    context.outcome = RunRerank(context, *flags, query->count() > 0);
  });
}

}  // namespace garrison
