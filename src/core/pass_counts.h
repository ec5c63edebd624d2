// What passes through models did, for metrics.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace garrison {

struct PassCounts {
  std::uint64_t passes = 0;
  std::uint64_t sequences = 0;  // computed
  std::uint64_t shared = 0;     // not computed: an equal one was under way
  std::uint64_t tokens = 0;     // computed
  std::uint64_t waiting = 0;    // sequences that no pass has yet, now
};

// Learns of every pass: `since` has what happened since the one before. Any thread, several at
// once; returns quickly.
using PassListener = std::function<void(const std::string& model, const PassCounts& since)>;

}  // namespace garrison
