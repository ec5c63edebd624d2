// Byte pair encoding: over the bytes of a word (GPT-2, RoBERTa, Llama 3, CLIP) or its characters.
#include <algorithm>
#include <array>

#include "text/bpe_merges.h"
#include "text/byte_chars.h"

namespace garrison::tokenizers {
namespace {

constexpr std::int32_t kNoId = -1;
// Above this the buffers of one word are given back after use.
constexpr std::size_t kKeptSymbols = std::size_t{1} << 18;

class Bpe : public Model {
 public:
  Bpe(Vocabulary vocabulary, BpeMerges merges, const BpeOptions& options)
      : Model(std::move(vocabulary)), merges_(std::move(merges)), options_(options) {
    if (const auto id = vocabulary_.IdOf(options.unk_token); id && !options.unk_token.empty()) {
      unk_ = *id;
    }
    for (unsigned byte = 0; byte < 256; ++byte) {
      const auto id = vocabulary_.IdOf(ByteToken(static_cast<unsigned char>(byte)));
      fallback_[byte] = id ? *id : kNoId;
      for (unsigned place = 0; place < 4; ++place) {
        std::string symbol;
        AppendChar(symbol, kByteChars[byte]);
        const auto found = vocabulary_.IdOf(Decorate(symbol, (place & 1) != 0, (place & 2) != 0));
        bytes_[place][byte] = found ? *found : kNoId;
      }
    }
    if (options_.ignore_merges && options_.bytes) FillWholeWords();
  }

  Result<> Tokenize(const PreTokens& words, ModelScratch& scratch, TokenSink& sink) const override {
    sink.StartText(words.view);
    scratch.cache.Serve(identity_);
    for (const Span& span : words.words) {
      sink.NextWord();
      const std::string_view word = words.view.text.substr(span.begin, span.end - span.begin);
      const bool cached = word.size() <= WordCache::kWordBytesMax;
      const std::uint64_t hash = cached ? HashBytes(word) : 0;
      if (cached) {
        if (const auto* known = scratch.cache.Find(word, hash)) {
          Emit(*known, span.begin, sink);
          continue;
        }
      }
      RETURN_IF_ERROR(Split(word, scratch));
      if (cached) scratch.cache.Insert(word, hash, scratch.tokens);
      Emit(scratch.tokens, span.begin, sink);
    }
    return {};
  }

 private:
  static void Emit(std::span<const WordCache::Token> tokens, std::size_t base, TokenSink& sink) {
    if (sink.ids_only()) return sink.AddIds(tokens);
    std::size_t begin = base;
    for (const WordCache::Token& token : tokens) {
      sink.Add(token.id, begin, base + token.end);
      begin = base + token.end;
    }
  }

  std::string Decorate(std::string_view symbol, bool first, bool last) const {
    return fmt::format("{}{}{}", first ? "" : options_.prefix, symbol, last ? options_.suffix : "");
  }

  // Tokens by the bytes that they stand for.
  void FillWholeWords() {
    for (std::size_t i = 0; i < vocabulary_.end(); ++i) {
      const auto id = static_cast<std::int32_t>(i);
      const auto bytes = vocabulary_.Has(id) ? BytesOf(vocabulary_.TokenOf(id)) : std::nullopt;
      // GPT-2's alphabet is one to one, so neither id nor bytes can be there already.
      if (bytes) (void)whole_words_.Add(*bytes, i);
    }
  }

  std::optional<std::int32_t> WholeWord(std::string_view word) const {
    return options_.bytes ? whole_words_.IdOf(word) : vocabulary_.IdOf(word);
  }

  Result<> Split(std::string_view word, ModelScratch& scratch) const {
    scratch.tokens.clear();
    if (options_.ignore_merges) {
      if (const auto id = WholeWord(word)) {
        scratch.tokens.push_back({*id, static_cast<std::uint32_t>(word.size())});
        return {};
      }
    }
    scratch.symbols.clear();
    if (options_.bytes) {
      RETURN_IF_ERROR(AddBytes(word, scratch.symbols));
    } else {
      RETURN_IF_ERROR(AddChars(word, scratch));
    }
    const std::size_t size = merges_.Apply(scratch.symbols, scratch.heap);
    std::uint32_t end = 0;
    for (std::size_t i = 0; i < size; ++i) {
      end += scratch.symbols[i].bytes;
      scratch.tokens.push_back({scratch.symbols[i].id, end});
    }
    if (scratch.symbols.capacity() > kKeptSymbols) {
      std::vector<ModelScratch::Symbol>().swap(scratch.symbols);
      std::vector<std::uint64_t>().swap(scratch.heap);
    }
    return {};
  }

