#include "storage/database_vectors.h"

#include <algorithm>
#include <utility>

namespace garrison {
namespace {

constexpr std::size_t kMostReaders = 8;
constexpr std::size_t kMostRowsTogether = 2048;
constexpr std::size_t kMostUses = 1 << 16;
constexpr std::size_t kMostDamaged = 1 << 12;
constexpr std::chrono::milliseconds kReaderWait{100};
constexpr std::chrono::seconds kUsesWait{2};
constexpr std::chrono::seconds kHouseEvery{60};
constexpr std::chrono::milliseconds kLastWords{1'000};

// A request waits for it, so a database that hangs must give up soon.
constexpr DbOptions kReading = {.lock_time = std::chrono::milliseconds(200),
                                .statement_time = std::chrono::milliseconds(1'000),
                                .connect_time = std::chrono::milliseconds(1'000)};
constexpr DbOptions kWriting = {.lock_time = std::chrono::milliseconds(2'000),
                                .statement_time = std::chrono::milliseconds(30'000),
                                .connect_time = std::chrono::milliseconds(3'000)};

}  // namespace

DatabaseVectors::DatabaseVectors(DatabaseVectorsOptions options, const Clock& clock, Logger& logger)
    : options_(std::move(options)),
      clock_(clock),
      reading_("the cache's database cannot be read", steady_, logger),
      writing_("the cache's database cannot be written", steady_, logger),
      writer_([this] { WriteLoop(); }) {}

DatabaseVectors::~DatabaseVectors() {
  {
    const std::lock_guard lock(mutex_);
    closing_ = true;
    closing_end_ = steady_.Now() + kLastWords;
  }
  work_.notify_all();
  writer_.join();
}

// ---------------------------------------------------------------- reading

std::optional<VectorTable> DatabaseVectors::TakeReader() {
  {
    std::unique_lock lock(readers_mutex_);
    const bool came = reader_free_.wait_until(lock, steady_.Now() + kReaderWait, [this] {
      return !readers_.empty() || readers_open_ < kMostReaders;
    });
    if (!came) return std::nullopt;
    if (!readers_.empty()) {
      VectorTable table = std::move(readers_.back());
      readers_.pop_back();
      return table;
    }
    ++readers_open_;
  }
  Result<VectorTable> opened = VectorTable::Open(options_.place, kReading);
  if (opened) return *std::move(opened);
  {
    const std::lock_guard lock(readers_mutex_);
    --readers_open_;
  }
  reader_free_.notify_one();
  reading_.Failed(opened.error());
  return std::nullopt;
}

void DatabaseVectors::GiveReader(VectorTable table) {
  {
    const std::lock_guard lock(readers_mutex_);
    readers_.push_back(std::move(table));
  }
  reader_free_.notify_one();
}

// The one that failed is the caller's; the idle ones have most likely failed with it.
void DatabaseVectors::DropReaders() {
  std::vector<VectorTable> dropped;
  {
    const std::lock_guard lock(readers_mutex_);
    dropped.swap(readers_);
    readers_open_ -= dropped.size() + 1;
  }
  reader_free_.notify_all();
}

std::vector<std::optional<StoredVector>> DatabaseVectors::Find(std::span<const VectorKey> keys) {
  std::vector<std::optional<StoredVector>> found(keys.size());
  if (keys.empty() || !reading_.MayTry()) return found;
  std::optional<VectorTable> table = TakeReader();
  if (!table) return found;
  Result<FoundRows> rows = table->Find(keys);
  if (!rows) {
    reading_.Failed(rows.error());
    DropReaders();
    return found;
  }
  GiveReader(*std::move(table));
  reading_.Worked();
  const UnixMs now = Now();
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const std::optional<VectorRow>& row = rows->rows[i];
    // Rounded vectors are for those who asked for them.
    if (!row || (row->precision == VectorPrecision::kFloat16 &&
                 options_.precision != VectorPrecision::kFloat16)) {
      continue;
    }
    found[i] = row->Decode();
    if (found[i] && found[i]->IsExpired(now)) found[i].reset();
  }
  if (!rows->damaged.empty()) {
    const std::lock_guard lock(mutex_);
    stats_.damaged += rows->damaged.size();
    for (const VectorKey& key : rows->damaged) {
      if (pending_.damaged.size() < kMostDamaged) pending_.damaged.push_back(key);
    }
  }
  return found;
}

// ---------------------------------------------------------------- handing over

void DatabaseVectors::Store(const std::vector<NewVector>& vectors) {
  const UnixMs now = Now();
  const UnixMs expires = options_.time_to_live.count() == 0
                             ? 0
                             : now + std::chrono::milliseconds(options_.time_to_live).count();
  std::vector<VectorRow> rows;
  rows.reserve(vectors.size());
  for (const NewVector& vector : vectors) {
    VectorRow& row = rows.emplace_back(MakeRow(vector, options_.precision, options_.keep_text));
    row.created_at = now;
    row.expires_at = expires;
  }
  {
    const std::lock_guard lock(mutex_);
    for (VectorRow& row : rows) {
      const std::uint64_t bytes = row.Bytes();
      if (pending_.row_bytes + bytes > kMostPendingBytes) {
        ++stats_.dropped;
        continue;
      }
      const VectorKey key = row.key;
      if (pending_.rows.insert_or_assign(key, std::move(row)).second) pending_.row_bytes += bytes;
    }
  }
  work_.notify_one();
}

void DatabaseVectors::Use(std::span<const VectorKey> keys) {
  const UnixMs now = Now();
  const std::lock_guard lock(mutex_);
  if (pending_.uses.empty()) uses_due_ = steady_.Now() + kUsesWait;
  for (const VectorKey& key : keys) {
    const auto found = pending_.uses.find(key);
    // Beyond it counts are lost, which costs nothing but a worse choice of what to evict.
    if (found == pending_.uses.end() && pending_.uses.size() >= kMostUses) continue;
    VectorUse& use = found != pending_.uses.end() ? found->second : pending_.uses[key];
    use.key = key;
    ++use.hits;
    use.last_used = now;
  }
}

bool DatabaseVectors::Flush(std::chrono::milliseconds time) {
  std::unique_lock lock(mutex_);
  hurry_ = true;
  work_.notify_one();
  return idle_.wait_until(lock, steady_.Now() + time,
                          [this] { return !busy_ && !hurry_ && pending_.empty(); });
}

DatabaseVectorsStats DatabaseVectors::stats() const {
  const std::lock_guard lock(mutex_);
  DatabaseVectorsStats stats = stats_;
  stats.errors = reading_.failures() + writing_.failures();
  stats.answers = reading_.answers() && writing_.answers();
  return stats;
}

// ---------------------------------------------------------------- the writer

// Until there is something to write and it may be tried. False: over.
bool DatabaseVectors::WaitForWork(std::unique_lock<std::mutex>& lock) {
  while (true) {
    const SteadyTime now = steady_.Now();
    if (closing_ && (pending_.empty() || now >= closing_end_ || !writing_.answers())) return false;
    if (hurry_ && pending_.empty()) {
      hurry_ = false;
      idle_.notify_all();
    }
    const SteadyTime next_try = writing_.next_try();
    const bool rows = !pending_.rows.empty() || !pending_.damaged.empty();
    const bool uses = !pending_.uses.empty() && (hurry_ || closing_ || now >= uses_due_);
    const bool house = now >= house_due_;
    if ((rows || uses || house) && now >= next_try && writing_.MayTry()) {
      if (rows && !hurry_ && !closing_ && pending_.row_bytes < kMostPendingBytes / 2) {
        work_.wait_until(lock, now + options_.linger, [this] { return hurry_ || closing_; });
      }
      return true;
    }
    SteadyTime until = std::min(house_due_, now + kHouseEvery);
    if (!pending_.uses.empty()) until = std::min(until, uses_due_);
    if (next_try > now) until = rows || uses || house ? next_try : std::max(until, next_try);
    if (closing_) until = std::min(until, closing_end_);
    work_.wait_until(lock, until);
  }
}

void DatabaseVectors::WriteLoop() {
  std::unique_lock lock(mutex_);
  while (WaitForWork(lock)) {
    Pending group = std::exchange(pending_, {});
    busy_ = true;
    const bool closing = closing_;
    lock.unlock();
    Result<> written = WriteGroup(group);
    if (written && !closing && steady_.Now() >= house_due_) written = KeepHouse();
    if (!written) {
      writer_table_.reset();
      writing_.Failed(written.error());
    } else {
      writing_.Worked();
    }
    lock.lock();
    if (!written && written.error().code == Code::kInternal) {
      // It is what was to be written that is wrong: again it would fail again, and hold up the
      // rest.
      stats_.dropped += group.rows.size();
    } else if (!written) {
      PutBack(std::move(group));
    }
    busy_ = false;
    if (written && pending_.empty()) hurry_ = false;
    idle_.notify_all();
  }
  stats_.dropped += pending_.rows.size();
}

// Removes from the group what was written.
Result<> DatabaseVectors::WriteGroup(Pending& group) {
  if (!writer_table_) {
    ASSIGN_OR_RETURN(writer_table_, VectorTable::Open(options_.place, kWriting));
    house_due_ = SteadyTime::min();
  }
  const UnixMs now = Now();
  // What is about to be replaced need not be removed.
  std::erase_if(group.damaged, [&](const VectorKey& key) { return group.rows.contains(key); });
  while (!group.rows.empty()) {
    std::vector<VectorRow> rows;
    std::uint64_t bytes = 0;
    for (const auto& [key, row] : group.rows) {
      if (rows.size() >= kMostRowsTogether) break;
      rows.push_back(row);
      bytes += row.Bytes();
    }
    RETURN_IF_ERROR(writer_table_->Write(rows, now));
    wrote_ = true;
    estimated_bytes_ += bytes;
    for (const VectorRow& row : rows) group.rows.erase(row.key);
    group.row_bytes -= std::min(group.row_bytes, bytes);
  }
  if (!group.uses.empty()) {
    std::vector<VectorUse> uses;
    uses.reserve(group.uses.size());
    for (const auto& [key, use] : group.uses) uses.push_back(use);
    RETURN_IF_ERROR(writer_table_->CountUses(std::move(uses)));
    group.uses.clear();
  }
  if (!group.damaged.empty()) {
    RETURN_IF_ERROR(writer_table_->Remove(std::move(group.damaged)));
    group.damaged.clear();
  }
  if (estimated_bytes_ > options_.bytes) house_due_ = SteadyTime::min();
  return {};
}

// Expired rows go; when there are too many bytes, a twentieth more than needed, so that the next
// vector does not have to make room again.
Result<> DatabaseVectors::KeepHouse() {
  house_due_ = steady_.Now() + kHouseEvery;
  const bool first = estimated_bytes_ == 0;
  if (!wrote_ && !first) return {};
  RETURN_IF_ERROR(writer_table_->RemoveExpired(Now()));
  ASSIGN_OR_RETURN(VectorTotals totals, writer_table_->Totals());
  std::uint64_t evicted = 0;
  if (totals.bytes > options_.bytes) {
    ASSIGN_OR_RETURN(evicted, writer_table_->Shrink(options_.bytes - options_.bytes / 20));
    ASSIGN_OR_RETURN(totals, writer_table_->Totals());
  }
  wrote_ = false;
  estimated_bytes_ = totals.bytes;
  const std::lock_guard lock(mutex_);
  stats_.evictions += evicted;
  stats_.totals = totals;
  return {};
}

// What could not be written, beside what has come meanwhile.
void DatabaseVectors::PutBack(Pending group) {
  for (auto& [key, row] : group.rows) {
    const std::uint64_t bytes = row.Bytes();
    if (pending_.rows.contains(key)) continue;
    if (pending_.row_bytes + bytes > kMostPendingBytes) {
      ++stats_.dropped;
      continue;
    }
    pending_.row_bytes += bytes;
    pending_.rows.emplace(key, std::move(row));
  }
  for (auto& [key, use] : group.uses) {
    if (pending_.uses.size() >= kMostUses && !pending_.uses.contains(key)) continue;
    VectorUse& later = pending_.uses[key];
    later.key = key;
    later.hits += use.hits;
    later.last_used = std::max(later.last_used, use.last_used);
  }
}

}  // namespace garrison
