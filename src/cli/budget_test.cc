// garrison budget, on a ledger in a file.
#include <gtest/gtest.h>

#include <thread>

#include "base/log.h"
#include "cli/invoice.h"
#include "cli/open_budget.h"
#include "cli/test_cli.h"

namespace garrison {
namespace {

using Json = nlohmann::json;

class BudgetTest : public CliTest {
 protected:
  BudgetTest() {
    std::string name = (std::filesystem::path(testing::TempDir()) / "garrison-b-XXXXXX").string();
    EXPECT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
    settings_.budget.file = (folder_ / "ledger.db").string();
    settings_.budget.prices = (folder_ / "prices.json").string();
    // A dollar a token, so that what happens can be seen.
    std::ofstream(settings_.budget.prices)
        << R"({"prices":[{"provider":"acme","model":"*","input":"1000000","output":"1000000",
            "message_tokens":0,"source":"test","checked":"2026-01-01"}]})";
    settings_.budget.request_usd = "1000";
    settings_.budget.hour_usd = settings_.budget.day_usd = "1000";
    settings_.budget.stop_percent = 100;
    budget_ = OpenBudget(settings_, clock_, *logger_).value();
  }
  ~BudgetTest() override {
    budget_.reset();
    std::filesystem::remove_all(folder_);
  }

  std::uint64_t Admit(std::uint64_t tokens, const std::string& request = "r") {
    const RequestContext context{.id = request};
    const AttemptBound bound{.provider = "acme", .model = "m", .kind = "chat", .tokens = tokens};
    const Result<std::uint64_t> ticket = budget_->Admit(bound, context);
    EXPECT_TRUE(ticket) << ticket.error().ToString();
    EXPECT_TRUE(budget_->MarkSent(ticket.value_or(0)));
    return ticket.value_or(0);
  }
  void Spend(std::uint64_t bound, std::uint64_t tokens, const std::string& request = "r") {
    budget_->Settle(Admit(bound, request), {.tokens = tokens, .chat = {}});
  }

  Outcome Budget(std::vector<std::string> arguments) {
    std::vector<std::string> all = {"budget"};
    all.insert(all.end(), arguments.begin(), arguments.end());
    for (const char* name : {"file", "prices", "request_usd", "hour_usd", "day_usd"}) {
      const std::string setting = fmt::format("budget.{}", name);
      VisitSettings(settings_, [&](SettingField& field) {
        if (field.name != setting) return;
        all.insert(all.end(), {"--set", fmt::format("{}={}", setting, FormatSetting(field))});
      });
    }
    all.insert(all.end(), {"--set", "budget.stop_percent=100"});
    return Run(all);
  }
  Json Status() {
    const Outcome outcome = Budget({"status"});
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    return Json::parse(outcome.out);
  }
  std::vector<Json> Lines(const Outcome& outcome) {
    std::vector<Json> lines;
    std::istringstream in(outcome.out);
    for (std::string line; std::getline(in, line);) lines.push_back(Json::parse(line));
    return lines;
  }
  std::string Write(const std::string& text) {
    const std::string file = (folder_ / "invoice.csv").string();
    std::ofstream(file) << text;
    return file;
  }

  std::filesystem::path folder_;
  Settings settings_;
  SystemClock clock_;
  std::unique_ptr<Logger> logger_ = MakeNullLogger();
  std::shared_ptr<class Budget> budget_;
};

TEST_F(BudgetTest, StatusIsThatOfTheLedger) {
  Spend(150, 140);
  budget_->Dispute(Admit(10), {});
  Admit(5);  // under way
  ASSERT_TRUE(budget_->Status());
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  const Json status = Status();
  EXPECT_EQ(status["status"], "warning");
  EXPECT_EQ(status["level"], "alert");
  EXPECT_EQ(status["budget"]["monthly"]["limit"], 200);
  EXPECT_EQ(status["budget"]["monthly"]["used"], 155);
  EXPECT_EQ(status["budget"]["monthly"]["remaining"], 45);
  EXPECT_EQ(status["budget"]["monthly"]["percentage"], 77);
  EXPECT_EQ(status["budget"]["daily"]["settledUsd"], "140.00");
  EXPECT_EQ(status["budget"]["hourly"]["disputedUsd"], "10.00");
  EXPECT_EQ(status["budget"]["hourly"]["reservedUsd"], "5.00");
  EXPECT_EQ(status["alerts"]["warningThreshold"], 70);
  EXPECT_EQ(status["locked"], false);
  EXPECT_GE(status["projections"]["monthlyTotal"], 155);
}

