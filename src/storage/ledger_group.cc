#include "storage/ledger_group.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace garrison {
namespace {

using Kind = LedgerOperation::Kind;

// Where an attempt's amount counts; null: nowhere.
Pusd* BucketOf(BudgetAmounts& amounts, AttemptState state) {
  switch (state) {
    case AttemptState::kReserved:
    case AttemptState::kSent:
      return &amounts.reserved;
    case AttemptState::kDisputed:
      return &amounts.disputed;
    case AttemptState::kSettled:
    case AttemptState::kReconciled:
      return &amounts.settled;
    case AttemptState::kReleased:
      return nullptr;
  }
  return nullptr;
}

bool IsFinal(AttemptState state) {
  return state == AttemptState::kSettled || state == AttemptState::kReconciled;
}

bool IsUnderWay(AttemptState state) {
  return state == AttemptState::kReserved || state == AttemptState::kSent;
}

}  // namespace

LedgerGroup::LedgerGroup(std::map<std::uint64_t, LedgerAttempt> attempts,
                         std::map<BudgetAccount, BudgetAmounts> accounts,
                         std::map<std::string, std::string> notes, const LedgerWatch& watch,
                         std::int64_t now_ms)
    : watch_(watch), now_ms_(now_ms), notes_(std::move(notes)) {
  for (auto& [id, attempt] : attempts) attempts_[id].attempt = std::move(attempt);
  for (auto& [key, amounts] : accounts) accounts_[key].amounts = amounts;
}

BudgetAmounts LedgerGroup::amounts(const std::string& scope, const std::string& period) const {
  const auto found = accounts_.find({scope, period});
  return found == accounts_.end() ? BudgetAmounts() : found->second.amounts;
}

std::string LedgerGroup::note(const std::string& name) const {
  const auto found = notes_.find(name);
  return found == notes_.end() ? "" : found->second;
}

std::map<BudgetAccount, BudgetAmounts> LedgerGroup::accounts() const {
  std::map<BudgetAccount, BudgetAmounts> changed;
  for (const auto& [key, account] : accounts_) {
    if (account.changed) changed.emplace(key, account.amounts);
  }
  return changed;
}

Result<LedgerGroup::Entry*> LedgerGroup::Find(std::uint64_t id) {
  const auto found = attempts_.find(id);
  if (found == attempts_.end()) return Fail(Code::kNotFound, "the ledger has no attempt {}", id);
  return &found->second;
}

// Amounts do not wrap around: bounds are capped, and an account that is full refuses before.
void LedgerGroup::Count(Entry& entry, int sign) {
  if (entry.accounts == nullptr) {
    std::vector<Account*>& places = places_[entry.attempt.accounts_name()];
    if (places.empty()) {
      for (const BudgetAccount& key : entry.attempt.accounts()) {
        const auto account = accounts_.find(key);
        CHECK(account != accounts_.end());
        places.push_back(&account->second);
      }
    }
    entry.accounts = &places;
  }
  const LedgerAttempt& attempt = entry.attempt;
  for (Account* const account : *entry.accounts) {
    if (Pusd* const bucket = BucketOf(account->amounts, attempt.state)) {
      *bucket = sign > 0 ? AddCapped(*bucket, attempt.amount) : *bucket - attempt.amount;
    }
    account->changed = true;
  }
}

void LedgerGroup::Move(Entry& entry, AttemptState state, Pusd amount) {
  LedgerAttempt& attempt = entry.attempt;
  // What is put aside stays so while it leaves.
  const bool counts = !IsUnderWay(state);
  if (counts) Count(entry, -1);
  attempt.state = state;
  attempt.amount = amount;
  attempt.changed_ms = now_ms_;
  if (counts) Count(entry, +1);
  if (!entry.inserted) changed_.insert(attempt.id);
  if (!counts || state == AttemptState::kReleased || !watch_.due) return;
  for (BudgetAlert& alert : watch_.due(attempt, *this)) {
    if (std::find(alerts_.begin(), alerts_.end(), alert) == alerts_.end()) {
      alerts_.push_back(std::move(alert));
    }
  }
}

