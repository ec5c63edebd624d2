#include "text/trie.h"

#include <algorithm>

namespace garrison::tokenizers {

// Places the children of one node after the other; free units are a doubly linked list.
class TrieBuilder {
 public:
  explicit TrieBuilder(Trie& trie, const std::vector<Trie::Key>& keys)
      : units_(trie.units_), keys_(keys) {}

  void Build() {
    Grow(kLabels * 2);
    Occupy(Trie::kRoot, Trie::kNoNode);
    stack_.push_back({Trie::kRoot, 0, keys_.size(), 0});
    while (!stack_.empty()) {
      const Work work = stack_.back();
      stack_.pop_back();
      Place(work);
    }
  }

 private:
  static constexpr std::size_t kLabels = 256;
  // Places to try in the holes before the end of the array is used: keeps building linear.
  static constexpr int kTriesMax = 24;
  static constexpr std::uint32_t kEnd = 0xFFFFFFFF;

  struct Work {
    std::uint32_t node;
    std::size_t first, last;  // of keys_
    std::size_t depth;
  };
  struct Child {
    unsigned char label;
    std::size_t first, last;
  };
  struct Links {
    std::uint32_t before, after;
  };

  void Place(const Work& work) {
    std::size_t first = work.first;
    if (keys_[first].first.size() == work.depth) {
      units_[work.node].value = keys_[first].second;
      if (++first == work.last) return;
    }
    children_.clear();
    for (std::size_t i = first; i < work.last; ++i) {
      const auto label = static_cast<unsigned char>(keys_[i].first[work.depth]);
      if (children_.empty() || children_.back().label != label) children_.push_back({label, i, i});
      children_.back().last = i + 1;
    }
    const std::uint32_t base = FindBase();
    units_[work.node].base = base;
    for (const Child& child : children_) {
      const std::uint32_t node = base + child.label;
      Occupy(node, work.node);
      stack_.push_back({node, child.first, child.last, work.depth + 1});
    }
  }

  // A base at which the units of all children are free.
  std::uint32_t FindBase() {
    int tries = 0;
    const unsigned char lowest = children_.front().label;
    for (std::uint32_t at = free_first_; at != kEnd && tries < kTriesMax; at = links_[at].after) {
      if (at < lowest) continue;
      ++tries;
      const std::uint32_t base = at - lowest;
      if (base + kLabels > units_.size()) break;
      if (std::all_of(children_.begin(), children_.end(),
                      [&](const Child& child) { return IsFree(base + child.label); })) {
        return base;
      }
      if (tries == kTriesMax) GiveUp(at);
    }
    const auto base = static_cast<std::uint32_t>(units_.size());
    Grow(units_.size() + kLabels);
    return base;
  }

  // Holes up to `at` are too hard to fill: they are not looked at again.
  void GiveUp(std::uint32_t at) {
    if (links_[at].after == kEnd || --patience_ > 0) return;
    patience_ = kPatience;
    while (free_first_ != at) Unlink(free_first_);
  }

  bool IsFree(std::uint32_t at) const { return units_[at].parent == Trie::kNoNode && at != 0; }

  void Occupy(std::uint32_t at, std::uint32_t parent) {
    if (links_[at].before != kUnlinked) Unlink(at);
    units_[at].parent = parent;
  }

  void Unlink(std::uint32_t at) {
    const Links links = links_[at];
    (links.before == kEnd ? free_first_ : links_[links.before].after) = links.after;
    (links.after == kEnd ? free_last_ : links_[links.after].before) = links.before;
    links_[at].before = kUnlinked;
  }

  void Grow(std::size_t size) {
    const auto begin = static_cast<std::uint32_t>(units_.size());
    units_.resize(size);
    links_.resize(size);
    for (std::uint32_t at = begin; at < size; ++at) {
      links_[at] = {free_last_, kEnd};
      (free_last_ == kEnd ? free_first_ : links_[free_last_].after) = at;
      free_last_ = at;
    }
  }

  static constexpr std::uint32_t kUnlinked = 0xFFFFFFFE;
  static constexpr int kPatience = 8;

  std::vector<Trie::Unit>& units_;
  const std::vector<Trie::Key>& keys_;
  std::vector<Links> links_;
  std::vector<Work> stack_;
  std::vector<Child> children_;
  std::uint32_t free_first_ = kEnd;
  std::uint32_t free_last_ = kEnd;
  int patience_ = kPatience;
};

Trie::Trie(std::vector<Key> keys) {
  std::stable_sort(keys.begin(), keys.end(),
                   [](const Key& a, const Key& b) { return a.first < b.first; });
  std::size_t kept = 0;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    if (keys[i].first.empty()) continue;
    if (i + 1 < keys.size() && keys[i + 1].first == keys[i].first) continue;
    keys[kept++] = keys[i];
  }
  keys.resize(kept);
  if (!keys.empty()) TrieBuilder(*this, keys).Build();
  if (units_.empty()) units_.resize(1);
}

std::uint32_t Trie::Walk(std::string_view prefix) const {
  std::uint32_t node = units_.empty() ? kNoNode : kRoot;
  for (const char c : prefix) {
    if (node == kNoNode) break;
    node = Step(node, c);
  }
  return node;
}

Trie::Match Trie::Longest(std::string_view text, std::uint32_t node) const {
  Match match;
  if (units_.empty()) return match;
  for (std::size_t i = 0; i < text.size(); ++i) {
    node = Step(node, text[i]);
    if (node == kNoNode) break;
    if (const std::int32_t value = ValueAt(node); value != kNoValue) match = {i + 1, value};
  }
  return match;
}

}  // namespace garrison::tokenizers
