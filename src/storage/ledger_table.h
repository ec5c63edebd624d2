// The ledger's tables: schema and queries. What they mean is the business of ledger_group.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "core/ledger.h"
#include "db/database.h"

namespace garrison {

// One connection. One thread at a time. Errors are those of DbConnection.
class LedgerTable {
 public:
  // Makes the tables where they are missing. Every commit survives a power cut.
  static Result<LedgerTable> Open(const std::string& place);

  Result<DbTransaction> Begin() { return DbTransaction::Begin(*connection_); }
  // The last transaction was undone: accounts that it made are not there.
  void Forget() { made_.clear(); }
  // What is read between the two is of one instant; nobody who writes waits for it. After an error
  // in between the table is of no use any more.
  Result<> BeginReading();
  Result<> EndReading();

  // Within a transaction, in this order: nobody else changes what was loaded before its end, and
  // who comes at the same time waits instead of blocking each other. Ids and accounts are sorted.
  // Attempts that are not there are left out; accounts that are not there are made.
  Result<std::map<std::uint64_t, LedgerAttempt>> LoadAttempts(const std::set<std::uint64_t>& ids);
  Result<std::map<BudgetAccount, BudgetAmounts>> LoadAccounts(const std::set<BudgetAccount>& keys);
  Result<> Insert(std::span<const LedgerAttempt> attempts);
  // State, amount, floor, usage and changed_ms.
  Result<> Update(std::span<const LedgerAttempt> attempts);
  Result<> Write(const std::map<BudgetAccount, BudgetAmounts>& accounts);
  // True for each that was not there before.
  Result<std::vector<bool>> AddAlerts(std::span<const BudgetAlert> alerts, std::int64_t now_ms);
  Result<> SetNote(const std::string& name, const std::string& value, std::int64_t now_ms);

  Result<std::map<std::string, std::string>> Notes();
  // Ids of attempts under way whose lease was over before `now_ms`.
  Result<std::vector<std::uint64_t>> Abandoned(std::int64_t now_ms);
  Result<std::map<BudgetAccount, BudgetAmounts>> Accounts(const BudgetPeriods& periods);
  Result<std::vector<BudgetAlert>> Alerts(const BudgetPeriods& periods);
  Result<std::vector<LedgerAttempt>> History(const LedgerFilter& filter);
  // The accounts of one of the periods as the sums of their attempts.
  Result<std::map<BudgetAccount, BudgetAmounts>> Sums(BudgetWindow window,
                                                      const BudgetPeriods& periods);

 private:
  explicit LedgerTable(std::unique_ptr<DbConnection> connection)
      : connection_(std::move(connection)) {}

  std::unique_ptr<DbConnection> connection_;
  // Accounts that are known to be there.
  std::set<BudgetAccount> made_;
};

}  // namespace garrison
