// The table of the guard's conversations, in either database: schema and queries.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "core/conversation_store.h"
#include "db/database.h"

namespace garrison {

struct TenantCount {
  std::string tenant;
  std::int64_t conversations = 0;
};

// One connection. One thread at a time. Errors are those of DbConnection; every call is one
// statement, which is done as a whole or not at all.
class ConversationTable {
 public:
  // Opens the database and brings its table up to date.
  static Result<ConversationTable> Open(const std::string& place, const DbOptions& options);

  // Empty when it is not there or expired at `now_ms`. DATA_LOSS (where:
  // "conversation_id") when it is not what was written.
  Result<std::optional<StoredConversation>> Load(const ConversationKey& key, std::int64_t now_ms);
  // False when something is there that has not expired.
  Result<bool> Insert(const ConversationKey& key, const StoredConversation& conversation,
                      std::int64_t now_ms, std::int64_t expires_ms);
  // False unless what is there is of the `expected` version.
  Result<bool> Update(const ConversationKey& key, const StoredConversation& conversation,
                      std::int64_t expected, std::int64_t now_ms, std::int64_t expires_ms);
  // Whether one was there that had not expired.
  Result<bool> Delete(const ConversationKey& key, std::int64_t now_ms);

  // Each removes kMostAtOnce at most, and says how many.
  static constexpr std::int64_t kMostAtOnce = 1'000;
  Result<std::int64_t> DeleteExpired(std::int64_t now_ms);
  Result<std::int64_t> DeleteOldest(const std::string& tenant, std::int64_t most);
  Result<std::vector<TenantCount>> Count();

  DbKind kind() const { return connection_->kind(); }
  bool usable() const { return connection_->usable(); }

 private:
  explicit ConversationTable(std::unique_ptr<DbConnection> connection)
      : connection_(std::move(connection)) {}
  std::unique_ptr<DbConnection> connection_;
};

}  // namespace garrison
