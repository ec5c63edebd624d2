#include "cli/text_input.h"

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

}  // namespace

Result<> CheckInputSize(const InputRecord& record, const LimitSettings& limits) {
  const auto bytes_max = static_cast<std::size_t>(limits.input_bytes);
  const auto check = [&](const EmbedInput& input) -> Result<> {
    const auto* text = std::get_if<std::string>(&input);
    const std::size_t size = text != nullptr ? text->size() : std::get<TokenIds>(input).ids.size();
    if (size <= bytes_max) return {};
    return Fail(
        Code::kInvalidArgument,
        "expected at most {} bytes or ids, got {}; raise limits.input_bytes or split the text",
        bytes_max, size);
  };
  RETURN_IF_ERROR(check(record.input));
  return record.pair ? check(*record.pair) : Result<>();
}

Result<InputRecord> ParseInputLine(std::string_view line, const LimitSettings& limits) {
  ASSIGN_OR_RETURN(const nlohmann::json body,
                   ParseJson(line, static_cast<std::size_t>(limits.json_depth)));
  if (!body.is_object()) {
    return Fail(Code::kInvalidArgument, "expected {{\"text\": ...}} or {{\"ids\": [...]}}, got {}",
                JsonTypeName(body));
  }
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

InputReader::InputReader(std::istream& in, bool json_lines, bool skip_blank_texts,
                         const LimitSettings& limits)
    : in_(in), json_lines_(json_lines), skip_blank_texts_(skip_blank_texts), limits_(limits) {}

// False at the end of the input. The line comes without its end (LF or CRLF).
Result<bool> InputReader::ReadLine(std::string& line) {
  // JSON may spell one byte of text as six (\u0000).
  const auto line_max =
      static_cast<std::size_t>(limits_.input_bytes) * (json_lines_ ? 6 : 1) + 4096;
  line.clear();
  std::streambuf& buffer = *in_.rdbuf();
  constexpr int kEnd = std::char_traits<char>::eof();
  int c = buffer.sbumpc();
  if (c == kEnd) return false;
  ++line_;
  for (; c != kEnd && c != '\n'; c = buffer.sbumpc()) {
    if (line.size() >= line_max) {
      return FailAt(fmt::format("line {}", line_), Code::kInvalidArgument,
                    "the line is longer than {} bytes; raise limits.input_bytes or split the text",
                    line_max);
    }
    line += static_cast<char>(c);
  }
  if (!line.empty() && line.back() == '\r') line.pop_back();
  if (line_ == 1 && line.starts_with("\xEF\xBB\xBF")) line.erase(0, 3);
  return true;
}

Result<std::optional<InputRecord>> InputReader::Next() {
  std::string line;
  while (true) {
    Result<bool> more = false;
    try {
      more = ReadLine(line);
    } catch (const std::ios_base::failure&) {  // how libstdc++ reports a failed read
      more = Fail(Code::kUnavailable, "the input cannot be read; is it a folder?");
    }
    if (!more) return tl::unexpected(std::move(more).error());
    if (!*more) return std::nullopt;
    const bool blank = line.find_first_not_of(" \t") == std::string::npos;
    const std::string place = fmt::format("line {}", line_);
    if (blank && (json_lines_ || skip_blank_texts_)) continue;
    if (!json_lines_) {
      if (blank) return FailAt(place, Code::kInvalidArgument, "expected a text, got a blank line");
      InputRecord record{line_, std::move(line), std::nullopt};
      Result<> small = CheckInputSize(record, limits_);
      if (!small) return tl::unexpected(At(place, std::move(small).error()));
      return record;
    }
    Result<InputRecord> record = ParseInputLine(line, limits_);
    if (!record) return tl::unexpected(At(place, std::move(record).error()));
    Result<> small = CheckInputSize(*record, limits_);
    if (!small) return tl::unexpected(At(place, std::move(small).error()));
    record->line = line_;
    return *std::move(record);
  }
}

}  // namespace garrison
