// The port for keeping the state of conversations, so that several services can share them.
//
// A state is bytes: what they mean is the business of guard/session_state.h. What belongs to one
// tenant does not exist for another: both are parts of the key.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace garrison {

struct ConversationKey {
  std::string_view tenant;  // name of an API key; empty without keys
  std::string_view id;
};

struct StoredConversation {
  std::string state;
  // Another one after every save, never one that was there before; not 0.
  std::int64_t version = 0;
};

struct ConversationStoreStats {
  std::size_t conversations = 0;  // held; of a database: when it was last counted
  // By this process since the start: dropped to make room, and not used in time.
  std::uint64_t evicted = 0;
  std::uint64_t expired = 0;
  std::uint64_t failures = 0;  // of the database
  bool answers = true;
};

// Thread-safe. A state is there as a whole or not at all, whoever dies meanwhile. Errors:
// UNAVAILABLE with `reason` "guard_store_unavailable" when the database does not answer, DATA_LOSS
// when what it holds is damaged.
class ConversationStore {
 public:
  virtual ~ConversationStore() = default;

  // Empty when it is not there or has expired.
  virtual Result<std::optional<StoredConversation>> Load(const ConversationKey& key) = 0;
  // Saves `state` if what is there is still of `expected` version; 0: if nothing is there that has
  // not expired. False: it was not, and nothing was saved. After UNAVAILABLE it may have been.
  // `expires_ms` is in milliseconds since 1970, as everywhere.
  virtual Result<bool> Save(const ConversationKey& key, std::string_view state,
                            std::int64_t expected, std::int64_t expires_ms) = 0;
  // Whatever is there, damaged ones too. False: nothing was.
  virtual Result<bool> Delete(const ConversationKey& key) = 0;
  // Drops what has expired and what is above the bound, a bounded number of them; true: more are
  // left, so that the next call must not wait. Otherwise it is cheap when called once a minute.
  virtual Result<bool> Sweep() = 0;

  virtual ConversationStoreStats stats() const = 0;
};

}  // namespace garrison
