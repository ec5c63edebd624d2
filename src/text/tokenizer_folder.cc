// Model folders from before tokenizer.json: their files, written as the tokenizer.json that they
// mean. WordPiece from vocab.txt (BERT, DistilBERT, MPNet), byte pair encoding from vocab.json and
// merges.txt (RoBERTa, GPT-2, CLIP).
#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "base/mapped_file.h"
#include "text/json_fields.h"
#include "text/tokenizer_parts.h"

namespace garrison::tokenizers {
namespace {

using Json = nlohmann::json;

constexpr std::uint64_t kFileBytesMax = std::uint64_t{64} << 20;

// The content of a file; nullopt when it is not there.
Result<std::optional<std::string>> ReadIfThere(const std::filesystem::path& path) {
  auto text = ReadTextFile(path, kFileBytesMax);
  if (text) return *std::move(text);
  if (text.error().code == Code::kNotFound) return std::nullopt;
  return tl::unexpected(text.error());
}

Result<Json> ReadJsonIfThere(const std::filesystem::path& path) {
  ASSIGN_OR_RETURN(const std::optional<std::string> text, ReadIfThere(path));
  if (!text) return Json::object();
  auto json = ParseTokenizerJson(*text);
  if (!json) return tl::unexpected(At(path.string(), json.error()));
  if (!json->is_object()) {
    return FailAt(path.string(), Code::kInvalidArgument, "expected an object");
  }
  return json;
}

template <typename Take>
void ForEachLine(std::string_view text, const Take& take) {
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    if (line.ends_with('\r')) line.remove_suffix(1);
    take(line);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

// tokenizer_config.json over special_tokens_map.json.
class Config {
 public:
  Config(Json config, Json tokens) : config_(std::move(config)), tokens_(std::move(tokens)) {}

  bool Flag(const char* key, bool fallback) const {
    const auto found = config_.find(key);
    return found != config_.end() && found->is_boolean() ? found->get<bool>() : fallback;
  }
  Json FlagOrNull(const char* key) const {
    const auto found = config_.find(key);
    return found != config_.end() && found->is_boolean() ? *found : Json();
  }
  // A special token: its text, or an object with its "content".
  std::string Token(const char* key, const char* fallback) const {
    for (const Json* source : {&config_, &tokens_}) {
      auto found = source->find(key);
      if (found == source->end()) continue;
      if (found->is_string()) return found->get<std::string>();
      if (found->is_object() && found->contains("content") && (*found)["content"].is_string()) {
        return (*found)["content"].get<std::string>();
      }
    }
    return fallback;
  }
  // "BertTokenizer", with or without "Fast" at the end; empty when nobody says.
  std::string Class() const {
    const auto found = config_.find("tokenizer_class");
    std::string name =
        found != config_.end() && found->is_string() ? found->get<std::string>() : "";
    if (name.ends_with("Fast")) name.resize(name.size() - 4);
    return name;
  }

 private:
  const Json config_, tokens_;
};

Json Added(const Json& vocabulary, const std::string& content, bool lstrip, bool normalized) {
  return {{"id", vocabulary.value(content, Json(vocabulary.size()))},
          {"content", content},
          {"lstrip", lstrip},
          {"rstrip", false},
          {"single_word", false},
          {"normalized", normalized},
          {"special", true}};
}

Json Special(const std::string& id, unsigned type_id) {
  return {{"SpecialToken", {{"id", id}, {"type_id", type_id}}}};
}
Json Sequence(const char* id, unsigned type_id) {
  return {{"Sequence", {{"id", id}, {"type_id", type_id}}}};
}

// [CLS] A [SEP] B [SEP]; MPNet has its separator twice between the two.
Json Template(const Json& vocabulary, const std::string& cls, const std::string& sep, bool twice) {
  Json pair = {Special(cls, 0), Sequence("A", 0), Special(sep, 0)};
  const Json single = pair;
  if (twice) pair.push_back(Special(sep, 0));
  pair.push_back(Sequence("B", 1));
  pair.push_back(Special(sep, 1));
  Json tokens = Json::object();
  for (const std::string& token : {cls, sep}) {
    tokens[token] = {{"id", token}, {"ids", {vocabulary.value(token, Json())}}};
  }
  return {{"type", "TemplateProcessing"},
          {"single", single},
          {"pair", pair},
          {"special_tokens", tokens}};
}

Result<Json> WordPieceJson(const std::string& vocab, const Config& config) {
  Json vocabulary = Json::object();
  std::size_t id = 0;
  ForEachLine(vocab, [&](std::string_view line) { vocabulary[std::string(line)] = id++; });
  const std::string name = config.Class();
  const bool mpnet = name == "MPNetTokenizer" || (name.empty() && vocabulary.contains("<s>"));
  constexpr std::array<std::string_view, 6> kKnown = {"",
                                                      "BertTokenizer",
                                                      "DistilBertTokenizer",
                                                      "ElectraTokenizer",
                                                      "MPNetTokenizer",
                                                      "BasicTokenizer"};
  if (std::find(kKnown.begin(), kKnown.end(), name) == kKnown.end()) {
    return FailAt("tokenizer_config.json: tokenizer_class", Code::kUnimplemented,
                  "\"{}\" with vocab.txt is not known; known are BertTokenizer, "
                  "DistilBertTokenizer, ElectraTokenizer, MPNetTokenizer",
                  name);
  }
  const std::string cls = config.Token("cls_token", mpnet ? "<s>" : "[CLS]");
  const std::string sep = config.Token("sep_token", mpnet ? "</s>" : "[SEP]");
  const std::string unk = config.Token("unk_token", "[UNK]");
  const std::string mask = config.Token("mask_token", mpnet ? "<mask>" : "[MASK]");
  Json added = {
      Added(vocabulary, config.Token("pad_token", mpnet ? "<pad>" : "[PAD]"), false, false),
      Added(vocabulary, unk, false, false), Added(vocabulary, cls, false, false),
      Added(vocabulary, sep, false, false), Added(vocabulary, mask, mpnet, false)};
  // As the published files have it: looked for after lower-casing.
  if (mpnet && vocabulary.contains("<unk>")) {
    added.push_back(Added(vocabulary, "<unk>", false, true));
  }
  return Json{{"added_tokens", added},
              {"normalizer",
               {{"type", "BertNormalizer"},
                {"clean_text", true},
                {"handle_chinese_chars", config.Flag("tokenize_chinese_chars", true)},
                {"strip_accents", config.FlagOrNull("strip_accents")},
                {"lowercase", config.Flag("do_lower_case", true)}}},
              {"pre_tokenizer", {{"type", "BertPreTokenizer"}}},
              {"post_processor", Template(vocabulary, cls, sep, mpnet)},
              {"decoder", {{"type", "WordPiece"}}},
              {"model", {{"type", "WordPiece"}, {"unk_token", unk}, {"vocab", vocabulary}}}};
}

Json RobertaPost(const Json& vocabulary, const std::string& cls, const std::string& sep,
                 bool trim) {
  return {{"type", "RobertaProcessing"},
          {"cls", {cls, vocabulary.value(cls, Json())}},
          {"sep", {sep, vocabulary.value(sep, Json())}},
          {"trim_offsets", trim},
          {"add_prefix_space", false}};
}

Json ByteLevel(bool add_prefix_space, bool trim) {
  return {{"type", "ByteLevel"}, {"add_prefix_space", add_prefix_space}, {"trim_offsets", trim}};
}

void FillRoberta(const Json& vocabulary, const Config& config, Json& json) {
  const std::string cls = config.Token("cls_token", "<s>");
  const std::string sep = config.Token("sep_token", "</s>");
  json["added_tokens"] = {Added(vocabulary, cls, false, true),
                          Added(vocabulary, config.Token("pad_token", "<pad>"), false, true),
                          Added(vocabulary, sep, false, true),
                          Added(vocabulary, config.Token("unk_token", "<unk>"), false, true),
                          Added(vocabulary, config.Token("mask_token", "<mask>"), true, true)};
  json["pre_tokenizer"] = ByteLevel(config.Flag("add_prefix_space", false), true);
  json["post_processor"] = RobertaPost(vocabulary, cls, sep, true);
  json["post_processor"]["add_prefix_space"] = config.Flag("add_prefix_space", false);
}

void FillGpt2(const Json& vocabulary, const Config& config, Json& json) {
  json["added_tokens"] = {
      Added(vocabulary, config.Token("eos_token", "<|endoftext|>"), false, true)};
  json["pre_tokenizer"] = ByteLevel(config.Flag("add_prefix_space", false), true);
  json["post_processor"] = ByteLevel(true, false);
}

void FillClip(const Json& vocabulary, const Config& config, Json& json) {
  const std::string begin = config.Token("bos_token", "<|startoftext|>");
  const std::string end = config.Token("eos_token", "<|endoftext|>");
  json["added_tokens"] = {Added(vocabulary, begin, false, true),
                          Added(vocabulary, end, false, false)};
  json["normalizer"] = {
      {"type", "Sequence"},
      {"normalizers",
       {{{"type", "NFC"}},
        {{"type", "Replace"}, {"pattern", {{"Regex", R"(\s+)"}}}, {"content", " "}},
        {{"type", "Lowercase"}}}}};
  constexpr const char* kWords =
      R"(<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+)";
  json["pre_tokenizer"] = {{"type", "Sequence"},
                           {"pretokenizers",
                            {{{"type", "Split"},
                              {"pattern", {{"Regex", kWords}}},
                              {"behavior", "Removed"},
                              {"invert", true}},
                             ByteLevel(false, true)}}};
  json["post_processor"] = RobertaPost(vocabulary, begin, end, false);
  json["model"]["unk_token"] = config.Token("unk_token", "<|endoftext|>");
  json["model"]["end_of_word_suffix"] = "</w>";
}

Result<Json> BpeJson(Json vocabulary, const std::string& merges, const Config& config) {
  Json list = Json::array();
  ForEachLine(merges, [&](std::string_view line) {
    if (!line.empty() && !line.starts_with("#version")) list.push_back(line);
  });
  Json json = {{"decoder", {{"type", "ByteLevel"}}},
               {"model", {{"type", "BPE"}, {"merges", std::move(list)}}}};
  std::string name = config.Class();
  if (name.empty()) {
    name = vocabulary.contains("<|startoftext|>") ? "CLIPTokenizer"
           : vocabulary.contains("<s>")           ? "RobertaTokenizer"
                                                  : "GPT2Tokenizer";
  }
  if (name == "RobertaTokenizer") {
    FillRoberta(vocabulary, config, json);
  } else if (name == "GPT2Tokenizer") {
    FillGpt2(vocabulary, config, json);
  } else if (name == "CLIPTokenizer") {
    FillClip(vocabulary, config, json);
  } else {
    return FailAt("tokenizer_config.json: tokenizer_class", Code::kUnimplemented,
                  "\"{}\" with vocab.json is not known; known are RobertaTokenizer, GPT2Tokenizer, "
                  "CLIPTokenizer",
                  name);
  }
  json["model"]["vocab"] = std::move(vocabulary);
  return json;
}

}  // namespace

Result<nlohmann::json> JsonOfFolder(const std::filesystem::path& folder) {
  ASSIGN_OR_RETURN(Json settings, ReadJsonIfThere(folder / "tokenizer_config.json"));
  ASSIGN_OR_RETURN(Json tokens, ReadJsonIfThere(folder / "special_tokens_map.json"));
  const Config config(std::move(settings), std::move(tokens));
  ASSIGN_OR_RETURN(const auto pieces, ReadIfThere(folder / "vocab.txt"));
  if (pieces) return WordPieceJson(*pieces, config);
  ASSIGN_OR_RETURN(const auto merges, ReadIfThere(folder / "merges.txt"));
  ASSIGN_OR_RETURN(Json vocabulary, ReadJsonIfThere(folder / "vocab.json"));
  if (merges && !vocabulary.empty()) return BpeJson(std::move(vocabulary), *merges, config);
  return Fail(Code::kNotFound,
              "there is no tokenizer in {}: looked for tokenizer.json, vocab.txt, and vocab.json "
              "with merges.txt",
              folder.string());
}

}  // namespace garrison::tokenizers