TEST_F(BudgetTest, LimitsAndTheKillSwitchHoldForEveryProcess) {
  ASSERT_EQ(Budget({"set", "month", "7", "--scope", "kind:chat"}).code, 0);
  const AttemptBound bound{.provider = "acme", .model = "m", .kind = "chat", .tokens = 8};
  EXPECT_EQ(budget_->Admit(bound, {}).error().reason, "budget_exceeded");
  ASSERT_EQ(Budget({"set", "month", "default", "--scope", "kind:chat"}).code, 0);
  EXPECT_TRUE(budget_->Admit(bound, {}));
  ASSERT_EQ(Budget({"set", "kill_switch", "on"}).code, 0);
  EXPECT_EQ(budget_->Admit(bound, {}).error().reason, "kill_switch_active");
  EXPECT_EQ(Status()["locked"], true);
  ASSERT_EQ(Budget({"unlock"}).code, 0);
  EXPECT_TRUE(budget_->Admit(bound, {}));
  EXPECT_EQ(Status()["unlocked"], true);
  for (const auto& arguments :
       std::vector<std::vector<std::string>>{{"set", "year", "1"},
                                             {"set", "month", "lots"},
                                             {"set", "month", "-1"},
                                             {"set", "kill_switch", "maybe"},
                                             {"set", "month", "1", "--scope", "alice"}}) {
    EXPECT_EQ(Budget(arguments).code, 2) << arguments[1] << " " << arguments[2];
  }
}

TEST_F(BudgetTest, WhatNobodyHasAPriceForIsNotCalled) {
  const auto refused = budget_->Admit({.provider = "nobody", .model = "m"}, {});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().reason, "unknown_price");
  EXPECT_EQ(budget_->counts().refused, 1u);
}

TEST_F(BudgetTest, AnAnswerWithoutUsageCountsAtItsBound) {
  EXPECT_EQ(budget_->Settle(Admit(10), {}), 10 * kPusdPerUsd);
  EXPECT_EQ(budget_->Dispute(Admit(3), {}), 3 * kPusdPerUsd);
  EXPECT_EQ(budget_->Settle(Admit(3), {.tokens = 2, .chat = {}}), 2 * kPusdPerUsd);
}

TEST_F(BudgetTest, HistoryIsEveryCall) {
  Spend(10, 4, "one");
  Spend(10, 5, "two");
  budget_.reset();  // all is recorded
  const std::vector<Json> all = Lines(Budget({"history"}));
  ASSERT_EQ(all.size(), 2u);
  const std::vector<Json> one = Lines(Budget({"history", "--request", "one"}));
  ASSERT_EQ(one.size(), 1u);
  EXPECT_EQ(one[0]["amount_usd"], "4.00");
  EXPECT_EQ(one[0]["bound_usd"], "10.00");
  EXPECT_EQ(one[0]["usage"]["input"], 4);
  EXPECT_EQ(one[0]["state"], "settled");
  EXPECT_TRUE(Lines(Budget({"history", "--state", "disputed"})).empty());
  EXPECT_EQ(Budget({"history", "--state", "odd"}).code, 2);
}

