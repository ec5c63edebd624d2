// The ledger on both databases: its invariants under random operations, races of threads and
// processes, and kill -9.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <random>
#include <thread>

#include "db/test_databases.h"
#include "storage/database_ledger.h"

namespace garrison {
namespace {

using namespace std::chrono_literals;

constexpr Pusd kCent = kPusdPerUsd / 100;

LedgerAttempt Attempt(std::uint64_t id, Pusd bound) {
  LedgerAttempt attempt;
  attempt.id = id;
  attempt.request_id = fmt::format("request-{}", id);
  attempt.kind = "chat";
  attempt.client = "alice";
  attempt.provider = "acme";
  attempt.model = "m";
  attempt.periods = {"2026-11", "2026-11-22", "2026-11-22T14+00:00"};
  attempt.bound = attempt.amount = bound;
  attempt.lease_ms = 4'102'444'800'000;  // 2100
  return attempt;
}

// Everything together up to `cap` in the month.
Ledger::Rule UpTo(Pusd cap, Pusd bound) {
  return [=](const LedgerView& view) -> Result<> {
    if (view.amounts("all", "2026-11").total() + bound <= cap) return {};
    return Fail(Code::kResourceExhausted, "no more");
  };
}
const Ledger::Rule kAlways = [](const LedgerView&) -> Result<> { return {}; };

class LedgerTest : public DatabaseTest {
 protected:
  std::unique_ptr<DatabaseLedger> Open(LedgerWatch watch = {}, std::chrono::milliseconds sweep = 1h,
                                       std::chrono::milliseconds patience = 20s) {
    return std::make_unique<DatabaseLedger>(
        DatabaseLedgerOptions{.place = place_, .patience = patience, .sweep = sweep},
        std::move(watch), clock_, *logger_);
  }
  BudgetAmounts Month(DatabaseLedger& ledger, const std::string& scope = "all") {
    return ledger.Accounts(Attempt(1, 0).periods).value()[{scope, "2026-11"}];
  }
  UnixMs NowMs() const { return ToUnixMs(clock_.WallNow()); }
  static std::vector<LedgerAttempt> All(DatabaseLedger& ledger) {
    return ledger.History({.month = "2026-11", .limit = 100'000}).value();
  }

  ManualClock clock_;
  const std::unique_ptr<Logger> logger_ = MakeNullLogger();
};

TEST_P(LedgerTest, AnAttemptCountsInEveryAccountFromItsReservationOn) {
  const auto ledger = Open();
  ASSERT_TRUE(ledger->Reserve(Attempt(7, 5 * kCent), kAlways));
  const auto accounts = ledger->Accounts(Attempt(7, 0).periods).value();
  ASSERT_EQ(accounts.size(), 12u);
  for (const auto& [key, amounts] : accounts) {
    EXPECT_EQ(amounts, (BudgetAmounts{0, 5 * kCent, 0})) << key.scope << " " << key.period;
  }
  ASSERT_TRUE(ledger->MarkSent(7));
  ledger->Settle(7, {R"({"input":3})", 2 * kCent});
  ASSERT_TRUE(ledger->Flush(20s));
  EXPECT_EQ(Month(*ledger), (BudgetAmounts{2 * kCent, 0, 0}));
  const auto attempts = All(*ledger);
  ASSERT_EQ(attempts.size(), 1u);
  EXPECT_EQ(attempts[0].state, AttemptState::kSettled);
  EXPECT_EQ(attempts[0].bound, 5 * kCent);
  EXPECT_EQ(attempts[0].usage, R"({"input":3})");
  EXPECT_TRUE(ledger->Verify(attempts[0].periods));
}

TEST_P(LedgerTest, EachAttemptSettlesOnce) {
  const auto ledger = Open();
  ASSERT_TRUE(ledger->Reserve(Attempt(1, 5 * kCent), kAlways));
  EXPECT_EQ(ledger->Reserve(Attempt(1, 5 * kCent), kAlways).error().code, Code::kAlreadyExists);
  ASSERT_TRUE(ledger->MarkSent(1));
  EXPECT_EQ(ledger->MarkSent(1).error().code, Code::kFailedPrecondition);
  ledger->Settle(1, {"", 2 * kCent});
  ledger->Settle(1, {"", 3 * kCent});
  ledger->Release(1);
  ledger->Dispute(1, 4 * kCent);
  ASSERT_TRUE(ledger->Flush(20s));
  EXPECT_EQ(Month(*ledger), (BudgetAmounts{2 * kCent, 0, 0}));
  EXPECT_EQ(ledger->MarkSent(99).error().code, Code::kNotFound);
}

TEST_P(LedgerTest, WhatIsDisputedKeepsItsBoundUntilItIsReconciled) {
  const auto ledger = Open();
  ASSERT_TRUE(ledger->Reserve(Attempt(1, 5 * kCent), kAlways));
  ASSERT_TRUE(ledger->Reserve(Attempt(2, 5 * kCent), kAlways));
  ASSERT_TRUE(ledger->MarkSent(1));
  EXPECT_EQ(ledger->Reconcile({{1, kCent}}).error().code, Code::kFailedPrecondition);
  ledger->Dispute(1, kCent);
  ledger->Release(2);
  ASSERT_TRUE(ledger->Flush(20s));
  EXPECT_EQ(Month(*ledger), (BudgetAmounts{0, 0, 5 * kCent}));
  EXPECT_EQ(ledger->MarkSent(2).error().code, Code::kFailedPrecondition);
  ASSERT_TRUE(ledger->Reconcile({{1, 3 * kCent}}));
  EXPECT_EQ(Month(*ledger), (BudgetAmounts{3 * kCent, 0, 0}));
}

TEST_P(LedgerTest, WhatCostsMoreThanItsBoundIsRecordedInFullAndFreezesTheModel) {
  std::vector<std::uint64_t> overruns;
  LedgerWatch watch;
  watch.overrun = [&](const LedgerAttempt& attempt) { overruns.push_back(attempt.id); };
  const auto ledger = Open(watch);
  ASSERT_TRUE(ledger->Reserve(Attempt(1, kCent), kAlways));
  ASSERT_TRUE(ledger->MarkSent(1));
  ledger->Settle(1, {"", 9 * kCent});
  ASSERT_TRUE(ledger->Flush(20s));
  EXPECT_EQ(Month(*ledger).settled, 9 * kCent);
  EXPECT_EQ(overruns, std::vector<std::uint64_t>{1});
  EXPECT_NE(ledger->Notes().value()["frozen:acme/m"], "");
  ASSERT_TRUE(ledger->SetNote("frozen:acme/m", ""));
  EXPECT_TRUE(ledger->Notes().value().empty());
}

TEST_P(LedgerTest, ADisputeAboveTheBoundFreezesTheModelToo) {
  const auto ledger = Open();
  ASSERT_TRUE(ledger->Reserve(Attempt(1, kCent), kAlways));
  ASSERT_TRUE(ledger->MarkSent(1));
  ledger->Dispute(1, 9 * kCent);
  ASSERT_TRUE(ledger->Flush(20s));
  EXPECT_EQ(Month(*ledger).disputed, 9 * kCent);
  EXPECT_NE(ledger->Notes().value()["frozen:acme/m"], "");
}

TEST_P(LedgerTest, WhatWaitsLeavesNoMoreOnceItIsSwitchedOff) {
  const auto ledger = Open();
  for (const auto& [name, reason] : std::vector<std::pair<std::string, std::string>>{
           {"kill_switch", "kill_switch_active"}, {"frozen:acme/m", "model_frozen"}}) {
    const std::uint64_t id = name.size();
    ASSERT_TRUE(ledger->Reserve(Attempt(id, kCent), kAlways));
    ASSERT_TRUE(ledger->SetNote(name, "yes"));
    const Result<> refused = ledger->MarkSent(id);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().reason, reason);
    ASSERT_TRUE(ledger->SetNote(name, ""));
    EXPECT_TRUE(ledger->MarkSent(id));
  }
}

// A month that is named otherwise, since its day of beginning was changed in the middle of a day.
TEST_P(LedgerTest, ADayAddsUpOverMonthsOfTwoNames) {
  const auto ledger = Open();
  LedgerAttempt other = Attempt(2, 5 * kCent);
  other.periods.month = "2026-11 from 20";
  ASSERT_TRUE(ledger->Reserve(Attempt(1, 5 * kCent), kAlways));
  ASSERT_TRUE(ledger->Reserve(other, kAlways));
  for (const BudgetPeriods& periods : {Attempt(1, 0).periods, other.periods}) {
    const Result<> sound = ledger->Verify(periods);
    EXPECT_TRUE(sound) << sound.error().ToString();
    ASSERT_TRUE(ledger->Repair(periods));
    EXPECT_EQ((ledger->Accounts(periods).value()[{"all", "2026-11-22"}].reserved), 10 * kCent);
  }
}

// One record instead of two, for what leaves at once. Abandoned, it may have been billed.
TEST_P(LedgerTest, AnAttemptMayBeSentFromTheBeginning) {
  {
    const auto ledger = Open();
    LedgerAttempt attempt = Attempt(1, 5 * kCent);
    attempt.state = AttemptState::kSent;
    attempt.lease_ms = 1;
    ASSERT_TRUE(ledger->Reserve(attempt, kAlways));
    EXPECT_FALSE(ledger->MarkSent(1)) << "it has left already";
    EXPECT_EQ(Month(*ledger).reserved, 5 * kCent);
  }
  clock_.Advance(1h);
  const auto ledger = Open({}, 10ms);
  for (int i = 0; i < 1000 && Month(*ledger).disputed == 0; ++i) std::this_thread::sleep_for(10ms);
  EXPECT_EQ(Month(*ledger).disputed, 5 * kCent);
}

TEST_P(LedgerTest, AReservationThatComesTooLateIsGivenBack) {
  const auto ledger = Open({}, 1h, 200ms);
  ASSERT_TRUE(ledger->Notes());  // makes the tables
  const auto other = OpenDatabase(place_, {}).value();
  {
    // Somebody else holds what it needs for longer than the caller waits.
    ASSERT_TRUE(ledger->Reserve(Attempt(1, kCent), kAlways));
    DbTransaction holding = DbTransaction::Begin(*other).value();
    ASSERT_TRUE(other->Execute("UPDATE garrison_accounts SET settled_pusd = settled_pusd", {}));
    const Result<> late = ledger->Reserve(Attempt(2, kCent), kAlways);
    ASSERT_FALSE(late);
    EXPECT_EQ(late.error().reason, "ledger_unavailable");
  }
  ASSERT_TRUE(ledger->Flush(20s));
  EXPECT_EQ(Month(*ledger).reserved, kCent);
  const auto attempts = All(*ledger);
  ASSERT_EQ(attempts.size(), 2u);
  EXPECT_EQ(attempts[0].state == AttemptState::kReleased ? attempts[0].id : attempts[1].id, 2u);
}

TEST_P(LedgerTest, AFileThatIsGoneDoesNotBeginAgain) {
  if (GetParam() == DbKind::kPostgres) GTEST_SKIP() << "of files";
  const auto ledger = Open();
  ASSERT_TRUE(ledger->Reserve(Attempt(1, 5 * kCent), kAlways));
  std::filesystem::rename(place_, place_ + ".moved");
  for (int i = 0; i < 2; ++i) {
    const Result<> refused = ledger->Reserve(Attempt(2, kCent), kAlways);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().reason, "ledger_unavailable");
    EXPECT_FALSE(std::filesystem::exists(place_));
  }
  std::filesystem::rename(place_ + ".moved", place_);
  EXPECT_TRUE(ledger->Reserve(Attempt(3, kCent), kAlways));
  EXPECT_EQ(Month(*ledger).reserved, 6 * kCent);
}

TEST_P(LedgerTest, AnAlertIsNewOnceForAllProcesses) {
  std::vector<BudgetAlert> fired;
  LedgerWatch watch;
  watch.due = [](const LedgerAttempt&, const LedgerView& view) {
    std::vector<BudgetAlert> due;
    for (const int percent : {70, 85}) {
      if (view.amounts("all", "2026-11").settled >= percent * kCent) {
        due.push_back({"all", "2026-11", percent});
      }
    }
    return due;
  };
  watch.fired = [&](const BudgetAlert& alert) { fired.push_back(alert); };
  for (std::uint64_t i = 1; i <= 10; ++i) {
    const auto ledger = Open(watch);  // as after a restart
    ASSERT_TRUE(ledger->Reserve(Attempt(i, 10 * kCent), kAlways));
    ASSERT_TRUE(ledger->MarkSent(i));
    ledger->Settle(i, {"", 10 * kCent});
    ASSERT_TRUE(ledger->Flush(20s));
  }
  EXPECT_EQ(fired, (std::vector<BudgetAlert>{{"all", "2026-11", 70}, {"all", "2026-11", 85}}));
  EXPECT_EQ(Open()->FiredAlerts(Attempt(1, 0).periods).value(), fired);
}

TEST_P(LedgerTest, AnotherMonthIsAnotherAccount) {
  const auto ledger = Open();
  LedgerAttempt old = Attempt(1, 5 * kCent);
  old.periods = {"2026-10", "2026-10-31", "2026-10-31T23+00:00"};
  ASSERT_TRUE(ledger->Reserve(old, UpTo(5 * kCent, 5 * kCent)));
  ASSERT_TRUE(ledger->Reserve(Attempt(2, 5 * kCent), UpTo(5 * kCent, 5 * kCent)));
  // It belongs to the month in which it was admitted, whenever it ends.
  ASSERT_TRUE(ledger->MarkSent(1));
  ledger->Settle(1, {"", kCent});
  ASSERT_TRUE(ledger->Flush(20s));
  EXPECT_EQ(Month(*ledger), (BudgetAmounts{0, 5 * kCent, 0}));
}

TEST_P(LedgerTest, LeasesThatAreOverAreReleasedOrDisputed) {
  {
    const auto ledger = Open();
    for (const std::uint64_t id : {1, 2, 3}) {
      LedgerAttempt attempt = Attempt(id, 5 * kCent);
      attempt.lease_ms = NowMs() + (id == 3 ? 10'000 : 1'000);
      ASSERT_TRUE(ledger->Reserve(attempt, kAlways));
      if (id == 1) continue;
      ASSERT_TRUE(ledger->MarkSent(id));
    }
  }
  clock_.Advance(2s);
  const auto ledger = Open({}, 10ms);
  for (int i = 0; i < 500 && Month(*ledger).disputed == 0; ++i) std::this_thread::sleep_for(10ms);
  EXPECT_EQ(Month(*ledger), (BudgetAmounts{0, 5 * kCent, 5 * kCent}));
  EXPECT_EQ(ledger->MarkSent(1).error().code, Code::kFailedPrecondition);
  // A process that was only slow knows better.
  ledger->Settle(2, {"", kCent});
  ASSERT_TRUE(ledger->Flush(20s));
  EXPECT_EQ(Month(*ledger), (BudgetAmounts{kCent, 5 * kCent, 0}));
}

// I1, I3, I4: whatever happens in whatever order.
TEST_P(LedgerTest, AccountsAreTheSumsOfTheirAttemptsAfterAnyOperations) {
  std::mt19937_64 random(7);
  const Pusd cap = 100 * kCent;
  auto ledger = Open();
  std::vector<std::uint64_t> ids;
  for (int step = 0; step < 400; ++step) {
    const std::uint64_t id = ids.empty() ? 0 : ids[random() % ids.size()];
    switch (ids.empty() ? 0 : random() % 8) {
      case 0:
      case 1: {
        const Pusd bound = static_cast<Pusd>(random() % 10) * kCent + 1;
        const std::uint64_t made = random() >> 1;
        LedgerAttempt attempt = Attempt(made, bound);
        attempt.client = random() % 3 == 0 ? "" : random() % 2 == 0 ? "alice" : "bob";
        attempt.kind = random() % 2 == 0 ? "chat" : "judge";
        if (ledger->Reserve(attempt, UpTo(cap, bound))) ids.push_back(made);
        break;
      }
      case 2:
        static_cast<void>(ledger->MarkSent(id));
        break;
      case 3:
        ledger->Settle(id, {"", static_cast<Pusd>(random() % 2)});
        break;
      case 4:
        ledger->Release(id);
        break;
      case 5:
        ledger->Dispute(id, 0);
        break;
      case 6:
        static_cast<void>(ledger->Reconcile({{id, static_cast<Pusd>(random() % 3)}}));
        break;
      default:
        if (random() % 8 == 0) ledger = Open();
    }
    if (step % 10 != 0) continue;
    ASSERT_TRUE(ledger->Flush(20s));
    ASSERT_LE(Month(*ledger).total(), cap) << step;
    const Result<> sound = ledger->Verify(Attempt(1, 0).periods);
    ASSERT_TRUE(sound) << step << " " << sound.error().ToString();
  }
  EXPECT_GT(ids.size(), 20u);
}

TEST_P(LedgerTest, AnAccountThatSomebodyChangedIsFound) {
  const auto ledger = Open();
  ASSERT_TRUE(ledger->Reserve(Attempt(1, 5 * kCent), kAlways));
  const auto connection = OpenDatabase(place_, {}).value();
  ASSERT_TRUE(connection->ExecuteScript(
      "UPDATE garrison_accounts SET reserved_pusd = 1 WHERE scope = 'all' AND period = '2026-11'"));
  const Result<> sound = ledger->Verify(Attempt(1, 0).periods);
  ASSERT_FALSE(sound);
  EXPECT_EQ(sound.error().code, Code::kDataLoss);
  EXPECT_EQ(sound.error().where, "all of 2026-11");
  ASSERT_TRUE(ledger->Repair(Attempt(1, 0).periods));
  EXPECT_TRUE(ledger->Verify(Attempt(1, 0).periods));
  EXPECT_EQ(Month(*ledger).reserved, 5 * kCent);
}

TEST_P(LedgerTest, ThreadsShareCommitsAndNeverOvershoot) {
  const auto ledger = Open();
  std::atomic<int> admitted = 0;
  {
    std::vector<std::jthread> threads;
    for (std::uint64_t t = 0; t < 10; ++t) {
      threads.emplace_back([&, t] {
        for (std::uint64_t i = 0; i < 10; ++i) {
          const Result<> reserved =
              ledger->Reserve(Attempt(1 + t * 10 + i, 10 * kCent), UpTo(500 * kCent, 10 * kCent));
          if (reserved) ++admitted;
        }
      });
    }
  }
  EXPECT_EQ(admitted, 50);
  EXPECT_EQ(Month(*ledger).total(), 500 * kCent);
  EXPECT_EQ(ledger->stats().operations, 100u);
}

// "100 calls of $0.10 against $5: exactly 50."
TEST_P(LedgerTest, ProcessesNeverOvershootTogether) {
  ASSERT_TRUE(Open()->Notes());  // makes the tables
  std::vector<pid_t> children;
  for (std::uint64_t p = 0; p < 5; ++p) {
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      const auto ledger = Open();
      int admitted = 0;
      for (std::uint64_t i = 0; i < 20; ++i) {
        Result<> reserved =
            ledger->Reserve(Attempt(1 + p * 20 + i, 10 * kCent), UpTo(500 * kCent, 10 * kCent));
        if (!reserved && reserved.error().message != "no more") _exit(200);
        admitted += reserved ? 1 : 0;
      }
      _exit(admitted);
    }
    children.push_back(child);
  }
  int admitted = 0;
  for (const pid_t child : children) {
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFEXITED(status));
    ASSERT_LE(WEXITSTATUS(status), 20);
    admitted += WEXITSTATUS(status);
  }
  EXPECT_EQ(admitted, 50);
  const auto ledger = Open();
  EXPECT_EQ(Month(*ledger).total(), 500 * kCent);
  const auto sound = ledger->Verify(Attempt(1, 0).periods);
  EXPECT_TRUE(sound) << sound.error().ToString() << All(*ledger).size();
}

