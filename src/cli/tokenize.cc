// garrison tokenize: what a model's tokenizer makes of texts, as JSON lines.
//
// The rows have the shape of the golden vectors that the tokenizers are tested with, so that the
// two can be compared line by line.
#include <array>
#include <fstream>
#include <istream>
#include <nlohmann/json.hpp>
#include <utility>

#include "cli/command.h"
#include "core/json.h"
#include "text/tokenizer.h"

namespace garrison {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kDepthMax = 16;
// Of the overflowing windows a row shows so many, and says how many there are.
constexpr std::size_t kOverflowShown = 12;

struct TokenizeFlags {
  std::string model;
  std::string input;
  std::string input_format = "jsonl";
  std::vector<std::string> texts;
};

// One row's call.
struct Call {
  bool add_special_tokens = true;
  std::optional<Truncation> truncation;
  std::optional<Padding> padding;
};

tl::unexpected<Error> Expected(const std::string& where, std::string_view what) {
  return FailAt(where, Code::kInvalidArgument, "expected {}", what);
}

Result<std::string> ReadText(const nlohmann::json& row, const std::string& key) {
  const auto found = row.find(key);
  if (found == row.end() || !found->is_string()) return Expected(key, "a string");
  return found->get_ref<const std::string&>();
}

Result<bool> ReadFlag(const nlohmann::json& row, const std::string& key, bool fallback) {
  const auto found = row.find(key);
  if (found == row.end()) return fallback;
  if (!found->is_boolean()) return Expected(key, "true or false");
  return found->get<bool>();
}

Result<std::size_t> ReadLength(const nlohmann::json& row, const std::string& key,
                               std::optional<std::size_t> fallback) {
  const auto found = row.find(key);
  if (fallback && (found == row.end() || found->is_null())) return *fallback;
  if (found == row.end() || !found->is_number_unsigned()) return Expected(key, "a whole number");
  return found->get<std::size_t>();
}

Result<Truncation::Side> ReadSide(const nlohmann::json& row) {
  const std::string side = row.value("direction", nlohmann::json("right")).dump();
  if (side == "\"right\"" || side == "\"Right\"") return Truncation::Side::kRight;
  if (side == "\"left\"" || side == "\"Left\"") return Truncation::Side::kLeft;
  return Expected("direction", "right or left");
}

Result<Truncation> ReadTruncation(const nlohmann::json& row) {
  if (!row.is_object()) return Expected("truncation", "an object");
  Truncation truncation;
  ASSIGN_OR_RETURN(truncation.max_length, ReadLength(row, "max_length", std::nullopt));
  ASSIGN_OR_RETURN(truncation.stride, ReadLength(row, "stride", 0));
  ASSIGN_OR_RETURN(truncation.side, ReadSide(row));
  constexpr std::array<std::string_view, 3> kNames = {"\"LongestFirst\"", "\"OnlyFirst\"",
                                                      "\"OnlySecond\""};
  const std::string name = row.value("strategy", nlohmann::json("LongestFirst")).dump();
  for (std::size_t i = 0; i < kNames.size(); ++i) {
    if (name != kNames[i]) continue;
    truncation.strategy = static_cast<Truncation::Strategy>(i);
    return truncation;
  }
  return Expected("strategy", "LongestFirst, OnlyFirst or OnlySecond");
}

Result<Padding> ReadPadding(const nlohmann::json& row) {
  if (!row.is_object()) return Expected("padding", "an object");
  Padding padding;
  const auto strategy = row.find("strategy");
  if (strategy != row.end() && strategy->is_object()) {
    ASSIGN_OR_RETURN(padding.fixed, ReadLength(*strategy, "Fixed", std::nullopt));
  }
  ASSIGN_OR_RETURN(padding.side, ReadSide(row));
  ASSIGN_OR_RETURN(padding.multiple_of, ReadLength(row, "pad_to_multiple_of", 0));
  ASSIGN_OR_RETURN(const std::size_t id, ReadLength(row, "pad_id", 0));
  ASSIGN_OR_RETURN(const std::size_t type_id, ReadLength(row, "pad_type_id", 0));
  constexpr std::size_t kIdMax = 0x7FFFFFFF;
  if (id > kIdMax || type_id > kIdMax) return Expected("pad_id", "an id");
  padding.id = static_cast<std::int32_t>(id);
  padding.type_id = static_cast<std::int32_t>(type_id);
  if (row.contains("pad_token")) {
    ASSIGN_OR_RETURN(padding.token, ReadText(row, "pad_token"));
  }
  return padding;
}

// Without as_shipped what the file itself asks for is off.
Result<Call> ReadCall(const nlohmann::json& row, const Tokenizer& tokenizer) {
  Call call;
  ASSIGN_OR_RETURN(call.add_special_tokens, ReadFlag(row, "add_special_tokens", true));
  ASSIGN_OR_RETURN(const bool as_shipped, ReadFlag(row, "as_shipped", false));
  if (as_shipped) {
    call.truncation = tokenizer.truncation();
    call.padding = tokenizer.padding();
  }
  if (const auto found = row.find("truncation"); found != row.end() && !found->is_null()) {
    ASSIGN_OR_RETURN(call.truncation, ReadTruncation(*found));
  }
  if (const auto found = row.find("padding"); found != row.end() && !found->is_null()) {
    ASSIGN_OR_RETURN(call.padding, ReadPadding(*found));
  }
  return call;
}

// What releases of the reference library from 0.23 on do before they truncate: each text ends with
// the first word at which it has max_length tokens. It decides which of two long texts counts as
// the longer one; rows with as_shipped were made so.
void StopEarly(const Truncation& truncation, Pieces& pieces) {
  const std::size_t size = pieces.ids.size();
  if (truncation.max_length == 0 || size <= truncation.max_length) return;
  const bool left = truncation.side == Truncation::Side::kLeft;
  std::size_t begin = left ? size - truncation.max_length : 0;
  std::size_t end = left ? size : truncation.max_length;
  while (left && begin > 0 && pieces.words[begin - 1] == pieces.words[begin]) --begin;
  while (end < size && pieces.words[end - 1] == pieces.words[end]) ++end;
  const auto cut = [&](auto& list) {
    if (list.empty()) return;
    list.erase(list.begin() + static_cast<std::ptrdiff_t>(end), list.end());
    list.erase(list.begin(), list.begin() + static_cast<std::ptrdiff_t>(begin));
  };
  cut(pieces.ids);
  cut(pieces.ranges);
  cut(pieces.words);
  cut(pieces.texts);
  cut(pieces.margins);
}

// Answers rows one after the other.
class RowWriter {
 public:
  explicit RowWriter(const Tokenizer& tokenizer) : tokenizer_(tokenizer) {}