TEST_F(BudgetTest, AnInvoiceSettlesWhatIsDisputed) {
  Spend(10, 4, "one");
  budget_->Dispute(Admit(6, "two"), {});
  budget_->Dispute(Admit(3, "three"), {});
  const std::string month = budget_->Status().value().periods.month;
  budget_.reset();
  // 4 are settled; of the 9 that are disputed the vendor billed 3.
  const std::string file =
      Write("provider,model,month,cost_usd\r\nacme,\"m\"," + month + ",7.00\r\n");
  const Outcome looked = Budget({"reconcile", file});
  ASSERT_EQ(looked.code, 0) << looked.err;
  EXPECT_EQ(Lines(looked)[0]["verdict"], "explains disputed attempts");
  EXPECT_EQ(Status()["budget"]["monthly"]["disputedUsd"], "9.00");
  ASSERT_EQ(Budget({"reconcile", file, "--apply"}).code, 0);
  EXPECT_EQ(Status()["budget"]["monthly"]["disputedUsd"], "0.00");
  EXPECT_EQ(Status()["budget"]["monthly"]["settledUsd"], "7.00");
  EXPECT_EQ(Lines(Budget({"reconcile", file}))[0]["verdict"], "equal");
}

TEST_F(BudgetTest, AnInvoiceThatIsHigherIsRecordedInFull) {
  Spend(10, 4, "one");
  budget_.reset();
  // In two lines, as vendors have them.
  const std::string file = Write("request_id,cost_usd\none,3\none,1.5\n");
  const Outcome looked = Budget({"reconcile", file});
  EXPECT_EQ(looked.code, 1);
  EXPECT_EQ(Lines(looked)[0]["verdict"], "billed more than recorded");
  ASSERT_EQ(Budget({"reconcile", file, "--apply"}).code, 0);
  EXPECT_EQ(Status()["budget"]["monthly"]["settledUsd"], "4.50");
}

TEST_F(BudgetTest, SaysWhatIsWrongWithAnInvoice) {
  for (const auto& [text, part] : std::vector<std::pair<const char*, const char*>>{
           {"", ":1"},
           {"cost\n1\n", ":1"},
           {"request_id,cost_usd\na\n", ":2"},
           {"request_id,cost_usd\na,much\n", ":2"},
           {"request_id,cost_usd\n\"a,1\n", "closing quote"},
           {"request_id,attempt_id,cost_usd\na,,1\n,7,1\n", "in one way"},
           {"model,cost_usd\nm,1\n", "attempt_id"},
           {"request_id,cost_usd\nnever,1\n", "no such call"}}) {
    const Outcome outcome = Budget({"reconcile", Write(text), "--apply"});
    EXPECT_NE(outcome.code, 0) << text;
    EXPECT_NE(outcome.err.find(part), std::string::npos) << text << "\n" << outcome.err;
  }
}

TEST_F(BudgetTest, PricesThatNobodyCheckedAndModelsThatGoAwayAreWarnedAbout) {
  std::ofstream(settings_.budget.prices) << R"({"prices":[
      {"provider":"acme","model":"old","input":"1","source":"s","checked":"2026-01-01"},
      {"provider":"acme","model":"going","input":"1","source":"s","checked":"2026-08-01",
       "shutdown":"2026-09-01"},
      {"provider":"acme","model":"past","until":"2026-02-01","input":"1","source":"s",
       "checked":"2026-01-01"},
      {"provider":"acme","model":"fine","input":"1","source":"s","checked":"2026-08-01"}]})";
  budget_ = OpenBudget(settings_, clock_, *logger_).value();
  const WallTime august = std::chrono::sys_days(std::chrono::year(2026) / 8 / 2);
  std::string warnings;
  for (const std::string& warning : budget_->PriceWarnings(august)) {
    if (warning.starts_with("acme/")) warnings += warning.substr(5, warning.find('@') - 5) + " ";
  }
  EXPECT_EQ(warnings, "old going ");
}

TEST_F(BudgetTest, PricesAreShown) {
  const Outcome outcome = Budget({"prices"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(Lines(outcome)[0]["price"], "acme/*@1970-01-01");
  EXPECT_GT(Lines(outcome).size(), 10u);
}

}  // namespace
}  // namespace garrison
