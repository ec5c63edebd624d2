#include "text/pre_tokenizer.h"

#include <algorithm>
#include <array>

#include "text/byte_chars.h"
#include "text/json_fields.h"
#include "text/pattern.h"
#include "text/pattern_json.h"
#include "text/split.h"
#include "text/unicode_tables.h"

namespace garrison::tokenizers {
namespace {

// Splits every word at the characters for which `is_delimiter` holds, each a delimiter of its own.
template <typename IsDelimiter>
void SplitAtChars(PreTokens& tokens, Behavior behavior, const IsDelimiter& is_delimiter) {
  tokens.next.clear();
  Splitter splitter(behavior, tokens.next);
  const std::string_view text = tokens.view.text;
  for (const Span& word : tokens.words) {
    std::uint32_t begin = word.begin;
    for (std::uint32_t i = word.begin; i < word.end;) {
      const Decoded c = DecodeAt(text, i);
      if (is_delimiter(c.code_point)) {
        if (i > begin) splitter.Take(begin, i, false);
        splitter.Take(i, i + c.bytes, true);
        begin = i + c.bytes;
      }
      i += c.bytes;
    }
    if (word.end > begin) splitter.Take(begin, word.end, false);
    splitter.Finish();
  }
  std::swap(tokens.words, tokens.next);
}

Result<> SplitAtMatches(PreTokens& tokens, const Pattern& pattern, Behavior behavior, bool invert) {
  tokens.next.clear();
  Splitter splitter(behavior, tokens.next);
  for (const Span& word : tokens.words) {
    tokens.matches.clear();
    RETURN_IF_ERROR(
        pattern.Find(tokens.view.text.substr(word.begin, word.end - word.begin), tokens.matches));
    std::uint32_t at = word.begin;
    for (const Span& match : tokens.matches) {
      const std::uint32_t begin = word.begin + match.begin;
      if (begin > at) splitter.Take(at, begin, invert);
      at = word.begin + match.end;
      splitter.Take(begin, at, !invert);
    }
    if (at < word.end) splitter.Take(at, word.end, invert);
    splitter.Finish();
  }
  std::swap(tokens.words, tokens.next);
  return {};
}

class BertPreTokenizer : public PreTokenizer {
 public:
  Result<> Apply(PreTokens& tokens) const override {
    tokens.next.clear();
    const std::string_view text = tokens.view.text;
    for (const Span& word : tokens.words) {
      std::uint32_t begin = word.begin;
      for (std::uint32_t i = word.begin; i < word.end;) {
        const Decoded c = DecodeAt(text, i);
        const unsigned flags = CharFlags(c.code_point);
        const std::uint32_t end = i + c.bytes;
        if ((flags & (kSpace | kPunct)) != 0) {
          if (i > begin) tokens.next.push_back({begin, i});
          if ((flags & kSpace) == 0) tokens.next.push_back({i, end});
          begin = end;
        }
        i = end;
      }
      if (word.end > begin) tokens.next.push_back({begin, word.end});
    }
    std::swap(tokens.words, tokens.next);
    return {};
  }
};

// \w+|[^\w\s]+
class WhitespacePreTokenizer : public PreTokenizer {
 public:
  Result<> Apply(PreTokens& tokens) const override {
    tokens.next.clear();
    for (const Span& word : tokens.words) {
      std::uint32_t begin = word.begin;
      unsigned kind = kSpace;
      for (std::uint32_t i = word.begin; i < word.end;) {
        const Decoded c = DecodeAt(tokens.view.text, i);
        const unsigned flags = CharFlags(c.code_point);
        const unsigned here = (flags & kWordChar) != 0 ? unsigned{kWordChar} : flags & kSpace;
        if (here != kind) {
          if (kind != kSpace) tokens.next.push_back({begin, i});
          begin = i;
          kind = here;
        }
        i += c.bytes;
      }
      if (kind != kSpace) tokens.next.push_back({begin, word.end});
    }
    std::swap(tokens.words, tokens.next);
    return {};
  }
};

class WhitespaceSplit : public PreTokenizer {
 public:
  Result<> Apply(PreTokens& tokens) const override {
    SplitAtChars(tokens, Behavior::kRemoved, [](std::uint32_t c) { return Is(c, kSpace); });
    return {};
  }
};

class CharDelimiterSplit : public PreTokenizer {
 public:
  explicit CharDelimiterSplit(std::uint32_t delimiter) : delimiter_(delimiter) {}
  Result<> Apply(PreTokens& tokens) const override {
    SplitAtChars(tokens, Behavior::kRemoved, [&](std::uint32_t c) { return c == delimiter_; });
    return {};
  }