  // What cannot be tokenised becomes a row with an "error"; a row that is no row is an error.
  Result<Json> Answer(const nlohmann::json& row) {
    if (!row.is_object()) return Fail(Code::kInvalidArgument, "expected an object");
    Json out = Json::object();
    for (const char* key : {"id", "cat"}) {
      if (row.contains(key)) out[key] = row[key];
    }
    Result<> answered;
    if (row.contains("batch")) {
      answered = AnswerBatch(row, out);
    } else if (row.contains("ids") && !row.contains("text")) {
      answered = AnswerIds(row, out);
    } else {
      answered = AnswerText(row, out);
    }
    if (!answered) return tl::unexpected(answered.error());
    return out;
  }

 private:
  Result<> AnswerIds(const nlohmann::json& row, Json& out) {
    ASSIGN_OR_RETURN(const std::vector<std::int32_t> ids, JsonTokenIds(row["ids"], "ids"));
    out["ids"] = ids;
    AddDecoded(ids, true, out);
    return {};
  }

  Result<> AnswerBatch(const nlohmann::json& row, Json& out) {
    ASSIGN_OR_RETURN(const Call call, ReadCall(row, tokenizer_));
    const nlohmann::json& texts = row["batch"];
    if (!texts.is_array()) return Expected("batch", "a list of strings");
    std::vector<Encoding> batch(texts.size());
    for (std::size_t i = 0; i < texts.size(); ++i) {
      if (!texts[i].is_string()) return Expected("batch", "a list of strings");
      RETURN_IF_ERROR(
          tokenizer_.Tokenize(texts[i].get_ref<const std::string&>(), false, scratch_, first_));
      const Result<> done =
          tokenizer_.Assemble(first_, nullptr, call.add_special_tokens, call.truncation, batch[i]);
      if (!done) {
        out["error"] = done.error().message;
        return {};
      }
    }
    if (call.padding) tokenizer_.Pad(*call.padding, batch);
    Json& results = out["results"] = Json::array();
    for (const Encoding& encoding : batch) {
      results.push_back({{"ids", encoding.ids}, {"attention_mask", encoding.attention}});
    }
    return {};
  }

  Result<> AnswerText(const nlohmann::json& row, Json& out) {
    ASSIGN_OR_RETURN(const Call call, ReadCall(row, tokenizer_));
    ASSIGN_OR_RETURN(const std::string text, ReadText(row, "text"));
    RETURN_IF_ERROR(tokenizer_.TokenizeInFull(text, scratch_, first_));
    const bool pair = row.contains("text_pair") && !row["text_pair"].is_null();
    if (pair) {
      ASSIGN_OR_RETURN(const std::string text_pair, ReadText(row, "text_pair"));
      RETURN_IF_ERROR(tokenizer_.TokenizeInFull(text_pair, scratch_, second_));
    }
    const bool as_shipped = row.value("as_shipped", nlohmann::json(false)) == true;
    if (as_shipped && call.truncation) {
      if (call.truncation->strategy != Truncation::Strategy::kOnlySecond) {
        StopEarly(*call.truncation, first_);
      }
      if (pair) StopEarly(*call.truncation, second_);
    }
    Encoding& encoding = encoding_;
    const Result<> done = tokenizer_.Assemble(first_, pair ? &second_ : nullptr,
                                              call.add_special_tokens, call.truncation, encoding);
    if (!done) {
      out["error"] = done.error().message;
      return {};
    }
    if (call.padding) tokenizer_.Pad(*call.padding, {&encoding, 1});
    AddEncoding(encoding, out);
    if (call.padding || as_shipped) out["attention_mask"] = encoding.attention;
    if (row.contains("truncation")) AddOverflow(encoding, out);
    AddDecoded(encoding.ids, false, out);
    ASSIGN_OR_RETURN(const std::string normalized, tokenizer_.Normalize(text));
    if (normalized != text) out["normalized"] = normalized;
    return {};
  }

