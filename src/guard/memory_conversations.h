// Conversations in the memory of this process: a ConversationStore that forgets when it ends.
//
// Bounded in number: when there are too many, the tenant that holds the most gives up the one that
// it used longest ago, so that nobody loses conversations to the zeal of another.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/clock.h"
#include "core/conversation_store.h"

namespace garrison {

// Never fails. Each call costs O(1), besides forgetting what has expired and, when it is full, a
// look at every tenant.
class MemoryConversations final : public ConversationStore {
 public:
  // `clock` must outlive it. At least one.
  MemoryConversations(std::size_t conversations_max, const Clock& clock);

  Result<std::optional<StoredConversation>> Load(const ConversationKey& key) override;
  Result<bool> Save(const ConversationKey& key, std::string_view state, std::int64_t expected,
                    std::int64_t expires_ms) override;
  Result<bool> Delete(const ConversationKey& key) override;
  Result<bool> Sweep() override;

  ConversationStoreStats stats() const override;

 private:
  struct Entry {
    std::string key;  // tenant, a zero byte, id
    std::string state;
    std::int64_t version = 0;
    std::int64_t expires_ms = 0;
  };
  using Entries = std::list<Entry>;  // saved last first
  struct Place {
    Entries* tenant;
    Entries::iterator entry;
  };

  void ForgetExpired(Entries& entries, std::int64_t now_ms);
  void MakeRoom(std::int64_t now_ms);
  void Forget(Entries& entries, Entries::iterator entry);

  const std::size_t conversations_max_;
  const Clock& clock_;

  mutable std::mutex mutex_;
  // Guarded by mutex_.
  std::map<std::string, Entries, std::less<>> tenants_;  // never emptied of tenants: they are keys
  std::unordered_map<std::string_view, Place> by_key_;   // keys live in the entries
  std::int64_t last_version_ = 0;
  std::uint64_t evicted_ = 0;
  std::uint64_t expired_ = 0;
};

}  // namespace garrison