// I2 and I6: what the vendor billed is never more than what the ledger says, wherever the process
// dies. The vendor is a file that gets a byte for every call that left.
TEST_P(LedgerTest, KillingTheProcessNeverLosesMoney) {
  const std::string billed_file = (folder_ / "billed").string();
  std::mt19937 random(11);
  std::uint64_t first = 1;
  for (int round = 0; round < 12; ++round, first += 100'000) {
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      const auto ledger = Open();
      const int vendor = open(billed_file.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
      for (std::uint64_t id = first;; ++id) {
        LedgerAttempt attempt = Attempt(id, kCent);
        attempt.lease_ms = NowMs() + 1'000;
        const bool leaves = id % 2 == 0;
        if (leaves) attempt.state = AttemptState::kSent;
        if (!ledger->Reserve(attempt, kAlways)) _exit(1);
        if (!leaves && !ledger->MarkSent(id)) _exit(1);
        if (write(vendor, "x", 1) != 1) _exit(2);
        ledger->Settle(id, {"", kCent});
      }
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(20 + random() % 60));
    kill(child, SIGKILL);
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status)) << WEXITSTATUS(status);
    const auto ledger = Open();
    std::error_code none;
    const auto billed = std::filesystem::file_size(billed_file, none);
    const Pusd recorded = Month(*ledger).total();
    ASSERT_GE(recorded, static_cast<Pusd>(none ? 0 : billed) * kCent) << round;
    const auto sound = ledger->Verify(Attempt(1, 0).periods);
    ASSERT_TRUE(sound) << round << " " << sound.error().ToString();
  }
  EXPECT_GT(std::filesystem::file_size(billed_file), 20u);
  // And it does not drift away upwards: each death costs one attempt's bound at most.
  clock_.Advance(1h);
  const auto ledger = Open({}, 10ms);
  for (int i = 0; i < 500 && Month(*ledger).reserved > 0; ++i) std::this_thread::sleep_for(10ms);
  const auto billed = static_cast<Pusd>(std::filesystem::file_size(billed_file));
  EXPECT_LE(Month(*ledger).total(), (billed + 12) * kCent);
}

