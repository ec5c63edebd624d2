// Unigram: of all ways to cut a word into pieces, the one with the highest sum of scores.
#include <algorithm>
#include <array>
#include <limits>

#include "text/model.h"
#include "text/trie.h"

namespace garrison::tokenizers {
namespace {

constexpr double kUnknownPenalty = 10;
constexpr std::uint32_t kNotReached = 0xFFFFFFFF;
// Above this the buffer of one word is given back after use.
constexpr std::size_t kKeptPositions = std::size_t{1} << 20;

class Unigram : public Model {
 public:
  Unigram(Vocabulary vocabulary, std::vector<double> scores, const UnigramOptions& options)
      : Model(std::move(vocabulary)), scores_(std::move(scores)), options_(options) {
    std::vector<Trie::Key> keys;
    keys.reserve(vocabulary_.count());
    for (std::size_t id = 0; id < vocabulary_.end(); ++id) {
      const auto value = static_cast<std::int32_t>(id);
      if (vocabulary_.Has(value)) keys.emplace_back(vocabulary_.TokenOf(value), value);
    }
    trie_ = Trie(std::move(keys));
    double lowest = std::numeric_limits<double>::infinity();
    for (const double score : scores_) lowest = std::min(lowest, score);
    unknown_score_ = lowest - kUnknownPenalty;
    for (unsigned byte = 0; byte < 256; ++byte) {
      const auto id = vocabulary_.IdOf(ByteToken(static_cast<unsigned char>(byte)));
      byte_ids_[byte] = id ? *id : -1;
    }
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
  // Byte tokens all have the range of what they stand for: their ends repeat.
  void Emit(std::span<const WordCache::Token> tokens, std::size_t base, TokenSink& sink) const {
    if (sink.ids_only()) return sink.AddIds(tokens);
    std::size_t begin = 0;
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      const WordCache::Token& token = tokens[i];
      sink.Add(token.id, base + begin, base + token.end, token.id == options_.unk_id);
      if (i + 1 < tokens.size() && tokens[i + 1].end != token.end) begin = token.end;
    }
  }

  Result<> Split(std::string_view word, ModelScratch& scratch) const {
    std::vector<ModelScratch::Best>& best = scratch.best;
    best.assign(word.size() + 1, {0, kNotReached, -1});
    for (std::size_t at = 0; at < word.size();) {
      const double here = best[at].score;
      const std::size_t one = CharBytes(word[at]);
      bool has_one = false;
      std::uint32_t node = Trie::kRoot;
      for (std::size_t end = at; end < word.size();) {
        node = trie_.Step(node, word[end]);
        if (node == Trie::kNoNode) break;
        ++end;
        const std::int32_t id = trie_.ValueAt(node);
        if (id == Trie::kNoValue) continue;
        Offer(best[end], here + scores_[static_cast<std::size_t>(id)], at, id);
        has_one = has_one || end - at == one;
      }
      if (!has_one) Offer(best[at + one], here + unknown_score_, at, options_.unk_id);
      at += one;
    }
    Collect(word, scratch);
    if (best.capacity() > kKeptPositions) std::vector<ModelScratch::Best>().swap(best);
    return FinishUnknown(word, scratch);
  }

  static void Offer(ModelScratch::Best& target, double score, std::size_t start, std::int32_t id) {
    if (target.start != kNotReached && !(score > target.score)) return;
    target = {score, static_cast<std::uint32_t>(start), id};
  }

  // The best path, from left to right; neighbouring unknowns become one.
  void Collect(std::string_view word, ModelScratch& scratch) const {
    std::vector<WordCache::Token>& tokens = scratch.tokens;
    tokens.clear();
    for (std::size_t end = word.size(); end > 0;) {
      const ModelScratch::Best& node = scratch.best[end];
      const bool fused = node.id == options_.unk_id && !tokens.empty() &&
                         tokens.back().id == options_.unk_id && options_.unk_id >= 0;
      if (!fused) tokens.push_back({node.id, static_cast<std::uint32_t>(end)});
      end = node.start;
    }
    std::reverse(tokens.begin(), tokens.end());
  }

  // What is unknown may be in the vocabulary as a whole, or become bytes.
  Result<> FinishUnknown(std::string_view word, ModelScratch& scratch) const {
    std::vector<WordCache::Token>& tokens = scratch.tokens;
    const auto is_unknown = [&](const WordCache::Token& token) {
      return token.id == options_.unk_id;
    };
    if (std::none_of(tokens.begin(), tokens.end(), is_unknown)) return {};
    std::vector<WordCache::Token> finished;
    std::uint32_t begin = 0;
    for (const WordCache::Token& token : tokens) {
      const std::string_view text = word.substr(begin, token.end - begin);
      begin = token.end;
      if (!is_unknown(token)) {
        finished.push_back(token);
      } else if (const auto id = vocabulary_.IdOf(text)) {
        finished.push_back({*id, token.end});
      } else if (HasBytes(text)) {
        for (const char c : text) {
          finished.push_back({byte_ids_[static_cast<unsigned char>(c)], token.end});
        }
      } else if (options_.unk_id < 0) {
        return Fail(Code::kInvalidArgument,
                    "the text has characters that no piece covers, and the model has no unknown "
                    "token");
      } else {
        finished.push_back(token);
      }
    }
    tokens = std::move(finished);
    return {};
  }

  bool HasBytes(std::string_view text) const {
    return options_.byte_fallback && std::all_of(text.begin(), text.end(), [&](char c) {
             return byte_ids_[static_cast<unsigned char>(c)] >= 0;
           });
  }

  const std::vector<double> scores_;
  const UnigramOptions options_;
  Trie trie_;
  double unknown_score_ = 0;
  std::array<std::int32_t, 256> byte_ids_{};
  const std::shared_ptr<const char> identity_ = std::make_shared<const char>('\0');
};

}  // namespace

Result<std::unique_ptr<const Model>> MakeUnigram(Vocabulary vocabulary, std::vector<double> scores,
                                                 const UnigramOptions& options) {
  return std::make_unique<Unigram>(std::move(vocabulary), std::move(scores), options);
}

}  // namespace garrison::tokenizers
