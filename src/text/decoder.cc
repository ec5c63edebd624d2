#include "text/decoder.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>
#include <numeric>

#include "text/byte_chars.h"
#include "text/fold.h"
#include "text/json_fields.h"
#include "text/pattern.h"
#include "text/pattern_json.h"
#include "text/utf8.h"

namespace garrison::tokenizers {
namespace {

constexpr std::string_view kReplacement = "\uFFFD";

void ReplaceAll(std::string& text, std::string_view from, std::string_view to) {
  if (from.empty()) return;
  std::size_t found = text.find(from);
  if (found == std::string::npos) return;
  std::string out;
  std::size_t copied = 0;
  for (; found != std::string::npos; found = text.find(from, copied)) {
    out.append(text, copied, found - copied).append(to);
    copied = found + from.size();
  }
  out.append(text, copied);
  text = std::move(out);
}

// Undoes the spaces that tokenising English put in.
void CleanUp(std::string& text) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 11> kRules = {{
      {" .", "."},
      {" ?", "?"},
      {" !", "!"},
      {" ,", ","},
      {" ' ", "'"},
      {" n't", "n't"},
      {" 'm", "'m"},
      {" do not", " don't"},
      {" 's", "'s"},
      {" 've", "'ve"},
      {" 're", "'re"},
  }};
  for (const auto& [from, to] : kRules) ReplaceAll(text, from, to);
}

// Bytes of the longest beginning of `bytes` that may begin a character, or are one: what one U+FFFD
// stands for (Unicode, "maximal subpart"). `whole` tells whether it is a character.
std::size_t SubpartBytes(std::string_view bytes, bool& whole) {
  const std::size_t most = std::min<std::size_t>(bytes.size(), CharBytes(bytes[0]));
  whole = true;
  for (std::size_t size = 1; size <= most; ++size) {
    if (CheckUtf8(bytes.substr(0, size))) return size;
  }
  whole = false;
  // It is cut off or wrong: see which of the tails could still follow.
  const auto lead = static_cast<unsigned char>(bytes[0]);
  if (lead < 0xC2 || lead > 0xF4 || bytes.size() < 2) return 1;
  const auto second = static_cast<unsigned char>(bytes[1]);
  const unsigned low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
  const unsigned high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
  if (lead < 0xE0 || second < low || second > high) return 1;
  if (lead < 0xF0 || bytes.size() < 3 || !IsTail(bytes[2])) return 2;
  return 3;
}

std::string ToUtf8(std::string_view bytes) {
  std::string text;
  for (std::size_t i = 0; i < bytes.size();) {
    const std::size_t ascii = AsciiRun(bytes, i);
    text.append(bytes, i, ascii);
    i += ascii;
    if (i == bytes.size()) break;
    bool whole = false;
    const std::size_t size = SubpartBytes(bytes.substr(i), whole);
    text.append(whole ? bytes.substr(i, size) : kReplacement);
    i += size;
  }
  return text;
}

class WordPieceDecoder : public Decoder {
 public:
  WordPieceDecoder(std::string prefix, bool cleanup)
      : prefix_(std::move(prefix)), cleanup_(cleanup) {}
  void Apply(std::vector<std::string>& tokens) const override {
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      if (i > 0) {
        if (tokens[i].starts_with(prefix_)) {
          tokens[i].erase(0, prefix_.size());
        } else {
          tokens[i].insert(0, " ");
        }
      }
      if (cleanup_) CleanUp(tokens[i]);
    }
  }

 private:
  const std::string prefix_;
  const bool cleanup_;
};

class MetaspaceDecoder : public Decoder {
 public:
  MetaspaceDecoder(std::uint32_t replacement, bool drops_first) : drops_first_(drops_first) {
    AppendChar(mark_, replacement);
  }
  void Apply(std::vector<std::string>& tokens) const override {
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      ReplaceAll(tokens[i], mark_, i == 0 && drops_first_ ? "" : " ");
    }
  }

 private:
  std::string mark_;
  const bool drops_first_;
};

class ByteLevelDecoder : public Decoder {
 public:
  void Apply(std::vector<std::string>& tokens) const override {
    std::string bytes;
    for (const std::string& token : tokens) {
      const auto known = BytesOf(token);
      bytes.append(known ? *known : token);
    }
    tokens.assign(1, ToUtf8(bytes));
  }
};

