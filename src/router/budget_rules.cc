#include "router/budget_rules.h"

#include <algorithm>
#include <charconv>
#include <map>

#include "base/hash.h"

namespace garrison {
namespace {

using std::chrono::days;
using std::chrono::seconds;
using std::chrono::sys_days;

constexpr std::array<std::string_view, 6> kLevels = {"normal",         "alert",   "cache_extended",
                                                     "premium_paused", "stopped", "exhausted"};
constexpr int kCacheExtendedPercent = 80;

Result<Pusd> LimitAmount(std::string_view text, const std::string& where) {
  Result<Pusd> amount = ParseUsd(text);
  if (!amount) return tl::unexpected(At(where, std::move(amount).error()));
  if (*amount < 0) return FailAt(where, Code::kInvalidArgument, "expected an amount of at least 0");
  return *amount;
}

// "key:alice month 20, kind:shadow day 1"
Result<std::vector<BudgetLimit>> ParseLimits(std::string_view text) {
  std::vector<BudgetLimit> limits;
  const std::string where = "budget.limits";
  for (const std::string& item : SplitSetting(text)) {
    const std::string_view part = item;
    const std::size_t amount_at = part.rfind(' ');
    const std::size_t window_at =
        amount_at == std::string_view::npos ? amount_at : part.rfind(' ', amount_at - 1);
    std::optional<BudgetWindow> window;
    if (window_at != std::string_view::npos) {
      window = BudgetWindowOf(part.substr(window_at + 1, amount_at - window_at - 1));
    }
    if (!window) {
      return FailAt(where, Code::kInvalidArgument,
                    "expected SCOPE WINDOW USD, such as \"key:alice month 20\" or \"kind:shadow "
                    "day 0.5\"; got \"{}\"",
                    part);
    }
    BudgetLimit limit;
    limit.scope = part.substr(0, window_at);
    limit.window = *window;
    if (Result<> scope = CheckBudgetScope(limit.scope); !scope) {
      return tl::unexpected(At(where, std::move(scope).error()));
    }
    ASSIGN_OR_RETURN(limit.amount, LimitAmount(part.substr(amount_at + 1), where));
    limits.push_back(std::move(limit));
  }
  return limits;
}

Result<std::array<int, 3>> ParseAlerts(std::string_view text) {
  std::array<int, 3> percents{};
  const std::vector<std::string> parts = SplitSetting(text);
  bool good = parts.size() == percents.size();
  for (std::size_t i = 0; good && i < parts.size(); ++i) {
    const char* const end = parts[i].data() + parts[i].size();
    const auto read = std::from_chars(parts[i].data(), end, percents[i]);
    good = read.ec == std::errc() && read.ptr == end &&
           percents[i] > (i == 0 ? 0 : percents[i - 1]) && percents[i] <= 100;
  }
  if (!good) {
    return FailAt("budget.alert_percents", Code::kInvalidArgument,
                  "expected three rising percentages up to 100, such as 70,85,95");
  }
  return percents;
}

Error Refusal(Code code, std::string_view reason, std::string message) {
  return Error{code, std::move(message), "", std::nullopt, std::string(reason)};
}

}  // namespace

Result<> CheckBudgetScope(std::string_view scope) {
  const std::size_t colon = scope.find(':');
  const std::string_view kind = scope.substr(0, colon);
  const bool named = colon != std::string_view::npos && colon + 1 < scope.size();
  if (scope == "all" || (named && (kind == "key" || kind == "kind"))) return {};
  if (named && kind == "model" && scope.find('/') != std::string_view::npos) return {};
  return Fail(Code::kInvalidArgument,
              "expected all, key:NAME, model:PROVIDER/MODEL or kind:NAME; got \"{}\"",
              scope.substr(0, 100));
}

std::string LimitNote(std::string_view scope, BudgetWindow window) {
  return fmt::format("limit:{}:{}", scope, BudgetWindowName(window));
}

std::string UnlockNote(const std::string& month) { return "unlocked:" + month; }

std::string_view BudgetLevelName(BudgetLevel level) {
  return kLevels[static_cast<std::size_t>(level)];
}

Pusd PercentOf(Pusd amount, int percent) {
  return amount / 100 * percent + amount % 100 * percent / 100;
}

int UsedPercent(Pusd used, Pusd limit) {
  if (limit <= 0) return 100;
  constexpr Pusd kMost = 1'000'000;
  if (used / limit >= kMost / 100) return static_cast<int>(kMost);
  const Pusd hundredth = limit / 100;
  if (hundredth == 0) return static_cast<int>(used * 100 / limit);
  // Exact: the largest percentage whose part of the limit is not above what was used.
  int percent = static_cast<int>(used / limit) * 100;
  const Pusd rest = used % limit;
  int low = 0, high = 100;
  while (low < high) {
    const int middle = (low + high + 1) / 2;
    if (PercentOf(limit, middle) <= rest) {
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  return percent + low;
}

Result<BudgetRules> BudgetRules::Create(const BudgetSettings& settings) {
  Result<TimeZone> zone = TimeZone::Load(settings.time_zone);
  if (!zone) return tl::unexpected(At("budget.time_zone", std::move(zone).error()));
  BudgetRules rules(*std::move(zone));
  rules.first_day_ = static_cast<unsigned>(settings.month_start);
  const std::array<std::pair<const char*, const std::string*>, 3> windows = {
      {{"budget.month_usd", &settings.month_usd},
       {"budget.day_usd", &settings.day_usd},
       {"budget.hour_usd", &settings.hour_usd}}};
  for (std::size_t i = 0; i < windows.size(); ++i) {
    ASSIGN_OR_RETURN(const Pusd amount, LimitAmount(*windows[i].second, windows[i].first));
    rules.limits_.push_back({"all", kBudgetWindows[i], amount});
  }
  ASSIGN_OR_RETURN(const std::vector<BudgetLimit> others, ParseLimits(settings.limits));
  rules.limits_.insert(rules.limits_.end(), others.begin(), others.end());
  ASSIGN_OR_RETURN(rules.request_, LimitAmount(settings.request_usd, "budget.request_usd"));
  ASSIGN_OR_RETURN(rules.alerts_, ParseAlerts(settings.alert_percents));
  rules.stop_percent_ = static_cast<int>(settings.stop_percent);
  rules.premium_percent_ = static_cast<int>(settings.premium_percent);
  return rules;
}

// ---------------------------------------------------------------- periods

WallTime BudgetRules::Midnight(sys_days local) const {
  const auto instant = sys_days(local);
  const std::int64_t guess =
      std::chrono::duration_cast<seconds>(instant.time_since_epoch()).count();
  // The offset of that instant, not of the same number in UTC.
  const std::int32_t near = zone_.OffsetAt(guess);
  return instant - seconds(zone_.OffsetAt(guess - near));
}

sys_days BudgetRules::MonthBegin(sys_days local) const {
  const std::chrono::year_month_day date{local};
  std::chrono::year_month month = date.year() / date.month();
  if (static_cast<unsigned>(date.day()) < first_day_) month -= std::chrono::months(1);
  return sys_days(month / std::chrono::day(first_day_));
}

BudgetPeriods BudgetRules::PeriodsAt(WallTime now) const {
  const std::int64_t unix_seconds = std::chrono::floor<seconds>(now.time_since_epoch()).count();
  const std::int32_t offset = zone_.OffsetAt(unix_seconds);
  const auto local = std::chrono::floor<seconds>(now) + seconds(offset);
  const sys_days day = std::chrono::floor<days>(local);
  const auto hour = std::chrono::floor<std::chrono::hours>(local - day).count();
  const std::chrono::year_month_day date{day};
  const std::chrono::year_month_day month{MonthBegin(day)};
  const auto number = [](auto part) { return static_cast<unsigned>(part); };
  const int minutes = std::abs(offset) / 60;
  BudgetPeriods periods;
  periods.month = fmt::format("{:04}-{:02}", static_cast<int>(month.year()), number(month.month()));
  // Another span is another account. (The space keeps a month before its days.)
  if (first_day_ != 1) periods.month += fmt::format(" from {:02}", first_day_);
  periods.day = fmt::format("{:04}-{:02}-{:02}", static_cast<int>(date.year()),
                            number(date.month()), number(date.day()));
  // With the offset: one hour comes twice a year.
  periods.hour = fmt::format("{}T{:02}{}{:02}:{:02}", periods.day, hour, offset < 0 ? '-' : '+',
                             minutes / 60, minutes % 60);
  return periods;
}

BudgetRules::Span BudgetRules::SpanOf(BudgetWindow window, WallTime now) const {
  const std::int64_t unix_seconds = std::chrono::floor<seconds>(now.time_since_epoch()).count();
  const auto offset = seconds(zone_.OffsetAt(unix_seconds));
  const auto local = std::chrono::floor<seconds>(now) + offset;
  const sys_days day = std::chrono::floor<days>(local);
  if (window == BudgetWindow::kHour) {
    const auto begin = std::chrono::floor<std::chrono::hours>(local) - offset;
    return {begin, begin + std::chrono::hours(1)};
  }
  if (window == BudgetWindow::kDay) return {Midnight(day), Midnight(day + days(1))};
  const sys_days begin = MonthBegin(day);
  return {Midnight(begin), Midnight(MonthBegin(begin + days(45)))};
}

// ---------------------------------------------------------------- limits

std::vector<BudgetLimit> BudgetRules::Limits(const LedgerView& view) const {
  std::map<std::pair<std::string, BudgetWindow>, Pusd> limits;
  for (const BudgetLimit& limit : limits_) limits[{limit.scope, limit.window}] = limit.amount;
  for (const auto& [name, value] : view.notes()) {
    constexpr std::string_view kPrefix = "limit:";
    if (!name.starts_with(kPrefix)) continue;
    const std::size_t colon = name.rfind(':');
    const auto window = BudgetWindowOf(std::string_view(name).substr(colon + 1));
    const Result<Pusd> amount = ParseUsd(value);
    // What nobody can read allows nothing.
    if (window) {
      limits[{name.substr(kPrefix.size(), colon - kPrefix.size()), *window}] = amount.value_or(0);
    }
  }
  std::vector<BudgetLimit> list;
  for (const auto& [key, amount] : limits) list.push_back({key.first, key.second, amount});
  return list;
}

int BudgetRules::StopPercent(const LedgerView& view, const std::string& month) const {
  return view.note(UnlockNote(month)).empty() ? stop_percent_ : 100;
}

Result<> BudgetRules::CheckRequest(const LedgerAttempt& attempt) const {
  if (attempt.bound <= request_) return {};
  return tl::unexpected(Refusal(
      Code::kResourceExhausted, "request_too_dear",
      fmt::format("one call of {}/{} with this much text and this many tokens of answer may cost "
                  "{} USD, and budget.request_usd is {}; send less, ask for fewer tokens "
                  "(max_tokens), or take a cheaper model",
                  attempt.provider, attempt.model, ShortUsd(attempt.bound), ShortUsd(request_))));
}

Result<> BudgetRules::Admit(const LedgerAttempt& attempt, bool premium, const LedgerView& view,
                            WallTime now) const {
  if (const std::string why = view.note(std::string(kKillSwitchNote)); !why.empty()) {
    return tl::unexpected(Refusal(Code::kUnavailable, "kill_switch_active",
                                  "paid calls are switched off; an operator can switch them on "
                                  "with `garrison budget set kill_switch off`"));
  }
  const std::string model = fmt::format("{}/{}", attempt.provider, attempt.model);
  if (const std::string why = view.note(std::string(kFrozenPrefix) + model); !why.empty()) {
    return tl::unexpected(Refusal(Code::kUnavailable, "model_frozen",
                                  fmt::format("{} is not called until its price was looked at: {}; "
                                              "then `garrison budget unlock`",
                                              model, why)));
  }
  const int stop = StopPercent(view, attempt.periods.month);
  const std::vector<BudgetAccount> accounts = attempt.accounts();
  for (const BudgetLimit& limit : Limits(view)) {
    const BudgetAccount account{limit.scope, attempt.periods.of(limit.window)};
    if (!std::binary_search(accounts.begin(), accounts.end(), account)) continue;
    const Pusd total = view.amounts(account.scope, account.period).total();
    const Pusd line = PercentOf(limit.amount, stop);
    if (AddCapped(total, attempt.bound) > line) {
      Error error = Refusal(
          Code::kResourceExhausted, "budget_exceeded",
          fmt::format("the budget of this {} ({}) does not allow it: {} of {} USD are spent or put "
                      "aside, paid calls stop at {} USD, and this one may cost {}; local models "
                      "go on working",
                      BudgetWindowName(limit.window), limit.scope, ShortUsd(total),
                      ShortUsd(limit.amount), ShortUsd(line), ShortUsd(attempt.bound)));
      const auto wait =
          std::chrono::ceil<std::chrono::milliseconds>(SpanOf(limit.window, now).end - now);
      error.retry_after = wait;
      return tl::unexpected(std::move(error));
    }
    if (premium && limit.scope == "all" && limit.window == BudgetWindow::kMonth && stop < 100 &&
        total >= PercentOf(limit.amount, premium_percent_)) {
      return tl::unexpected(Refusal(
          Code::kResourceExhausted, "premium_paused",
          fmt::format("{} is a dear model, and {} % of this month's budget are used; take a "
                      "cheaper one",
                      model, UsedPercent(total, limit.amount))));
    }
  }
  return {};
}

std::vector<BudgetAlert> BudgetRules::AlertsDue(const LedgerAttempt& attempt,
                                                const LedgerView& view) const {
  std::vector<BudgetAlert> due;
  const std::vector<BudgetAccount> accounts = attempt.accounts();
  for (const BudgetLimit& limit : Limits(view)) {
    const BudgetAccount account{limit.scope, attempt.periods.of(limit.window)};
    if (!std::binary_search(accounts.begin(), accounts.end(), account)) continue;
    const BudgetAmounts amounts = view.amounts(account.scope, account.period);
    const Pusd spent = AddCapped(amounts.settled, amounts.disputed);
    if (spent == 0) continue;
    for (const int percent : alerts_) {
      if (spent >= PercentOf(limit.amount, percent)) {
        due.push_back({account.scope, account.period, percent});
      }
    }
  }
  return due;
}

BudgetLevel BudgetRules::LevelOf(Pusd used, Pusd limit) const {
  const int percent = UsedPercent(used, limit);
  if (percent >= 100) return BudgetLevel::kExhausted;
  if (percent >= stop_percent_) return BudgetLevel::kStopped;
  if (percent >= premium_percent_) return BudgetLevel::kPremiumPaused;
  if (percent >= kCacheExtendedPercent) return BudgetLevel::kCacheExtended;
  return percent >= alerts_[0] ? BudgetLevel::kAlert : BudgetLevel::kNormal;
}

std::string BudgetRules::Hash() const {
  std::string text =
      fmt::format("{} {} {} {}", first_day_, request_, stop_percent_, premium_percent_);
  for (const BudgetLimit& limit : limits_) {
    text += fmt::format(" {} {} {}", limit.scope, BudgetWindowName(limit.window), limit.amount);
  }
  return Sha256Hex(text).substr(0, 16);
}

}  // namespace garrison
