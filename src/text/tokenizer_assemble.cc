// From pieces to what a model reads: truncation, the template, padding.
#include <algorithm>
#include <utility>

#include "text/tokenizer.h"
#include "text/tokenizer_parts.h"

namespace garrison {
namespace {

using tokenizers::PostProcessor;
using tokenizers::TemplateItem;

constexpr std::size_t kWindowsMax = 65'536;

// [begin, end) of the tokens of one text.
struct Window {
  std::size_t begin = 0;
  std::size_t end = 0;
};

// The window that stays, and behind it those that overflow.
using Windows = std::vector<Window>;

tl::unexpected<Error> Refuse(std::string_view message) {
  return FailAt("truncation", Code::kInvalidArgument, "Truncation error: {}", message);
}

// Cuts `size` tokens into windows of `keep`, each beginning with the last `stride` of the one
// before (of the one after, for the left side).
Result<Windows> Cut(std::size_t size, std::size_t keep, const Truncation& truncation) {
  if (keep >= size) return Windows{{0, size}};
  const bool left = truncation.side == Truncation::Side::kLeft;
  if (!truncation.overflow) {
    return Windows{left ? Window{size - keep, size} : Window{0, keep}};
  }
  if (keep == 0) return Windows{{0, 0}, {0, size}};
  if (truncation.stride >= keep) {
    return Refuse(
        fmt::format("the stride {} must be less than the {} tokens that are left of a "
                    "text",
                    truncation.stride, keep));
  }
  const std::size_t step = keep - truncation.stride;
  if (size / step > kWindowsMax) {
    return FailAt("truncation", Code::kResourceExhausted,
                  "the overflow would have more than {} windows; use a smaller stride or none",
                  kWindowsMax);
  }
  Windows windows;
  for (std::size_t done = 0;; done += step) {
    const std::size_t reach = std::min(done + keep, size);
    windows.push_back(left ? Window{size - reach, size - done} : Window{done, reach});
    if (reach == size) return windows;
  }
}

struct Lengths {
  std::size_t first = 0;
  std::size_t second = 0;
};

// The reference library's rule for the longest first; it is not "one token at a time".
Lengths LongestFirst(Lengths lengths, std::size_t most) {
  std::size_t shorter = lengths.first;
  std::size_t longer = lengths.second;
  const bool swapped = shorter > longer;
  if (swapped) std::swap(shorter, longer);
  longer = shorter > most ? shorter : std::max(shorter, most - shorter);
  if (shorter + longer > most) {
    shorter = most / 2;
    longer = shorter + most % 2;
  }
  if (swapped) std::swap(shorter, longer);
  return {shorter, longer};
}

Result<Lengths> Truncate(Lengths lengths, bool pair, std::size_t most,
                         const Truncation& truncation) {
  const std::size_t total = lengths.first + lengths.second;
  if (total <= most) return lengths;
  if (most == 0) return Lengths{0, 0};
  const std::size_t excess = total - most;
  switch (truncation.strategy) {
    case Truncation::Strategy::kLongestFirst:
      if (pair) return LongestFirst(lengths, most);
      return Lengths{most, 0};
    case Truncation::Strategy::kOnlySecond:
      if (!pair) return Refuse("Second sequence not provided");
      break;
    case Truncation::Strategy::kOnlyFirst:
      break;
  }
  const bool second = truncation.strategy == Truncation::Strategy::kOnlySecond;
  std::size_t& target = second ? lengths.second : lengths.first;
  if (target <= excess) {
    return Refuse("Sequence to truncate too short to respect the provided max_length");
  }
  target -= excess;
  return lengths;
}

// Writes one sequence after the other into an encoding.
class Builder {
 public:
  Builder(const Tokenizer& tokenizer, const PostProcessor& post, bool add_special_tokens,
          bool ranges, bool texts)
      : tokenizer_(tokenizer),
        post_(post),
        add_special_tokens_(add_special_tokens),
        ranges_(ranges),
        texts_(texts) {}

  void Build(const Pieces& first, const Window& first_window, const Pieces* second,
             const Window& second_window, Encoding& out) const {
    Clear(out);
    for (const TemplateItem& item : second == nullptr ? post_.single : post_.pair) {
      switch (item.kind) {
        case TemplateItem::Kind::kFirst:
          Append(first, first_window, item.type_id, out);
          break;
        case TemplateItem::Kind::kSecond:
          Append(*second, second_window, item.type_id, out);
          break;
        case TemplateItem::Kind::kSpecial:
          if (add_special_tokens_) AppendSpecial(item, out);
      }
    }
    out.attention.assign(out.ids.size(), 1);
  }

 private:
  static void Clear(Encoding& out) {
    out.ids.clear();
    out.type_ids.clear();
    out.special.clear();
    out.ranges.clear();
    out.words.clear();
    out.texts.clear();
    out.overflow.clear();
  }

  template <typename T>
  static void Copy(const std::vector<T>& from, const Window& window, std::vector<T>& to) {
    to.insert(to.end(), from.begin() + static_cast<std::ptrdiff_t>(window.begin),
              from.begin() + static_cast<std::ptrdiff_t>(window.end));
  }