TEST_P(LedgerTest, WithoutADatabaseNothingIsReservedAndNothingIsLost) {
  if (GetParam() == DbKind::kPostgres) {
    const auto ledger = Open();
    ASSERT_TRUE(ledger->Reserve(Attempt(1, 5 * kCent), kAlways));
    ASSERT_TRUE(ledger->MarkSent(1));
    ASSERT_TRUE(SharedPostgres()->Stop());
    ledger->Settle(1, {"", kCent});
    const Result<> refused = ledger->Reserve(Attempt(2, kCent), kAlways);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Code::kUnavailable);
    EXPECT_EQ(refused.error().reason, "ledger_unavailable");
    ASSERT_TRUE(SharedPostgres()->Start());
    ASSERT_TRUE(ledger->Flush(20s));
    EXPECT_EQ(Month(*ledger), (BudgetAmounts{kCent, 0, 0}));
    EXPECT_TRUE(ledger->Reserve(Attempt(3, kCent), kAlways));
  } else {
    place_ = "/nonexistent/ledger.db";
    const auto ledger = Open();
    const Result<> refused = ledger->Reserve(Attempt(1, kCent), kAlways);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().reason, "ledger_unavailable");
  }
}

GARRISON_BOTH_DATABASES(LedgerTest);

}  // namespace
}  // namespace garrison
