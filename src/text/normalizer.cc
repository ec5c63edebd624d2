#include "text/normalizer.h"

#include <utf8proc.h>

#include <array>

#include "text/byte_chars.h"
#include "text/charsmap.h"
#include "text/json_fields.h"
#include "text/pattern.h"
#include "text/pattern_json.h"
#include "text/unicode_forms.h"
#include "text/unicode_tables.h"

namespace garrison::tokenizers {
namespace {

class FormNormalizer : public Normalizer {
 public:
  explicit FormNormalizer(UnicodeForm form) : form_(form) {}
  Result<bool> Apply(const TextView& in, TextBuffer& out) const override {
    return ApplyForm(form_, in, out);
  }

 private:
  const UnicodeForm form_;
};

class LowercaseNormalizer : public Normalizer {
 public:
  Result<bool> Apply(const TextView& in, TextBuffer& out) const override {
    Rewriter writer(in, out);
    for (std::size_t i = 0; i < in.text.size();) {
      const Decoded c = DecodeAt(in.text, i);
      i += c.bytes;
      if (c.code_point < 0x80) {
        const bool upper = c.code_point >= 'A' && c.code_point <= 'Z';
        writer.Put(upper ? c.code_point - 'A' + 'a' : c.code_point, 0);
        continue;
      }
      const auto lower = Lower(c.code_point);
      if (lower.empty()) writer.Put(c.code_point, 0);
      for (std::size_t k = 0; k < lower.size(); ++k) writer.Put(lower[k], k == 0 ? 0 : 1);
    }
    return true;
  }
};

// Keeps, drops or replaces each character by itself: `map` gives what stays in its place, or
// kDropped.
constexpr std::uint32_t kDropped = 0xFFFFFFFF;

template <typename Map>
bool MapChars(const TextView& in, TextBuffer& out, const Map& map) {
  Rewriter writer(in, out);
  for (std::size_t i = 0; i < in.text.size();) {
    const Decoded c = DecodeAt(in.text, i);
    const std::uint32_t to = map(c.code_point);
    if (to == kDropped) {
      writer.Skip(1);
    } else {
      writer.Replace(to);
    }
    i += c.bytes;
  }
  return true;
}

class StripAccentsNormalizer : public Normalizer {
 public:
  Result<bool> Apply(const TextView& in, TextBuffer& out) const override {
    return MapChars(in, out, [](std::uint32_t c) {
      if (c < 0x300) return c;
      const auto category = utf8proc_category(static_cast<utf8proc_int32_t>(c));
      const bool mark = category == UTF8PROC_CATEGORY_MN || category == UTF8PROC_CATEGORY_MC ||
                        category == UTF8PROC_CATEGORY_ME;
      return mark ? kDropped : c;
    });
  }
};

class NmtNormalizer : public Normalizer {
 public:
  Result<bool> Apply(const TextView& in, TextBuffer& out) const override {
    return MapChars(in, out, [](std::uint32_t c) -> std::uint32_t {
      if ((c >= 1 && c <= 8) || c == 0x0B || (c >= 0x0E && c <= 0x1F) || c == 0x7F || c == 0x8F ||
          c == 0x9F) {
        return kDropped;
      }
      const bool space = c == '\t' || c == '\n' || c == '\f' || c == '\r' || c == 0x1680 ||
                         (c >= 0x200B && c <= 0x200F) || c == 0x2028 || c == 0x2029 ||
                         c == 0x2581 || c == 0xFEFF || c == 0xFFFD;
      return space ? ' ' : c;
    });
  }
};

class StripNormalizer : public Normalizer {
 public:
  StripNormalizer(bool left, bool right) : left_(left), right_(right) {}
  Result<bool> Apply(const TextView& in, TextBuffer& out) const override {
    std::size_t begin = 0;
    std::size_t end = in.text.size();
    while (left_ && begin < end) {
      const Decoded c = DecodeAt(in.text, begin);
      if (!Is(c.code_point, kSpace)) break;
      begin += c.bytes;
    }
    while (right_ && end > begin) {
      const Decoded c = DecodeBefore(in.text, end);
      if (!Is(c.code_point, kSpace)) break;
      end -= c.bytes;
    }
    if (begin == 0 && end == in.text.size()) return false;
    const TextView kept = in.Sub(begin, end);
    Rewriter(kept, out).Copy(kept.text);
    return true;
  }

