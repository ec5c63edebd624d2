#include "storage/database_conversations.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "base/random.h"

namespace garrison {
namespace {

constexpr std::size_t kMostConnections = 8;
constexpr std::chrono::milliseconds kWaitForOne{2'000};
// A request waits for it, so a database that hangs must give up soon.
constexpr DbOptions kOptions = {.lock_time = std::chrono::milliseconds(2'000),
                                .statement_time = std::chrono::milliseconds(2'000),
                                .connect_time = std::chrono::milliseconds(1'000)};

// Details are for the log: they name files, hosts and accounts.
Error Unavailable() {
  return {Code::kUnavailable,
          "the database of the guard's conversations does not answer; the log says why", "",
          std::chrono::milliseconds(1'000), "guard_store_unavailable"};
}

// A version that was never there before: 62 random bits.
std::int64_t NewVersion() {
  std::uint64_t bits = 0;
  const std::string digits = RandomHex(sizeof(bits));
  std::from_chars(digits.data(), digits.data() + digits.size(), bits, 16);
  return static_cast<std::int64_t>((bits >> 2U) | 1U);
}

// What each tenant may keep, so that all together keep `most` and only the largest lose some.
std::int64_t LevelFor(std::vector<TenantCount> counts, std::int64_t most) {
  std::sort(counts.begin(), counts.end(),
            [](const auto& a, const auto& b) { return a.conversations < b.conversations; });
  std::int64_t left = most;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    const std::int64_t share = left / static_cast<std::int64_t>(counts.size() - i);
    if (counts[i].conversations > share) return share;
    left -= counts[i].conversations;
  }
  return most;
}

}  // namespace

DatabaseConversations::DatabaseConversations(DatabaseConversationsOptions options,
                                             const Clock& clock, Logger& logger)
    : options_(std::move(options)),
      one_writer_(!options_.place.starts_with("postgres")),
      clock_(clock),
      health_("the guard's conversations cannot be read or written", steady_, logger,
              "turns are refused meanwhile") {}

Result<ConversationTable> DatabaseConversations::Take(bool& was_idle) {
  was_idle = false;
  {
    std::unique_lock lock(mutex_);
    const bool came = free_.wait_until(lock, steady_.Now() + kWaitForOne, [this] {
      return !idle_.empty() || open_ < kMostConnections;
    });
    if (!came) return Fail(Code::kUnavailable, "all connections are busy");
    if (!idle_.empty()) {
      ConversationTable table = std::move(idle_.back());
      idle_.pop_back();
      was_idle = true;
      return table;
    }
    ++open_;
  }
  Result<ConversationTable> opened = ConversationTable::Open(options_.place, kOptions);
  if (!opened) {
    {
      const std::lock_guard lock(mutex_);
      --open_;
    }
    free_.notify_one();
  }
  return opened;
}

void DatabaseConversations::Give(ConversationTable table) {
  {
    const std::lock_guard lock(mutex_);
    if (table.usable()) {
      idle_.push_back(std::move(table));
    } else {
      --open_;
    }
  }
  free_.notify_one();
}

// The one that failed is the caller's; the idle ones have most likely failed with it.
void DatabaseConversations::Drop() {
  std::vector<ConversationTable> dropped;
  {
    const std::lock_guard lock(mutex_);
    dropped.swap(idle_);
    open_ -= dropped.size() + 1;
  }
  free_.notify_all();
}

// What only reads is asked again, once, on a new connection: an idle one may have been lost.
template <typename Function>
auto DatabaseConversations::Ask(bool writes, const Function& function) {
  using Answer = decltype(function(std::declval<ConversationTable&>()));
  std::unique_lock writing(writing_mutex_, std::defer_lock);
  if (writes && one_writer_) writing.lock();
  if (!health_.MayTry()) return Answer(tl::unexpected(Unavailable()));
  while (true) {
    bool was_idle = false;
    Result<ConversationTable> table = Take(was_idle);
    if (!table) {
      health_.Failed(table.error());
      return Answer(tl::unexpected(Unavailable()));
    }
    Answer answer = function(*table);
    // One damaged row is no fault of the database's, nor is a race that was lost.
    if (answer || answer.error().code == Code::kAborted ||
        answer.error().where == "conversation_id") {
      Give(*std::move(table));
      health_.Worked();
      return answer;
    }
    Drop();
    if (was_idle && !writes) continue;
    health_.Failed(answer.error());
    return Answer(tl::unexpected(Unavailable()));
  }
}

Result<std::optional<StoredConversation>> DatabaseConversations::Load(const ConversationKey& key) {
  return Ask(false,
             [&](ConversationTable& table) { return table.Load(key, ToUnixMs(clock_.WallNow())); });
}

Result<bool> DatabaseConversations::Save(const ConversationKey& key, std::string_view state,
                                         std::int64_t expected, std::int64_t expires_ms) {
  const StoredConversation conversation{std::string(state), NewVersion()};
  const std::int64_t now_ms = ToUnixMs(clock_.WallNow());
  Result<bool> saved = Ask(true, [&](ConversationTable& table) {
    return expected == 0 ? table.Insert(key, conversation, now_ms, expires_ms)
                         : table.Update(key, conversation, expected, now_ms, expires_ms);
  });
  // Lost against another transaction: nothing was done.
  if (!saved && saved.error().code == Code::kAborted) return false;
  return saved;
}

Result<bool> DatabaseConversations::Delete(const ConversationKey& key) {
  return Ask(true, [&](ConversationTable& table) {
    return table.Delete(key, ToUnixMs(clock_.WallNow()));
  });
}

Result<bool> DatabaseConversations::Sweep() {
  return Ask(true, [&](ConversationTable& table) -> Result<bool> {
    ASSIGN_OR_RETURN(const std::int64_t expired, table.DeleteExpired(ToUnixMs(clock_.WallNow())));
    {
      const std::lock_guard lock(mutex_);
      stats_.expired += static_cast<std::uint64_t>(expired);
    }
    ASSIGN_OR_RETURN(const bool more, Shrink(table));
    return more || expired >= ConversationTable::kMostAtOnce;
  });
}

Result<bool> DatabaseConversations::Shrink(ConversationTable& table) {
  ASSIGN_OR_RETURN(const std::vector<TenantCount> counts, table.Count());
  const std::int64_t level = LevelFor(counts, static_cast<std::int64_t>(options_.conversations));
  std::int64_t held = 0;
  std::int64_t evicted = 0;
  bool more = false;
  for (const TenantCount& count : counts) {
    held += count.conversations;
    if (count.conversations <= level) continue;
    ASSIGN_OR_RETURN(const std::int64_t removed,
                     table.DeleteOldest(count.tenant, count.conversations - level));
    evicted += removed;
    more = more || removed >= ConversationTable::kMostAtOnce;
  }
  const std::lock_guard lock(mutex_);
  stats_.evicted += static_cast<std::uint64_t>(evicted);
  stats_.conversations = static_cast<std::size_t>(held - evicted);
  return more;
}

ConversationStoreStats DatabaseConversations::stats() const {
  ConversationStoreStats stats;
  {
    const std::lock_guard lock(mutex_);
    stats = stats_;
  }
  stats.failures = health_.failures();
  stats.answers = health_.answers();
  return stats;
}

}  // namespace garrison
