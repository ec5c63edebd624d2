#include "core/ledger.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace garrison {
namespace {

TEST(LedgerAttempt, CountsInEveryScopeAndWindow) {
  LedgerAttempt attempt;
  attempt.kind = "chat";
  attempt.provider = "acme";
  attempt.model = "m/1";
  attempt.periods = {"2026-11 from 03", "2026-11-05", "2026-11-05T00-03:30"};
  EXPECT_EQ(attempt.accounts().size(), 9u);
  for (const char* client : {"", "alice", "~", "A"}) {
    attempt.client = client;
    const std::vector<BudgetAccount> accounts = attempt.accounts();
    EXPECT_TRUE(std::is_sorted(accounts.begin(), accounts.end())) << client;
    EXPECT_EQ(std::adjacent_find(accounts.begin(), accounts.end()), accounts.end());
    const std::size_t scopes = std::string(client).empty() ? 3 : 4;
    EXPECT_EQ(accounts.size(), 3 * scopes);
  }
  LedgerAttempt other = attempt;
  EXPECT_EQ(other.accounts_name(), attempt.accounts_name());
  other.periods.hour = "2026-11-05T01-03:30";
  EXPECT_NE(other.accounts_name(), attempt.accounts_name());
}

TEST(LedgerNames, ReadBackAsWhatTheyName) {
  for (const AttemptState state :
       {AttemptState::kReserved, AttemptState::kSent, AttemptState::kSettled,
        AttemptState::kReleased, AttemptState::kDisputed, AttemptState::kReconciled}) {
    EXPECT_EQ(AttemptStateOf(AttemptStateName(state)), state);
  }
  for (const BudgetWindow window : kBudgetWindows) {
    EXPECT_EQ(BudgetWindowOf(BudgetWindowName(window)), window);
  }
  EXPECT_EQ(AttemptStateOf("odd"), std::nullopt);
  EXPECT_EQ(BudgetWindowOf(""), std::nullopt);
}

}  // namespace
}  // namespace garrison
