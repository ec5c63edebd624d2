// The JSON of a budget's status: the shape of the system it replaces, and what that left out.
#include <cmath>
#include <nlohmann/json.hpp>

#include "core/json.h"
#include "gateway/budget.h"

namespace garrison {
namespace {

using Json = nlohmann::ordered_json;

// For people and charts; the exact amounts stand beside it as text.
double Usd(Pusd amount) {
  return std::round(static_cast<double>(amount) / static_cast<double>(kPusdPerUsd) * 1e6) / 1e6;
}

std::string_view StatusName(int percent, const std::array<int, 3>& alerts) {
  if (percent >= alerts[2]) return "emergency";
  if (percent >= alerts[1]) return "critical";
  return percent >= alerts[0] ? "warning" : "healthy";
}

Json UseJson(const BudgetUse& use) {
  const Pusd used = use.amounts.total();
  const Pusd remaining = std::max<Pusd>(use.limit.amount - used, 0);
  return {{"limit", Usd(use.limit.amount)},
          {"used", Usd(used)},
          {"remaining", Usd(remaining)},
          {"percentage", UsedPercent(used, use.limit.amount)},
          {"period", use.period},
          {"settledUsd", ShortUsd(use.amounts.settled)},
          {"reservedUsd", ShortUsd(use.amounts.reserved)},
          {"disputedUsd", ShortUsd(use.amounts.disputed)}};
}

}  // namespace

std::string EncodeBudgetStatus(const BudgetStatus& status) {
  Json windows = Json::object();
  Json scopes = Json::array();
  int highest = 0;
  for (const BudgetUse& use : status.uses) {
    if (use.limit.scope == "all") {
      constexpr std::array kNames = {"monthly", "daily", "hourly"};
      windows[kNames[static_cast<std::size_t>(use.limit.window)]] = UseJson(use);
      highest = std::max(highest, UsedPercent(use.amounts.total(), use.limit.amount));
    } else {
      Json scope = UseJson(use);
      scope["scope"] = use.limit.scope;
      scope["window"] = BudgetWindowName(use.limit.window);
      scopes.push_back(std::move(scope));
    }
  }
  Json fired = Json::array();
  for (const BudgetAlert& alert : status.fired) {
    fired.push_back({{"scope", alert.scope}, {"period", alert.period}, {"percent", alert.percent}});
  }
  const Json json = {
      {"status", StatusName(highest, status.alert_percents)},
      {"level", BudgetLevelName(status.level)},
      {"budget", std::move(windows)},
      {"projections",
       {{"monthlyTotal", Usd(status.month_projection)}, {"willExceedBudget", status.will_exceed}}},
      {"locked", status.stopped},
      {"killSwitch", status.kill_switch},
      {"unlocked", status.unlocked},
      {"stopPercent", status.stop_percent},
      {"alerts",
       {{"warningThreshold", status.alert_percents[0]},
        {"criticalThreshold", status.alert_percents[1]},
        {"emergencyThreshold", status.alert_percents[2]},
        {"fired", std::move(fired)}}},
      {"limits", std::move(scopes)},
      {"frozenModels", status.frozen},
      {"warnings", status.warnings},
      {"ledger",
       {{"answers", status.ledger.answers},
        {"pending", status.ledger.pending},
        {"failures", status.ledger.failures}}},
      {"timestamp", FormatUtc(status.now)}};
  return DumpJson(json);
}

}  // namespace garrison
