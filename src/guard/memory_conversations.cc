#include "guard/memory_conversations.h"

#include <algorithm>
#include <chrono>
#include <iterator>

namespace garrison {
namespace {

std::string FullKey(const ConversationKey& key) {
  std::string full;
  full.reserve(key.tenant.size() + 1 + key.id.size());
  full += key.tenant;
  full += '\0';
  full += key.id;
  return full;
}

}  // namespace

MemoryConversations::MemoryConversations(std::size_t conversations_max, const Clock& clock)
    : conversations_max_(conversations_max), clock_(clock) {}

Result<std::optional<StoredConversation>> MemoryConversations::Load(const ConversationKey& key) {
  const std::string full = FullKey(key);
  const std::int64_t now_ms = ToUnixMs(clock_.WallNow());
  const std::lock_guard lock(mutex_);
  const auto found = by_key_.find(full);
  if (found == by_key_.end()) return std::optional<StoredConversation>();
  const Entry& entry = *found->second.entry;
  if (entry.expires_ms <= now_ms) return std::optional<StoredConversation>();
  return std::optional(StoredConversation{entry.state, entry.version});
}

Result<bool> MemoryConversations::Save(const ConversationKey& key, std::string_view state,
                                       std::int64_t expected, std::int64_t expires_ms) {
  std::string full = FullKey(key);
  // Not with spare room: there may be many.
  std::string copy(state);
  copy.shrink_to_fit();
  const std::int64_t now_ms = ToUnixMs(clock_.WallNow());
  const std::lock_guard lock(mutex_);
  auto tenant = tenants_.find(key.tenant);
  if (tenant == tenants_.end()) tenant = tenants_.emplace(std::string(key.tenant), Entries()).first;
  Entries& entries = tenant->second;
  ForgetExpired(entries, now_ms);
  auto found = by_key_.find(full);
  // One that is not the last of its tenant: the clock was set back.
  if (found != by_key_.end() && found->second.entry->expires_ms <= now_ms) {
    Forget(entries, found->second.entry);
    ++expired_;
    found = by_key_.end();
  }
  if ((found == by_key_.end() ? 0 : found->second.entry->version) != expected) return false;
  if (found != by_key_.end()) {
    const auto entry = found->second.entry;
    entry->state = std::move(copy);
    entry->version = ++last_version_;
    entry->expires_ms = expires_ms;
    entries.splice(entries.begin(), entries, entry);
    return true;
  }
  if (by_key_.size() >= conversations_max_) MakeRoom(now_ms);
  entries.push_front({std::move(full), std::move(copy), ++last_version_, expires_ms});
  by_key_.emplace(entries.front().key, Place{&entries, entries.begin()});
  return true;
}

Result<bool> MemoryConversations::Delete(const ConversationKey& key) {
  const std::string full = FullKey(key);
  const std::int64_t now_ms = ToUnixMs(clock_.WallNow());
  const std::lock_guard lock(mutex_);
  const auto found = by_key_.find(full);
  if (found == by_key_.end()) return false;
  const bool was_there = found->second.entry->expires_ms > now_ms;
  Forget(*found->second.tenant, found->second.entry);
  if (!was_there) ++expired_;
  return was_there;
}

Result<bool> MemoryConversations::Sweep() {
  const std::int64_t now_ms = ToUnixMs(clock_.WallNow());
  const std::lock_guard lock(mutex_);
  for (auto& [name, entries] : tenants_) ForgetExpired(entries, now_ms);
  return false;
}

void MemoryConversations::ForgetExpired(Entries& entries, std::int64_t now_ms) {
  while (!entries.empty() && entries.back().expires_ms <= now_ms) {
    Forget(entries, std::prev(entries.end()));
    ++expired_;
  }
}

void MemoryConversations::MakeRoom(std::int64_t now_ms) {
  for (auto& [name, entries] : tenants_) ForgetExpired(entries, now_ms);
  if (by_key_.size() < conversations_max_) return;
  const auto largest = std::max_element(
      tenants_.begin(), tenants_.end(),
      [](const auto& a, const auto& b) { return a.second.size() < b.second.size(); });
  Forget(largest->second, std::prev(largest->second.end()));
  ++evicted_;
}

void MemoryConversations::Forget(Entries& entries, Entries::iterator entry) {
  by_key_.erase(entry->key);
  entries.erase(entry);
}

ConversationStoreStats MemoryConversations::stats() const {
  const std::lock_guard lock(mutex_);
  return {.conversations = by_key_.size(), .evicted = evicted_, .expired = expired_};
}

}  // namespace garrison
