// The table file of `builtin:lexical`, checked and indexed. docs/formats/lexical-table.md has every
// byte.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace garrison {

// Immutable after Load; any number of threads may read it.
class LexicalTable {
 public:
  static constexpr std::size_t kDims = 384;
  static constexpr std::size_t kWordCodePoints = 32;  // a longer word is cut before it is looked up
  static constexpr std::size_t kWordPieces = 65;      // 33 bigrams and 32 trigrams
  static constexpr std::int32_t kMaxWeight = 2047;
  static constexpr std::int32_t kHashedRows = 1 << 24;

  // Ids: 0 opens a word that is not listed; [1, 1 + words) are the listed words; then come the
  // listed pieces and then kHashedRows hashed pieces.
  static constexpr std::int32_t kOpenWord = 0;

  // `table` outlives the result, which keeps pointing into it.
  // DATA_LOSS when it is not a whole, unharmed table of this version.
  static Result<std::unique_ptr<LexicalTable>> Load(std::span<const std::byte> table);

  // 64 hexadecimal digits that name the content.
  const std::string& revision() const { return revision_; }
  std::int32_t words() const { return words_; }
  std::int32_t first_piece() const { return 1 + words_; }
  std::int32_t id_end() const { return 1 + words_ + grams_ + kHashedRows; }

  // Id of a folded word, kOpenWord if it is not listed.
  std::int32_t FindWord(std::span<const std::int32_t> word) const;
  // Ids of the pieces of a folded word of 1 to kWordCodePoints code points; returns how many were
  // written.
  std::size_t SpellWord(std::span<const std::int32_t> word,
                        std::span<std::int32_t, kWordPieces> pieces) const;
  // Pieces of a listed word. `id` in [1, 1 + words).
  std::span<const std::int32_t> pieces(std::int32_t id) const;
  // In [1, kMaxWeight]; kOpenWord has the weight of every word that is not listed.
  std::int32_t weight(std::int32_t id) const;

  // Writes the sum of the rows of at most kWordPieces pieces; a row is kDims values in [-128, 127].
  void SumRows(std::span<const std::int32_t> pieces, std::int16_t* sums) const;

 private:
  struct Header;
  struct GramSlot {
    std::uint64_t key = 0;  // 0: free, which no piece has as its key
    std::int32_t id = 0;
  };

  LexicalTable() = default;
  Result<> ReadGrams(std::span<const std::byte> keys);
  Result<> ReadWeights(std::span<const std::byte> weights, std::uint32_t unlisted);
  Result<> ReadWords(std::span<const std::byte> lengths, std::string_view text);
  void ReadHashedSigns(std::int16_t scale);
  Result<> AddWord(std::string_view utf8, std::string_view previous);
  void IndexWords();
  void AddHashedRow(std::uint64_t bucket, std::int16_t* sums) const;
  std::int32_t FindPiece(std::uint64_t key) const;
  std::span<const std::int32_t> spelling(std::int32_t id) const;

  // Constant after Load.
  std::string revision_;
  std::int32_t words_ = 0;
  std::int32_t grams_ = 0;
  const std::int8_t* rows_ = nullptr;        // [grams, kDims]
  std::vector<std::int32_t> weights_;        // [1 + words]
  std::vector<std::int32_t> code_points_;    // of all words, one after the other
  std::vector<std::uint32_t> word_start_;    // [words + 1] into code_points_
  std::vector<std::int32_t> pieces_;         // of all words
  std::vector<std::uint32_t> pieces_start_;  // [words + 1] into pieces_
  std::vector<std::int32_t> word_slots_;     // open addressing, 0: free
  std::vector<GramSlot> gram_slots_;         // open addressing
  std::vector<std::int16_t> signs_;  // [256, 8]: for each byte, its bits as +scale and -scale
};

}  // namespace garrison
