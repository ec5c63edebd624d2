// The port for money that was put aside and spent: attempts, and accounts that they add up to.
//
// An attempt is `reserved -> sent -> settled | released | disputed -> reconciled`. Every amount of
// an attempt counts in each of its accounts: for every scope (everything, a client's key, a model,
// a kind of work) the month, the day and the hour in which it was admitted.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "core/money.h"

namespace garrison {

enum class AttemptState : std::uint8_t {
  kReserved,
  kSent,
  kSettled,
  kReleased,
  kDisputed,
  kReconciled,
};
std::string_view AttemptStateName(AttemptState state);
std::optional<AttemptState> AttemptStateOf(std::string_view name);

enum class BudgetWindow : std::uint8_t { kMonth, kDay, kHour };
inline constexpr std::array kBudgetWindows = {BudgetWindow::kMonth, BudgetWindow::kDay,
                                              BudgetWindow::kHour};
std::string_view BudgetWindowName(BudgetWindow window);  // "month"
std::optional<BudgetWindow> BudgetWindowOf(std::string_view name);

// The three periods an instant lies in: "2026-11", "2026-11-22", "2026-11-22T14+01:00". A month is
// the one of the budget, which may begin on another day than the first.
struct BudgetPeriods {
  std::string month;
  std::string day;
  std::string hour;

  const std::string& of(BudgetWindow window) const {
    return window == BudgetWindow::kMonth ? month : window == BudgetWindow::kDay ? day : hour;
  }
  bool operator==(const BudgetPeriods&) const = default;
};

// What an account holds.
struct BudgetAmounts {
  Pusd settled = 0;
  Pusd reserved = 0;  // of attempts under way, at their bounds
  Pusd disputed = 0;  // of attempts that may have been billed, at their bounds

  Pusd total() const { return AddCapped(AddCapped(settled, reserved), disputed); }
  bool operator==(const BudgetAmounts&) const = default;
};

struct BudgetAccount {
  std::string scope;   // "all", "key:NAME", "model:PROVIDER/MODEL", "kind:chat"
  std::string period;  // one of BudgetPeriods
  auto operator<=>(const BudgetAccount&) const = default;
};

// What somebody wants to spend, and after that the record of it.
struct LedgerAttempt {
  std::uint64_t id = 0;  // at most 2^63 - 1
  std::string request_id;
  std::string parent;  // as AttemptBound has it
  std::string kind;
  std::string client;  // name of an API key; empty: none
  std::string provider;
  std::string model;
  std::string price_row;  // what it was priced by
  std::string policy;     // hash of prices and limits that held
  BudgetPeriods periods;
  AttemptState state = AttemptState::kReserved;
  Pusd bound = 0;
  Pusd amount = 0;    // what counts: the bound while nobody knows better, then what was billed
  Pusd floor = 0;     // that a disputed one cost at least
  std::string usage;  // JSON, as billed; empty: none
  std::int64_t created_ms = 0;  // since 1970, as the others
  std::int64_t changed_ms = 0;
  std::int64_t lease_ms = 0;  // when others may take it for abandoned

  // Every account that it counts in, sorted.
  std::vector<BudgetAccount> accounts() const;
  // Equal for two attempts only if they count in the same accounts.
  std::string accounts_name() const;
};

// What an admission may look at: amounts of the attempt's own accounts, and all notes.
class LedgerView {
 public:
  virtual ~LedgerView() = default;
  virtual BudgetAmounts amounts(const std::string& scope, const std::string& period) const = 0;
  // Small facts that all processes share ("kill_switch", "limit:all:month"); empty: not set.
  virtual std::string note(const std::string& name) const = 0;
  virtual const std::map<std::string, std::string>& notes() const = 0;
};

struct BudgetAlert {
  std::string scope;
  std::string period;
  int percent = 0;
  bool operator==(const BudgetAlert&) const = default;
};

struct LedgerUsage {
  std::string usage;  // JSON
  Pusd amount = 0;
};

struct LedgerFilter {
  std::string month;  // empty: any
  std::string request_id;
  std::optional<AttemptState> state;
  std::size_t limit = 100;  // the newest
};

// What an invoice says of one attempt.
struct Reconciliation {
  std::uint64_t id = 0;
  Pusd amount = 0;
};

struct LedgerStats {
  std::uint64_t commits = 0;
  std::uint64_t operations = 0;
  std::uint64_t failures = 0;  // of the database
  std::size_t pending = 0;     // what is not recorded yet
  bool answers = true;
};

// What the ledger asks back. Both are called on its thread.
struct LedgerWatch {
  // Which alerts are due now that this attempt's amount is final or disputed; those that an account
  // has had are told again and ignored. Within the transaction: computes, and nothing else.
  std::function<std::vector<BudgetAlert>(const LedgerAttempt&, const LedgerView&)> due;
  // This one is new, for all processes; it is recorded.
  std::function<void(const BudgetAlert&)> fired;
  // An attempt cost more than its bound. It is recorded in full, and the note
  // "frozen:PROVIDER/MODEL" is set.
  std::function<void(const LedgerAttempt&)> overrun;
};

// Thread-safe. Whatever returns a Result is durable when it returns without an error, and the
// decision about a reservation sees every reservation before it, also of other processes.
// UNAVAILABLE with `reason` "ledger_unavailable" when the database does not answer, or its accounts
// do not add up: nothing may then be spent.
class Ledger {
 public:
  // Whether an attempt may be reserved.
  using Rule = std::function<Result<>(const LedgerView&)>;

  virtual ~Ledger() = default;

  // Records `attempt` as it is, kReserved or kSent, if `rule` allows it. Errors: the rule's. The
  // rule is called on the ledger's thread, within its transaction: it computes, and nothing else.
  virtual Result<> Reserve(const LedgerAttempt& attempt, const Rule& rule) = 0;
  // FAILED_PRECONDITION unless it is still reserved: its lease was over, and it was released.
  virtual Result<> MarkSent(std::uint64_t id) = 0;
  // These three are recorded soon and never lost while the process lives; when it dies first, the
  // bound stays what counts. Doing one twice changes nothing.
  virtual void Settle(std::uint64_t id, const LedgerUsage& usage) = 0;
  virtual void Release(std::uint64_t id) = 0;
  virtual void Dispute(std::uint64_t id, Pusd floor) = 0;
  // Waits until all that was handed over before is recorded. False when it was not in time.
  virtual bool Flush(std::chrono::milliseconds time) = 0;

  // Amounts become what the invoice says: disputed or settled attempts become reconciled.
  virtual Result<> Reconcile(const std::vector<Reconciliation>& amounts) = 0;
  // Adds a settled attempt as it is: for what was billed and never recorded.
  virtual Result<> Adjust(const LedgerAttempt& attempt) = 0;

  // An empty value removes it.
  virtual Result<> SetNote(const std::string& name, const std::string& value) = 0;
  virtual Result<std::map<std::string, std::string>> Notes() = 0;
  virtual Result<std::map<BudgetAccount, BudgetAmounts>> Accounts(const BudgetPeriods& periods) = 0;
  virtual Result<std::vector<BudgetAlert>> FiredAlerts(const BudgetPeriods& periods) = 0;
  virtual Result<std::vector<LedgerAttempt>> History(const LedgerFilter& filter) = 0;
  // Whether every account of these periods is the sum of its attempts. DATA_LOSS naming the first
  // that is not.
  virtual Result<> Verify(const BudgetPeriods& periods) = 0;
  // Makes it so.
  virtual Result<> Repair(const BudgetPeriods& periods) = 0;

  virtual LedgerStats stats() const = 0;
};

}  // namespace garrison
