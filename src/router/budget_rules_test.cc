#include "router/budget_rules.h"

#include <gtest/gtest.h>

#include <filesystem>

namespace garrison {
namespace {

using namespace std::chrono_literals;

class FakeView final : public LedgerView {
 public:
  std::map<BudgetAccount, BudgetAmounts> accounts;
  std::map<std::string, std::string> facts;
  BudgetAmounts amounts(const std::string& scope, const std::string& period) const override {
    const auto found = accounts.find({scope, period});
    return found == accounts.end() ? BudgetAmounts() : found->second;
  }
  std::string note(const std::string& name) const override {
    const auto found = facts.find(name);
    return found == facts.end() ? "" : found->second;
  }
  const std::map<std::string, std::string>& notes() const override { return facts; }
};

// 2026-11-22 14:30 UTC
const WallTime kNow = std::chrono::sys_days(std::chrono::year(2026) / 11 / 22) + 14h + 30min;

BudgetRules Rules(BudgetSettings settings = {}) {
  const Result<BudgetRules> rules = BudgetRules::Create(settings);
  EXPECT_TRUE(rules) << rules.error().ToString();
  return rules.value();
}

LedgerAttempt Attempt(const BudgetRules& rules, std::string_view usd) {
  LedgerAttempt attempt;
  attempt.kind = "chat";
  attempt.client = "alice";
  attempt.provider = "openai";
  attempt.model = "gpt-4o";
  attempt.periods = rules.PeriodsAt(kNow);
  attempt.bound = attempt.amount = ParseUsd(usd).value();
  return attempt;
}

Pusd Usd(std::string_view text) { return ParseUsd(text).value(); }

TEST(BudgetRules, PeriodsAreThoseOfTheZoneAndTheDayTheMonthBegins) {
  EXPECT_EQ(Rules().PeriodsAt(kNow),
            (BudgetPeriods{"2026-11", "2026-11-22", "2026-11-22T14+00:00"}));
  EXPECT_EQ(Rules({.time_zone = "-11:00"}).PeriodsAt(kNow - 4h),
            (BudgetPeriods{"2026-11", "2026-11-21", "2026-11-21T23-11:00"}));
  EXPECT_EQ(Rules({.month_start = 23}).PeriodsAt(kNow).month, "2026-10 from 23");
  EXPECT_EQ(Rules({.month_start = 22}).PeriodsAt(kNow).month, "2026-11 from 22");
  const auto month = Rules({.month_start = 23}).SpanOf(BudgetWindow::kMonth, kNow);
  EXPECT_EQ(month.begin, std::chrono::sys_days(std::chrono::year(2026) / 10 / 23));
  EXPECT_EQ(month.end, std::chrono::sys_days(std::chrono::year(2026) / 11 / 23));
  const auto hour = Rules({.time_zone = "+05:30"}).SpanOf(BudgetWindow::kHour, kNow);
  EXPECT_EQ(hour.begin, kNow);
  EXPECT_EQ(hour.end, kNow + 1h);
}

TEST(BudgetRules, DaysAreAsLongAsTheyAre) {
  if (!std::filesystem::exists("/usr/share/zoneinfo/Europe/Berlin")) {
    GTEST_SKIP() << "tzdata is not installed";
  }
  const BudgetRules rules = Rules({.time_zone = "Europe/Berlin"});
  // The day of the change to winter time has 25 hours, and two hours called two o'clock.
  const WallTime change = std::chrono::sys_days(std::chrono::year(2026) / 10 / 25) + 30min;
  const auto day = rules.SpanOf(BudgetWindow::kDay, change);
  EXPECT_EQ(day.end - day.begin, 25h);
  EXPECT_EQ(rules.PeriodsAt(change).hour, "2026-10-25T02+02:00");
  EXPECT_EQ(rules.PeriodsAt(change + 1h).hour, "2026-10-25T02+01:00");
  const auto spring = rules.SpanOf(BudgetWindow::kDay,
                                   std::chrono::sys_days(std::chrono::year(2026) / 3 / 29) + 5h);
  EXPECT_EQ(spring.end - spring.begin, 23h);
}

TEST(BudgetRules, EveryInstantLiesInItsPeriods) {
  for (const char* zone : {"UTC", "+05:30", "Europe/Berlin", "America/New_York"}) {
    const Result<BudgetRules> rules = BudgetRules::Create({.month_start = 15, .time_zone = zone});
    if (!rules) continue;
    for (WallTime t = kNow; t < kNow + 24h * 400; t += 3h + 7min) {
      for (const BudgetWindow window : kBudgetWindows) {
        const auto span = rules->SpanOf(window, t);
        ASSERT_LE(span.begin, t) << zone;
        ASSERT_GT(span.end, t) << zone;
        ASSERT_EQ(rules->PeriodsAt(span.begin).of(window), rules->PeriodsAt(t).of(window)) << zone;
        ASSERT_NE(rules->PeriodsAt(span.end).of(window), rules->PeriodsAt(t).of(window)) << zone;
        ASSERT_EQ(rules->PeriodsAt(span.end - 1s).of(window), rules->PeriodsAt(t).of(window));
      }
    }
  }
}

TEST(BudgetRules, PaidCallsStopAtTheLineAndNotBefore) {
  const BudgetRules rules = Rules();
  FakeView view;
  LedgerAttempt attempt = Attempt(rules, "0.05");
  // 95 % of 0.50 USD is 0.475.
  view.accounts[{"all", attempt.periods.hour}] = {.settled = Usd("0.4"), .reserved = Usd("0.025")};
  EXPECT_TRUE(rules.Admit(attempt, false, view, kNow));
  view.accounts[{"all", attempt.periods.hour}].disputed = 1;
  const Result<> refused = rules.Admit(attempt, false, view, kNow);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kResourceExhausted);
  EXPECT_EQ(refused.error().reason, "budget_exceeded");
  EXPECT_EQ(refused.error().retry_after, 30min);
  view.facts[UnlockNote("2026-11")] = "yes";
  EXPECT_TRUE(rules.Admit(attempt, false, view, kNow));
  view.facts = {{UnlockNote("2026-10"), "yes"}};
  EXPECT_FALSE(rules.Admit(attempt, false, view, kNow));
}

TEST(BudgetRules, LimitsOfKeysModelsAndKindsHoldBesideTheOthers) {
  const BudgetRules rules =
      Rules({.limits = "key:alice month 1, model:openai/gpt-4o day 0.5 ,kind:judge hour 0",
             .stop_percent = 100});
  FakeView view;
  LedgerAttempt attempt = Attempt(rules, "0.3");
  EXPECT_TRUE(rules.Admit(attempt, false, view, kNow));
  view.accounts[{"key:alice", "2026-11"}].settled = Usd("0.71");
  EXPECT_NE(rules.Admit(attempt, false, view, kNow).error().message.find("key:alice"),
            std::string::npos);
  attempt.client = "bob";
  EXPECT_TRUE(rules.Admit(attempt, false, view, kNow));
  view.accounts[{"model:openai/gpt-4o", "2026-11-22"}].disputed = Usd("0.21");
  EXPECT_FALSE(rules.Admit(attempt, false, view, kNow));
  attempt.model = "gpt-4o-mini";
  EXPECT_TRUE(rules.Admit(attempt, false, view, kNow));
  attempt.kind = "judge";
  EXPECT_FALSE(rules.Admit(attempt, false, view, kNow));
}

TEST(BudgetRules, NotesChangeLimitsSwitchAndFreeze) {
  const BudgetRules rules = Rules({.stop_percent = 100});
  FakeView view;
  const LedgerAttempt attempt = Attempt(rules, "0.05");
  view.facts[LimitNote("all", BudgetWindow::kHour)] = "0.01";
  EXPECT_EQ(rules.Admit(attempt, false, view, kNow).error().reason, "budget_exceeded");
  view.facts[LimitNote("all", BudgetWindow::kHour)] = "1";
  EXPECT_TRUE(rules.Admit(attempt, false, view, kNow));
  view.facts[LimitNote("key:alice", BudgetWindow::kDay)] = "broken";
  EXPECT_EQ(rules.Admit(attempt, false, view, kNow).error().reason, "budget_exceeded");
  view.facts = {{"frozen:openai/gpt-4o", "cost more"}};
  EXPECT_EQ(rules.Admit(attempt, false, view, kNow).error().reason, "model_frozen");
  view.facts = {{"kill_switch", "on"}};
  EXPECT_EQ(rules.Admit(attempt, false, view, kNow).error().reason, "kill_switch_active");
}

TEST(BudgetRules, DearModelsStopFirst) {
  const BudgetRules rules = Rules();
  FakeView view;
  const LedgerAttempt attempt = Attempt(rules, "0.05");
  view.accounts[{"all", "2026-11"}].settled = Usd("180");
  EXPECT_EQ(rules.Admit(attempt, true, view, kNow).error().reason, "premium_paused");
  EXPECT_TRUE(rules.Admit(attempt, false, view, kNow));
  view.accounts[{"all", "2026-11"}].settled = Usd("179.99");
  EXPECT_TRUE(rules.Admit(attempt, true, view, kNow));
}

TEST(BudgetRules, OneCallHasItsOwnLimit) {
  const BudgetRules rules = Rules();
  EXPECT_TRUE(rules.CheckRequest(Attempt(rules, "0.05")));
  EXPECT_EQ(rules.CheckRequest(Attempt(rules, "0.050000000001")).error().reason,
            "request_too_dear");
}

TEST(BudgetRules, AlertsAreDueByWhatWasSpent) {
  const BudgetRules rules = Rules();
  FakeView view;
  const LedgerAttempt attempt = Attempt(rules, "0.05");
  view.accounts[{"all", "2026-11"}] = {.settled = Usd("100"), .reserved = Usd("90")};
  EXPECT_TRUE(rules.AlertsDue(attempt, view).empty());
  view.accounts[{"all", "2026-11"}] = {.settled = Usd("100"), .disputed = Usd("70")};
  EXPECT_EQ(rules.AlertsDue(attempt, view),
            (std::vector<BudgetAlert>{{"all", "2026-11", 70}, {"all", "2026-11", 85}}));
}

TEST(BudgetRules, LevelsAreTheLadder) {
  const BudgetRules rules = Rules();
  const std::vector<std::pair<const char*, const char*>> cases = {
      {"0", "normal"},           {"139.99", "normal"},      {"140", "alert"},
      {"160", "cache_extended"}, {"180", "premium_paused"}, {"190", "stopped"},
      {"199.99", "stopped"},     {"200", "exhausted"},      {"9000000", "exhausted"}};
  for (const auto& [used, level] : cases) {
    EXPECT_EQ(BudgetLevelName(rules.LevelOf(Usd(used), Usd("200"))), level) << used;
  }
  EXPECT_EQ(UsedPercent(Usd("1"), Usd("3")), 33);
  EXPECT_EQ(UsedPercent(0, 0), 100);
  EXPECT_EQ(PercentOf(std::numeric_limits<Pusd>::max(), 100), std::numeric_limits<Pusd>::max());
}

TEST(BudgetRules, SaysWhatIsWrongWithASetting) {
  const std::vector<std::pair<BudgetSettings, const char*>> cases = {
      {{.month_usd = "lots"}, "budget.month_usd"},
      {{.hour_usd = "-1"}, "budget.hour_usd"},
      {{.limits = "alice month 20"}, "key:NAME"},
      {{.limits = "key:alice year 20"}, "SCOPE WINDOW USD"},
      {{.limits = "key:alice month"}, "SCOPE WINDOW USD"},
      {{.alert_percents = "70,60,95"}, "budget.alert_percents"},
      {{.time_zone = "Mars/Olympus"}, "budget.time_zone"}};
  for (const auto& [settings, part] : cases) {
    const auto rules = BudgetRules::Create(settings);
    ASSERT_FALSE(rules) << part;
    EXPECT_NE(rules.error().ToString().find(part), std::string::npos) << rules.error().ToString();
  }
}

}  // namespace
}  // namespace garrison
