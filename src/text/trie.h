// A double-array trie over bytes: the pieces that a text begins with, one array look-up per byte.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

namespace garrison::tokenizers {

class Trie {
 public:
  using Key = std::pair<std::string_view, std::int32_t>;  // value: not negative
  static constexpr std::int32_t kNoValue = -1;
  static constexpr std::uint32_t kRoot = 0;
  static constexpr std::uint32_t kNoNode = 0xFFFFFFFF;

  Trie() = default;
  // Of equal keys the last counts; empty keys are left out.
  explicit Trie(std::vector<Key> keys);

  // The child of `node` for a byte.
  std::uint32_t Step(std::uint32_t node, char byte) const {
    const std::uint32_t next = units_[node].base + static_cast<unsigned char>(byte);
    return next < units_.size() && units_[next].parent == node ? next : kNoNode;
  }
  std::int32_t ValueAt(std::uint32_t node) const { return units_[node].value; }
  bool empty() const { return units_.empty(); }
  // The node of a prefix, kNoNode if no key begins with it.
  std::uint32_t Walk(std::string_view prefix) const;

  struct Match {
    std::size_t size = 0;  // 0: none
    std::int32_t value = kNoValue;
  };
  Match Longest(std::string_view text, std::uint32_t node = kRoot) const;

 private:
  friend class TrieBuilder;
  struct Unit {
    std::uint32_t base = 0;
    std::uint32_t parent = kNoNode;
    std::int32_t value = kNoValue;
  };
  std::vector<Unit> units_;
};

}  // namespace garrison::tokenizers
