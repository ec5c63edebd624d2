// The budget: every call that may cost money is priced, admitted, and settled here, and recorded in
// the ledger.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/log.h"
#include "core/attempt_gate.h"
#include "core/ledger.h"
#include "router/budget_rules.h"
#include "router/price_book.h"

namespace garrison {

struct BudgetOptions {
  // How long an attempt may take; after that others may take it for abandoned.
  std::chrono::milliseconds lease{660'000};
  std::chrono::days price_age{90};  // older prices are warned about
};

// What one account looks like beside its limit.
struct BudgetUse {
  BudgetLimit limit;
  std::string period;
  BudgetAmounts amounts;
};

struct BudgetStatus {
  BudgetPeriods periods;
  WallTime now;
  std::vector<BudgetUse> uses;  // those of "all" included
  int stop_percent = 95;
  BudgetLevel level = BudgetLevel::kNormal;  // of the limit of "all" that is used up most
  std::array<int, 3> alert_percents{};
  std::vector<BudgetAlert> fired;
  bool kill_switch = false;
  bool unlocked = false;
  bool stopped = false;                       // paid calls are refused at the moment
  std::map<std::string, std::string> frozen;  // "openai/gpt-4o" -> why
  Pusd month_projection = 0;                  // what the month comes to at its present pace
  bool will_exceed = false;
  std::vector<std::string> warnings;  // old prices, models that go away
  LedgerStats ledger;
};

// Thread-safe.
class Budget final : public AttemptGate {
 public:
  // All must outlive it. `new_id`: numbers nobody has used, up to 2^63 - 1.
  Budget(Ledger& ledger, BudgetRules rules, PriceBook prices, BudgetOptions options,
         const Clock& clock, Logger& logger, std::function<std::uint64_t()> new_id);

  // Calls that cost nothing at all pass without the ledger.
  Result<std::uint64_t> Admit(const AttemptBound& bound, const RequestContext& context) override;
  Result<> MarkSent(std::uint64_t ticket) override;
  std::optional<Pusd> Settle(std::uint64_t ticket, const AttemptUse& use) override;
  void Release(std::uint64_t ticket) override;
  std::optional<Pusd> Dispute(std::uint64_t ticket, const AttemptTrace& trace) override;

  Result<BudgetStatus> Status();
  // Until the end of the month the limits count in full; the kill switch is off and no model is
  // frozen any more.
  Result<> Unlock();
  Result<> SetKillSwitch(bool on);
  // nullopt: as the settings say. INVALID_ARGUMENT for a scope or an amount that cannot be.
  Result<> SetLimit(const std::string& scope, BudgetWindow window, std::optional<Pusd> amount);
  Result<> Repair();

  const BudgetRules& rules() const { return rules_; }
  const PriceBook& prices() const { return prices_; }
  std::vector<std::string> PriceWarnings(WallTime now) const;

  struct Counts {
    std::uint64_t admitted = 0;
    std::uint64_t refused = 0;
    std::uint64_t settled = 0;
    std::uint64_t released = 0;
    std::uint64_t disputed = 0;
    std::uint64_t tokens = 0;
    Pusd spent = 0;  // settled and disputed since the start
  };
  Counts counts() const;
  LedgerStats ledger_stats() const { return ledger_.stats(); }

 private:
  struct Open {
    const PriceRow* row = nullptr;
    WallTime admitted;
    Pusd bound = 0;
    bool free = false;  // the ledger does not know it
  };

  Result<> CheckLedger(const BudgetPeriods& periods);
  std::optional<Open> Take(std::uint64_t ticket);
  Result<const PriceRow*> RowFor(const AttemptBound& bound, WallTime now) const;

  Ledger& ledger_;
  const BudgetRules rules_;
  const PriceBook prices_;
  const BudgetOptions options_;
  const Clock& clock_;
  Logger& logger_;
  const std::function<std::uint64_t()> new_id_;
  const std::string policy_;

  std::mutex verifying_;  // one finds out, the others wait for what it finds
  // Guarded by verifying_.
  std::optional<std::pair<Error, SteadyTime>> refused_;
  mutable std::mutex mutex_;
  // Guarded by mutex_.
  std::unordered_map<std::uint64_t, Open> open_;
  Counts counts_;
  std::optional<std::uint64_t> verified_at_failures_;  // the ledger added up then
};

// What alerts are due, and the lines of the log about them: for the ledger of a Budget.
LedgerWatch WatchBudget(const BudgetRules& rules, Logger& logger);

// The shape of GET /api/budget/status.
std::string EncodeBudgetStatus(const BudgetStatus& status);

}  // namespace garrison
