// What a group of the ledger's operations does to attempts and accounts: the rules, without a
// database.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "core/ledger.h"

namespace garrison {

struct LedgerOperation {
  enum class Kind : std::uint8_t {
    kReserve,
    kAdjust,
    kMarkSent,
    kSettle,
    kRelease,
    kDispute,
    kExpire,  // its lease is over
    kReconcile,
    kSetNote,
  };
  Kind kind = Kind::kReserve;
  std::uint64_t id = 0;  // of the attempt; for kReserve and kAdjust `attempt` has it
  LedgerAttempt attempt;
  Ledger::Rule rule;  // of kReserve
  Pusd amount = 0;    // of kSettle and kReconcile; the floor of kDispute
  std::string usage;  // of kSettle
  std::string name;   // of kSetNote
  std::string value;
};

// One thread. Every account must have been loaded of every attempt that is reserved or ends; none
// is needed to mark one as sent.
class LedgerGroup final : public LedgerView {
 public:
  LedgerGroup(std::map<std::uint64_t, LedgerAttempt> attempts,
              std::map<BudgetAccount, BudgetAmounts> accounts,
              std::map<std::string, std::string> notes, const LedgerWatch& watch,
              std::int64_t now_ms);

  // An error (of the rule, or because the attempt is not in a state for it) changes nothing.
  Result<> Apply(const LedgerOperation& operation);

  BudgetAmounts amounts(const std::string& scope, const std::string& period) const override;
  std::string note(const std::string& name) const override;
  const std::map<std::string, std::string>& notes() const override { return notes_; }

  // What is to be written.
  const std::vector<std::uint64_t>& inserted() const { return inserted_; }
  const std::set<std::uint64_t>& changed() const { return changed_; }  // without the inserted
  const LedgerAttempt& attempt(std::uint64_t id) const { return attempts_.at(id).attempt; }
  std::map<BudgetAccount, BudgetAmounts> accounts() const;
  const std::map<std::string, std::string>& new_notes() const { return new_notes_; }
  const std::vector<BudgetAlert>& alerts() const { return alerts_; }
  const std::vector<LedgerAttempt>& overruns() const { return overruns_; }

 private:
  struct Account {
    BudgetAmounts amounts;
    bool changed = false;
  };
  struct Entry {
    LedgerAttempt attempt;
    const std::vector<Account*>* accounts = nullptr;  // found when they are first needed
    bool inserted = false;
  };

  Result<> CheckSwitches(const LedgerAttempt& attempt) const;
  Result<Entry*> Find(std::uint64_t id);
  Result<> Insert(LedgerAttempt attempt, AttemptState state);
  void Move(Entry& entry, AttemptState state, Pusd amount);
  void Count(Entry& entry, int sign);
  void Settle(Entry& entry, AttemptState state, Pusd amount);

  const LedgerWatch& watch_;
  const std::int64_t now_ms_;
  std::map<std::uint64_t, Entry> attempts_;
  std::map<BudgetAccount, Account> accounts_;
  // By LedgerAttempt::accounts_name(): most attempts of a group count in the same ones.
  std::unordered_map<std::string, std::vector<Account*>> places_;
  std::map<std::string, std::string> notes_;
  std::map<std::string, std::string> new_notes_;
  std::vector<std::uint64_t> inserted_;
  std::set<std::uint64_t> changed_;
  std::vector<BudgetAlert> alerts_;
  std::vector<LedgerAttempt> overruns_;
};

}  // namespace garrison
