// The ledger in a database: one writer's thread, which commits what waits together.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/log.h"
#include "core/ledger.h"
#include "storage/ledger_group.h"
#include "storage/ledger_table.h"

namespace garrison {

struct DatabaseLedgerOptions {
  std::string place;  // a file, or a postgres:// URL
  // How long a caller waits for a database that does not answer.
  std::chrono::milliseconds patience{5'000};
  // How often attempts that their process left behind are looked for.
  std::chrono::milliseconds sweep{5'000};
};

class DatabaseLedger final : public Ledger {
 public:
  // The database is opened, and its tables are made, when there is something to do. `clock` and
  // `logger` must outlive it; `clock` decides about leases.
  DatabaseLedger(DatabaseLedgerOptions options, LedgerWatch watch, const Clock& clock,
                 Logger& logger);
  // Records what is pending, for at most `patience`. No call may be under way.
  ~DatabaseLedger() override;

  Result<> Reserve(const LedgerAttempt& attempt, const Rule& rule) override;
  Result<> MarkSent(std::uint64_t id) override;
  void Settle(std::uint64_t id, const LedgerUsage& usage) override;
  void Release(std::uint64_t id) override;
  void Dispute(std::uint64_t id, Pusd floor) override;
  bool Flush(std::chrono::milliseconds time) override;
  Result<> Reconcile(const std::vector<Reconciliation>& amounts) override;
  Result<> Adjust(const LedgerAttempt& attempt) override;
  Result<> SetNote(const std::string& name, const std::string& value) override;
  Result<std::map<std::string, std::string>> Notes() override;
  Result<std::map<BudgetAccount, BudgetAmounts>> Accounts(const BudgetPeriods& periods) override;
  Result<std::vector<BudgetAlert>> FiredAlerts(const BudgetPeriods& periods) override;
  Result<std::vector<LedgerAttempt>> History(const LedgerFilter& filter) override;
  Result<> Verify(const BudgetPeriods& periods) override;
  Result<> Repair(const BudgetPeriods& periods) override;

  LedgerStats stats() const override;

 private:
  // Somebody who waits for an operation. Guarded by mutex_.
  struct Waiter {
    std::condition_variable done;  // each its own: a commit wakes those it was for
    std::optional<Result<>> outcome;
    bool gone = false;  // it has given up: a reservation must not be made any more
  };
  struct Pending {
    LedgerOperation operation;
    std::shared_ptr<Waiter> waiter;  // null: nobody waits
  };

  Result<> Do(LedgerOperation operation);
  Result<> DoAll(std::vector<LedgerOperation> operations);
  void Later(LedgerOperation operation);
  template <typename Function>
  auto Read(const Function& function);

  void WriteLoop();
  bool WaitForWork(std::unique_lock<std::mutex>& lock);
  void Finish(std::vector<Pending> group, const Result<std::vector<Result<>>>& outcomes);
  Result<std::vector<Result<>>> Write(std::vector<Pending>& group);
  Result<std::vector<Result<>>> TryWrite(std::span<Pending> group);
  Result<std::vector<Result<>>> WriteOnce(std::span<Pending> group);
  Result<> Reopen();
  Result<LedgerGroup> Load(std::span<const Pending> group);
  Result<> Store(const LedgerGroup& group, std::vector<bool>& fired);
  void Sweep();

  const DatabaseLedgerOptions options_;
  const LedgerWatch watch_;
  const Clock& clock_;
  Logger& logger_;
  const SystemClock steady_;  // of threads that wait for real

  mutable std::mutex mutex_;
  std::condition_variable work_;
  std::condition_variable idle_;
  // Guarded by mutex_.
  std::deque<Pending> pending_;
  bool busy_ = false;
  bool closing_ = false;
  SteadyTime closing_end_;
  LedgerStats stats_;

  std::mutex reading_mutex_;
  std::optional<LedgerTable> reading_;  // guarded by reading_mutex_

  // Of the writer's thread alone.
  std::optional<LedgerTable> writing_;
  bool opened_ = false;  // once
  SteadyTime sweep_due_;
  SteadyTime next_try_;

  std::thread writer_;
};

}  // namespace garrison