  void Append(const Pieces& pieces, const Window& window, std::int32_t type_id,
              Encoding& out) const {
    const std::size_t begin = out.ids.size();
    Copy(pieces.ids, window, out.ids);
    out.type_ids.resize(out.ids.size(), type_id);
    out.special.resize(out.ids.size(), 0);
    if (texts_) Copy(pieces.texts, window, out.texts);
    if (!ranges_) return;
    Copy(pieces.ranges, window, out.ranges);
    Copy(pieces.words, window, out.words);
    if (!post_.trims_ranges) return;
    for (std::size_t i = begin; i < out.ids.size(); ++i) {
      Trim(pieces.margins[window.begin + i - begin], i == begin, out.ranges[i]);
    }
  }

  void Trim(TextRange margins, bool first, TextRange& range) const {
    if (margins.start > 0) {
      if (post_.first_space_added && (first || range.start == 0)) --margins.start;
      range.start = std::min(range.start + margins.start, range.end);
    }
    if (margins.end > 0 && range.end >= margins.end) {
      range.end = std::max(range.end - margins.end, range.start);
    }
  }

  void AppendSpecial(const TemplateItem& item, Encoding& out) const {
    out.ids.insert(out.ids.end(), item.ids.begin(), item.ids.end());
    out.type_ids.resize(out.ids.size(), item.type_id);
    out.special.resize(out.ids.size(), 1);
    if (ranges_) {
      out.ranges.resize(out.ids.size());
      out.words.resize(out.ids.size(), -1);
    }
    if (!texts_) return;
    for (const std::int32_t id : item.ids) out.texts.emplace_back(tokenizer_.TokenOf(id));
  }

  const Tokenizer& tokenizer_;
  const PostProcessor& post_;
  const bool add_special_tokens_, ranges_, texts_;
};

template <typename T>
void PadList(std::vector<T>& list, std::size_t length, bool left, const T& value) {
  list.insert(left ? list.begin() : list.end(), length - list.size(), value);
}

void PadOne(const Padding& padding, std::size_t length, Encoding& encoding) {
  for (Encoding& window : encoding.overflow) PadOne(padding, length, window);
  if (encoding.ids.size() >= length) return;
  const bool left = padding.side == Truncation::Side::kLeft;
  if (!encoding.ranges.empty() || encoding.ids.empty()) {
    PadList(encoding.ranges, length, left, TextRange{});
    PadList(encoding.words, length, left, -1);
  }
  if (!encoding.texts.empty() || encoding.ids.empty()) {
    PadList(encoding.texts, length, left, padding.token);
  }
  PadList(encoding.ids, length, left, padding.id);
  PadList(encoding.type_ids, length, left, padding.type_id);
  PadList(encoding.special, length, left, std::uint8_t{1});
  PadList(encoding.attention, length, left, std::uint8_t{0});
}

}  // namespace

Result<> Tokenizer::Assemble(const Pieces& first, const Pieces* second, bool add_special_tokens,
                             const std::optional<Truncation>& truncation, Encoding& out) const {
  Lengths sizes{first.ids.size(), second == nullptr ? 0 : second->ids.size()};
  Windows first_windows{{0, sizes.first}};
  Windows second_windows{{0, sizes.second}};
  if (truncation) {
    const std::size_t specials = add_special_tokens ? SpecialTokens(second != nullptr) : 0;
    if (truncation->max_length < specials) {
      return FailAt("truncation", Code::kInvalidArgument,
                    "expected a max_length of at least {}, which the special tokens need, got {}",
                    specials, truncation->max_length);
    }
    ASSIGN_OR_RETURN(const Lengths kept, Truncate(sizes, second != nullptr,
                                                  truncation->max_length - specials, *truncation));
    ASSIGN_OR_RETURN(first_windows, Cut(sizes.first, kept.first, *truncation));
    ASSIGN_OR_RETURN(second_windows, Cut(sizes.second, kept.second, *truncation));
    if (first_windows.size() * second_windows.size() > kWindowsMax) {
      return FailAt("truncation", Code::kResourceExhausted,
                    "the overflow of the pair would have {} windows; at most {} are made",
                    first_windows.size() * second_windows.size(), kWindowsMax);
    }
  }
  const auto has = [&](const auto& list) {
    return list(first) == first.ids.size() &&
           (second == nullptr || list(*second) == second->ids.size());
  };
  const bool ranges = has([](const Pieces& pieces) { return pieces.ranges.size(); });
  const bool texts = has([](const Pieces& pieces) { return pieces.texts.size(); });
  const Builder builder(*this, parts_->post, add_special_tokens, ranges, texts);
  builder.Build(first, first_windows[0], second, second_windows[0], out);
  // The reference library's order: every overflowing window of the first text with all of the
  // second, and last what stays of the first with those of the second.
  const auto add = [&](const Window& a, const Window& b) {
    builder.Build(first, a, second, b, out.overflow.emplace_back());
  };
  out.overflow.reserve(first_windows.size() * second_windows.size() - 1);
  for (std::size_t i = 1; i < first_windows.size(); ++i) {
    for (const Window& window : second_windows) add(first_windows[i], window);
  }
  for (std::size_t i = 1; i < second_windows.size(); ++i) add(first_windows[0], second_windows[i]);
  return {};
}

void Tokenizer::Pad(const Padding& padding, std::span<Encoding> batch) const {
  std::size_t length = 0;
  if (padding.fixed) {
    length = *padding.fixed;
  } else {
    for (const Encoding& encoding : batch) length = std::max(length, encoding.ids.size());
  }
  if (padding.multiple_of > 0 && length % padding.multiple_of != 0) {
    length += padding.multiple_of - length % padding.multiple_of;
  }
  for (Encoding& encoding : batch) PadOne(padding, length, encoding);
}

}  // namespace garrison
