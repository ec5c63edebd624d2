#include "gateway/budget.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

namespace garrison {
namespace {

std::string UsageJson(const AttemptUse& use) {
  nlohmann::ordered_json json = nlohmann::ordered_json::object();
  if (use.chat) {
    json = {{"input", use.chat->input},
            {"cache_read", use.chat->cache_read},
            {"cache_write", use.chat->cache_write},
            {"cache_write_1h", use.chat->cache_write_1h},
            {"output", use.chat->output},
            {"reasoning", use.chat->reasoning}};
  } else if (use.tokens) {
    json["input"] = *use.tokens;
  }
  return json.dump();
}

std::uint64_t TokensOf(const AttemptUse& use) {
  return use.chat ? use.chat->all_input() + use.chat->output : use.tokens.value_or(0);
}

// The notes alone, for rules that look at nothing else.
class NotesView final : public LedgerView {
 public:
  explicit NotesView(const std::map<std::string, std::string>& notes) : notes_(notes) {}
  BudgetAmounts amounts(const std::string&, const std::string&) const override { return {}; }
  std::string note(const std::string& name) const override {
    const auto found = notes_.find(name);
    return found == notes_.end() ? "" : found->second;
  }
  const std::map<std::string, std::string>& notes() const override { return notes_; }

 private:
  const std::map<std::string, std::string>& notes_;
};

}  // namespace

Budget::Budget(Ledger& ledger, BudgetRules rules, PriceBook prices, BudgetOptions options,
               const Clock& clock, Logger& logger, std::function<std::uint64_t()> new_id)
    : ledger_(ledger),
      rules_(std::move(rules)),
      prices_(std::move(prices)),
      options_(options),
      clock_(clock),
      logger_(logger),
      new_id_(std::move(new_id)),
      policy_(fmt::format("{}-{}", prices_.Hash().substr(0, 16), rules_.Hash())) {}

// ---------------------------------------------------------------- attempts

// What was found once holds until the database fails: then somebody may have restored an old one.
Result<> Budget::CheckLedger(const BudgetPeriods& periods) {
  const auto is_verified = [this] {
    const std::uint64_t failures = ledger_.stats().failures;
    const std::lock_guard lock(mutex_);
    return verified_at_failures_ == failures;
  };
  if (is_verified()) return {};
  const std::lock_guard verifying(verifying_);
  if (is_verified()) return {};
  constexpr std::chrono::seconds kBetween{1};
  if (refused_ && clock_.Now() < refused_->second + kBetween) {
    return tl::unexpected(refused_->first);
  }
  const std::uint64_t failures = ledger_.stats().failures;
  if (Result<> sound = ledger_.Verify(periods); !sound) {
    Error error = std::move(sound).error();
    logger_.Error("paid calls are refused: {}", error.ToString());
    if (error.reason.empty()) {  // its words name accounts, which are nobody's business
      error = {Code::kUnavailable,
               "the ledger does not add up, so nothing is spent until its operator has looked "
               "(garrison budget repair)",
               "", std::nullopt, "ledger_unavailable"};
    }
    refused_ = {error, clock_.Now()};
    return tl::unexpected(std::move(error));
  }
  refused_.reset();
  const std::lock_guard lock(mutex_);
  verified_at_failures_ = failures;
  return {};
}

Result<const PriceRow*> Budget::RowFor(const AttemptBound& bound, WallTime now) const {
  ASSIGN_OR_RETURN(const PriceRow* row,
                   prices_.Find(bound.provider, bound.model, bound.kind, now, bound.tokens));
  // What the vendor adds may make the prompt too long for the row.
  ASSIGN_OR_RETURN(const std::uint64_t prompt, PromptBound(*row, bound));
  return prices_.Find(bound.provider, bound.model, bound.kind, now, prompt);
}

Result<std::uint64_t> Budget::Admit(const AttemptBound& bound, const RequestContext& context) {
  const WallTime now = clock_.WallNow();
  const auto admit = [&]() -> Result<std::uint64_t> {
    Open open{.admitted = now};
    ASSIGN_OR_RETURN(open.row, RowFor(bound, now));
    ASSIGN_OR_RETURN(open.bound, CostBound(*open.row, bound));
    open.free = open.bound == 0;
    LedgerAttempt attempt;
    attempt.id = new_id_();
    if (!open.free) {
      attempt.request_id = context.id;
      attempt.parent = bound.parent;
      attempt.kind = bound.kind;
      attempt.client = context.client;
      attempt.provider = bound.provider;
      attempt.model = bound.model;
      attempt.price_row = open.row->id;
      attempt.policy = policy_;
      attempt.periods = rules_.PeriodsAt(now);
      attempt.bound = attempt.amount = open.bound;
      if (bound.leaves) attempt.state = AttemptState::kSent;
      attempt.created_ms = attempt.changed_ms = ToUnixMs(now);
      attempt.lease_ms = ToUnixMs(now + options_.lease);
      RETURN_IF_ERROR(rules_.CheckRequest(attempt));
      RETURN_IF_ERROR(CheckLedger(attempt.periods));
      const bool premium = open.row->premium;
      // By value: a caller that has given up leaves the rule behind with the writer.
      RETURN_IF_ERROR(
          ledger_.Reserve(attempt, [this, attempt, premium, now](const LedgerView& view) {
            return rules_.Admit(attempt, premium, view, now);
          }));
    }
    const std::lock_guard lock(mutex_);
    open_.emplace(attempt.id, open);
    ++counts_.admitted;
    return attempt.id;
  };
  Result<std::uint64_t> ticket = admit();
  if (!ticket) {
    const std::lock_guard lock(mutex_);
    ++counts_.refused;
  }
  return ticket;
}

std::optional<Budget::Open> Budget::Take(std::uint64_t ticket) {
  const std::lock_guard lock(mutex_);
  const auto found = open_.find(ticket);
  if (found == open_.end()) return std::nullopt;
  Open open = found->second;
  open_.erase(found);
  return open;
}

Result<> Budget::MarkSent(std::uint64_t ticket) {
  {
    const std::lock_guard lock(mutex_);
    const auto found = open_.find(ticket);
    if (found != open_.end() && found->second.free) return {};
  }
  return ledger_.MarkSent(ticket);
}

std::optional<Pusd> Budget::Settle(std::uint64_t ticket, const AttemptUse& use) {
  const std::optional<Open> open = Take(ticket);
  if (!open) return std::nullopt;
  const std::optional<Pusd> cost = CostOf(*open->row, use, open->admitted, clock_.WallNow());
  const Pusd counted = cost.value_or(open->bound);
  if (!open->free) {
    if (cost) {
      ledger_.Settle(ticket, {UsageJson(use), *cost});
    } else {
      // It was answered, and nobody knows for how much.
      ledger_.Dispute(ticket, 0);
    }
  }
  const std::lock_guard lock(mutex_);
  ++(cost ? counts_.settled : counts_.disputed);
  counts_.tokens += TokensOf(use);
  counts_.spent = AddCapped(counts_.spent, counted);
  return counted;
}

void Budget::Release(std::uint64_t ticket) {
  const std::optional<Open> open = Take(ticket);
  if (!open) return;
  if (!open->free) ledger_.Release(ticket);
  const std::lock_guard lock(mutex_);
  ++counts_.released;
}

std::optional<Pusd> Budget::Dispute(std::uint64_t ticket, const AttemptTrace& trace) {
  const std::optional<Open> open = Take(ticket);
  if (!open) return std::nullopt;
  if (!open->free) ledger_.Dispute(ticket, CostFloor(*open->row, trace.output_tokens));
  const std::lock_guard lock(mutex_);
  ++counts_.disputed;
  counts_.spent = AddCapped(counts_.spent, open->bound);
  return open->bound;
}

Budget::Counts Budget::counts() const {
  const std::lock_guard lock(mutex_);
  return counts_;
}

// ---------------------------------------------------------------- looking and changing

std::vector<std::string> Budget::PriceWarnings(WallTime now) const {
  std::vector<std::string> warnings;
  for (const PriceRow& row : prices_.rows()) {
    if (now < row.from || now >= row.until) continue;
    if (row.shutdown && now + std::chrono::days(60) >= *row.shutdown) {
      warnings.push_back(fmt::format("{}: its vendor stops serving it {}", row.id,
                                     now >= *row.shutdown ? "already" : "within 60 days"));
    } else if (now - row.checked > options_.price_age) {
      warnings.push_back(fmt::format(
          "{}: nobody has checked this price for {} days; compare it with {} and put it into the "
          "file budget.prices",
          row.id, std::chrono::floor<std::chrono::days>(now - row.checked).count(), row.source));
    }
  }
  return warnings;
}

Result<BudgetStatus> Budget::Status() {
  BudgetStatus status;
  status.now = clock_.WallNow();
  status.periods = rules_.PeriodsAt(status.now);
  ASSIGN_OR_RETURN(auto accounts, ledger_.Accounts(status.periods));
  ASSIGN_OR_RETURN(const auto notes, ledger_.Notes());
  ASSIGN_OR_RETURN(status.fired, ledger_.FiredAlerts(status.periods));
  const NotesView view(notes);
  status.alert_percents = rules_.alert_percents();
  status.stop_percent = rules_.StopPercent(view, status.periods.month);
  status.unlocked = !view.note(UnlockNote(status.periods.month)).empty();
  status.kill_switch = !view.note(std::string(kKillSwitchNote)).empty();
  status.stopped = status.kill_switch;
  for (const auto& [name, value] : notes) {
    if (name.starts_with(kFrozenPrefix)) status.frozen[name.substr(kFrozenPrefix.size())] = value;
  }
  for (BudgetLimit& limit : rules_.Limits(view)) {
    BudgetUse use{std::move(limit), "", {}};
    use.period = status.periods.of(use.limit.window);
    use.amounts = accounts[{use.limit.scope, use.period}];
    if (use.limit.scope == "all") {
      const Pusd total = use.amounts.total();
      status.level = std::max(status.level, rules_.LevelOf(total, use.limit.amount));
      if (total >= PercentOf(use.limit.amount, status.stop_percent)) status.stopped = true;
    }
    status.uses.push_back(std::move(use));
  }
  const auto month = rules_.SpanOf(BudgetWindow::kMonth, status.now);
  const Pusd used = accounts[{"all", status.periods.month}].total();
  const auto passed = std::max(std::chrono::floor<std::chrono::minutes>(status.now - month.begin),
                               std::chrono::minutes(1));
  const auto whole = std::chrono::floor<std::chrono::minutes>(month.end - month.begin);
  // Whole minutes keep it exact enough and far from overflowing.
  status.month_projection =
      AddCapped(MultiplyCapped(used / passed.count(), static_cast<std::uint64_t>(whole.count())),
                used % passed.count() * whole.count() / passed.count());
  for (const BudgetUse& use : status.uses) {
    if (use.limit.scope == "all" && use.limit.window == BudgetWindow::kMonth) {
      status.will_exceed = status.month_projection > use.limit.amount;
    }
  }
  status.warnings = PriceWarnings(status.now);
  status.ledger = ledger_.stats();
  return status;
}

Result<> Budget::Unlock() {
  ASSIGN_OR_RETURN(const auto notes, ledger_.Notes());
  for (const auto& [name, value] : notes) {
    if (name.starts_with(kFrozenPrefix)) RETURN_IF_ERROR(ledger_.SetNote(name, ""));
  }
  RETURN_IF_ERROR(ledger_.SetNote(std::string(kKillSwitchNote), ""));
  RETURN_IF_ERROR(ledger_.SetNote(UnlockNote(rules_.PeriodsAt(clock_.WallNow()).month), "yes"));
  logger_.Warning("the budget was unlocked: until the end of this month its limits count in full");
  return {};
}

Result<> Budget::SetKillSwitch(bool on) {
  RETURN_IF_ERROR(ledger_.SetNote(std::string(kKillSwitchNote), on ? "on" : ""));
  logger_.Warning("paid calls are switched {}", on ? "off" : "on again");
  return {};
}

Result<> Budget::SetLimit(const std::string& scope, BudgetWindow window,
                          std::optional<Pusd> amount) {
  RETURN_IF_ERROR(CheckBudgetScope(scope));
  if (amount && *amount < 0) {
    return Fail(Code::kInvalidArgument, "expected an amount of at least 0");
  }
  return ledger_.SetNote(LimitNote(scope, window), amount ? ShortUsd(*amount) : "");
}

Result<> Budget::Repair() { return ledger_.Repair(rules_.PeriodsAt(clock_.WallNow())); }

LedgerWatch WatchBudget(const BudgetRules& rules, Logger& logger) {
  LedgerWatch watch;
  watch.due = [rules](const LedgerAttempt& attempt, const LedgerView& view) {
    return rules.AlertsDue(attempt, view);
  };
  watch.fired = [&logger](const BudgetAlert& alert) {
    logger.Warning("budget: {} % of the limit of {} for {} are spent", alert.percent, alert.scope,
                   alert.period);
  };
  watch.overrun = [&logger](const LedgerAttempt& attempt) {
    logger.Error(
        "budget: attempt {} of {}/{} cost {} USD, more than its bound of {} USD ({}); the model is "
        "not called until `garrison budget unlock`",
        attempt.id, attempt.provider, attempt.model, ShortUsd(attempt.amount),
        ShortUsd(attempt.bound), attempt.price_row);
  };
  return watch;
}

}  // namespace garrison
