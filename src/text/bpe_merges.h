// The merges of a byte pair encoding: a flat hash from a pair of ids to its rank and result.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "text/model.h"

namespace garrison::tokenizers {

class BpeMerges {
 public:
  static constexpr std::uint32_t kNoRank = 0xFFFFFFFF;

  struct Merge {
    std::uint32_t rank = kNoRank;
    std::int32_t id = -1;
  };

  explicit BpeMerges(std::size_t count);
  // Of equal pairs the last counts.
  void Add(std::int32_t left, std::int32_t right, std::uint32_t rank, std::int32_t id);
  Merge Find(std::int32_t left, std::int32_t right) const {
    const std::uint64_t key = Key(left, right);
    std::size_t slot = SlotOf(key);
    while (slots_[slot].key != key) {
      if (slots_[slot].key == kFree) return {};
      slot = (slot + 1) & mask_;
    }
    return {slots_[slot].rank, slots_[slot].id};
  }

  // Merges the symbols of one word, lowest rank first, of equal ranks the leftmost. Ids and bytes
  // of the symbols are given; on return the first `size` of them are the result.
  std::size_t Apply(std::vector<ModelScratch::Symbol>& symbols,
                    std::vector<std::uint64_t>& heap) const;

 private:
  static constexpr std::uint64_t kFree = 0xFFFFFFFFFFFFFFFFU;

  struct Slot {
    std::uint64_t key = kFree;
    std::uint32_t rank = kNoRank;
    std::int32_t id = -1;
  };

  static std::uint64_t Key(std::int32_t left, std::int32_t right) {
    return (std::uint64_t{static_cast<std::uint32_t>(left)} << 32) |
           static_cast<std::uint32_t>(right);
  }
  std::size_t SlotOf(std::uint64_t key) const {
    return static_cast<std::size_t>((key * 0x9E3779B97F4A7C15U) >> shift_);
  }
  void Rank(ModelScratch::Symbol& symbol, std::int32_t right) const {
    const Merge merge = Find(symbol.id, right);
    symbol.rank = merge.rank;
    symbol.merged = merge.id;
  }
  std::size_t ApplyShort(std::vector<ModelScratch::Symbol>& symbols) const;
  std::size_t ApplyLong(std::vector<ModelScratch::Symbol>& symbols,
                        std::vector<std::uint64_t>& heap) const;

  std::vector<Slot> slots_;
  std::size_t mask_ = 0;
  unsigned shift_ = 0;
};

}  // namespace garrison::tokenizers
