// The rules of the budget: which periods there are, what may be spent in them, and what happens as
// it runs out. Pure: amounts come from the ledger, time from the caller.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "base/time_zone.h"
#include "core/ledger.h"
#include "core/settings.h"

namespace garrison {

struct BudgetLimit {
  std::string scope;  // as BudgetAccount
  BudgetWindow window = BudgetWindow::kMonth;
  Pusd amount = 0;
  bool operator==(const BudgetLimit&) const = default;
};

// "all", "key:NAME", "model:PROVIDER/MODEL" or "kind:NAME". INVALID_ARGUMENT otherwise.
Result<> CheckBudgetScope(std::string_view scope);
// "limit:SCOPE:WINDOW": the note that holds another amount than the settings.
std::string LimitNote(std::string_view scope, BudgetWindow window);
// "unlocked:MONTH": until the end of that month the limits count in full.
std::string UnlockNote(const std::string& month);
inline constexpr std::string_view kKillSwitchNote = "kill_switch";
inline constexpr std::string_view kFrozenPrefix = "frozen:";

// How far the budget is used up, and what that means (the ladder of requirement 2.9).
enum class BudgetLevel : std::uint8_t {
  kNormal,
  kAlert,          // from 70 %: people are told
  kCacheExtended,  // from 80 %: cached answers may be twice as old
  kPremiumPaused,  // from 90 %: dear models are refused
  kStopped,        // from 95 %: paid calls are refused, local work goes on
  kExhausted,      // 100 % and more
};
std::string_view BudgetLevelName(BudgetLevel level);

class BudgetRules {
 public:
  // INVALID_ARGUMENT naming the setting.
  static Result<BudgetRules> Create(const BudgetSettings& settings);

  BudgetPeriods PeriodsAt(WallTime now) const;
  // [begin, end) of the period that `now` lies in.
  struct Span {
    WallTime begin;
    WallTime end;
  };
  Span SpanOf(BudgetWindow window, WallTime now) const;

  // The settings' limits with the notes' in their place, those that only notes have included.
  std::vector<BudgetLimit> Limits(const LedgerView& view) const;
  // 95, or 100 after an unlock.
  int StopPercent(const LedgerView& view, const std::string& month) const;

  // Whether `attempt` may be reserved now. Errors have one of the reasons of core/attempt_gate.h.
  Result<> Admit(const LedgerAttempt& attempt, bool premium, const LedgerView& view,
                 WallTime now) const;
  // Of an attempt on its own, before the ledger is asked: budget.request_usd.
  Result<> CheckRequest(const LedgerAttempt& attempt) const;
  // The thresholds that are reached in accounts of this attempt, by what was spent: what is only
  // reserved may come back.
  std::vector<BudgetAlert> AlertsDue(const LedgerAttempt& attempt, const LedgerView& view) const;

  BudgetLevel LevelOf(Pusd used, Pusd limit) const;
  const std::array<int, 3>& alert_percents() const { return alerts_; }
  Pusd request() const { return request_; }
  // Of everything that decides, for records.
  std::string Hash() const;

 private:
  explicit BudgetRules(TimeZone zone) : zone_(std::move(zone)) {}
  // Midnight of a local date as an instant.
  WallTime Midnight(std::chrono::sys_days local) const;
  std::chrono::sys_days MonthBegin(std::chrono::sys_days local) const;

  TimeZone zone_;
  unsigned first_day_ = 1;
  std::vector<BudgetLimit> limits_;
  Pusd request_ = 0;
  int stop_percent_ = 95;
  int premium_percent_ = 90;
  std::array<int, 3> alerts_{};
};

// `percent` of an amount, rounded down, without overflow.
Pusd PercentOf(Pusd amount, int percent);
// used / limit in whole percent, rounded down; a limit of 0 is used up.
int UsedPercent(Pusd used, Pusd limit);

}  // namespace garrison
