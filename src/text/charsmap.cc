#include "text/charsmap.h"

#include <algorithm>
#include <cstring>

#include "base/base64.h"
#include "text/fold.h"
#include "text/graphemes.h"

namespace garrison::tokenizers {
namespace {

// Clusters of so many bytes or more are not looked up as a whole.
constexpr std::size_t kClusterBytes = 6;
// The longest real one has 33.
constexpr std::size_t kValueBytesMax = 64;

std::uint32_t ReadU32(std::string_view bytes, std::size_t at) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < 4; ++i) {
    value |= std::uint32_t{static_cast<unsigned char>(bytes[at + i])} << (8 * i);
  }
  return value;
}

// Units of the trie (Darts-clone's format).
bool HasLeaf(std::uint32_t unit) { return ((unit >> 8) & 1) != 0; }
std::uint32_t Value(std::uint32_t unit) { return unit & 0x7FFFFFFFU; }
std::uint32_t Label(std::uint32_t unit) { return unit & 0x800000FFU; }
std::uint32_t Offset(std::uint32_t unit) { return (unit >> 10) << ((unit & 0x200U) >> 6); }

// Keeps the last change back, because what is deleted next counts towards it.
class ChangeWriter {
 public:
  ChangeWriter(const TextView& in, TextBuffer& out) : writer_(in, out) {}
  ~ChangeWriter() { Flush(); }
  ChangeWriter(const ChangeWriter&) = delete;
  ChangeWriter& operator=(const ChangeWriter&) = delete;

  void Keep(std::string_view run) {
    if (behind_) {
      for (std::size_t i = 0; i < run.size(); i += CharBytes(run[i])) {
        Hold(DecodeAt(run, i).code_point, 0);
      }
      return;
    }
    Flush();
    std::size_t last = run.size() - 1;
    while (IsTail(run[last])) --last;
    writer_.Copy(run.substr(0, last));
    Hold(DecodeAt(run, last).code_point, 0);
  }

  void Replace(std::string_view old_part, std::string_view new_part) {
    const auto old_count = static_cast<int>(CountChars(old_part));
    const auto new_count = static_cast<int>(CountChars(new_part));
    int index = 0;
    for (std::size_t i = 0; i < new_part.size(); ++index) {
      const Decoded c = DecodeAt(new_part, i);
      Hold(c.code_point, index >= new_count - std::max(0, new_count - old_count) ? 1 : 0);
      i += c.bytes;
    }
    if (new_count >= old_count) return;
    // At the very start there is nothing that could take the deletion: the reference library
    // forgets it, and so every range after it is off. So are ours.
    if (holds_) {
      change_ += new_count - old_count;
    } else {
      behind_ = true;
    }
  }

 private:
  void Hold(std::uint32_t c, int change) {
    Flush();
    held_ = c;
    change_ = change;
    holds_ = true;
  }
  void Flush() {
    if (holds_) writer_.Put(held_, change_);
    holds_ = false;
  }

  Rewriter writer_;
  std::uint32_t held_ = 0;
  int change_ = 0;
  bool holds_ = false;
  bool behind_ = false;  // the writer is not where the text is
};

}  // namespace

Result<Charsmap> Charsmap::Parse(std::string_view encoded) {
  const std::optional<std::string> bytes = DecodeBase64(encoded);
  if (!bytes) return Fail(Code::kInvalidArgument, "expected base64");
  if (bytes->size() < 4) {
    return Fail(Code::kInvalidArgument, "expected a character map, got {} bytes", bytes->size());
  }
  const std::uint32_t trie_bytes = ReadU32(*bytes, 0);
  if (trie_bytes == 0 || trie_bytes % 4 != 0 || trie_bytes > bytes->size() - 4) {
    return Fail(Code::kInvalidArgument,
                "expected a character map; its trie says {} bytes, and {} follow", trie_bytes,
                bytes->size() - 4);
  }
  Charsmap map;
  map.units_.resize(trie_bytes / 4);
  for (std::size_t i = 0; i < map.units_.size(); ++i) map.units_[i] = ReadU32(*bytes, 4 + 4 * i);
  map.values_ = bytes->substr(4 + trie_bytes);
  // A value without an end must not be read beyond the end.
  map.values_.push_back('\0');
  for (std::size_t at = 0; at < map.values_.size(); at = map.values_.find('\0', at) + 1) {
    if (map.values_.find('\0', at) - at > kValueBytesMax) {
      return Fail(Code::kInvalidArgument,
                  "expected replacements of at most {} bytes in the character map", kValueBytesMax);
    }
  }
  Result<> utf8 = CheckUtf8(map.values_);
  if (!utf8) {
    return Fail(Code::kInvalidArgument, "the replacements of the character map are not UTF-8");
  }
  for (std::size_t c = 0; c < map.kept_ascii_.size(); ++c) {
    const char byte = static_cast<char>(c);
    map.kept_ascii_[c] = !map.Find({&byte, 1});
  }
  return map;
}

std::optional<std::string_view> Charsmap::Find(std::string_view key) const {
  std::uint32_t at = Offset(units_[0]);
  for (const char c : key) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte == 0) return std::nullopt;
    at ^= byte;
    if (at >= units_.size() || Label(units_[at]) != byte) return std::nullopt;
    const std::uint32_t unit = units_[at];
    at ^= Offset(unit);
    if (!HasLeaf(unit)) continue;
    if (at >= units_.size() || Value(units_[at]) >= values_.size()) return std::nullopt;
    std::size_t start = Value(units_[at]);
    // A hostile map may point into the middle of a character.
    while (IsTail(values_[start])) ++start;
    return std::string_view(values_.data() + start);
  }
  return std::nullopt;
}

// Bytes from `at` on that are ASCII, stay as they are, and are clusters of their own: the character
// after the run is ASCII too, or the end.
std::size_t Charsmap::PlainRun(std::string_view text, std::size_t at) const {
  std::size_t end = at;
  while (end < text.size() && IsAscii(text[end]) &&
         kept_ascii_[static_cast<unsigned char>(text[end])]) {
    ++end;
  }
  if (end > at && end < text.size() && !IsAscii(text[end])) --end;
  return end - at;
}

bool Charsmap::Apply(const TextView& in, TextBuffer& out) const {
  ChangeWriter writer(in, out);
  bool changed = false;
  const std::string_view text = in.text;
  for (std::size_t i = 0; i < text.size();) {
    if (const std::size_t run = PlainRun(text, i); run > 0) {
      writer.Keep(text.substr(i, run));
      i += run;
      continue;
    }
    const std::size_t end = ClusterEnd(text, i);
    const std::string_view cluster = text.substr(i, end - i);
    if (cluster.size() < kClusterBytes) {
      if (const auto found = Find(cluster)) {
        writer.Replace(cluster, *found);
        changed = true;
        i = end;
        continue;
      }
    }
    while (i < end) {
      const std::string_view part = text.substr(i, CharBytes(text[i]));
      if (const auto found = Find(part)) {
        writer.Replace(part, *found);
        changed = true;
      } else {
        writer.Keep(part);
      }
      i += part.size();
    }
  }
  return changed;
}

}  // namespace garrison::tokenizers
