// Words that were tokenised lately, with their tokens. Bounded; belongs to one thread.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "text/vocabulary.h"

namespace garrison::tokenizers {

class WordCache {
 public:
  struct Token {
    std::int32_t id;
    std::uint32_t end;  // byte of the word
  };
  // Longer words do not repeat.
  static constexpr std::size_t kWordBytesMax = 48;

  // Forgets everything when it served another model before.
  void Serve(const std::shared_ptr<const char>& model) {
    if (model_ == model) return;
    model_ = model;
    Clear();
  }

  // Null: not known.
  const std::span<const Token>* Find(std::string_view word, std::uint64_t hash) {
    if (slots_.empty()) return nullptr;
    for (std::size_t probe = 0; probe < kProbes; ++probe) {
      const Slot& slot = slots_[(hash + probe) & (kSlots - 1)];
      if (slot.hash != hash || slot.word_bytes != word.size()) continue;
      if (words_.compare(slot.word, slot.word_bytes, word) != 0) continue;
      found_ = std::span(tokens_).subspan(slot.tokens, slot.count);
      return &found_;
    }
    return nullptr;
  }

  void Insert(std::string_view word, std::uint64_t hash, std::span<const Token> tokens) {
    if (slots_.empty()) slots_.resize(kSlots);
    if (words_.size() > kBytesMax || tokens_.size() > kTokensMax) Clear();
    for (std::size_t probe = 0; probe < kProbes; ++probe) {
      Slot& slot = slots_[(hash + probe) & (kSlots - 1)];
      if (slot.word_bytes != 0 && probe + 1 < kProbes) continue;
      slot = {hash, static_cast<std::uint32_t>(words_.size()),
              static_cast<std::uint32_t>(tokens_.size()), static_cast<std::uint16_t>(word.size()),
              static_cast<std::uint16_t>(tokens.size())};
      words_.append(word);
      tokens_.insert(tokens_.end(), tokens.begin(), tokens.end());
      return;
    }
  }

 private:
  static constexpr std::size_t kSlots = std::size_t{1} << 15;
  static constexpr std::size_t kProbes = 4;
  static constexpr std::size_t kBytesMax = std::size_t{1} << 20;
  static constexpr std::size_t kTokensMax = std::size_t{1} << 17;

  struct Slot {
    std::uint64_t hash = 0;
    std::uint32_t word = 0;
    std::uint32_t tokens = 0;
    std::uint16_t word_bytes = 0;  // 0: free
    std::uint16_t count = 0;
  };

  void Clear() {
    slots_.assign(slots_.size(), {});
    words_.clear();
    tokens_.clear();
  }

  std::shared_ptr<const char> model_;  // identity of the model, not the model
  std::vector<Slot> slots_;
  std::string words_;
  std::vector<Token> tokens_;
  std::span<const Token> found_;
};

}  // namespace garrison::tokenizers
