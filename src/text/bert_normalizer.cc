// BERT's normaliser: clean, put spaces around Chinese characters, drop accents, lower.
//
// Without ranges all of it happens in one pass. With ranges each step runs on its own, because the
// reference library's ranges come out of its steps one by one.
#include <algorithm>
#include <array>

#include "text/normalizer.h"
#include "text/unicode_forms.h"
#include "text/unicode_tables.h"

namespace garrison::tokenizers {
namespace {

class BertNormalizer : public Normalizer {
 public:
  explicit BertNormalizer(const BertOptions& options) : options_(options) {
    for (std::uint32_t c = 0; c < ascii_.size(); ++c) {
      char to = static_cast<char>(c);
      if (options.clean_text && Is(c, kBertRemoved)) {
        ascii_[c] = kDropped;
        continue;
      }
      if (options.clean_text && Is(c, kBertSpace)) to = ' ';
      if (options.lowercase && to >= 'A' && to <= 'Z') to = static_cast<char>(to - 'A' + 'a');
      ascii_[c] = static_cast<std::uint8_t>(to);
    }
    if (options.clean_text) touched_ |= kBertRemoved | kBertSpace;
    if (options.chinese_chars) touched_ |= kChinese;
    if (options.strip_accents) touched_ |= kDecomposes | kAccent;
    if (options.lowercase) touched_ |= kLowers;
  }

  Result<bool> Apply(const TextView& in, TextBuffer& out) const override {
    if (in.ranges == nullptr) {
      OnePass(in.text, out);
    } else {
      StepByStep(in, out);
    }
    return true;
  }

 private:
  static constexpr std::uint8_t kDropped = 0xFF;

  void OnePass(std::string_view text, TextBuffer& out) const {
    out.Clear();
    out.text.reserve(text.size() + text.size() / 4);
    std::vector<FormChar> marks;  // in disorder, not yet written
    for (std::size_t i = 0; i < text.size();) {
      if (const std::size_t run = AsciiRun(text, i); run > 0) {
        WriteMarks(marks, out.text);
        WriteAscii(text.substr(i, run), out.text);
        i += run;
        continue;
      }
      const Decoded c = DecodeAt(text, i);
      if (!Is(c.code_point, touched_)) {
        WriteMarks(marks, out.text);
        out.text.append(text, i, c.bytes);
      } else {
        WriteChar(c.code_point, marks, out.text);
      }
      i += c.bytes;
    }
    WriteMarks(marks, out.text);
  }

  void WriteAscii(std::string_view run, std::string& out) const {
    const std::size_t size = out.size();
    out.resize(size + run.size());
    char* to = out.data() + size;
    for (const char c : run) {
      const std::uint8_t mapped = ascii_[static_cast<unsigned char>(c)];
      *to = static_cast<char>(mapped);
      to += mapped == kDropped ? 0 : 1;
    }
    out.resize(static_cast<std::size_t>(to - out.data()));
  }

  void WriteChar(std::uint32_t c, std::vector<FormChar>& marks, std::string& out) const {
    const unsigned flags = CharFlags(c) & touched_;
    if ((flags & kBertRemoved) != 0) return;
    if ((flags & kBertSpace) != 0) {
      WriteMarks(marks, out);
      out.push_back(' ');
      return;
    }
    const bool chinese = (flags & kChinese) != 0;
    if (chinese) {
      WriteMarks(marks, out);
      out.push_back(' ');
    }
    if ((flags & kDecomposes) != 0) {
      WriteDecomposed(c, marks, out);
    } else if ((flags & kAccent) == 0) {
      WriteMarks(marks, out);
      WriteLower(c, out);
    }
    if (chinese) {
      WriteMarks(marks, out);
      out.push_back(' ');
    }
  }