class BpeDecoder : public Decoder {
 public:
  explicit BpeDecoder(std::string suffix) : suffix_(std::move(suffix)) {}
  void Apply(std::vector<std::string>& tokens) const override {
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      ReplaceAll(tokens[i], suffix_, i + 1 == tokens.size() ? "" : " ");
    }
  }

 private:
  const std::string suffix_;
};

class CtcDecoder : public Decoder {
 public:
  CtcDecoder(std::string pad, std::string delimiter, bool cleanup)
      : pad_(std::move(pad)), delimiter_(std::move(delimiter)), cleanup_(cleanup) {}
  void Apply(std::vector<std::string>& tokens) const override {
    tokens.erase(std::unique(tokens.begin(), tokens.end()), tokens.end());
    for (std::string& token : tokens) {
      ReplaceAll(token, pad_, "");
      if (!cleanup_) continue;
      CleanUp(token);
      ReplaceAll(token, delimiter_, " ");
    }
    std::erase_if(tokens, [](const std::string& token) { return token.empty(); });
  }

 private:
  const std::string pad_, delimiter_;
  const bool cleanup_;
};

class ReplaceDecoder : public Decoder {
 public:
  ReplaceDecoder(std::unique_ptr<const Pattern> pattern, std::string content)
      : pattern_(std::move(pattern)), content_(std::move(content)) {}
  void Apply(std::vector<std::string>& tokens) const override {
    std::vector<Span> matches;
    for (std::string& token : tokens) {
      matches.clear();
      // An expression that gives up leaves the token as it is.
      if (!pattern_->Find(token, matches) || matches.empty()) continue;
      std::string out;
      std::size_t copied = 0;
      for (const Span& match : matches) {
        out.append(token, copied, match.begin - copied).append(content_);
        copied = match.end;
      }
      out.append(token, copied);
      token = std::move(out);
    }
  }

 private:
  const std::unique_ptr<const Pattern> pattern_;
  const std::string content_;
};

class FuseDecoder : public Decoder {
 public:
  void Apply(std::vector<std::string>& tokens) const override {
    std::string all;
    for (const std::string& token : tokens) all.append(token);
    tokens.assign(1, std::move(all));
  }
};

class StripDecoder : public Decoder {
 public:
  StripDecoder(std::uint32_t content, std::size_t start, std::size_t stop)
      : start_(start), stop_(stop) {
    AppendChar(content_, content);
  }
  void Apply(std::vector<std::string>& tokens) const override {
    for (std::string& token : tokens) {
      std::string_view left = token;
      for (std::size_t i = 0; i < start_ && left.starts_with(content_); ++i) {
        left.remove_prefix(content_.size());
      }
      for (std::size_t i = 0; i < stop_ && left.ends_with(content_); ++i) {
        left.remove_suffix(content_.size());
      }
      token = std::string(left);
    }
  }

 private:
  std::string content_;
  const std::size_t start_, stop_;
};

class ByteFallbackDecoder : public Decoder {
 public:
  void Apply(std::vector<std::string>& tokens) const override {
    std::vector<std::string> out;
    std::string bytes;
    const auto flush = [&] {
      if (bytes.empty()) return;
      if (CheckUtf8(bytes)) {
        out.push_back(bytes);
      } else {
        out.insert(out.end(), bytes.size(), std::string(kReplacement));
      }
      bytes.clear();
    };
    for (std::string& token : tokens) {
      if (const int byte = ByteOfToken(token); byte >= 0) {
        bytes.push_back(static_cast<char>(byte));
        continue;
      }
      flush();
      out.push_back(std::move(token));
    }
    flush();
    tokens = std::move(out);
  }

 private:
  static int HexDigit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
  }
  // "<0x0A>" -> 10; -1 for anything else.
  static int ByteOfToken(std::string_view token) {
    if (token.size() != 6 || !token.starts_with("<0x") || token[5] != '>') return -1;
    const int high = HexDigit(token[3]);
    const int low = HexDigit(token[4]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
  }
};

using Made = Result<std::unique_ptr<const Decoder>>;

constexpr std::array<std::string_view, 10> kTypes = {
    "Sequence", "WordPiece", "Metaspace", "ByteLevel", "BPEDecoder",
    "CTC",      "Replace",   "Fuse",      "Strip",     "ByteFallback"};

