// Tokens and their ids: one arena of text, a table by id, and an open-addressed hash by text.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace garrison::tokenizers {

// Not for adversaries: whoever makes the vocabulary can make it slow.
std::uint64_t HashBytes(std::string_view bytes);

class Vocabulary {
 public:
  void Reserve(std::size_t tokens, std::size_t bytes);
  // INVALID_ARGUMENT when the token or the id is there already, or the id leaves too wide a gap.
  Result<> Add(std::string_view token, std::uint64_t id);
  // The highest id must be in proportion to the number of tokens: the tables are as long.
  Result<> CheckDensity() const;

  std::optional<std::int32_t> IdOf(std::string_view token) const;
  // Empty when there is no such token.
  std::string_view TokenOf(std::int32_t id) const;
  bool Has(std::int32_t id) const;
  // Highest id + 1.
  std::size_t end() const { return tokens_.size(); }
  std::size_t count() const { return count_; }

 private:
  struct Token {
    std::uint32_t begin = kAbsent;
    std::uint32_t size = 0;
  };
  static constexpr std::uint32_t kAbsent = 0xFFFFFFFF;
  static constexpr std::int32_t kFree = -1;

  std::string_view Text(const Token& token) const {
    return std::string_view(arena_).substr(token.begin, token.size);
  }
  void Rehash(std::size_t slots);

  std::string arena_;
  std::vector<Token> tokens_;        // by id
  std::vector<std::int32_t> slots_;  // ids; a power of two, at most half full
  std::size_t count_ = 0;
};

}  // namespace garrison::tokenizers
