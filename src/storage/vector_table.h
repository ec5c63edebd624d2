// The table of kept vectors, in either database: schema and queries.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "db/database.h"
#include "storage/vector_row.h"

namespace garrison {

struct VectorTotals {
  std::uint64_t entries = 0;
  std::uint64_t bytes = 0;
};

struct VectorModelStats {
  std::string model;
  VectorTotals totals;
  std::uint64_t hits = 0;
  std::uint64_t saved_tokens = 0;  // that hits did not have to compute or pay again
  UnixMs oldest = 0;
  UnixMs last_used = 0;
};

struct VectorUse {
  VectorKey key{};
  std::uint64_t hits = 0;
  UnixMs last_used = 0;
};

struct FoundRows {
  // One for each key: the row, if it is there and is what was written.
  std::vector<std::optional<VectorRow>> rows;
  // Keys of rows that are there and are not.
  std::vector<VectorKey> damaged;
};

struct RowPage {
  std::vector<VectorRow> rows;
  std::vector<VectorKey> damaged;
  // Where the next page begins; unset: there is none.
  std::optional<VectorKey> last;
};

// Errors are those of DbConnection. As the connection, for one thread at a time.
class VectorTable {
 public:
  // Opens the database and brings its tables up to date.
  static Result<VectorTable> Open(const std::string& place, const DbOptions& options);

  Result<FoundRows> Find(std::span<const VectorKey> keys);
  // In one transaction; what is there is replaced, its hits are kept.
  Result<> Write(std::vector<VectorRow>& rows, UnixMs last_used);
  // In one transaction.
  Result<> CountUses(std::vector<VectorUse> uses);
  // In one transaction. Returns how many were there.
  Result<std::uint64_t> Remove(std::vector<VectorKey> keys);

  Result<VectorTotals> Totals();
  // Removes the least recently used until `bytes` are left at most. Returns how many.
  Result<std::uint64_t> Shrink(std::uint64_t bytes);
  Result<std::uint64_t> RemoveExpired(UnixMs now);
  Result<std::uint64_t> RemoveModel(const std::string& model);
  Result<std::vector<VectorModelStats>> Models();

  // In the order of keys, from the one after `after`.
  Result<RowPage> ReadPage(const std::optional<VectorKey>& after, std::size_t most);

  // Gives room that is free inside of the file back to the system; SQLite only. May take long.
  Result<> Compact();

  bool usable() const { return connection_->usable(); }

 private:
  explicit VectorTable(std::unique_ptr<DbConnection> connection)
      : connection_(std::move(connection)) {}
  std::unique_ptr<DbConnection> connection_;
};

}  // namespace garrison