 private:
  const bool left_, right_;
};

class PrependNormalizer : public Normalizer {
 public:
  explicit PrependNormalizer(std::string prefix) : prefix_(std::move(prefix)) {}
  Result<bool> Apply(const TextView& in, TextBuffer& out) const override {
    if (in.text.empty()) return false;
    out.Clear();
    out.text.append(prefix_).append(in.text);
    if (in.ranges == nullptr) return true;
    // The prefix shares the range of the first character.
    out.ranges.assign(prefix_.size(), in.ranges[0]);
    out.ranges.insert(out.ranges.end(), in.ranges, in.ranges + in.text.size());
    return true;
  }

 private:
  const std::string prefix_;
};

class ReplaceNormalizer : public Normalizer {
 public:
  ReplaceNormalizer(std::unique_ptr<const Pattern> pattern, std::string content)
      : pattern_(std::move(pattern)), content_(std::move(content)) {}

  Result<bool> Apply(const TextView& in, TextBuffer& out) const override {
    std::vector<Span> matches;
    RETURN_IF_ERROR(pattern_->Find(in.text, matches));
    if (matches.empty()) return false;
    out.Clear();
    std::size_t copied = 0;
    const auto copy_to = [&](std::size_t end) {
      out.text.append(in.text, copied, end - copied);
      if (in.ranges == nullptr) return;
      out.ranges.insert(out.ranges.end(), in.ranges + copied, in.ranges + end);
    };
    for (const Span& match : matches) {
      copy_to(match.begin);
      copied = match.end;
      out.text.append(content_);
      if (in.ranges == nullptr) continue;
      // The new text shares the range of the last character that it replaces.
      const TextRange range =
          match.end == 0 ? TextRange{in.base, in.base} : in.ranges[match.end - 1];
      out.ranges.insert(out.ranges.end(), content_.size(), range);
    }
    copy_to(in.text.size());
    return true;
  }

 private:
  const std::unique_ptr<const Pattern> pattern_;
  const std::string content_;
};

class CharsmapNormalizer : public Normalizer {
 public:
  explicit CharsmapNormalizer(Charsmap map) : map_(std::move(map)) {}
  Result<bool> Apply(const TextView& in, TextBuffer& out) const override {
    return map_.Apply(in, out);
  }

