#include "engine/lexical_table.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/hash.h"
#include "text/fold.h"

namespace garrison {
namespace {

static_assert(std::endian::native == std::endian::little, "the table is read in place");

constexpr std::string_view kMagic("GRNLEX1\0", 8);
constexpr std::uint32_t kVersion = 1;
constexpr std::size_t kDigestBytes = 32;
constexpr std::uint32_t kMaxEntries = 1U << 20;  // of words and of pieces

// The finaliser of splitmix64.
std::uint64_t Mix(std::uint64_t x) {
  x += 0x9E3779B97F4A7C15U;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9U;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBU;
  return x ^ (x >> 31);
}

std::uint64_t HashWord(std::span<const std::int32_t> word) {
  std::uint64_t hash = word.size();
  for (const std::int32_t c : word) hash = (hash ^ static_cast<std::uint64_t>(c)) * 0x100000001B3U;
  return Mix(hash);
}

bool IsNumber(std::span<const std::int32_t> word) {
  return std::all_of(word.begin(), word.end(), [](std::int32_t c) { return c >= '0' && c <= '9'; });
}

std::uint64_t NumberKey(std::span<const std::int32_t> word) {
  std::uint64_t hash = 0xCBF29CE484222325U;
  for (const std::int32_t c : word) hash = (hash ^ static_cast<std::uint64_t>(c)) * 0x100000001B3U;
  return hash | std::uint64_t{1} << 63;
}

// Slots for `entries` so that at least half of them stay free.
std::size_t SlotCount(std::size_t entries) { return std::bit_ceil(2 * entries + 2); }

template <typename T>
T ReadAt(std::span<const std::byte> bytes, std::size_t offset) {
  T value;
  std::memcpy(&value, bytes.subspan(offset, sizeof(T)).data(), sizeof(T));
  return value;
}

std::string_view AsText(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// `text` is well-formed UTF-8.
std::vector<std::int32_t> DecodeUtf8(std::string_view text) {
  std::vector<std::int32_t> out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte & 0xC0) == 0x80) {
      out.back() = out.back() << 6 | (byte & 0x3F);
    } else {
      out.push_back(byte < 0x80   ? byte
                    : byte < 0xE0 ? byte & 0x1F
                    : byte < 0xF0 ? byte & 0x0F
                                  : byte & 0x07);
    }
  }
  return out;
}

void AddRow(const std::int8_t* row, std::int16_t* __restrict sums) {
  for (std::size_t i = 0; i < LexicalTable::kDims; ++i) {
    sums[i] = static_cast<std::int16_t>(sums[i] + row[i]);
  }
}

// Four at a time: the sums are read and written a quarter as often.
void AddFourRows(const std::int8_t* a, const std::int8_t* b, const std::int8_t* c,
                 const std::int8_t* d, std::int16_t* __restrict sums) {
  for (std::size_t i = 0; i < LexicalTable::kDims; ++i) {
    sums[i] = static_cast<std::int16_t>(sums[i] + a[i] + b[i] + c[i] + d[i]);
  }
}

