// How a Split step treats what it finds.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "text/aligned_text.h"

namespace garrison::tokenizers {

// In the order of kBehaviorNames.
enum class Behavior { kRemoved, kIsolated, kMergedWithPrevious, kMergedWithNext, kContiguous };
inline constexpr std::string_view kBehaviorNames[] = {"Removed", "Isolated", "MergedWithPrevious",
                                                      "MergedWithNext", "Contiguous"};

// Takes the pieces of one word from left to right, delimiters and what is between them, and
// appends the words that come out.
class Splitter {
 public:
  Splitter(Behavior behavior, std::vector<Span>& out) : behavior_(behavior), out_(out) {}

  void Take(std::uint32_t begin, std::uint32_t end, bool delimiter) {
    switch (behavior_) {
      case Behavior::kRemoved:
        if (!delimiter) Push({begin, end});
        return;
      case Behavior::kIsolated:
        return Push({begin, end});
      case Behavior::kMergedWithPrevious:
        Merge({begin, end}, delimiter && !last_delimiter_);
        break;
      case Behavior::kMergedWithNext:
        // A delimiter belongs to what follows, unless that is a delimiter too.
        Merge({begin, end}, !delimiter && last_delimiter_);
        break;
      case Behavior::kContiguous:
        Merge({begin, end}, delimiter == last_delimiter_);
    }
    last_delimiter_ = delimiter;
  }
  // The end of the word.
  void Finish() {
    if (holds_) Push(held_);
    holds_ = false;
    last_delimiter_ = false;
  }

 private:
  void Push(Span word) {
    if (word.end > word.begin) out_.push_back(word);
  }
  void Merge(Span piece, bool with_held) {
    if (holds_ && with_held) {
      held_.end = piece.end;
      return;
    }
    if (holds_) Push(held_);
    held_ = piece;
    holds_ = true;
  }

  const Behavior behavior_;
  std::vector<Span>& out_;
  Span held_;
  bool holds_ = false;
  bool last_delimiter_ = false;
};

}  // namespace garrison::tokenizers