 private:
  const std::uint32_t delimiter_;
};

class Punctuation : public PreTokenizer {
 public:
  explicit Punctuation(Behavior behavior) : behavior_(behavior) {}
  Result<> Apply(PreTokens& tokens) const override {
    SplitAtChars(tokens, behavior_, [](std::uint32_t c) { return Is(c, kPunct); });
    return {};
  }

 private:
  const Behavior behavior_;
};

class Digits : public PreTokenizer {
 public:
  explicit Digits(bool individual) : individual_(individual) {}
  Result<> Apply(PreTokens& tokens) const override {
    SplitAtChars(tokens, individual_ ? Behavior::kIsolated : Behavior::kContiguous,
                 [](std::uint32_t c) { return Is(c, kNumber); });
    return {};
  }

 private:
  const bool individual_;
};

class Split : public PreTokenizer {
 public:
  Split(std::unique_ptr<const Pattern> pattern, Behavior behavior, bool invert)
      : pattern_(std::move(pattern)), behavior_(behavior), invert_(invert) {}
  Result<> Apply(PreTokens& tokens) const override {
    return SplitAtMatches(tokens, *pattern_, behavior_, invert_);
  }

 private:
  const std::unique_ptr<const Pattern> pattern_;
  const Behavior behavior_;
  const bool invert_;
};

enum class PrependScheme { kAlways, kFirst, kNever };
constexpr std::array<std::string_view, 3> kSchemes = {"always", "first", "never"};

class Metaspace : public PreTokenizer {
 public:
  Metaspace(std::uint32_t replacement, PrependScheme scheme, bool split)
      : scheme_(scheme), split_(split) {
    AppendChar(mark_, replacement);
  }

  Result<> Apply(PreTokens& tokens) const override {
    TextBuffer& out = tokens.Spare();
    tokens.next.clear();
    const std::size_t room = tokens.view.text.size() + mark_.size() * tokens.words.size();
    if (out.text.capacity() < room) out.text.reserve(room);
    for (const Span& word : tokens.words) WriteWord(tokens.view, word, out, tokens.next);
    tokens.Use();
    std::swap(tokens.words, tokens.next);
    return {};
  }

 private:
  void WriteWord(const TextView& in, const Span& word, TextBuffer& out,
                 std::vector<Span>& words) const {
    const std::string_view text = in.text.substr(word.begin, word.end - word.begin);
    const auto size = [&] { return static_cast<std::uint32_t>(out.text.size()); };
    const bool marked = text[0] == ' ' || text.starts_with(mark_);
    const bool first = in.ranges == nullptr || in.ranges[word.begin].start == 0;
    std::uint32_t begin = size();
    if (!marked &&
        (scheme_ == PrependScheme::kAlways || (scheme_ == PrependScheme::kFirst && first))) {
      Mark(in, word.begin, out);
    }
    // A word ends before a mark.
    for (std::uint32_t i = 0; i < text.size();) {
      std::uint32_t end = i;
      while (end < text.size() && text[end] != ' ' && !IsMark(text, end)) ++end;
      out.text.append(text, i, end - i);
      if (in.ranges != nullptr) {
        out.ranges.insert(out.ranges.end(), in.ranges + word.begin + i,
                          in.ranges + word.begin + end);
      }
      if (end == text.size()) break;
      if (split_ && size() > begin) words.push_back({begin, size()});
      if (split_) begin = size();
      Mark(in, word.begin + end, out);
      i = end + (text[end] == ' ' ? 1 : static_cast<std::uint32_t>(mark_.size()));
    }
    if (size() > begin) words.push_back({begin, size()});
  }