Made MakeMetaspace(const Fields& fields) {
  constexpr std::array<std::string_view, 3> kSchemes = {"always", "first", "never"};
  ASSIGN_OR_RETURN(const std::uint32_t replacement, fields.Char("replacement", 0x2581));
  ASSIGN_OR_RETURN(const bool prefix, fields.Bool("add_prefix_space", true));
  ASSIGN_OR_RETURN(const std::size_t scheme,
                   fields.OneOf("prepend_scheme", kSchemes, prefix ? 0U : 2U));
  return std::make_unique<MetaspaceDecoder>(replacement, kSchemes[scheme] != "never");
}

Made MakeStep(std::string_view name, const Fields& fields) {
  if (name == "WordPiece") {
    ASSIGN_OR_RETURN(std::string prefix, fields.String("prefix", "##"));
    ASSIGN_OR_RETURN(const bool cleanup, fields.Bool("cleanup", true));
    return std::make_unique<WordPieceDecoder>(std::move(prefix), cleanup);
  }
  if (name == "Metaspace") return MakeMetaspace(fields);
  if (name == "ByteLevel") return std::make_unique<ByteLevelDecoder>();
  if (name == "BPEDecoder") {
    ASSIGN_OR_RETURN(std::string suffix, fields.String("suffix", "</w>"));
    return std::make_unique<BpeDecoder>(std::move(suffix));
  }
  if (name == "CTC") {
    ASSIGN_OR_RETURN(std::string pad, fields.String("pad_token", "<pad>"));
    ASSIGN_OR_RETURN(std::string delimiter, fields.String("word_delimiter_token", "|"));
    ASSIGN_OR_RETURN(const bool cleanup, fields.Bool("cleanup", true));
    return std::make_unique<CtcDecoder>(std::move(pad), std::move(delimiter), cleanup);
  }
  if (name == "Replace") {
    ASSIGN_OR_RETURN(auto pattern, ParsePattern(fields, "pattern"));
    ASSIGN_OR_RETURN(std::string content, fields.String("content", std::nullopt));
    return std::make_unique<ReplaceDecoder>(std::move(pattern), std::move(content));
  }
  if (name == "Fuse") return std::make_unique<FuseDecoder>();
  if (name == "Strip") {
    constexpr std::uint64_t kMost = std::numeric_limits<std::int32_t>::max();
    ASSIGN_OR_RETURN(const std::uint32_t content, fields.Char("content", std::nullopt));
    ASSIGN_OR_RETURN(const std::uint64_t start, fields.Whole("start", 0, kMost));
    ASSIGN_OR_RETURN(const std::uint64_t stop, fields.Whole("stop", 0, kMost));
    return std::make_unique<StripDecoder>(content, start, stop);
  }
  return std::make_unique<ByteFallbackDecoder>();
}

}  // namespace

class DecoderParser {
 public:
  // Sequences may stand inside sequences; the depth of the JSON is bounded.
  static Result<> AddSteps(const nlohmann::json& spec, const std::string& where,
                           DecoderChain& chain) {
    const Fields fields(spec, where);
    RETURN_IF_ERROR(fields.Check());
    ASSIGN_OR_RETURN(const std::size_t type, fields.OneOf("type", kTypes, std::nullopt));
    if (kTypes[type] != "Sequence") {
      ASSIGN_OR_RETURN(auto step, MakeStep(kTypes[type], fields));
      chain.steps_.push_back(std::move(step));
      return {};
    }
    ASSIGN_OR_RETURN(const nlohmann::json* list, fields.List("decoders"));
    for (std::size_t i = 0; i < list->size(); ++i) {
      RETURN_IF_ERROR(AddSteps((*list)[i], fmt::format("{}[{}]", fields.At("decoders"), i), chain));
    }
    return {};
  }
};

Result<DecoderChain> DecoderChain::Parse(const nlohmann::json& spec, const std::string& where) {
  DecoderChain chain;
  if (!spec.is_null()) RETURN_IF_ERROR(DecoderParser::AddSteps(spec, where, chain));
  return chain;
}

std::string DecoderChain::Decode(std::vector<std::string> tokens) const {
  if (steps_.empty()) return fmt::format("{}", fmt::join(tokens, " "));
  for (const auto& step : steps_) step->Apply(tokens);
  return std::accumulate(tokens.begin(), tokens.end(), std::string(),
                         [](std::string all, const std::string& token) {
                           all.append(token);
                           return all;
                         });
}

}  // namespace garrison::tokenizers
