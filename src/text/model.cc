#include "text/model.h"

#include "text/byte_chars.h"
#include "text/unicode_tables.h"

namespace garrison::tokenizers {
namespace {

// White space as the reference library trims it off ranges: also a space of GPT-2's alphabet.
bool IsMargin(std::uint32_t c) { return c == kByteChars[' '] || Is(c, kSpace); }

TextRange MarginsOf(std::string_view text) {
  TextRange margins;
  for (std::size_t i = 0; i < text.size(); ++margins.start) {
    const Decoded c = DecodeAt(text, i);
    if (!IsMargin(c.code_point)) break;
    i += c.bytes;
  }
  for (std::size_t end = text.size(); end > 0; ++margins.end) {
    const Decoded c = DecodeBefore(text, end);
    if (!IsMargin(c.code_point)) break;
    end -= c.bytes;
  }
  return margins;
}

}  // namespace

void TokenSink::AddDetails(std::int32_t id, std::size_t begin, std::size_t end, bool raw) {
  TextRange range;
  if (view_.ranges != nullptr && end > begin) {
    range = {view_.ranges[begin].start, view_.ranges[end - 1].end};
  } else {
    range = {view_.base, view_.base};
  }
  out_.ranges.push_back(range);
  out_.words.push_back(word_);
  const auto text = raw ? view_.text.substr(begin, end - begin) : vocabulary_.TokenOf(id);
  if (margins_) out_.margins.push_back(MarginsOf(text));
  if (detail_ == Detail::kTexts) out_.texts.emplace_back(text);
}

std::string ByteToken(unsigned char byte) { return fmt::format("<0x{:02X}>", byte); }

}  // namespace garrison::tokenizers