 private:
  const Charsmap map_;
};

class ByteLevelNormalizer : public Normalizer {
 public:
  Result<bool> Apply(const TextView& in, TextBuffer& out) const override {
    out.Clear();
    AppendByteChars(in, out);
    return true;
  }
};

using Made = Result<std::unique_ptr<const Normalizer>>;

Made MakeBert(const Fields& fields) {
  BertOptions options;
  ASSIGN_OR_RETURN(options.clean_text, fields.Bool("clean_text", true));
  ASSIGN_OR_RETURN(options.chinese_chars, fields.Bool("handle_chinese_chars", true));
  ASSIGN_OR_RETURN(options.lowercase, fields.Bool("lowercase", true));
  // null means "as lowercase".
  ASSIGN_OR_RETURN(options.strip_accents, fields.Bool("strip_accents", options.lowercase));
  return MakeBertNormalizer(options);
}

Made MakeStrip(const Fields& fields) {
  ASSIGN_OR_RETURN(const bool left, fields.Bool("strip_left", true));
  ASSIGN_OR_RETURN(const bool right, fields.Bool("strip_right", true));
  return std::make_unique<StripNormalizer>(left, right);
}

Made MakeReplace(const Fields& fields) {
  ASSIGN_OR_RETURN(auto pattern, ParsePattern(fields, "pattern"));
  ASSIGN_OR_RETURN(std::string content, fields.String("content", std::nullopt));
  return std::make_unique<ReplaceNormalizer>(std::move(pattern), std::move(content));
}

Made MakeCharsmap(const Fields& fields) {
  ASSIGN_OR_RETURN(const std::string encoded, fields.String("precompiled_charsmap", std::nullopt));
  Result<Charsmap> map = Charsmap::Parse(encoded);
  if (!map) return tl::unexpected(At(fields.At("precompiled_charsmap"), map.error()));
  return std::make_unique<CharsmapNormalizer>(*std::move(map));
}

constexpr std::array<std::string_view, 14> kTypes = {
    "Sequence",     "BertNormalizer", "NFC",     "NFD",     "NFKC",        "NFKD", "Lowercase",
    "StripAccents", "Strip",          "Replace", "Prepend", "Precompiled", "Nmt",  "ByteLevel"};

Made MakeStep(std::size_t type, const Fields& fields) {
  const std::string_view name = kTypes[type];
  if (name == "BertNormalizer") return MakeBert(fields);
  if (name == "NFC") return std::make_unique<FormNormalizer>(UnicodeForm::kNfc);
  if (name == "NFD") return std::make_unique<FormNormalizer>(UnicodeForm::kNfd);
  if (name == "NFKC") return std::make_unique<FormNormalizer>(UnicodeForm::kNfkc);
  if (name == "NFKD") return std::make_unique<FormNormalizer>(UnicodeForm::kNfkd);
  if (name == "Lowercase") return std::make_unique<LowercaseNormalizer>();
  if (name == "StripAccents") return std::make_unique<StripAccentsNormalizer>();
  if (name == "Strip") return MakeStrip(fields);
  if (name == "Replace") return MakeReplace(fields);
  if (name == "Prepend") {
    ASSIGN_OR_RETURN(std::string prefix, fields.String("prepend", std::nullopt));
    return std::make_unique<PrependNormalizer>(std::move(prefix));
  }
  if (name == "Precompiled") return MakeCharsmap(fields);
  if (name == "Nmt") return std::make_unique<NmtNormalizer>();
  return std::make_unique<ByteLevelNormalizer>();
}

// Sequences may stand inside sequences; the depth of the JSON is bounded.
Result<> AddSteps(const nlohmann::json& spec, const std::string& where, NormalizerChain& chain) {
  const Fields fields(spec, where);
  RETURN_IF_ERROR(fields.Check());
  ASSIGN_OR_RETURN(const std::size_t type, fields.OneOf("type", kTypes, std::nullopt));
  if (kTypes[type] != "Sequence") {
    ASSIGN_OR_RETURN(auto step, MakeStep(type, fields));
    chain.Add(std::move(step));
    return {};
  }
  ASSIGN_OR_RETURN(const nlohmann::json* list, fields.List("normalizers"));
  for (std::size_t i = 0; i < list->size(); ++i) {
    RETURN_IF_ERROR(
        AddSteps((*list)[i], fmt::format("{}[{}]", fields.At("normalizers"), i), chain));
  }
  return {};
}

}  // namespace

Result<NormalizerChain> NormalizerChain::Parse(const nlohmann::json& spec,
                                               const std::string& where) {
  NormalizerChain chain;
  if (!spec.is_null()) RETURN_IF_ERROR(AddSteps(spec, where, chain));
  return chain;
}

Result<TextView> NormalizerChain::Apply(const TextView& in, TextBuffer (&buffers)[2]) const {
  TextView view = in;
  std::size_t target = 0;
  for (const auto& step : steps_) {
    ASSIGN_OR_RETURN(const bool changed, step->Apply(view, buffers[target]));
    if (!changed) continue;
    view = buffers[target].View(in);
    target = 1 - target;
  }
  return view;
}

}  // namespace garrison::tokenizers