  bool IsMark(std::string_view text, std::size_t at) const {
    return text[at] == mark_[0] && text.compare(at, mark_.size(), mark_) == 0;
  }
  // A mark with the range of the byte at `at`.
  void Mark(const TextView& in, std::size_t at, TextBuffer& out) const {
    out.text.append(mark_);
    if (in.ranges != nullptr) out.ranges.insert(out.ranges.end(), mark_.size(), in.ranges[at]);
  }

  std::string mark_;
  const PrependScheme scheme_;
  const bool split_;
};

class ByteLevel : public PreTokenizer {
 public:
  ByteLevel(bool add_prefix_space, bool use_regex)
      : add_prefix_space_(add_prefix_space), pattern_(use_regex ? Gpt2Pattern() : nullptr) {}

  Result<> Apply(PreTokens& tokens) const override {
    if (add_prefix_space_) AddSpaces(tokens);
    if (pattern_ == nullptr) return {};
    return SplitAtMatches(tokens, *pattern_, Behavior::kIsolated, false);
  }

 private:
  static void AddSpaces(PreTokens& tokens) {
    TextBuffer& out = tokens.Spare();
    tokens.next.clear();
    for (const Span& word : tokens.words) {
      const auto begin = static_cast<std::uint32_t>(out.text.size());
      const TextView in = tokens.view.Sub(word.begin, word.end);
      if (in.text[0] != ' ') {
        out.text.push_back(' ');
        if (in.ranges != nullptr) out.ranges.push_back(in.ranges[0]);
      }
      out.text.append(in.text);
      if (in.ranges != nullptr) {
        out.ranges.insert(out.ranges.end(), in.ranges, in.ranges + in.text.size());
      }
      tokens.next.push_back({begin, static_cast<std::uint32_t>(out.text.size())});
    }
    tokens.Use();
    std::swap(tokens.words, tokens.next);
  }

  const bool add_prefix_space_;
  const std::unique_ptr<const Pattern> pattern_;
};

// The second half of ByteLevel.
class ByteChars : public PreTokenizer {
 public:
  Result<> Apply(PreTokens& tokens) const override {
    TextBuffer& out = tokens.Spare();
    for (Span& word : tokens.words) {
      const auto begin = static_cast<std::uint32_t>(out.text.size());
      AppendByteChars(tokens.view.Sub(word.begin, word.end), out);
      word = {begin, static_cast<std::uint32_t>(out.text.size())};
    }
    tokens.Use();
    return {};
  }
};

constexpr std::array<std::string_view, 10> kTypes = {
    "Sequence", "BertPreTokenizer",   "Whitespace",  "WhitespaceSplit", "Metaspace", "ByteLevel",
    "Split",    "CharDelimiterSplit", "Punctuation", "Digits"};

}  // namespace

class PreTokenizerParser {
 public:
  // Sequences may stand inside sequences; the depth of the JSON is bounded.
  static Result<> AddSteps(const nlohmann::json& spec, const std::string& where,
                           PreTokenizerChain& chain) {
    const Fields fields(spec, where);
    RETURN_IF_ERROR(fields.Check());
    ASSIGN_OR_RETURN(const std::size_t type, fields.OneOf("type", kTypes, std::nullopt));
    if (kTypes[type] != "Sequence") return AddStep(kTypes[type], fields, chain);
    ASSIGN_OR_RETURN(const nlohmann::json* list, fields.List("pretokenizers"));
    for (std::size_t i = 0; i < list->size(); ++i) {
      RETURN_IF_ERROR(
          AddSteps((*list)[i], fmt::format("{}[{}]", fields.At("pretokenizers"), i), chain));
    }
    return {};
  }

