// Hugging Face tokenizers: text to the ids that a model was trained on, and back.
//
// A Tokenizer is read from `tokenizer.json`, or from the older files of a model folder, and gives
// the ids that the reference library gives; docs/tokenizers.md lists what is supported. Two steps,
// so that a query is tokenised once for many documents: Tokenize() makes the pieces of one text,
// Assemble() cuts them to length and adds the special tokens.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace garrison {

// [start, end) in code points of the text that was tokenised; {0, 0} for what is not in it.
struct TextRange {
  std::uint32_t start = 0;
  std::uint32_t end = 0;
  bool operator==(const TextRange&) const = default;
};

// The tokens of one text without the special tokens of the model's template. The lists other than
// `ids` are filled only when asked for; they cost time.
struct Pieces {
  std::vector<std::int32_t> ids;
  std::vector<TextRange> ranges;
  std::vector<std::int32_t> words;  // index of the pre-token
  // What each token stands for: the vocabulary's text, except that an added token has the text as
  // it was found, and so has what Unigram does not know.
  std::vector<std::string> texts;
  // White space at both ends of the token, for models that trim it off the ranges (RoBERTa).
  std::vector<TextRange> margins;
};

struct Truncation {
  enum class Strategy { kLongestFirst, kOnlyFirst, kOnlySecond };
  enum class Side { kRight, kLeft };
  std::size_t max_length = 512;  // with special tokens
  std::size_t stride = 0;        // tokens that consecutive overflowing windows share
  Strategy strategy = Strategy::kLongestFirst;
  Side side = Side::kRight;
  bool overflow = true;  // false: what is cut off is dropped, and the stride means nothing
};

struct Padding {
  std::optional<std::size_t> fixed;  // unset: the longest of the batch
  std::size_t multiple_of = 0;       // 0: any length
  Truncation::Side side = Truncation::Side::kRight;
  std::int32_t id = 0;
  std::int32_t type_id = 0;
  std::string token = "[PAD]";
};

// One sequence as a model reads it; the lists are as long as `ids` (ranges, words and texts only
// when the pieces had them; words is -1 for special tokens).
struct Encoding {
  std::vector<std::int32_t> ids;
  std::vector<std::int32_t> type_ids;
  std::vector<std::uint8_t> special;    // 1: special token or padding
  std::vector<std::uint8_t> attention;  // 0: padding
  std::vector<TextRange> ranges;
  std::vector<std::int32_t> words;
  std::vector<std::string> texts;
  std::vector<Encoding> overflow;  // what truncation cut off, in windows
};

namespace tokenizers {
struct TokenizerParts;
enum class Detail : int;
}  // namespace tokenizers

// Immutable after loading; safe to call from any number of threads, each with its own Scratch.
class Tokenizer {
 public:
  // Buffers that grow to the longest text and are used again: no allocation per token.
  class Scratch {
   public:
    Scratch();
    ~Scratch();
    Scratch(Scratch&& other) noexcept;
    Scratch& operator=(Scratch&& other) noexcept;

   private:
    friend class Tokenizer;
    struct Buffers;
    std::unique_ptr<Buffers> buffers_;
  };

  // `tokenizer.json`. INVALID_ARGUMENT names the JSON path; UNIMPLEMENTED names a component that is
  // not known and lists those that are.
  static Result<std::shared_ptr<const Tokenizer>> Parse(std::string_view json);
  // The folder's tokenizer.json, or else vocab.txt / vocab.json + merges.txt with
  // tokenizer_config.json. NOT_FOUND says which files were looked for.
  static Result<std::shared_ptr<const Tokenizer>> Load(const std::filesystem::path& folder);
  explicit Tokenizer(std::unique_ptr<const tokenizers::TokenizerParts> parts);
  ~Tokenizer();

  // Replaces the content of `out`. INVALID_ARGUMENT when `text` is not UTF-8; RESOURCE_EXHAUSTED
  // when it is longer than 1 GiB.
  Result<> Tokenize(std::string_view text, bool with_ranges, Scratch& scratch, Pieces& out) const;
  // The same with ranges and texts.
  Result<> TokenizeInFull(std::string_view text, Scratch& scratch, Pieces& out) const;

  // Special tokens that the template adds to one text or to a pair.
  std::size_t SpecialTokens(bool pair) const;
  // Replaces the content of `out`. `second` null: one text. INVALID_ARGUMENT for a truncation that
  // cannot be done: max_length below the special tokens, a stride that is not shorter than what
  // is left of a text, a strategy that cannot cut enough. RESOURCE_EXHAUSTED for too many windows.
  Result<> Assemble(const Pieces& first, const Pieces* second, bool add_special_tokens,
                    const std::optional<Truncation>& truncation, Encoding& out) const;
  // Pads every encoding of a batch (and its overflow) in place.
  void Pad(const Padding& padding, std::span<Encoding> batch) const;

  // Ids that are not in the vocabulary are skipped, as the reference does.
  std::string Decode(std::span<const std::int32_t> ids, bool skip_special_tokens) const;
  // The normaliser over the whole text.
  Result<std::string> Normalize(std::string_view text) const;

  std::size_t vocabulary_size() const;  // highest id + 1
  std::optional<std::int32_t> IdOf(std::string_view token) const;
  std::string_view TokenOf(std::int32_t id) const;  // empty when there is none
  // What the file itself asks for; the engine decides on its own lengths.
  const std::optional<Truncation>& truncation() const;
  const std::optional<Padding>& padding() const;

 private:
  Result<> Run(std::string_view text, tokenizers::Detail detail, Scratch& scratch,
               Pieces& out) const;

  const std::unique_ptr<const tokenizers::TokenizerParts> parts_;
};

}  // namespace garrison
