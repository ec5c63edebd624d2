#include "storage/conversation_table.h"

#include <algorithm>
#include <array>
#include <span>
#include <utility>

#include "base/hash.h"

namespace garrison {
namespace {

constexpr std::string_view kModule = "conversations";

constexpr std::string_view kSqlite = R"(
  CREATE TABLE garrison_conversations (
    tenant TEXT NOT NULL, id TEXT NOT NULL, version BIGINT NOT NULL, state BLOB NOT NULL,
    checksum BLOB NOT NULL, last_used_ms BIGINT NOT NULL, expires_ms BIGINT NOT NULL,
    PRIMARY KEY (tenant, id)) WITHOUT ROWID;
  CREATE INDEX garrison_conversations_expiry ON garrison_conversations (expires_ms);
  CREATE INDEX garrison_conversations_used ON garrison_conversations (tenant, last_used_ms);
)";
constexpr std::string_view kPostgres = R"(
  CREATE TABLE garrison_conversations (
    tenant TEXT NOT NULL, id TEXT NOT NULL, version BIGINT NOT NULL, state BYTEA NOT NULL,
    checksum BYTEA NOT NULL, last_used_ms BIGINT NOT NULL, expires_ms BIGINT NOT NULL,
    PRIMARY KEY (tenant, id));
  ALTER TABLE garrison_conversations ALTER COLUMN state SET STORAGE EXTERNAL;
  CREATE INDEX garrison_conversations_expiry ON garrison_conversations (expires_ms);
  CREATE INDEX garrison_conversations_used ON garrison_conversations (tenant, last_used_ms);
)";
constexpr std::array kSteps = {DbMigration{kSqlite, kPostgres}};

constexpr std::string_view kLoad =
    "SELECT version, state, checksum FROM garrison_conversations"
    " WHERE tenant = $1 AND id = $2 AND expires_ms > $3";
// What has expired is not there: it is written over.
constexpr std::string_view kInsert =
    "INSERT INTO garrison_conversations"
    " (tenant, id, version, state, checksum, last_used_ms, expires_ms)"
    " VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (tenant, id) DO UPDATE SET"
    " version = excluded.version, state = excluded.state, checksum = excluded.checksum,"
    " last_used_ms = excluded.last_used_ms, expires_ms = excluded.expires_ms"
    " WHERE garrison_conversations.expires_ms <= excluded.last_used_ms";
constexpr std::string_view kUpdate =
    "UPDATE garrison_conversations SET version = $3, state = $4, checksum = $5,"
    " last_used_ms = $6, expires_ms = $7 WHERE tenant = $1 AND id = $2 AND version = $8";
constexpr std::string_view kDelete =
    "DELETE FROM garrison_conversations WHERE tenant = $1 AND id = $2";
constexpr std::string_view kIsThere =
    "SELECT 1 FROM garrison_conversations WHERE tenant = $1 AND id = $2 AND expires_ms > $3";
constexpr std::string_view kDeleteExpired =
    "DELETE FROM garrison_conversations WHERE (tenant, id) IN (SELECT tenant, id"
    " FROM garrison_conversations WHERE expires_ms <= $1 ORDER BY expires_ms LIMIT $2)"
    " AND expires_ms <= $1";
constexpr std::string_view kDeleteOldest =
    "DELETE FROM garrison_conversations WHERE (tenant, id) IN (SELECT tenant, id"
    " FROM garrison_conversations WHERE tenant = $1 ORDER BY last_used_ms LIMIT $2)";
constexpr std::string_view kCount =
    "SELECT tenant, count(*) FROM garrison_conversations GROUP BY tenant ORDER BY tenant";

// Over everything that makes the row: a damaged file is noticed, and so is a row that was moved.
Sha256Digest ChecksumOf(const ConversationKey& key, std::int64_t version, std::string_view state) {
  Sha256 hash;
  hash.Update(fmt::format("{}:{}:{}:{}:", key.tenant.size(), key.id.size(), version, state.size()));
  hash.Update(key.tenant);
  hash.Update(key.id);
  hash.Update(state);
  return hash.Finish();
}

Result<StoredConversation> ReadRow(const ConversationKey& key, const DbRow& row) {
  StoredConversation conversation;
  ASSIGN_OR_RETURN(conversation.version, IntegerAt(row, 0));
  ASSIGN_OR_RETURN(const std::vector<std::byte> state, BytesAt(row, 1));
  ASSIGN_OR_RETURN(const std::vector<std::byte> checksum, BytesAt(row, 2));
  conversation.state.assign(reinterpret_cast<const char*>(state.data()), state.size());
  const Sha256Digest expected = ChecksumOf(key, conversation.version, conversation.state);
  if (!std::equal(checksum.begin(), checksum.end(), expected.begin(), expected.end())) {
    return Fail(Code::kDataLoss, "the checksum does not match");
  }
  return conversation;
}