template <typename... Args>
auto Damaged(fmt::format_string<Args...> format, Args&&... args) {
  return Fail(Code::kDataLoss, "the lexical table is damaged: {}; install Garrison again",
              fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace

struct LexicalTable::Header {
  char magic[8];
  std::uint32_t version;
  std::uint32_t dims;
  std::uint32_t words;
  std::uint32_t grams;
  std::uint32_t word_bytes;
  std::uint32_t unlisted_weight;
  std::uint32_t hashed_scale;
  std::uint8_t reserved[28];
  std::uint8_t digest[kDigestBytes];
};

Result<std::unique_ptr<LexicalTable>> LexicalTable::Load(std::span<const std::byte> table) {
  static_assert(sizeof(Header) == 96);
  if (table.size() < sizeof(Header)) {
    return Damaged("expected at least {} bytes, got {}", sizeof(Header), table.size());
  }
  const auto header = ReadAt<Header>(table, 0);
  if (std::string_view(header.magic, sizeof(header.magic)) != kMagic) {
    return Damaged("it does not start with GRNLEX1");
  }
  if (header.version != kVersion || header.dims != kDims) {
    return Damaged("expected version {} with {} dimensions, got version {} with {}", kVersion,
                   kDims, header.version, header.dims);
  }
  if (header.words > kMaxEntries || header.grams > kMaxEntries) {
    return Damaged("expected at most {} words and pieces, got {} and {}", kMaxEntries, header.words,
                   header.grams);
  }
  const std::size_t key_bytes = header.grams * sizeof(std::uint64_t);
  const std::size_t weight_bytes = header.words * sizeof(std::uint16_t);
  const std::size_t row_bytes = header.grams * kDims;
  const std::size_t size =
      sizeof(Header) + key_bytes + weight_bytes + header.words + header.word_bytes + row_bytes;
  if (table.size() != size) return Damaged("expected {} bytes, got {}", size, table.size());

  auto out = std::unique_ptr<LexicalTable>(new LexicalTable);
  Sha256 hash;
  hash.Update(table.first(sizeof(Header) - kDigestBytes));
  hash.Update(table.subspan(sizeof(Header)));
  out->revision_ = hash.FinishHex();
  std::string expected;
  for (const unsigned byte : header.digest) expected += fmt::format("{:02x}", byte);
  if (out->revision_ != expected) return Damaged("its SHA-256 does not match");
  if (header.hashed_scale < 1 || header.hashed_scale > 127) {
    return Damaged("expected a scale of hashed pieces in 1-127, got {}", header.hashed_scale);
  }
  out->words_ = static_cast<std::int32_t>(header.words);
  out->grams_ = static_cast<std::int32_t>(header.grams);
  auto rest = table.subspan(sizeof(Header));
  const auto take = [&rest](std::size_t bytes) {
    const auto part = rest.first(bytes);
    rest = rest.subspan(bytes);
    return part;
  };
  RETURN_IF_ERROR(out->ReadGrams(take(key_bytes)));
  RETURN_IF_ERROR(out->ReadWeights(take(weight_bytes), header.unlisted_weight));
  const auto lengths = take(header.words);
  RETURN_IF_ERROR(out->ReadWords(lengths, AsText(take(header.word_bytes))));
  out->rows_ = reinterpret_cast<const std::int8_t*>(rest.data());
  out->ReadHashedSigns(static_cast<std::int16_t>(header.hashed_scale));
  return out;
}

Result<> LexicalTable::ReadGrams(std::span<const std::byte> keys) {
  gram_slots_.resize(SlotCount(static_cast<std::size_t>(grams_)));
  const std::size_t mask = gram_slots_.size() - 1;
  std::uint64_t previous = 0;
  for (std::int32_t i = 0; i < grams_; ++i) {
    const auto key =
        ReadAt<std::uint64_t>(keys, static_cast<std::size_t>(i) * sizeof(std::uint64_t));
    if (key <= previous) return Damaged("piece {} is out of order", i);
    previous = key;
    std::size_t slot = Mix(key) & mask;
    while (gram_slots_[slot].key != 0) slot = (slot + 1) & mask;
    gram_slots_[slot] = {key, first_piece() + i};
  }
  return {};
}

Result<> LexicalTable::ReadWeights(std::span<const std::byte> weights, std::uint32_t unlisted) {
  const auto add = [this](std::uint32_t weight) {
    weights_.push_back(static_cast<std::int32_t>(weight));
    return weight >= 1 && weight <= kMaxWeight;
  };
  bool valid = add(unlisted);
  for (std::size_t i = 0; i < weights.size(); i += sizeof(std::uint16_t)) {
    valid = add(ReadAt<std::uint16_t>(weights, i)) && valid;
  }
  if (!valid) return Damaged("expected weights in 1-{}", kMaxWeight);
  return {};
}

Result<> LexicalTable::ReadWords(std::span<const std::byte> lengths, std::string_view text) {
  word_start_.push_back(0);
  pieces_start_.push_back(0);
  std::string_view previous;
  for (std::size_t i = 0; i < lengths.size(); ++i) {
    const auto length = std::to_integer<std::size_t>(lengths[i]);
    if (length > text.size()) return Damaged("word {} ends past the words", i);
    const std::string_view word = text.substr(0, length);
    auto added = AddWord(word, previous);
    if (!added) return Damaged("word {} {}", i, added.error().message);
    text.remove_prefix(length);
    previous = word;
  }
  if (!text.empty()) return Damaged("{} bytes of words belong to none", text.size());
  IndexWords();
  return {};
}

Result<> LexicalTable::AddWord(std::string_view utf8, std::string_view previous) {
  if (utf8 <= previous) return Fail(Code::kDataLoss, "is empty or out of order");
  if (!CheckUtf8(utf8)) return Fail(Code::kDataLoss, "is not UTF-8");
  const auto word = DecodeUtf8(utf8);
  if (word.size() > kWordCodePoints) return Fail(Code::kDataLoss, "is too long");
  code_points_.insert(code_points_.end(), word.begin(), word.end());
  word_start_.push_back(static_cast<std::uint32_t>(code_points_.size()));
  std::array<std::int32_t, kWordPieces> pieces;
  const std::size_t count = SpellWord(word, pieces);
  pieces_.insert(pieces_.end(), pieces.begin(),
                 pieces.begin() + static_cast<std::ptrdiff_t>(count));
  pieces_start_.push_back(static_cast<std::uint32_t>(pieces_.size()));
  return {};
}

void LexicalTable::IndexWords() {
  word_slots_.assign(SlotCount(static_cast<std::size_t>(words_)), 0);
  const std::size_t mask = word_slots_.size() - 1;
  for (std::int32_t id = 1; id <= words_; ++id) {
    std::size_t slot = HashWord(spelling(id)) & mask;
    while (word_slots_[slot] != 0) slot = (slot + 1) & mask;
    word_slots_[slot] = id;
  }
}

void LexicalTable::ReadHashedSigns(std::int16_t scale) {
  for (unsigned byte = 0; byte < 256; ++byte) {
    for (unsigned bit = 0; bit < 8; ++bit) {
      signs_.push_back((byte >> bit & 1) != 0 ? scale : static_cast<std::int16_t>(-scale));
    }
  }
}

std::span<const std::int32_t> LexicalTable::spelling(std::int32_t id) const {
  const auto i = static_cast<std::size_t>(id - 1);
  return std::span(code_points_).subspan(word_start_[i], word_start_[i + 1] - word_start_[i]);
}

std::span<const std::int32_t> LexicalTable::pieces(std::int32_t id) const {
  const auto i = static_cast<std::size_t>(id - 1);
  return std::span(pieces_).subspan(pieces_start_[i], pieces_start_[i + 1] - pieces_start_[i]);
}

std::int32_t LexicalTable::weight(std::int32_t id) const {
  return weights_[static_cast<std::size_t>(id)];
}

std::int32_t LexicalTable::FindWord(std::span<const std::int32_t> word) const {
  const std::size_t mask = word_slots_.size() - 1;
  for (std::size_t slot = HashWord(word) & mask; word_slots_[slot] != 0; slot = (slot + 1) & mask) {
    const auto listed = spelling(word_slots_[slot]);
    if (std::equal(listed.begin(), listed.end(), word.begin(), word.end()))
      return word_slots_[slot];
  }
  return kOpenWord;
}

std::int32_t LexicalTable::FindPiece(std::uint64_t key) const {
  const std::uint64_t hash = Mix(key);
  const std::size_t mask = gram_slots_.size() - 1;
  for (std::size_t slot = hash & mask; gram_slots_[slot].key != 0; slot = (slot + 1) & mask) {
    if (gram_slots_[slot].key == key) return gram_slots_[slot].id;
  }
  return first_piece() + grams_ + static_cast<std::int32_t>(hash >> 40);
}

std::size_t LexicalTable::SpellWord(std::span<const std::int32_t> word,
                                    std::span<std::int32_t, kWordPieces> pieces) const {
  if (IsNumber(word)) {
    pieces[0] = FindPiece(NumberKey(word));
    return 1;
  }
  std::array<std::uint64_t, kWordCodePoints + 2> marked;  // "<word>"
  std::size_t size = 0;
  marked[size++] = '<';
  for (const std::int32_t c : word) marked[size++] = static_cast<std::uint64_t>(c);
  marked[size++] = '>';
  std::size_t count = 0;
  for (std::size_t i = 0; i + 1 < size; ++i) {
    pieces[count++] = FindPiece(marked[i] << 21 | marked[i + 1]);
  }
  for (std::size_t i = 0; i + 2 < size; ++i) {
    pieces[count++] = FindPiece(marked[i] << 42 | marked[i + 1] << 21 | marked[i + 2]);
  }
  return count;
}

void LexicalTable::SumRows(std::span<const std::int32_t> pieces, std::int16_t* sums) const {
  const auto grams = static_cast<std::size_t>(grams_);
  const auto index = [this](std::int32_t piece) {
    return static_cast<std::size_t>(piece - first_piece());
  };
  std::array<const std::int8_t*, kWordPieces> rows;
  std::size_t count = 0;
  for (const std::int32_t piece : pieces) {
    if (index(piece) < grams) rows[count++] = rows_ + index(piece) * kDims;
  }
  std::fill_n(sums, kDims, std::int16_t{0});
  std::size_t i = 0;
  for (; i + 4 <= count; i += 4) AddFourRows(rows[i], rows[i + 1], rows[i + 2], rows[i + 3], sums);
  for (; i < count; ++i) AddRow(rows[i], sums);
  for (const std::int32_t piece : pieces) {
    if (index(piece) >= grams) AddHashedRow(index(piece) - grams, sums);
  }
}

void LexicalTable::AddHashedRow(std::uint64_t bucket, std::int16_t* sums) const {
  const std::int16_t* const all = signs_.data();
  for (std::size_t block = 0; block < kDims / 64; ++block) {
    std::uint64_t bits = Mix(bucket * 8 + block);
    for (std::size_t byte = 0; byte < 8; ++byte, bits >>= 8) {
      const std::int16_t* signs = all + (bits & 0xFF) * 8;
      std::int16_t* out = sums + block * 64 + byte * 8;
      for (std::size_t d = 0; d < 8; ++d) out[d] = static_cast<std::int16_t>(out[d] + signs[d]);
    }
  }
}

}  // namespace garrison