 private:
  static Result<> AddStep(std::string_view name, const Fields& fields, PreTokenizerChain& chain) {
    const auto add = [&](std::unique_ptr<const PreTokenizer> step) -> Result<> {
      chain.steps_.push_back(std::move(step));
      chain.ends_in_byte_chars_ = false;
      return {};
    };
    if (name == "BertPreTokenizer") return add(std::make_unique<BertPreTokenizer>());
    if (name == "Whitespace") return add(std::make_unique<WhitespacePreTokenizer>());
    if (name == "WhitespaceSplit") return add(std::make_unique<WhitespaceSplit>());
    if (name == "Metaspace") return AddMetaspace(fields, chain);
    if (name == "ByteLevel") return AddByteLevel(fields, chain);
    if (name == "Split") {
      ASSIGN_OR_RETURN(auto pattern, ParsePattern(fields, "pattern"));
      ASSIGN_OR_RETURN(const std::size_t behavior,
                       fields.OneOf("behavior", kBehaviorNames, std::nullopt));
      ASSIGN_OR_RETURN(const bool invert, fields.Bool("invert", false));
      return add(
          std::make_unique<Split>(std::move(pattern), static_cast<Behavior>(behavior), invert));
    }
    if (name == "CharDelimiterSplit") {
      ASSIGN_OR_RETURN(const std::uint32_t delimiter, fields.Char("delimiter", std::nullopt));
      return add(std::make_unique<CharDelimiterSplit>(delimiter));
    }
    if (name == "Punctuation") {
      ASSIGN_OR_RETURN(
          const std::size_t behavior,
          fields.OneOf("behavior", kBehaviorNames, static_cast<std::size_t>(Behavior::kIsolated)));
      return add(std::make_unique<Punctuation>(static_cast<Behavior>(behavior)));
    }
    ASSIGN_OR_RETURN(const bool individual, fields.Bool("individual_digits", false));
    return add(std::make_unique<Digits>(individual));
  }

  static Result<> AddMetaspace(const Fields& fields, PreTokenizerChain& chain) {
    ASSIGN_OR_RETURN(const std::uint32_t replacement, fields.Char("replacement", 0x2581));
    ASSIGN_OR_RETURN(const bool prefix, fields.Bool("add_prefix_space", true));
    const auto fallback = prefix ? PrependScheme::kAlways : PrependScheme::kNever;
    ASSIGN_OR_RETURN(const std::size_t scheme,
                     fields.OneOf("prepend_scheme", kSchemes, static_cast<std::size_t>(fallback)));
    ASSIGN_OR_RETURN(const bool split, fields.Bool("split", true));
    chain.steps_.push_back(
        std::make_unique<Metaspace>(replacement, static_cast<PrependScheme>(scheme), split));
    chain.ends_in_byte_chars_ = false;
    if (static_cast<PrependScheme>(scheme) == PrependScheme::kFirst) chain.needs_ranges_ = true;
    return {};
  }

  static Result<> AddByteLevel(const Fields& fields, PreTokenizerChain& chain) {
    ASSIGN_OR_RETURN(const bool space, fields.Bool("add_prefix_space", true));
    ASSIGN_OR_RETURN(const bool regex, fields.Bool("use_regex", true));
    chain.steps_.push_back(std::make_unique<ByteLevel>(space, regex));
    chain.steps_.push_back(std::make_unique<ByteChars>());
    chain.ends_in_byte_chars_ = true;
    return {};
  }
};

Result<PreTokenizerChain> PreTokenizerChain::Parse(const nlohmann::json& spec,
                                                   const std::string& where) {
  PreTokenizerChain chain;
  if (!spec.is_null()) RETURN_IF_ERROR(PreTokenizerParser::AddSteps(spec, where, chain));
  return chain;
}

Result<> PreTokenizerChain::Apply(PreTokens& tokens) const {
  for (const auto& step : steps_) RETURN_IF_ERROR(step->Apply(tokens));
  return {};
}

void PreTokenizerChain::LeaveBytes() {
  if (ends_in_byte_chars_) steps_.pop_back();
  ends_in_byte_chars_ = false;
}

}  // namespace garrison::tokenizers
