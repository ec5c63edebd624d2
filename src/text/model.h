// The models of tokenizer.json: from words to tokens.
#pragma once

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "text/aligned_text.h"
#include "text/pre_tokenizer.h"
#include "text/tokenizer.h"
#include "text/vocabulary.h"
#include "text/word_cache.h"

namespace garrison::tokenizers {

// How much of Pieces is wanted.
enum class Detail : int { kIds, kRanges, kTexts };

// Where tokens go.
class TokenSink {
 public:
  TokenSink(const Vocabulary& vocabulary, Detail detail, bool margins, Pieces& out)
      : vocabulary_(vocabulary), detail_(detail), margins_(margins), out_(out) {}

  void StartText(const TextView& view) { view_ = view; }
  void NextWord() { ++word_; }

  // `begin` and `end` are bytes of the text; `raw`: the token's text is theirs, not the
  // vocabulary's.
  void Add(std::int32_t id, std::size_t begin, std::size_t end, bool raw = false) {
    out_.ids.push_back(id);
    if (detail_ != Detail::kIds) AddDetails(id, begin, end, raw);
  }
  bool ids_only() const { return detail_ == Detail::kIds; }
  void AddIds(std::span<const WordCache::Token> tokens) {
    for (const WordCache::Token& token : tokens) out_.ids.push_back(token.id);
  }

 private:
  void AddDetails(std::int32_t id, std::size_t begin, std::size_t end, bool raw);

  const Vocabulary& vocabulary_;
  const Detail detail_;
  const bool margins_;
  Pieces& out_;
  TextView view_;
  std::int32_t word_ = -1;
};

// What the models need while they work; kept from text to text.
struct ModelScratch {
  WordCache cache;
  std::vector<WordCache::Token> tokens;

  struct Symbol {
    std::int32_t id;
    std::uint32_t bytes;
    std::uint32_t rank;  // of the pair with the next one
    std::int32_t merged;
    std::uint32_t before, after;
  };
  std::vector<Symbol> symbols;
  std::vector<std::uint64_t> heap;

  struct Best {
    double score;
    std::uint32_t start;  // kNone: not reached
    std::int32_t id;
  };
  std::vector<Best> best;
  std::string text;
};

// Immutable; safe to share between threads.
class Model {
 public:
  virtual ~Model() = default;
  virtual Result<> Tokenize(const PreTokens& words, ModelScratch& scratch,
                            TokenSink& sink) const = 0;
  const Vocabulary& vocabulary() const { return vocabulary_; }

  // The model of tokenizer.json. `bytes`: words come as bytes, not as characters of GPT-2's
  // alphabet.
  static Result<std::unique_ptr<const Model>> Parse(const nlohmann::json& spec,
                                                    const std::string& where, bool bytes);
  // Whether Parse would make a byte pair encoding, which can read bytes.
  static bool IsBytePair(const nlohmann::json& spec);

 protected:
  explicit Model(Vocabulary vocabulary) : vocabulary_(std::move(vocabulary)) {}
  const Vocabulary vocabulary_;
};

struct WordPieceOptions {
  std::string unk_token = "[UNK]";
  std::string prefix = "##";
  std::size_t max_chars = 100;
};
Result<std::unique_ptr<const Model>> MakeWordPiece(Vocabulary vocabulary,
                                                   const WordPieceOptions& options);

Result<std::unique_ptr<const Model>> MakeWordLevel(Vocabulary vocabulary, std::string unk_token);

struct UnigramOptions {
  std::int32_t unk_id = -1;  // -1: none
  bool byte_fallback = false;
};
// `scores` by id.
Result<std::unique_ptr<const Model>> MakeUnigram(Vocabulary vocabulary, std::vector<double> scores,
                                                 const UnigramOptions& options);

struct BpeOptions {
  std::string unk_token;  // empty: none
  std::string prefix;     // continuing_subword_prefix
  std::string suffix;     // end_of_word_suffix
  bool fuse_unk = false;
  bool byte_fallback = false;
  bool ignore_merges = false;
  bool bytes = false;
};
using MergePair = std::pair<std::string_view, std::string_view>;
// INVALID_ARGUMENT for a merge whose parts or result are not in the vocabulary.
Result<std::unique_ptr<const Model>> MakeBpe(Vocabulary vocabulary,
                                             const std::vector<MergePair>& merges,
                                             const BpeOptions& options);

// "<0x0A>": how byte fallback writes a byte.
std::string ByteToken(unsigned char byte);

}  // namespace garrison::tokenizers
