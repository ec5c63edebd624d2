// Added tokens: texts that become an id of their own wherever they stand, before the model sees
// anything.
#pragma once

#include <array>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "text/normalizer.h"
#include "text/trie.h"
#include "text/vocabulary.h"

namespace garrison::tokenizers {

struct AddedToken {
  std::int32_t id = 0;
  std::string content;
  bool single_word = false;
  bool lstrip = false;
  bool rstrip = false;
  bool normalized = false;
  bool special = false;
};

// A set of them, matched leftmost and longest.
class AddedTokenSet {
 public:
  struct Piece {
    std::size_t begin, end;
    std::int32_t id;  // -1: text between tokens
  };

  AddedTokenSet() = default;
  // `texts`: what each token is looked for as.
  AddedTokenSet(std::vector<AddedToken> tokens, const std::vector<std::string>& texts);

  // Cuts `text`; pieces come in order and none is empty.
  void Cut(std::string_view text, std::vector<Piece>& pieces) const;

 private:
  std::vector<AddedToken> tokens_;
  Trie trie_;  // to the place in tokens_
  std::array<bool, 256> first_bytes_{};
};

class AddedTokens {
 public:
  // `list` as tokenizer.json has it, or null for none.
  static Result<AddedTokens> Parse(const nlohmann::json* list, const std::string& where,
                                   const Vocabulary& vocabulary, const NormalizerChain& normalizer);

  const AddedTokenSet& raw() const { return raw_; }                // before normalisation
  const AddedTokenSet& normalized() const { return normalized_; }  // after it
  // Null: no added token has that id or content.
  const AddedToken* Find(std::int32_t id) const;
  const AddedToken* Find(std::string_view content) const;
  bool IsSpecial(std::string_view content) const;
  std::size_t end() const { return end_; }  // highest id + 1

 private:
  std::vector<AddedToken> tokens_;
  Vocabulary by_content_;  // to the place in tokens_
  std::unordered_map<std::int32_t, std::size_t> by_id_;
  AddedTokenSet raw_, normalized_;
  std::size_t end_ = 0;
};

}  // namespace garrison::tokenizers
