#include "text/bpe_merges.h"

#include <algorithm>
#include <bit>
#include <functional>

namespace garrison::tokenizers {
namespace {

// Up to here looking through all pairs beats a heap.
constexpr std::size_t kShortWord = 40;
constexpr std::uint32_t kNone = 0xFFFFFFFF;

}  // namespace

BpeMerges::BpeMerges(std::size_t count) {
  const std::size_t size = std::bit_ceil(2 * count + 2);
  slots_.resize(size);
  mask_ = size - 1;
  shift_ = 64 - static_cast<unsigned>(std::countr_zero(size));
}

void BpeMerges::Add(std::int32_t left, std::int32_t right, std::uint32_t rank, std::int32_t id) {
  const std::uint64_t key = Key(left, right);
  std::size_t slot = SlotOf(key);
  while (slots_[slot].key != kFree && slots_[slot].key != key) slot = (slot + 1) & mask_;
  slots_[slot] = {key, rank, id};
}

std::size_t BpeMerges::Apply(std::vector<ModelScratch::Symbol>& symbols,
                             std::vector<std::uint64_t>& heap) const {
  for (std::size_t i = 0; i + 1 < symbols.size(); ++i) Rank(symbols[i], symbols[i + 1].id);
  if (!symbols.empty()) symbols.back().rank = kNoRank;
  return symbols.size() <= kShortWord ? ApplyShort(symbols) : ApplyLong(symbols, heap);
}

std::size_t BpeMerges::ApplyShort(std::vector<ModelScratch::Symbol>& symbols) const {
  std::size_t size = symbols.size();
  while (size > 1) {
    std::size_t best = 0;
    for (std::size_t i = 1; i < size; ++i) {
      if (symbols[i].rank < symbols[best].rank) best = i;
    }
    if (symbols[best].rank == kNoRank) break;
    symbols[best].id = symbols[best].merged;
    symbols[best].bytes += symbols[best + 1].bytes;
    for (std::size_t i = best + 1; i + 1 < size; ++i) symbols[i] = symbols[i + 1];
    --size;
    symbols[best].rank = kNoRank;
    if (best + 1 < size) Rank(symbols[best], symbols[best + 1].id);
    if (best > 0) Rank(symbols[best - 1], symbols[best].id);
  }
  return size;
}

// A linked list of symbols and a heap of pairs; an entry of the heap is stale when its pair has got
// another rank since.
std::size_t BpeMerges::ApplyLong(std::vector<ModelScratch::Symbol>& symbols,
                                 std::vector<std::uint64_t>& heap) const {
  const auto size = static_cast<std::uint32_t>(symbols.size());
  heap.clear();
  const auto entry = [&](std::uint32_t at) { return (std::uint64_t{symbols[at].rank} << 32) | at; };
  for (std::uint32_t i = 0; i < size; ++i) {
    symbols[i].before = i == 0 ? kNone : i - 1;
    symbols[i].after = i + 1 == size ? kNone : i + 1;
    if (symbols[i].rank != kNoRank) heap.push_back(entry(i));
  }
  std::make_heap(heap.begin(), heap.end(), std::greater<>());
  const auto push = [&](std::uint32_t at) {
    symbols[at].rank = kNoRank;
    if (symbols[at].after == kNone) return;
    Rank(symbols[at], symbols[symbols[at].after].id);
    if (symbols[at].rank == kNoRank) return;
    heap.push_back(entry(at));
    std::push_heap(heap.begin(), heap.end(), std::greater<>());
  };
  while (!heap.empty()) {
    std::pop_heap(heap.begin(), heap.end(), std::greater<>());
    const std::uint64_t top = heap.back();
    heap.pop_back();
    const auto at = static_cast<std::uint32_t>(top);
    if (symbols[at].rank != static_cast<std::uint32_t>(top >> 32)) continue;
    const std::uint32_t gone = symbols[at].after;
    symbols[at].id = symbols[at].merged;
    symbols[at].bytes += symbols[gone].bytes;
    symbols[at].after = symbols[gone].after;
    if (symbols[at].after != kNone) symbols[symbols[at].after].before = at;
    symbols[gone].rank = kNoRank;
    push(at);
    if (symbols[at].before != kNone) push(symbols[at].before);
  }
  std::size_t kept = 0;
  for (std::uint32_t at = size == 0 ? kNone : 0; at != kNone; ++kept) {
    const std::uint32_t after = symbols[at].after;
    symbols[kept] = symbols[at];
    at = after;
  }
  return kept;
}

}  // namespace garrison::tokenizers