Result<> LedgerGroup::Insert(LedgerAttempt attempt, AttemptState state) {
  const std::uint64_t id = attempt.id;
  const auto [place, is_new] = attempts_.try_emplace(id);
  if (!is_new) return Fail(Code::kAlreadyExists, "the ledger has an attempt {} already", id);
  Entry& entry = place->second;
  entry.attempt = std::move(attempt);
  entry.attempt.state = state;
  entry.inserted = true;
  inserted_.push_back(id);
  Count(entry, +1);
  return {};
}

void LedgerGroup::Settle(Entry& entry, AttemptState state, Pusd amount) {
  const LedgerAttempt& attempt = entry.attempt;
  const bool over = amount > attempt.bound;
  Move(entry, state, amount);
  if (!over || state == AttemptState::kReconciled) return;
  const std::string name = fmt::format("frozen:{}/{}", attempt.provider, attempt.model);
  notes_[name] = new_notes_[name] =
      fmt::format("attempt {} cost {} USD, more than its bound of {} USD", attempt.id,
                  ShortUsd(amount), ShortUsd(attempt.bound));
  overruns_.push_back(attempt);
}

// What was switched off since it was admitted does not leave any more.
Result<> LedgerGroup::CheckSwitches(const LedgerAttempt& attempt) const {
  const auto refuse = [](std::string_view reason, std::string message) {
    return tl::unexpected(
        Error{Code::kUnavailable, std::move(message), "", std::nullopt, std::string(reason)});
  };
  if (!note("kill_switch").empty()) {
    return refuse("kill_switch_active", "paid calls were switched off while this one waited");
  }
  if (!note(fmt::format("frozen:{}/{}", attempt.provider, attempt.model)).empty()) {
    return refuse("model_frozen", "the model was frozen while this call waited");
  }
  return {};
}

Result<> LedgerGroup::Apply(const LedgerOperation& operation) {
  switch (operation.kind) {
    case Kind::kReserve:
      RETURN_IF_ERROR(operation.rule(*this));
      CHECK(IsUnderWay(operation.attempt.state));
      return Insert(operation.attempt, operation.attempt.state);
    case Kind::kAdjust:
      return Insert(operation.attempt, AttemptState::kSettled);
    case Kind::kSetNote:
      notes_[operation.name] = new_notes_[operation.name] = operation.value;
      return {};
    default:
      break;
  }
  ASSIGN_OR_RETURN(Entry* const entry, Find(operation.id));
  LedgerAttempt* const attempt = &entry->attempt;
  const AttemptState state = attempt->state;
  switch (operation.kind) {
    case Kind::kMarkSent:
      if (state != AttemptState::kReserved) {
        return Fail(Code::kFailedPrecondition, "attempt {} is {}, so it may not be sent any more",
                    attempt->id, AttemptStateName(state));
      }
      RETURN_IF_ERROR(CheckSwitches(*attempt));
      Move(*entry, AttemptState::kSent, attempt->amount);
      return {};
    case Kind::kSettle:
      if (IsFinal(state)) return {};
      attempt->usage = operation.usage;
      Settle(*entry, AttemptState::kSettled, operation.amount);
      return {};
    case Kind::kRelease:
      if (!IsFinal(state)) Move(*entry, AttemptState::kReleased, 0);
      return {};
    case Kind::kDispute:
      if (IsFinal(state) || state == AttemptState::kReleased) return {};
      attempt->floor = std::max(attempt->floor, operation.amount);
      Settle(*entry, AttemptState::kDisputed, std::max(attempt->amount, attempt->floor));
      return {};
    case Kind::kExpire:
      if (!IsUnderWay(state) || attempt->lease_ms >= now_ms_) return {};
      if (state == AttemptState::kReserved) {
        Move(*entry, AttemptState::kReleased, 0);
      } else {
        Move(*entry, AttemptState::kDisputed, attempt->amount);
      }
      return {};
    case Kind::kReconcile:
      if (IsUnderWay(state)) {
        return Fail(Code::kFailedPrecondition, "attempt {} is still under way", attempt->id);
      }
      Settle(*entry, AttemptState::kReconciled, operation.amount);
      return {};
    default:
      CHECK(false);
      return {};
  }
}

}  // namespace garrison
