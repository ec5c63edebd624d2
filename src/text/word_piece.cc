// WordPiece: the longest piece first, from the left. And WordLevel: the word or nothing.
#include "text/model.h"
#include "text/trie.h"

namespace garrison::tokenizers {
namespace {

std::vector<Trie::Key> KeysOf(const Vocabulary& vocabulary) {
  std::vector<Trie::Key> keys;
  keys.reserve(vocabulary.count());
  for (std::size_t id = 0; id < vocabulary.end(); ++id) {
    const auto value = static_cast<std::int32_t>(id);
    if (vocabulary.Has(value)) keys.emplace_back(vocabulary.TokenOf(value), value);
  }
  return keys;
}

tl::unexpected<Error> NoUnknown(std::string_view unk_token) {
  return Fail(Code::kInvalidArgument,
              "the text has a word that is not in the vocabulary, and neither is the unknown token "
              "\"{}\"",
              unk_token);
}

class WordPiece : public Model {
 public:
  WordPiece(Vocabulary vocabulary, const WordPieceOptions& options)
      : Model(std::move(vocabulary)),
        trie_(KeysOf(vocabulary_)),
        inside_(trie_.Walk(options.prefix)),
        unk_(vocabulary_.IdOf(options.unk_token)),
        options_(options) {}

  Result<> Tokenize(const PreTokens& words, ModelScratch& scratch, TokenSink& sink) const override {
    sink.StartText(words.view);
    for (const Span& span : words.words) {
      sink.NextWord();
      const std::string_view word = words.view.text.substr(span.begin, span.end - span.begin);
      if (!Split(word, scratch.tokens)) {
        if (!unk_) return NoUnknown(options_.unk_token);
        sink.Add(*unk_, span.begin, span.end);
        continue;
      }
      if (sink.ids_only()) {
        sink.AddIds(scratch.tokens);
        continue;
      }
      std::size_t begin = span.begin;
      for (const WordCache::Token& token : scratch.tokens) {
        sink.Add(token.id, begin, span.begin + token.end);
        begin = span.begin + token.end;
      }
    }
    return {};
  }

 private:
  bool Split(std::string_view word, std::vector<WordCache::Token>& tokens) const {
    tokens.clear();
    if (word.size() > options_.max_chars && CountChars(word) > options_.max_chars) return false;
    for (std::size_t at = 0; at < word.size();) {
      const std::uint32_t node = at == 0 ? Trie::kRoot : inside_;
      if (node == Trie::kNoNode) return false;
      const Trie::Match match = trie_.Longest(word.substr(at), node);
      if (match.size == 0) return false;
      at += match.size;
      tokens.push_back({match.value, static_cast<std::uint32_t>(at)});
    }
    return true;
  }

  const Trie trie_;
  const std::uint32_t inside_;  // the node of the prefix
  const std::optional<std::int32_t> unk_;
  const WordPieceOptions options_;
};

class WordLevel : public Model {
 public:
  WordLevel(Vocabulary vocabulary, std::string unk_token)
      : Model(std::move(vocabulary)),
        unk_(vocabulary_.IdOf(unk_token)),
        unk_token_(std::move(unk_token)) {}

  Result<> Tokenize(const PreTokens& words, ModelScratch&, TokenSink& sink) const override {
    sink.StartText(words.view);
    for (const Span& span : words.words) {
      sink.NextWord();
      const auto id = vocabulary_.IdOf(words.view.text.substr(span.begin, span.end - span.begin));
      if (!id && !unk_) return NoUnknown(unk_token_);
      sink.Add(id ? *id : *unk_, span.begin, span.end);
    }
    return {};
  }

 private:
  const std::optional<std::int32_t> unk_;
  const std::string unk_token_;
};

}  // namespace

Result<std::unique_ptr<const Model>> MakeWordPiece(Vocabulary vocabulary,
                                                   const WordPieceOptions& options) {
  return std::make_unique<WordPiece>(std::move(vocabulary), options);
}

Result<std::unique_ptr<const Model>> MakeWordLevel(Vocabulary vocabulary, std::string unk_token) {
  return std::make_unique<WordLevel>(std::move(vocabulary), std::move(unk_token));
}

}  // namespace garrison::tokenizers