  // Accents go; marks that are no accents wait for their order.
  void WriteDecomposed(std::uint32_t c, std::vector<FormChar>& marks, std::string& out) const {
    const auto put = [&](std::uint32_t part) {
      if (!Is(part, kAccent | kCombines)) {
        WriteMarks(marks, out);
        WriteLower(part, out);
      } else if (!Is(part, kAccent)) {
        marks.push_back({part, CombiningClass(part), 0});
      }
    };
    if (IsHangulSyllable(c)) {
      std::vector<FormChar> jamo;
      Decompose(c, false, jamo);
      for (const FormChar& part : jamo) put(part.code_point);
      return;
    }
    const auto parts = Canonical(c);
    if (parts.empty()) return put(c);
    for (const std::uint32_t part : parts) put(part);
  }

  void WriteMarks(std::vector<FormChar>& marks, std::string& out) const {
    if (marks.empty()) return;
    std::stable_sort(marks.begin(), marks.end(), [](const FormChar& a, const FormChar& b) {
      return a.combining_class < b.combining_class;
    });
    for (const FormChar& mark : marks) WriteLower(mark.code_point, out);
    marks.clear();
  }

  void WriteLower(std::uint32_t c, std::string& out) const {
    if (!options_.lowercase || !Is(c, kLowers)) return AppendChar(out, c);
    for (const std::uint32_t lower : Lower(c)) AppendChar(out, lower);
  }

  void StepByStep(const TextView& in, TextBuffer& out) const {
    TextBuffer spare;
    TextView view = in;
    const auto next = [&](TextBuffer& from) {
      std::swap(from, spare);
      view = spare.View(in);
    };
    if (options_.clean_text) {
      Clean(view, out);
      next(out);
    }
    if (options_.chinese_chars) {
      SpaceChinese(view, out);
      next(out);
    }
    if (options_.strip_accents) {
      if (ApplyForm(UnicodeForm::kNfd, view, out)) next(out);
      DropAccents(view, out);
      next(out);
    }
    LowerAll(view, out);
  }

  template <typename Put>
  static void ForEachChar(std::string_view text, const Put& put) {
    for (std::size_t i = 0; i < text.size();) {
      const Decoded c = DecodeAt(text, i);
      put(c.code_point);
      i += c.bytes;
    }
  }

  static void Clean(const TextView& in, TextBuffer& out) {
    Rewriter writer(in, out);
    ForEachChar(in.text, [&](std::uint32_t c) {
      const unsigned flags = CharFlags(c);
      if ((flags & kBertRemoved) != 0) return writer.Skip(1);
      writer.Replace((flags & kBertSpace) != 0 ? ' ' : c);
    });
  }
  static void SpaceChinese(const TextView& in, TextBuffer& out) {
    Rewriter writer(in, out);
    ForEachChar(in.text, [&](std::uint32_t c) {
      if (!Is(c, kChinese)) return writer.Put(c, 0);
      writer.Put(' ', 0);
      writer.Put(c, 1);
      writer.Put(' ', 1);
    });
  }
  static void DropAccents(const TextView& in, TextBuffer& out) {
    Rewriter writer(in, out);
    ForEachChar(in.text, [&](std::uint32_t c) {
      if (Is(c, kAccent)) return writer.Skip(1);
      writer.Put(c, 0);
    });
  }
  void LowerAll(const TextView& in, TextBuffer& out) const {
    Rewriter writer(in, out);
    if (!options_.lowercase) return writer.Copy(in.text);
    ForEachChar(in.text, [&](std::uint32_t c) {
      if (!Is(c, kLowers)) return writer.Put(c, 0);
      int change = 0;
      for (const std::uint32_t lower : Lower(c)) {
        writer.Put(lower, change);
        change = 1;
      }
    });
  }

  const BertOptions options_;
  std::array<std::uint8_t, 128> ascii_{};
  unsigned touched_ = 0;
};

}  // namespace

std::unique_ptr<const Normalizer> MakeBertNormalizer(const BertOptions& options) {
  return std::make_unique<BertNormalizer>(options);
}

}  // namespace garrison::tokenizers
