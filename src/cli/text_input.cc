#include "cli/text_input.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/json.h"

namespace garrison {
namespace {

Result<std::string> TextOf(const nlohmann::json& body, const char* name) {
  const nlohmann::json& text = body.at(name);
  if (!text.is_string()) {
    return FailAt(name, Code::kInvalidArgument, "expected a string, got {}", JsonTypeName(text));
  }
  return text.get<std::string>();
}

Result<InputRecord> ParseIds(const nlohmann::json& body) {
  InputRecord record;
  TokenIds tokens;
  ASSIGN_OR_RETURN(tokens.ids, JsonTokenIds(body["ids"], "ids"));
  if (body.contains("type_ids")) {
    ASSIGN_OR_RETURN(tokens.type_ids, JsonTokenIds(body["type_ids"], "type_ids"));
    if (tokens.type_ids.size() != tokens.ids.size()) {
      return FailAt("type_ids", Code::kInvalidArgument, "expected {} numbers as in ids, got {}",
                    tokens.ids.size(), tokens.type_ids.size());
    }
  }
  record.input = std::move(tokens);
  if (body.contains("ids_pair")) {
    TokenIds pair;
    ASSIGN_OR_RETURN(pair.ids, JsonTokenIds(body["ids_pair"], "ids_pair"));
    record.pair = std::move(pair);
  }
  return record;
}

Result<InputRecord> ParseQuery(const nlohmann::json& body) {
  InputRecord record;
  record.is_query = true;
  ASSIGN_OR_RETURN(record.input, TextOf(body, "query"));
  const char* name = body.contains("texts") && !body.contains("documents") ? "texts" : "documents";
  if (!body.contains(name)) {
    return FailAt(name, Code::kInvalidArgument,
                  "the field is missing; give the texts to rank as a list of strings");
  }
  const nlohmann::json& documents = body.at(name);
  if (!documents.is_array()) {
    return FailAt(name, Code::kInvalidArgument, "expected a list of strings, got {}",
                  JsonTypeName(documents));
  }
  if (documents.empty()) {
    return FailAt(name, Code::kInvalidArgument, "expected at least one text, got an empty list");
  }
  for (std::size_t i = 0; i < documents.size(); ++i) {
    if (!documents[i].is_string()) {
      return FailAt(fmt::format("{}[{}]", name, i), Code::kInvalidArgument,
                    "expected a string, got {}", JsonTypeName(documents[i]));
    }
    record.documents.push_back(documents[i].get<std::string>());
  }
  return record;
}

std::size_t SizeOf(const EmbedInput& input) {
  const auto* text = std::get_if<std::string>(&input);
  return text != nullptr ? text->size() : std::get<TokenIds>(input).ids.size();
}

}  // namespace

Result<> CheckInputSize(const InputRecord& record, const LimitSettings& limits) {
  const auto bytes_max = static_cast<std::size_t>(limits.input_bytes);
  std::size_t size = SizeOf(record.input);
  if (record.pair) size = std::max(size, SizeOf(*record.pair));
  for (const std::string& document : record.documents) size = std::max(size, document.size());
  if (size <= bytes_max) return {};
  return Fail(
      Code::kInvalidArgument,
      "expected at most {} bytes or ids, got {}; raise limits.input_bytes or split the text",
      bytes_max, size);
}

std::size_t InputBytes(const InputRecord& record) {
  std::size_t size = SizeOf(record.input) + (record.pair ? SizeOf(*record.pair) : 0);
  for (const std::string& document : record.documents) size += document.size();
  return size;
}

Result<SequenceInput> SequenceOf(const InputRecord& record) {
  if (const auto* ids = std::get_if<TokenIds>(&record.input)) {
    if (!record.pair) return SequenceInput(*ids);
    return FailAt("ids_pair", Code::kInvalidArgument,
                  "expected one list: put both parts into ids, as the model reads them, with "
                  "type_ids to tell them apart");
  }
  const auto& text = std::get<std::string>(record.input);
  if (!record.pair) return SequenceInput(text);
  return SequenceInput(TextPair{text, std::get<std::string>(*record.pair)});
}

Result<InputRecord> ParseInputLine(std::string_view line, const LimitSettings& limits,
                                   LineForm form) {
  ASSIGN_OR_RETURN(const nlohmann::json body,
                   ParseJson(line, static_cast<std::size_t>(limits.json_depth)));
  if (!body.is_object()) {
    return Fail(Code::kInvalidArgument, "expected {{\"text\": ...}} or {{\"ids\": [...]}}, got {}",
                JsonTypeName(body));
  }
  if (form == LineForm::kInputOrQueries && body.contains("query")) return ParseQuery(body);
  if (body.contains("ids") && body.contains("text")) {
    return FailAt("ids", Code::kInvalidArgument, "expected text or ids, got both");
  }
  if (body.contains("ids")) return ParseIds(body);
  if (!body.contains("text")) {
    return FailAt("text", Code::kInvalidArgument, "the field is missing; give text or ids");
  }
  InputRecord record;
  ASSIGN_OR_RETURN(record.input, TextOf(body, "text"));
  if (body.contains("text_pair")) {
    ASSIGN_OR_RETURN(std::string pair, TextOf(body, "text_pair"));
    record.pair = std::move(pair);
  }
  return record;
}

// JSON may spell one byte of text as six (\u0000).
InputReader::InputReader(std::istream& in, const Options& options, const LimitSettings& limits)
    : in_(in),
      options_(options),
      limits_(limits),
      line_max_(static_cast<std::size_t>(limits.input_bytes) * (options.json_lines ? 6 : 1) +
                4096) {}

InputReader::Got InputReader::ReadLineOrThrow(std::string& line, bool keep) {
  std::streambuf& buffer = *in_.rdbuf();
  constexpr int kEnd = std::char_traits<char>::eof();
  line.clear();
  if (inside_long_line_) {
    // The rest of a refused line is read only when somebody wants what follows.
    for (int c = 0; c != kEnd && c != '\n'; ++bytes_) c = buffer.sbumpc();
    inside_long_line_ = false;
  }
  int c = buffer.sbumpc();
  if (c == kEnd) return Got::kEnd;
  ++line_;
  for (; c != kEnd && c != '\n'; c = buffer.sbumpc()) {
    ++bytes_;
    if (!keep) continue;
    if (line.size() >= line_max_) {
      inside_long_line_ = true;
      line.clear();
      return Got::kTooLong;
    }
    line += static_cast<char>(c);
  }
  ++bytes_;
  if (!line.empty() && line.back() == '\r') line.pop_back();
  if (line_ == 1 && line.starts_with("\xEF\xBB\xBF")) line.erase(0, 3);
  return Got::kLine;
}

Result<InputReader::Got> InputReader::ReadLine(std::string& line, bool keep) {
  try {
    return ReadLineOrThrow(line, keep);
  } catch (const std::ios_base::failure&) {  // how libstdc++ reports a failed read
    return Fail(Code::kUnavailable, "the input cannot be read; is it a folder?");
  }
}

Result<bool> InputReader::Skip(std::size_t lines) {
  std::string line;
  while (line_ < lines) {
    ASSIGN_OR_RETURN(const Got got, ReadLine(line, false));
    if (got == Got::kEnd) return false;
  }
  return true;
}

Result<std::optional<InputRecord>> InputReader::Next() {
  std::string line;
  while (true) {
    ASSIGN_OR_RETURN(const Got got, ReadLine(line, true));
    if (got == Got::kEnd) return std::nullopt;
    if (got == Got::kTooLong) {
      return Fail(Code::kInvalidArgument,
                  "the line is longer than {} bytes; raise limits.input_bytes or split the text",
                  line_max_);
    }
    const bool blank = line.find_first_not_of(" \t") == std::string::npos;
    if (blank && (options_.json_lines || options_.skip_blank_texts)) continue;
    InputRecord record;
    if (options_.json_lines) {
      ASSIGN_OR_RETURN(record, ParseInputLine(line, limits_, options_.form));
    } else {
      if (blank) return Fail(Code::kInvalidArgument, "expected a text, got a blank line");
      record.input = std::move(line);
    }
    RETURN_IF_ERROR(CheckInputSize(record, limits_));
    record.line = line_;
    return record;
  }
}

}  // namespace garrison
