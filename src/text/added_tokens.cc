#include "text/added_tokens.h"

#include <algorithm>

#include "text/json_fields.h"
#include "text/unicode_tables.h"
#include "text/utf8.h"

namespace garrison::tokenizers {
namespace {

// Bounds what a text full of beginnings of tokens costs.
constexpr std::size_t kContentBytesMax = 1024;
constexpr std::size_t kTokensMax = 1'000'000;
constexpr std::uint64_t kIdMax = 0x7FFFFFFE;
constexpr std::uint64_t kGapMax = 1'000'000;

Result<AddedToken> ParseToken(const Fields& fields, const Vocabulary& vocabulary) {
  RETURN_IF_ERROR(fields.Check());
  AddedToken token;
  ASSIGN_OR_RETURN(token.content, fields.String("content", std::nullopt));
  if (token.content.size() > kContentBytesMax) {
    return FailAt(fields.At("content"), Code::kInvalidArgument, "expected at most {} bytes, got {}",
                  kContentBytesMax, token.content.size());
  }
  ASSIGN_OR_RETURN(const std::uint64_t id, fields.Whole("id", std::nullopt, kIdMax));
  if (id > vocabulary.end() + kGapMax) {
    return FailAt(fields.At("id"), Code::kInvalidArgument,
                  "the id {} is too high; the vocabulary ends at {}", id, vocabulary.end());
  }
  token.id = static_cast<std::int32_t>(id);
  // What the model calls it counts, as in the reference library.
  if (const auto known = vocabulary.IdOf(token.content)) token.id = *known;
  ASSIGN_OR_RETURN(token.single_word, fields.Bool("single_word", false));
  ASSIGN_OR_RETURN(token.lstrip, fields.Bool("lstrip", false));
  ASSIGN_OR_RETURN(token.rstrip, fields.Bool("rstrip", false));
  ASSIGN_OR_RETURN(token.special, fields.Bool("special", false));
  ASSIGN_OR_RETURN(token.normalized, fields.Bool("normalized", !token.special));
  return token;
}

bool EndsInWord(std::string_view text) {
  return !text.empty() && Is(DecodeBefore(text, text.size()).code_point, kWordChar);
}
bool BeginsWithWord(std::string_view text) {
  return !text.empty() && Is(DecodeAt(text, 0).code_point, kWordChar);
}

}  // namespace

AddedTokenSet::AddedTokenSet(std::vector<AddedToken> tokens, const std::vector<std::string>& texts)
    : tokens_(std::move(tokens)) {
  std::vector<Trie::Key> keys;
  for (std::size_t i = 0; i < tokens_.size(); ++i) {
    if (texts[i].empty()) continue;
    keys.emplace_back(texts[i], static_cast<std::int32_t>(i));
    first_bytes_[static_cast<unsigned char>(texts[i][0])] = true;
  }
  trie_ = Trie(std::move(keys));
}

void AddedTokenSet::Cut(std::string_view text, std::vector<Piece>& pieces) const {
  pieces.clear();
  std::size_t taken = 0;
  const std::size_t size = tokens_.empty() ? 0 : text.size();
  for (std::size_t i = 0; i < size;) {
    if (!first_bytes_[static_cast<unsigned char>(text[i])]) {
      ++i;
      continue;
    }
    const Trie::Match match = trie_.Longest(text.substr(i));
    if (match.size == 0) {
      ++i;
      continue;
    }
    std::size_t begin = i;
    std::size_t end = i + match.size;
    i = end;
    const AddedToken& token = tokens_[static_cast<std::size_t>(match.value)];
    if (token.single_word &&
        (EndsInWord(text.substr(0, begin)) || BeginsWithWord(text.substr(end)))) {
      continue;
    }
    while (token.lstrip && begin > taken) {
      const Decoded c = DecodeBefore(text, begin);
      if (!Is(c.code_point, kSpace)) break;
      begin -= c.bytes;
    }
    // White space that the token before has swallowed is gone.
    begin = std::max(begin, taken);
    while (token.rstrip && end < text.size()) {
      const Decoded c = DecodeAt(text, end);
      if (!Is(c.code_point, kSpace)) break;
      end += c.bytes;
    }
    if (end <= begin) continue;
    if (begin > taken) pieces.push_back({taken, begin, -1});
    pieces.push_back({begin, end, token.id});
    taken = end;
  }
  if (taken < text.size()) pieces.push_back({taken, text.size(), -1});
}

Result<AddedTokens> AddedTokens::Parse(const nlohmann::json* list, const std::string& where,
                                       const Vocabulary& vocabulary,
                                       const NormalizerChain& normalizer) {
  AddedTokens added;
  if (list == nullptr) return added;
  if (!list->is_array() || list->size() > kTokensMax) {
    return FailAt(where, Code::kInvalidArgument, "expected a list of at most {} tokens, got {}",
                  kTokensMax, list->is_array() ? "more" : JsonTypeName(*list));
  }
  std::vector<AddedToken> sets[2];
  std::vector<std::string> texts[2];
  TextBuffer buffers[2];
  for (std::size_t i = 0; i < list->size(); ++i) {
    const std::string place = fmt::format("{}[{}]", where, i);
    ASSIGN_OR_RETURN(AddedToken token, ParseToken(Fields((*list)[i], place), vocabulary));
    if (token.content.empty() || added.by_content_.IdOf(token.content)) continue;
    std::string text = token.content;
    if (token.normalized) {
      ASSIGN_OR_RETURN(const TextView view, normalizer.Apply({token.content, nullptr, 0}, buffers));
      text = view.text;
    }
    const std::size_t set = token.normalized ? 1 : 0;
    sets[set].push_back(token);
    texts[set].push_back(std::move(text));
    const auto known = added.by_content_.Add(token.content, added.tokens_.size());
    if (!known) return tl::unexpected(At(place, known.error()));
    added.end_ = std::max(added.end_, static_cast<std::size_t>(token.id) + 1);
    added.by_id_.insert_or_assign(token.id, added.tokens_.size());
    added.tokens_.push_back(std::move(token));
  }
  added.raw_ = AddedTokenSet(std::move(sets[0]), texts[0]);
  added.normalized_ = AddedTokenSet(std::move(sets[1]), texts[1]);
  return added;
}

const AddedToken* AddedTokens::Find(std::int32_t id) const {
  const auto found = by_id_.find(id);
  return found == by_id_.end() ? nullptr : &tokens_[found->second];
}

const AddedToken* AddedTokens::Find(std::string_view content) const {
  const auto place = by_content_.IdOf(content);
  return place ? &tokens_[static_cast<std::size_t>(*place)] : nullptr;
}

bool AddedTokens::IsSpecial(std::string_view content) const {
  const AddedToken* token = Find(content);
  return token != nullptr && token->special;
}

}  // namespace garrison::tokenizers