  // Unknown symbols wait here, because neighbours may become one.
  class Unknown {
   public:
    Unknown(std::int32_t id, bool fuse, std::vector<ModelScratch::Symbol>& symbols)
        : id_(id), fuse_(fuse), symbols_(symbols) {}
    void Add(std::uint32_t bytes) {
      // Without an unknown token the symbol is dropped, as the reference library does.
      if (id_ == kNoId) return;
      if (bytes_ > 0 && !fuse_) Flush();
      bytes_ += bytes;
    }
    void Flush() {
      if (bytes_ > 0) symbols_.push_back({id_, bytes_, 0, 0, 0, 0});
      bytes_ = 0;
    }

   private:
    const std::int32_t id_;
    const bool fuse_;
    std::vector<ModelScratch::Symbol>& symbols_;
    std::uint32_t bytes_ = 0;
  };

  Result<> CheckUnknown() const {
    if (options_.unk_token.empty() || unk_ != kNoId) return {};
    return Fail(Code::kInvalidArgument,
                "the text has a character that is not in the vocabulary, and neither is the "
                "unknown token \"{}\"",
                options_.unk_token);
  }

  Result<> AddBytes(std::string_view word, std::vector<ModelScratch::Symbol>& symbols) const {
    Unknown unknown(unk_, options_.fuse_unk, symbols);
    const std::size_t last = word.size() - 1;
    for (std::size_t i = 0; i < word.size(); ++i) {
      const unsigned place = (i == 0 ? 1U : 0U) | (i == last ? 2U : 0U);
      const std::int32_t id = bytes_[place][static_cast<unsigned char>(word[i])];
      if (id == kNoId) {
        RETURN_IF_ERROR(CheckUnknown());
        unknown.Add(1);
        continue;
      }
      unknown.Flush();
      symbols.push_back({id, 1, 0, 0, 0, 0});
    }
    unknown.Flush();
    return {};
  }

  Result<> AddChars(std::string_view word, ModelScratch& scratch) const {
    Unknown unknown(unk_, options_.fuse_unk, scratch.symbols);
    std::string& symbol = scratch.text;
    for (std::size_t i = 0; i < word.size();) {
      const auto bytes = static_cast<std::uint32_t>(CharBytes(word[i]));
      symbol.assign(i == 0 ? std::string_view() : std::string_view(options_.prefix));
      symbol.append(word, i, bytes);
      i += bytes;
      if (i == word.size()) symbol.append(options_.suffix);
      if (const auto id = vocabulary_.IdOf(symbol)) {
        unknown.Flush();
        scratch.symbols.push_back({*id, bytes, 0, 0, 0, 0});
      } else if (HasBytes(symbol)) {
        for (const char c : symbol) {
          scratch.symbols.push_back({fallback_[static_cast<unsigned char>(c)], 1, 0, 0, 0, 0});
        }
      } else {
        RETURN_IF_ERROR(CheckUnknown());
        unknown.Add(bytes);
      }
    }
    unknown.Flush();
    return {};
  }

  bool HasBytes(std::string_view symbol) const {
    return options_.byte_fallback && std::all_of(symbol.begin(), symbol.end(), [&](char c) {
             return fallback_[static_cast<unsigned char>(c)] != kNoId;
           });
  }

  const BpeMerges merges_;
  const BpeOptions options_;
  std::int32_t unk_ = kNoId;
  // Ids of single bytes; bit 0 of the place: first of the word, bit 1: last.
  std::array<std::array<std::int32_t, 256>, 4> bytes_{};
  std::array<std::int32_t, 256> fallback_{};
  Vocabulary whole_words_;
  const std::shared_ptr<const char> identity_ = std::make_shared<const char>('\0');
};

Result<std::int32_t> MergeId(const Vocabulary& vocabulary, std::string_view token) {
  const auto id = vocabulary.IdOf(token);
  if (id) return *id;
  return Fail(Code::kInvalidArgument, "\"{}\" is not in the vocabulary", token);
}

}  // namespace

Result<std::unique_ptr<const Model>> MakeBpe(Vocabulary vocabulary,
                                             const std::vector<MergePair>& merges,
                                             const BpeOptions& options) {
  BpeMerges table(merges.size());
  std::string merged;
  for (std::size_t i = 0; i < merges.size(); ++i) {
    const auto& [left, right] = merges[i];
    const auto where = [&] { return fmt::format("[{}]", i); };
    const auto left_id = MergeId(vocabulary, left);
    if (!left_id) return tl::unexpected(At(where(), left_id.error()));
    const auto right_id = MergeId(vocabulary, right);
    if (!right_id) return tl::unexpected(At(where(), right_id.error()));
    if (!right.starts_with(options.prefix)) {
      return FailAt(where(), Code::kInvalidArgument, "\"{}\" does not begin with \"{}\"", right,
                    options.prefix);
    }
    merged.assign(left).append(right.substr(options.prefix.size()));
    const auto id = MergeId(vocabulary, merged);
    if (!id) return tl::unexpected(At(where(), id.error()));
    table.Add(*left_id, *right_id, static_cast<std::uint32_t>(i), *id);
  }
  return std::make_unique<Bpe>(std::move(vocabulary), std::move(table), options);
}

}  // namespace garrison::tokenizers
