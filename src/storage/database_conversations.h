// The guard's conversations in a database that several processes may share: a ConversationStore.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/log.h"
#include "core/conversation_store.h"
#include "storage/conversation_table.h"
#include "storage/health.h"

namespace garrison {

struct DatabaseConversationsOptions {
  std::string place;                   // a file, or a postgres:// URL
  std::size_t conversations = 10'000;  // of all processes and tenants together
};

// A database that does not answer is left alone for a while, and calls fail at once meanwhile. A
// commit survives the end of the process; after a power cut the last turns may be missing.
class DatabaseConversations final : public ConversationStore {
 public:
  // The database is opened when there is something to do. `clock` decides what has expired; `clock`
  // and `logger` must outlive it.
  DatabaseConversations(DatabaseConversationsOptions options, const Clock& clock, Logger& logger);

  Result<std::optional<StoredConversation>> Load(const ConversationKey& key) override;
  Result<bool> Save(const ConversationKey& key, std::string_view state, std::int64_t expected,
                    std::int64_t expires_ms) override;
  Result<bool> Delete(const ConversationKey& key) override;
  // Above the bound, those who hold the most give up those that they used longest ago.
  Result<bool> Sweep() override;

  ConversationStoreStats stats() const override;

 private:
  Result<ConversationTable> Take(bool& was_idle);
  void Give(ConversationTable table);
  void Drop();
  template <typename Function>
  auto Ask(bool writes, const Function& function);
  // True: more are left.
  Result<bool> Shrink(ConversationTable& table);

  const DatabaseConversationsOptions options_;
  const bool one_writer_;  // SQLite: those who write wait here, not in the database
  const Clock& clock_;
  const SystemClock steady_;  // of threads that wait for real
  Health health_;

  std::mutex writing_mutex_;  // held while writing, where one_writer_

  mutable std::mutex mutex_;
  std::condition_variable free_;
  // Guarded by mutex_.
  std::vector<ConversationTable> idle_;
  std::size_t open_ = 0;
  ConversationStoreStats stats_;
};

}  // namespace garrison