  static void AddEncoding(const Encoding& encoding, Json& out) {
    out["ids"] = encoding.ids;
    out["tokens"] = encoding.texts;
    out["type_ids"] = encoding.type_ids;
    Json& offsets = out["offsets"] = Json::array();
    for (const TextRange& range : encoding.ranges) offsets.push_back({range.start, range.end});
    out["special_tokens_mask"] = encoding.special;
    Json& words = out["word_ids"] = Json::array();
    for (const std::int32_t word : encoding.words) {
      words.push_back(word < 0 ? Json(nullptr) : Json(word));
    }
  }

  static void AddOverflow(const Encoding& encoding, Json& out) {
    Json& overflow = out["overflow"] = Json::array();
    for (const Encoding& window : encoding.overflow) {
      if (overflow.size() < kOverflowShown) overflow.push_back(window.ids);
    }
    if (encoding.overflow.size() > kOverflowShown) {
      out["overflow_count"] = encoding.overflow.size();
    }
  }

  void AddDecoded(std::span<const std::int32_t> ids, bool both, Json& out) const {
    const std::string decoded = tokenizer_.Decode(ids, true);
    const std::string all = tokenizer_.Decode(ids, false);
    out["decoded"] = decoded;
    if (both || all != decoded) out["decoded_all"] = all;
  }

  const Tokenizer& tokenizer_;
  Tokenizer::Scratch scratch_;
  Pieces first_, second_;
  Encoding encoding_;
};

Result<> Tokenize(CommandContext& context, const TokenizeFlags& flags) {
  ASSIGN_OR_RETURN(const auto tokenizer, Tokenizer::Load(flags.model));
  RowWriter writer(*tokenizer);
  std::ostream& out = context.environment.out;
  const auto answer = [&](const nlohmann::json& row, std::size_t line) -> Result<> {
    const Result<Json> answered = writer.Answer(row);
    if (!answered) return tl::unexpected(At(fmt::format("line {}", line), answered.error()));
    out << DumpJson(*answered) << "\n";
    return CheckOutput(out);
  };
  std::size_t line = 0;
  for (const std::string& text : flags.texts) {
    RETURN_IF_ERROR(answer({{"text", text}}, ++line));
  }
  if (!flags.texts.empty()) return {};
  std::ifstream file;
  const bool from_file = !flags.input.empty() && flags.input != "-";
  if (from_file) {
    file.open(flags.input);
    if (!file) return FailAt("--input", Code::kNotFound, "cannot read {}", flags.input);
  }
  std::istream& in = from_file ? file : context.environment.in;
  for (std::string content; std::getline(in, content);) {
    ++line;
    if (flags.input_format == "text") {
      RETURN_IF_ERROR(answer({{"text", content}}, line));
      continue;
    }
    if (content.find_first_not_of(" \t\r") == std::string::npos) continue;
    auto row = ParseJson(content, kDepthMax);
    if (!row) return tl::unexpected(At(fmt::format("line {}", line), row.error()));
    RETURN_IF_ERROR(answer(*row, line));
  }
  return {};
}

}  // namespace

void AddTokenize(CLI::App& app, CommandContext& context) {
  auto flags = std::make_shared<TokenizeFlags>();
  CLI::App* verb =
      app.add_subcommand("tokenize", "What a model's tokenizer makes of texts, one JSON line each");
  verb->add_option("--model", flags->model,
                   "Folder with tokenizer.json (or vocab.txt, or vocab.json and merges.txt)")
      ->required();
  verb->add_option("--input", flags->input, "File with the rows; - or nothing: standard input");
  verb->add_option("--input-format", flags->input_format,
                   "jsonl: {\"text\",\"text_pair\"?,...} or {\"ids\"}; text: every line is a text")
      ->check(CLI::IsMember({"jsonl", "text"}));
  verb->add_option("texts", flags->texts, "Texts");
  verb->footer(
      "Examples:\n"
      "  garrison tokenize --model models/all-MiniLM-L6-v2 \"a cat sat on the mat\"\n"
      "  echo '{\"text\":\"a\",\"text_pair\":\"b\"}' | garrison tokenize --model models/x --input "
      "-");
  verb->callback([flags, &context] { context.outcome = Tokenize(context, *flags); });
}

}  // namespace garrison
