#include "storage/database_ledger.h"

#include <algorithm>
#include <filesystem>
#include <set>
#include <unordered_set>
#include <utility>

namespace garrison {
namespace {

using Kind = LedgerOperation::Kind;

constexpr std::size_t kMostTogether = 512;
constexpr std::chrono::milliseconds kPause{200};  // before a database that failed is tried again
constexpr int kTries = 5;                         // of a group that lost against another process

// Details are for the log: they name files, hosts and accounts.
Error Unavailable() {
  return {Code::kUnavailable, "the ledger does not answer, so nothing is spent; the log says why",
          "", std::chrono::milliseconds(1'000), "ledger_unavailable"};
}

// Trying again would fail again.
bool IsHopeless(const Error& error) {
  return error.code == Code::kInternal || error.code == Code::kDataLoss;
}

}  // namespace

DatabaseLedger::DatabaseLedger(DatabaseLedgerOptions options, LedgerWatch watch, const Clock& clock,
                               Logger& logger)
    : options_(std::move(options)),
      watch_(std::move(watch)),
      clock_(clock),
      logger_(logger),
      writer_([this] { WriteLoop(); }) {}

DatabaseLedger::~DatabaseLedger() {
  {
    const std::lock_guard lock(mutex_);
    closing_ = true;
    closing_end_ = steady_.Now() + options_.patience;
  }
  work_.notify_all();
  writer_.join();
}

// ---------------------------------------------------------------- handing over

Result<> DatabaseLedger::Do(LedgerOperation operation) {
  std::vector<LedgerOperation> one;
  one.push_back(std::move(operation));
  return DoAll(std::move(one));
}

// The first error of theirs, when all have one or the other.
Result<> DatabaseLedger::DoAll(std::vector<LedgerOperation> operations) {
  std::vector<std::shared_ptr<Waiter>> waiters;
  const SteadyTime until = steady_.Now() + options_.patience;
  {
    const std::lock_guard lock(mutex_);
    for (LedgerOperation& operation : operations) {
      waiters.push_back(std::make_shared<Waiter>());
      pending_.push_back({std::move(operation), waiters.back()});
    }
  }
  work_.notify_one();
  std::unique_lock lock(mutex_);
  for (const auto& waiter : waiters) {
    if (waiter->done.wait_until(lock, until, [&] { return waiter->outcome.has_value(); })) continue;
    for (const auto& late : waiters) late->gone = true;
    return tl::unexpected(Unavailable());
  }
  for (const auto& waiter : waiters) {
    if (!*waiter->outcome) return *std::move(waiter->outcome);
  }
  return {};
}

void DatabaseLedger::Later(LedgerOperation operation) {
  {
    const std::lock_guard lock(mutex_);
    pending_.push_back({std::move(operation), nullptr});
  }
  work_.notify_one();
}

Result<> DatabaseLedger::Reserve(const LedgerAttempt& attempt, const Rule& rule) {
  LedgerOperation operation{.kind = Kind::kReserve};
  operation.attempt = attempt;
  operation.rule = rule;
  return Do(std::move(operation));
}

Result<> DatabaseLedger::MarkSent(std::uint64_t id) {
  return Do({.kind = Kind::kMarkSent, .id = id});
}

void DatabaseLedger::Settle(std::uint64_t id, const LedgerUsage& usage) {
  LedgerOperation operation{.kind = Kind::kSettle, .id = id};
  operation.amount = usage.amount;
  operation.usage = usage.usage;
  Later(std::move(operation));
}

void DatabaseLedger::Release(std::uint64_t id) { Later({.kind = Kind::kRelease, .id = id}); }

void DatabaseLedger::Dispute(std::uint64_t id, Pusd floor) {
  LedgerOperation operation{.kind = Kind::kDispute, .id = id};
  operation.amount = floor;
  Later(std::move(operation));
}

Result<> DatabaseLedger::Adjust(const LedgerAttempt& attempt) {
  LedgerOperation operation{.kind = Kind::kAdjust};
  operation.attempt = attempt;
  return Do(std::move(operation));
}

Result<> DatabaseLedger::Reconcile(const std::vector<Reconciliation>& amounts) {
  for (std::size_t first = 0; first < amounts.size(); first += kMostTogether) {
    std::vector<LedgerOperation> operations;
    for (std::size_t i = first; i < std::min(first + kMostTogether, amounts.size()); ++i) {
      LedgerOperation operation{.kind = Kind::kReconcile, .id = amounts[i].id};
      operation.amount = amounts[i].amount;
      operations.push_back(std::move(operation));
    }
    RETURN_IF_ERROR(DoAll(std::move(operations)));
  }
  return {};
}

Result<> DatabaseLedger::SetNote(const std::string& name, const std::string& value) {
  LedgerOperation operation{.kind = Kind::kSetNote};
  operation.name = name;
  operation.value = value;
  return Do(std::move(operation));
}

bool DatabaseLedger::Flush(std::chrono::milliseconds time) {
  std::unique_lock lock(mutex_);
  return idle_.wait_until(lock, steady_.Now() + time,
                          [this] { return pending_.empty() && !busy_; });
}

LedgerStats DatabaseLedger::stats() const {
  const std::lock_guard lock(mutex_);
  LedgerStats stats = stats_;
  stats.pending = pending_.size();
  return stats;
}

// ---------------------------------------------------------------- reading

template <typename Function>
auto DatabaseLedger::Read(const Function& function) {
  const std::lock_guard lock(reading_mutex_);
  using Answer = decltype(function(*reading_));
  if (!reading_) {
    Result<LedgerTable> opened = LedgerTable::Open(options_.place);
    if (!opened) {
      logger_.Error("the ledger cannot be read: {}", opened.error().ToString());
      return Answer(tl::unexpected(Unavailable()));
    }
    reading_ = std::move(*opened);
  }
  Answer answer = function(*reading_);
  if (!answer) {
    reading_.reset();
    if (answer.error().code != Code::kDataLoss) {
      logger_.Error("the ledger cannot be read: {}", answer.error().ToString());
      return Answer(tl::unexpected(Unavailable()));
    }
  }
  return answer;
}

Result<std::map<std::string, std::string>> DatabaseLedger::Notes() {
  return Read([](LedgerTable& table) { return table.Notes(); });
}

Result<std::map<BudgetAccount, BudgetAmounts>> DatabaseLedger::Accounts(
    const BudgetPeriods& periods) {
  return Read([&](LedgerTable& table) { return table.Accounts(periods); });
}

Result<std::vector<BudgetAlert>> DatabaseLedger::FiredAlerts(const BudgetPeriods& periods) {
  return Read([&](LedgerTable& table) { return table.Alerts(periods); });
}

Result<std::vector<LedgerAttempt>> DatabaseLedger::History(const LedgerFilter& filter) {
  return Read([&](LedgerTable& table) { return table.History(filter); });
}

namespace {

// What every account of these periods should hold; those without an attempt are empty.
Result<std::map<BudgetAccount, BudgetAmounts>> AddUp(
    LedgerTable& table, const BudgetPeriods& periods,
    const std::map<BudgetAccount, BudgetAmounts>& accounts) {
  std::map<BudgetAccount, BudgetAmounts> sums;
  for (const BudgetWindow window : kBudgetWindows) {
    ASSIGN_OR_RETURN(auto of_window, table.Sums(window, periods));
    sums.merge(of_window);
  }
  for (const auto& [key, amounts] : accounts) sums.try_emplace(key);
  return sums;
}

}  // namespace

Result<> DatabaseLedger::Verify(const BudgetPeriods& periods) {
  return Read([&](LedgerTable& table) -> Result<> {
    RETURN_IF_ERROR(table.BeginReading());
    ASSIGN_OR_RETURN(auto accounts, table.Accounts(periods));
    ASSIGN_OR_RETURN(const auto sums, AddUp(table, periods, accounts));
    RETURN_IF_ERROR(table.EndReading());
    for (const auto& [key, sum] : sums) {
      const BudgetAmounts& account = accounts[key];
      if (account == sum) continue;
      return FailAt(fmt::format("{} of {}", key.scope, key.period), Code::kDataLoss,
                    "the ledger does not add up: the account holds {} settled, {} reserved and {} "
                    "disputed USD, its attempts are {}, {} and {}; somebody else has changed it. "
                    "Restore it, or let `garrison budget repair` add it up again",
                    ShortUsd(account.settled), ShortUsd(account.reserved),
                    ShortUsd(account.disputed), ShortUsd(sum.settled), ShortUsd(sum.reserved),
                    ShortUsd(sum.disputed));
    }
    return {};
  });
}

Result<> DatabaseLedger::Repair(const BudgetPeriods& periods) {
  return Read([&](LedgerTable& table) -> Result<> {
    ASSIGN_OR_RETURN(DbTransaction transaction, table.Begin());
    ASSIGN_OR_RETURN(const auto accounts, table.Accounts(periods));
    ASSIGN_OR_RETURN(auto sums, AddUp(table, periods, accounts));
    std::set<BudgetAccount> keys;
    for (const auto& [key, sum] : sums) keys.insert(key);
    // Locked, then added up once more: nobody has changed them since.
    RETURN_IF_ERROR(table.LoadAccounts(keys));
    ASSIGN_OR_RETURN(sums, AddUp(table, periods, accounts));
    RETURN_IF_ERROR(table.Write(sums));
    return transaction.Commit();
  });
}

// ---------------------------------------------------------------- the writer

// False: over.
bool DatabaseLedger::WaitForWork(std::unique_lock<std::mutex>& lock) {
  while (true) {
    const SteadyTime now = steady_.Now();
    if (closing_ && (pending_.empty() || now >= closing_end_)) return false;
    if (now >= next_try_ && (!pending_.empty() || now >= sweep_due_)) return true;
    SteadyTime until = pending_.empty() ? sweep_due_ : next_try_;
    until = std::max(until, next_try_);
    if (closing_) until = std::min(until, closing_end_);
    work_.wait_until(lock, until);
  }
}

void DatabaseLedger::WriteLoop() {
  std::unique_lock lock(mutex_);
  while (WaitForWork(lock)) {
    std::vector<Pending> group;
    while (!pending_.empty() && group.size() < kMostTogether) {
      Pending& next = pending_.front();
      if (next.waiter == nullptr || !next.waiter->gone) group.push_back(std::move(next));
      pending_.pop_front();
    }
    const bool sweep = steady_.Now() >= sweep_due_ && !closing_;
    busy_ = true;
    lock.unlock();
    if (sweep) Sweep();
    Result<std::vector<Result<>>> outcomes = std::vector<Result<>>();
    if (!group.empty()) outcomes = Write(group);
    std::vector<std::shared_ptr<Waiter>> told;
    for (const Pending& one : group) {
      if (one.waiter != nullptr) told.push_back(one.waiter);
    }
    lock.lock();
    Finish(std::move(group), outcomes);
    busy_ = false;
    if (pending_.empty()) idle_.notify_all();
    // Not under the mutex, which is the first thing that they take.
    lock.unlock();
    for (const std::shared_ptr<Waiter>& waiter : told) waiter->done.notify_one();
    lock.lock();
  }
}

// Under mutex_. After a failure those who wait are told; what nobody waits for is kept.
void DatabaseLedger::Finish(std::vector<Pending> group,
                            const Result<std::vector<Result<>>>& outcomes) {
  stats_.answers = outcomes.has_value();
  if (outcomes) {
    if (!group.empty()) ++stats_.commits;
    stats_.operations += group.size();
    std::vector<Pending> late;
    for (std::size_t i = 0; i < group.size(); ++i) {
      if (group[i].waiter != nullptr) {
        group[i].waiter->outcome = (*outcomes)[i];
        const LedgerOperation& operation = group[i].operation;
        if (group[i].waiter->gone && operation.kind == Kind::kReserve && (*outcomes)[i]) {
          // Recorded too late: whoever wanted it has been told that it was not.
          late.push_back({{.kind = Kind::kRelease, .id = operation.attempt.id}, nullptr});
        }
      } else if (!(*outcomes)[i]) {
        logger_.Error("the ledger could not record what became of an attempt: {}",
                      (*outcomes)[i].error().ToString());
      }
    }
    for (Pending& release : late) pending_.push_back(std::move(release));
    return;
  }
  ++stats_.failures;
  next_try_ = steady_.Now() + kPause;
  // What can never be written would hold up the rest for ever; its bound goes on counting.
  const bool hopeless = IsHopeless(outcomes.error());
  std::vector<Pending> kept;
  for (Pending& one : group) {
    if (one.waiter == nullptr) {
      if (!hopeless) kept.push_back(std::move(one));
    } else {
      one.waiter->outcome = tl::unexpected(Unavailable());
    }
  }
  pending_.insert(pending_.begin(), std::make_move_iterator(kept.begin()),
                  std::make_move_iterator(kept.end()));
}

// A file that was there and is gone would begin again with nothing spent.
Result<> DatabaseLedger::Reopen() {
  if (writing_) return {};
  const bool is_file = options_.place.find("://") == std::string::npos;
  std::error_code ignored;
  if (opened_ && is_file && !std::filesystem::exists(options_.place, ignored)) {
    return Fail(Code::kUnavailable, "{} is gone; put it back, or start again to begin a new ledger",
                options_.place);
  }
  ASSIGN_OR_RETURN(writing_, LedgerTable::Open(options_.place));
  opened_ = true;
  return {};
}

Result<std::vector<Result<>>> DatabaseLedger::Write(std::vector<Pending>& group) {
  Result<std::vector<Result<>>> outcomes = TryWrite(std::span(group));
  if (outcomes || !IsHopeless(outcomes.error()) || group.size() == 1) return outcomes;
  // One of them cannot be written: the others need not suffer for it.
  std::vector<Result<>> each;
  for (Pending& one : group) {
    Result<std::vector<Result<>>> alone = TryWrite(std::span(&one, 1));
    if (alone) {
      each.push_back(std::move(alone->front()));
    } else if (IsHopeless(alone.error())) {
      each.push_back(tl::unexpected(Unavailable()));
    } else {
      return alone;
    }
  }
  return each;
}

Result<std::vector<Result<>>> DatabaseLedger::TryWrite(std::span<Pending> group) {
  for (int tried = 1;; ++tried) {
    Result<> opened = Reopen();
    Result<std::vector<Result<>>> outcomes = tl::unexpected(Error{});
    if (opened) {
      outcomes = WriteOnce(group);
    } else {
      outcomes = tl::unexpected(std::move(opened).error());
    }
    if (outcomes) return outcomes;
    if (writing_) writing_->Forget();
    if (outcomes.error().code == Code::kAborted && tried < kTries) continue;
    logger_.Error("the ledger cannot be written, so nothing is spent: {}",
                  outcomes.error().ToString());
    writing_.reset();
    return outcomes;
  }
}

Result<LedgerGroup> DatabaseLedger::Load(std::span<const Pending> group) {
  std::set<std::uint64_t> ids;
  std::set<std::uint64_t> ending;
  std::set<BudgetAccount> keys;
  std::unordered_set<std::string> added;
  const auto add_accounts = [&](const LedgerAttempt& attempt) {
    if (!added.insert(attempt.accounts_name()).second) return;
    for (BudgetAccount& key : attempt.accounts()) keys.insert(std::move(key));
  };
  for (const Pending& one : group) {
    const LedgerOperation& operation = one.operation;
    if (operation.kind == Kind::kReserve || operation.kind == Kind::kAdjust) {
      add_accounts(operation.attempt);
      ids.insert(operation.attempt.id);
    } else if (operation.kind != Kind::kSetNote) {
      ids.insert(operation.id);
      if (operation.kind != Kind::kMarkSent) ending.insert(operation.id);
    }
  }
  ASSIGN_OR_RETURN(auto attempts, writing_->LoadAttempts(ids));
  for (const auto& [id, attempt] : attempts) {
    if (ending.contains(id)) add_accounts(attempt);
  }
  ASSIGN_OR_RETURN(auto accounts, writing_->LoadAccounts(keys));
  ASSIGN_OR_RETURN(auto notes, writing_->Notes());
  return LedgerGroup(std::move(attempts), std::move(accounts), std::move(notes), watch_,
                     ToUnixMs(clock_.WallNow()));
}

Result<> DatabaseLedger::Store(const LedgerGroup& group, std::vector<bool>& fired) {
  std::vector<LedgerAttempt> inserted;
  for (const std::uint64_t id : group.inserted()) inserted.push_back(group.attempt(id));
  std::vector<LedgerAttempt> changed;
  for (const std::uint64_t id : group.changed()) changed.push_back(group.attempt(id));
  RETURN_IF_ERROR(writing_->Insert(inserted));
  RETURN_IF_ERROR(writing_->Update(changed));
  RETURN_IF_ERROR(writing_->Write(group.accounts()));
  for (const auto& [name, value] : group.new_notes()) {
    RETURN_IF_ERROR(writing_->SetNote(name, value, ToUnixMs(clock_.WallNow())));
  }
  ASSIGN_OR_RETURN(fired, writing_->AddAlerts(group.alerts(), ToUnixMs(clock_.WallNow())));
  return {};
}

Result<std::vector<Result<>>> DatabaseLedger::WriteOnce(std::span<Pending> pending) {
  ASSIGN_OR_RETURN(DbTransaction transaction, writing_->Begin());
  ASSIGN_OR_RETURN(LedgerGroup group, Load(pending));
  std::vector<Result<>> outcomes;
  for (const Pending& one : pending) outcomes.push_back(group.Apply(one.operation));
  std::vector<bool> fired;
  RETURN_IF_ERROR(Store(group, fired));
  RETURN_IF_ERROR(transaction.Commit());
  for (std::size_t i = 0; i < fired.size(); ++i) {
    if (fired[i] && watch_.fired) watch_.fired(group.alerts()[i]);
  }
  if (watch_.overrun) {
    for (const LedgerAttempt& attempt : group.overruns()) watch_.overrun(attempt);
  }
  return outcomes;
}

// Attempts whose process died: what was not sent is released, the rest may have been billed.
void DatabaseLedger::Sweep() {
  sweep_due_ = steady_.Now() + options_.sweep;
  if (!Reopen()) return;  // whoever wants to spend is told
  Result<std::vector<std::uint64_t>> ids = writing_->Abandoned(ToUnixMs(clock_.WallNow()));
  if (!ids) {
    writing_.reset();
    return;
  }
  if (ids->empty()) return;
  std::vector<Pending> group;
  for (const std::uint64_t id : *ids) group.push_back({{.kind = Kind::kExpire, .id = id}, nullptr});
  if (Write(group)) {
    logger_.Warning(
        "{} attempts were left behind by a process that ended: those that were sent count at their "
        "bounds until an invoice says otherwise",
        group.size());
    sweep_due_ = steady_.Now();  // there may be more
  }
}

}  // namespace garrison