std::span<const std::byte> BytesOf(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

}  // namespace

Result<ConversationTable> ConversationTable::Open(const std::string& place,
                                                  const DbOptions& options) {
  ASSIGN_OR_RETURN(std::unique_ptr<DbConnection> connection, OpenDatabase(place, options));
  RETURN_IF_ERROR(Migrate(*connection, kModule, kSteps));
  return ConversationTable(std::move(connection));
}

Result<std::optional<StoredConversation>> ConversationTable::Load(const ConversationKey& key,
                                                                  std::int64_t now_ms) {
  const DbParameters parameters = {key.tenant, key.id, now_ms};
  ASSIGN_OR_RETURN(const DbResult found, connection_->Execute(kLoad, parameters));
  if (found.rows.empty()) return std::optional<StoredConversation>();
  Result<StoredConversation> read = ReadRow(key, found.rows.front());
  if (!read) {
    return FailAt("conversation_id", Code::kDataLoss,
                  "the row of this conversation is damaged: it is not what was written");
  }
  return std::optional(*std::move(read));
}

Result<bool> ConversationTable::Insert(const ConversationKey& key,
                                       const StoredConversation& conversation, std::int64_t now_ms,
                                       std::int64_t expires_ms) {
  const Sha256Digest checksum = ChecksumOf(key, conversation.version, conversation.state);
  const DbParameters parameters = {key.tenant,
                                   key.id,
                                   conversation.version,
                                   BytesOf(conversation.state),
                                   std::span<const std::byte>(checksum),
                                   now_ms,
                                   expires_ms};
  ASSIGN_OR_RETURN(const DbResult result, connection_->Execute(kInsert, parameters));
  return result.changed == 1;
}

Result<bool> ConversationTable::Update(const ConversationKey& key,
                                       const StoredConversation& conversation,
                                       std::int64_t expected, std::int64_t now_ms,
                                       std::int64_t expires_ms) {
  const Sha256Digest checksum = ChecksumOf(key, conversation.version, conversation.state);
  const DbParameters parameters = {key.tenant,
                                   key.id,
                                   conversation.version,
                                   BytesOf(conversation.state),
                                   std::span<const std::byte>(checksum),
                                   now_ms,
                                   expires_ms,
                                   expected};
  ASSIGN_OR_RETURN(const DbResult result, connection_->Execute(kUpdate, parameters));
  return result.changed == 1;
}

Result<bool> ConversationTable::Delete(const ConversationKey& key, std::int64_t now_ms) {
  ASSIGN_OR_RETURN(DbTransaction transaction, DbTransaction::Begin(*connection_));
  const DbParameters there = {key.tenant, key.id, now_ms};
  ASSIGN_OR_RETURN(const DbResult found, connection_->Execute(kIsThere, there));
  const DbParameters parameters = {key.tenant, key.id};
  ASSIGN_OR_RETURN(const DbResult result, connection_->Execute(kDelete, parameters));
  RETURN_IF_ERROR(transaction.Commit());
  return !found.rows.empty() && result.changed == 1;
}

Result<std::int64_t> ConversationTable::DeleteExpired(std::int64_t now_ms) {
  const DbParameters parameters = {now_ms, kMostAtOnce};
  ASSIGN_OR_RETURN(const DbResult result, connection_->Execute(kDeleteExpired, parameters));
  return result.changed;
}

Result<std::int64_t> ConversationTable::DeleteOldest(const std::string& tenant, std::int64_t most) {
  const DbParameters parameters = {std::string_view(tenant), std::min(most, kMostAtOnce)};
  ASSIGN_OR_RETURN(const DbResult result, connection_->Execute(kDeleteOldest, parameters));
  return result.changed;
}

Result<std::vector<TenantCount>> ConversationTable::Count() {
  ASSIGN_OR_RETURN(const DbResult result, connection_->Execute(kCount, {}));
  std::vector<TenantCount> counts;
  for (const DbRow& row : result.rows) {
    TenantCount& count = counts.emplace_back();
    ASSIGN_OR_RETURN(count.tenant, TextAt(row, 0));
    ASSIGN_OR_RETURN(count.conversations, IntegerAt(row, 1));
  }
  return counts;
}

}  // namespace garrison
