#include "text/fold.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "base/check.h"

namespace garrison {
namespace {

bool IsAscii(char c) { return static_cast<unsigned char>(c) < 0x80; }
bool IsAsciiSpace(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
bool IsContinuation(char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; }

// Bytes of the well-formed sequence at the start of `text`, 0 if there is none (Unicode, table
// 3-7).
std::size_t SequenceLength(std::string_view text) {
  const auto byte = [&](std::size_t i) -> unsigned {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U;
  };
  const auto tail = [&](std::size_t i) { return (byte(i) & 0xC0U) == 0x80U; };
  const unsigned lead = byte(0);
  if (lead < 0x80) return 1;
  if (lead < 0xC2 || lead > 0xF4) return 0;
  if (lead < 0xE0) return tail(1) ? 2 : 0;
  const unsigned low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
  const unsigned high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
  if (byte(1) < low || byte(1) > high || !tail(2)) return 0;
  if (lead < 0xF0) return 3;
  return tail(3) ? 4 : 0;
}

struct Range {
  std::int32_t first, last;
};

// Blocks of scripts written without spaces whose code points are words or nearly so.
constexpr std::array kIdeographicRanges = {
    Range{0x2E80, 0x2FDF}, Range{0x3005, 0x3007},   Range{0x3021, 0x3029},   Range{0x3038, 0x303B},
    Range{0x3040, 0x30FF}, Range{0x31F0, 0x31FF},   Range{0x3400, 0x4DBF},   Range{0x4E00, 0x9FFF},
    Range{0xF900, 0xFAFF}, Range{0x1B000, 0x1B16F}, Range{0x20000, 0x3FFFF},
};

bool IsIdeographic(std::int32_t code_point) {
  return std::any_of(kIdeographicRanges.begin(), kIdeographicRanges.end(), [&](const Range& range) {
    return code_point >= range.first && code_point <= range.last;
  });
}

bool IsAsciiAlphanumeric(std::int32_t c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z');
}

constexpr auto kFoldOptions = static_cast<utf8proc_option_t>(
    UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT | UTF8PROC_CASEFOLD | UTF8PROC_IGNORE);

}  // namespace

Result<> CheckUtf8(std::string_view text) {
  std::size_t i = 0;
  while (i < text.size()) {
    std::uint64_t eight = 0;
    if (text.size() - i >= sizeof(eight)) {
      std::memcpy(&eight, text.data() + i, sizeof(eight));
      if ((eight & 0x8080808080808080U) == 0) {
        i += sizeof(eight);
        continue;
      }
    }
    const std::size_t length = SequenceLength(text.substr(i, 4));
    if (length == 0) {
      return Fail(
          Code::kInvalidArgument,
          "the text is not UTF-8: byte {} (0x{:02x}) starts no well-formed character; send UTF-8",
          i, static_cast<unsigned char>(text[i]));
    }
    i += length;
  }
  return {};
}

CharKind KindOf(std::int32_t code_point) {
  if (code_point < 0x80) {
    return IsAsciiAlphanumeric(code_point) ? CharKind::kWord : CharKind::kSeparator;
  }
  switch (utf8proc_category(code_point)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO:
      return IsIdeographic(code_point) ? CharKind::kIdeographic : CharKind::kWord;
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
      return CharKind::kWord;
    case UTF8PROC_CATEGORY_SO:
      return CharKind::kSymbol;
    default:
      return CharKind::kSeparator;
  }
}

void TextFolder::Start(std::string_view text) { text_ = text; }

std::span<const std::int32_t> TextFolder::Next() {
  // The text always continues at the start of a run or at a piece of one: what is folded here
  // depends on the run alone, not on where earlier calls stopped.
  while (!text_.empty()) {
    const std::string_view window = text_.substr(0, kRunCodePoints);
    const auto* const other = std::find_if_not(window.begin(), window.end(), IsAscii);
    const std::size_t ascii = static_cast<std::size_t>(other - window.begin());
    std::size_t bytes = ascii;
    if (ascii < text_.size()) {  // the rest of the run may combine with what follows
      while (bytes > 0 && !IsAsciiSpace(window[bytes - 1])) --bytes;
      if (bytes == 0 && ascii == kRunCodePoints) bytes = ascii;
    }
    const auto folded = bytes > 0 ? FoldAscii(bytes) : FoldRun();
    if (!folded.empty()) return folded;
  }
  return {};
}

std::span<const std::int32_t> TextFolder::FoldAscii(std::size_t bytes) {
  if (buffer_.size() < bytes) buffer_.resize(std::max(bytes, kRunCodePoints));
  std::transform(text_.begin(), text_.begin() + static_cast<std::ptrdiff_t>(bytes), buffer_.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c; });
  text_.remove_prefix(bytes);
  return {buffer_.data(), bytes};
}

std::span<const std::int32_t> TextFolder::FoldRun() {
  std::size_t bytes = 0;
  for (std::size_t count = 0; bytes < text_.size() && !IsAsciiSpace(text_[bytes]); ++bytes) {
    if (!IsContinuation(text_[bytes]) && count++ == kRunCodePoints) break;
  }
  const auto* const source = reinterpret_cast<const utf8proc_uint8_t*>(text_.data());
  const auto decompose = [&] {
    return utf8proc_decompose(source, static_cast<utf8proc_ssize_t>(bytes), buffer_.data(),
                              static_cast<utf8proc_ssize_t>(buffer_.size()), kFoldOptions);
  };
  if (buffer_.size() < bytes) buffer_.resize(std::max(bytes, kRunCodePoints));
  utf8proc_ssize_t size = decompose();
  if (size > static_cast<utf8proc_ssize_t>(buffer_.size())) {
    buffer_.resize(static_cast<std::size_t>(size));
    size = decompose();
  }
  CHECK(size >= 0);  // the only error left for checked UTF-8 is a length of 2^63
  size = utf8proc_normalize_utf32(buffer_.data(), size, kFoldOptions);
  CHECK(size >= 0);
  text_.remove_prefix(bytes);
  return {buffer_.data(), static_cast<std::size_t>(size)};
}

}  // namespace garrison
