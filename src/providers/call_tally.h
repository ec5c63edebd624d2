// What the calls for one request have come to, whoever made them.
#pragma once

#include <atomic>
#include <optional>

#include "core/money.h"

namespace garrison {

// Thread-safe.
struct CallTally {
  std::atomic<unsigned> attempts = 0;  // that left this machine
  std::atomic<Pusd> cost = 0;          // of those that have a price
  std::atomic<bool> priced = false;    // there was one

  void Add(std::optional<Pusd> amount) {
    if (!amount) return;
    cost += *amount;
    priced = true;
  }
};

}  // namespace garrison
