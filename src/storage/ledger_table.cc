#include "storage/ledger_table.h"

#include <array>
#include <utility>

namespace garrison {
namespace {

constexpr std::string_view kModule = "ledger";
// A day has 24 hours: beyond this the set is only memory.
constexpr std::size_t kMostKnownAccounts = 4096;
constexpr std::size_t kMostAbandoned = 500;

constexpr std::string_view kTables = R"(
  CREATE TABLE garrison_attempts (
    id BIGINT NOT NULL PRIMARY KEY, request_id TEXT NOT NULL, parent TEXT NOT NULL,
    kind TEXT NOT NULL, client TEXT NOT NULL, provider TEXT NOT NULL, model TEXT NOT NULL,
    price_row TEXT NOT NULL, policy TEXT NOT NULL, month TEXT NOT NULL, day TEXT NOT NULL,
    hour TEXT NOT NULL, state TEXT NOT NULL, bound_pusd BIGINT NOT NULL,
    amount_pusd BIGINT NOT NULL, floor_pusd BIGINT NOT NULL, usage TEXT NOT NULL,
    created_ms BIGINT NOT NULL, changed_ms BIGINT NOT NULL, lease_ms BIGINT NOT NULL);
  CREATE INDEX garrison_attempts_month ON garrison_attempts (month, created_ms);
  CREATE INDEX garrison_attempts_day ON garrison_attempts (day);
  CREATE INDEX garrison_attempts_request ON garrison_attempts (request_id);
  CREATE INDEX garrison_attempts_lease ON garrison_attempts (lease_ms)
    WHERE state = 'reserved' OR state = 'sent';
  CREATE TABLE garrison_accounts (
    scope TEXT NOT NULL, period TEXT NOT NULL, settled_pusd BIGINT NOT NULL,
    reserved_pusd BIGINT NOT NULL, disputed_pusd BIGINT NOT NULL, PRIMARY KEY (scope, period));
  CREATE TABLE garrison_notes (
    name TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL, changed_ms BIGINT NOT NULL);
  CREATE TABLE garrison_alerts (
    scope TEXT NOT NULL, period TEXT NOT NULL, percent BIGINT NOT NULL, fired_ms BIGINT NOT NULL,
    PRIMARY KEY (scope, period, percent));
)";
constexpr std::array kSteps = {DbMigration{kTables, kTables}};

#define GARRISON_ATTEMPT_COLUMNS                                                                \
  "id, request_id, parent, kind, client, provider, model, price_row, policy, month, day, hour," \
  " state, bound_pusd, amount_pusd, floor_pusd, usage, created_ms, changed_ms, lease_ms"

constexpr std::string_view kLoad =
    "SELECT " GARRISON_ATTEMPT_COLUMNS " FROM garrison_attempts WHERE id = $1";
constexpr std::string_view kLoadAndLock =
    "SELECT " GARRISON_ATTEMPT_COLUMNS " FROM garrison_attempts WHERE id = $1 FOR UPDATE";
constexpr std::string_view kInsert =
    "INSERT INTO garrison_attempts (" GARRISON_ATTEMPT_COLUMNS
    ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18,"
    " $19, $20)";
constexpr std::string_view kUpdate =
    "UPDATE garrison_attempts SET state = $2, amount_pusd = $3, floor_pusd = $4, usage = $5,"
    " changed_ms = $6 WHERE id = $1";
constexpr std::string_view kMakeAccount =
    "INSERT INTO garrison_accounts (scope, period, settled_pusd, reserved_pusd, disputed_pusd)"
    " VALUES ($1, $2, 0, 0, 0) ON CONFLICT (scope, period) DO NOTHING";
constexpr std::string_view kLoadAccount =
    "SELECT settled_pusd, reserved_pusd, disputed_pusd FROM garrison_accounts"
    " WHERE scope = $1 AND period = $2";
constexpr std::string_view kLoadAccountAndLock =
    "SELECT settled_pusd, reserved_pusd, disputed_pusd FROM garrison_accounts"
    " WHERE scope = $1 AND period = $2 FOR UPDATE";
constexpr std::string_view kWriteAccount =
    "UPDATE garrison_accounts SET settled_pusd = $3, reserved_pusd = $4, disputed_pusd = $5"
    " WHERE scope = $1 AND period = $2";
constexpr std::string_view kAddAlert =
    "INSERT INTO garrison_alerts (scope, period, percent, fired_ms) VALUES ($1, $2, $3, $4)"
    " ON CONFLICT (scope, period, percent) DO NOTHING";
constexpr std::string_view kSetNote =
    "INSERT INTO garrison_notes (name, value, changed_ms) VALUES ($1, $2, $3)"
    " ON CONFLICT (name) DO UPDATE SET value = excluded.value, changed_ms = excluded.changed_ms";
constexpr std::string_view kRemoveNote = "DELETE FROM garrison_notes WHERE name = $1";
constexpr std::string_view kNotes = "SELECT name, value FROM garrison_notes";
constexpr std::string_view kAbandoned =
    "SELECT id FROM garrison_attempts WHERE (state = 'reserved' OR state = 'sent')"
    " AND lease_ms < $1 ORDER BY lease_ms LIMIT $2";
constexpr std::string_view kAccounts =
    "SELECT scope, period, settled_pusd, reserved_pusd, disputed_pusd FROM garrison_accounts"
    " WHERE period = $1 OR period = $2 OR period = $3";
constexpr std::string_view kAlerts =
    "SELECT scope, period, percent FROM garrison_alerts WHERE period = $1 OR period = $2"
    " OR period = $3 ORDER BY fired_ms, percent";
constexpr std::string_view kHistory =
    "SELECT " GARRISON_ATTEMPT_COLUMNS
    " FROM garrison_attempts WHERE ($1 = '' OR month = $1) AND ($2 = '' OR request_id = $2)"
    " AND ($3 = '' OR state = $3) ORDER BY created_ms DESC, id LIMIT $4";

Result<std::uint64_t> IdAt(const DbRow& row, std::size_t column) {
  ASSIGN_OR_RETURN(const std::int64_t id, IntegerAt(row, column));
  if (id < 0) return Fail(Code::kDataLoss, "expected an id, got {}", id);
  return static_cast<std::uint64_t>(id);
}

// The columns of GARRISON_ATTEMPT_COLUMNS.
Result<LedgerAttempt> ReadAttempt(const DbRow& row) {
  LedgerAttempt attempt;
  ASSIGN_OR_RETURN(attempt.id, IdAt(row, 0));
  const std::array texts = {&attempt.request_id,  &attempt.parent,      &attempt.kind,
                            &attempt.client,      &attempt.provider,    &attempt.model,
                            &attempt.price_row,   &attempt.policy,      &attempt.periods.month,
                            &attempt.periods.day, &attempt.periods.hour};
  for (std::size_t i = 0; i < texts.size(); ++i) {
    ASSIGN_OR_RETURN(*texts[i], TextAt(row, 1 + i));
  }
  ASSIGN_OR_RETURN(const std::string state, TextAt(row, 12));
  const std::optional<AttemptState> known = AttemptStateOf(state);
  if (!known) return Fail(Code::kDataLoss, "an attempt has the state \"{}\"", state);
  attempt.state = *known;
  ASSIGN_OR_RETURN(attempt.bound, IntegerAt(row, 13));
  ASSIGN_OR_RETURN(attempt.amount, IntegerAt(row, 14));
  ASSIGN_OR_RETURN(attempt.floor, IntegerAt(row, 15));
  ASSIGN_OR_RETURN(attempt.usage, TextAt(row, 16));
  ASSIGN_OR_RETURN(attempt.created_ms, IntegerAt(row, 17));
  ASSIGN_OR_RETURN(attempt.changed_ms, IntegerAt(row, 18));
  ASSIGN_OR_RETURN(attempt.lease_ms, IntegerAt(row, 19));
  return attempt;
}

DbParameter Text(const std::string& text) { return std::string_view(text); }
DbParameter Id(std::uint64_t id) { return static_cast<std::int64_t>(id); }

Result<BudgetAmounts> ReadAmounts(const DbRow& row, std::size_t first) {
  BudgetAmounts amounts;
  ASSIGN_OR_RETURN(amounts.settled, IntegerAt(row, first));
  ASSIGN_OR_RETURN(amounts.reserved, IntegerAt(row, first + 1));
  ASSIGN_OR_RETURN(amounts.disputed, IntegerAt(row, first + 2));
  return amounts;
}

Result<> ExpectOne(const std::vector<DbResult>& results, std::string_view what) {
  for (const DbResult& result : results) {
    if (result.changed != 1) {
      return Fail(Code::kDataLoss, "{} is gone from the ledger: somebody else deleted it", what);
    }
  }
  return {};
}

}  // namespace

Result<LedgerTable> LedgerTable::Open(const std::string& place) {
  DbOptions options;
  options.durable = true;
  ASSIGN_OR_RETURN(std::unique_ptr<DbConnection> connection, OpenDatabase(place, options));
  RETURN_IF_ERROR(Migrate(*connection, kModule, kSteps));
  return LedgerTable(std::move(connection));
}

Result<> LedgerTable::BeginReading() {
  return connection_->ExecuteScript(connection_->kind() == DbKind::kSqlite
                                        ? "BEGIN DEFERRED"
                                        : "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
}

Result<> LedgerTable::EndReading() { return connection_->ExecuteScript("COMMIT"); }

Result<std::map<std::uint64_t, LedgerAttempt>> LedgerTable::LoadAttempts(
    const std::set<std::uint64_t>& ids) {
  std::map<std::uint64_t, LedgerAttempt> attempts;
  if (ids.empty()) return attempts;
  std::vector<DbParameters> calls;
  for (const std::uint64_t id : ids) calls.push_back({Id(id)});
  // SQLite's transaction is the only writer anyway.
  ASSIGN_OR_RETURN(const std::vector<DbResult> results,
                   connection_->ExecuteEach(
                       connection_->kind() == DbKind::kSqlite ? kLoad : kLoadAndLock, calls));
  for (const DbResult& result : results) {
    if (result.rows.empty()) continue;
    ASSIGN_OR_RETURN(LedgerAttempt attempt, ReadAttempt(result.rows[0]));
    const std::uint64_t id = attempt.id;
    attempts.emplace(id, std::move(attempt));
  }
  return attempts;
}

Result<std::map<BudgetAccount, BudgetAmounts>> LedgerTable::LoadAccounts(
    const std::set<BudgetAccount>& keys) {
  std::map<BudgetAccount, BudgetAmounts> accounts;
  if (keys.empty()) return accounts;
  if (made_.size() > kMostKnownAccounts) made_.clear();
  std::vector<DbParameters> missing;
  std::vector<DbParameters> calls;
  for (const BudgetAccount& key : keys) {
    calls.push_back({Text(key.scope), Text(key.period)});
    if (!made_.contains(key)) missing.push_back(calls.back());
  }
  if (!missing.empty()) RETURN_IF_ERROR(connection_->ExecuteEach(kMakeAccount, missing));
  ASSIGN_OR_RETURN(
      const std::vector<DbResult> results,
      connection_->ExecuteEach(
          connection_->kind() == DbKind::kSqlite ? kLoadAccount : kLoadAccountAndLock, calls));
  std::size_t i = 0;
  for (const BudgetAccount& key : keys) {
    const DbResult& result = results[i++];
    if (result.rows.empty()) {
      made_.erase(key);
      return Fail(Code::kDataLoss, "the account {} of {} is gone from the ledger", key.scope,
                  key.period);
    }
    ASSIGN_OR_RETURN(accounts[key], ReadAmounts(result.rows[0], 0));
  }
  // Only what a commit keeps is there, but what is not there is found out above.
  made_.insert(keys.begin(), keys.end());
  return accounts;
}

Result<> LedgerTable::Insert(std::span<const LedgerAttempt> attempts) {
  if (attempts.empty()) return {};
  std::vector<DbParameters> calls;
  for (const LedgerAttempt& a : attempts) {
    calls.push_back({Id(a.id),
                     Text(a.request_id),
                     Text(a.parent),
                     Text(a.kind),
                     Text(a.client),
                     Text(a.provider),
                     Text(a.model),
                     Text(a.price_row),
                     Text(a.policy),
                     Text(a.periods.month),
                     Text(a.periods.day),
                     Text(a.periods.hour),
                     AttemptStateName(a.state),
                     a.bound,
                     a.amount,
                     a.floor,
                     Text(a.usage),
                     a.created_ms,
                     a.changed_ms,
                     a.lease_ms});
  }
  RETURN_IF_ERROR(connection_->ExecuteEach(kInsert, calls));
  return {};
}

Result<> LedgerTable::Update(std::span<const LedgerAttempt> attempts) {
  if (attempts.empty()) return {};
  std::vector<DbParameters> calls;
  for (const LedgerAttempt& a : attempts) {
    calls.push_back(
        {Id(a.id), AttemptStateName(a.state), a.amount, a.floor, Text(a.usage), a.changed_ms});
  }
  ASSIGN_OR_RETURN(const std::vector<DbResult> results, connection_->ExecuteEach(kUpdate, calls));
  return ExpectOne(results, "an attempt");
}

Result<> LedgerTable::Write(const std::map<BudgetAccount, BudgetAmounts>& accounts) {
  if (accounts.empty()) return {};
  std::vector<DbParameters> calls;
  for (const auto& [key, amounts] : accounts) {
    calls.push_back(
        {Text(key.scope), Text(key.period), amounts.settled, amounts.reserved, amounts.disputed});
  }
  ASSIGN_OR_RETURN(const std::vector<DbResult> results,
                   connection_->ExecuteEach(kWriteAccount, calls));
  return ExpectOne(results, "an account");
}

Result<std::vector<bool>> LedgerTable::AddAlerts(std::span<const BudgetAlert> alerts,
                                                 std::int64_t now_ms) {
  std::vector<bool> added;
  for (const BudgetAlert& alert : alerts) {
    const DbParameters values = {Text(alert.scope), Text(alert.period), std::int64_t{alert.percent},
                                 now_ms};
    ASSIGN_OR_RETURN(const DbResult result, connection_->Execute(kAddAlert, values));
    added.push_back(result.changed == 1);
  }
  return added;
}

Result<> LedgerTable::SetNote(const std::string& name, const std::string& value,
                              std::int64_t now_ms) {
  const DbParameters set = {Text(name), Text(value), now_ms};
  const DbParameters remove = {Text(name)};
  RETURN_IF_ERROR(value.empty() ? connection_->Execute(kRemoveNote, remove)
                                : connection_->Execute(kSetNote, set));
  return {};
}

Result<std::map<std::string, std::string>> LedgerTable::Notes() {
  ASSIGN_OR_RETURN(const DbResult result, connection_->Execute(kNotes, {}));
  std::map<std::string, std::string> notes;
  for (const DbRow& row : result.rows) {
    ASSIGN_OR_RETURN(const std::string name, TextAt(row, 0));
    ASSIGN_OR_RETURN(notes[name], TextAt(row, 1));
  }
  return notes;
}

Result<std::vector<std::uint64_t>> LedgerTable::Abandoned(std::int64_t now_ms) {
  const DbParameters values = {now_ms, static_cast<std::int64_t>(kMostAbandoned)};
  ASSIGN_OR_RETURN(const DbResult result, connection_->Execute(kAbandoned, values));
  std::vector<std::uint64_t> ids;
  for (const DbRow& row : result.rows) {
    ASSIGN_OR_RETURN(ids.emplace_back(), IdAt(row, 0));
  }
  return ids;
}

Result<std::map<BudgetAccount, BudgetAmounts>> LedgerTable::Accounts(const BudgetPeriods& periods) {
  const DbParameters values = {Text(periods.month), Text(periods.day), Text(periods.hour)};
  ASSIGN_OR_RETURN(const DbResult result, connection_->Execute(kAccounts, values));
  std::map<BudgetAccount, BudgetAmounts> accounts;
  for (const DbRow& row : result.rows) {
    BudgetAccount key;
    ASSIGN_OR_RETURN(key.scope, TextAt(row, 0));
    ASSIGN_OR_RETURN(key.period, TextAt(row, 1));
    ASSIGN_OR_RETURN(accounts[key], ReadAmounts(row, 2));
  }
  return accounts;
}

Result<std::vector<BudgetAlert>> LedgerTable::Alerts(const BudgetPeriods& periods) {
  const DbParameters values = {Text(periods.month), Text(periods.day), Text(periods.hour)};
  ASSIGN_OR_RETURN(const DbResult result, connection_->Execute(kAlerts, values));
  std::vector<BudgetAlert> alerts;
  for (const DbRow& row : result.rows) {
    BudgetAlert alert;
    ASSIGN_OR_RETURN(alert.scope, TextAt(row, 0));
    ASSIGN_OR_RETURN(alert.period, TextAt(row, 1));
    ASSIGN_OR_RETURN(const std::int64_t percent, IntegerAt(row, 2));
    alert.percent = static_cast<int>(percent);
    alerts.push_back(std::move(alert));
  }
  return alerts;
}

Result<std::vector<LedgerAttempt>> LedgerTable::History(const LedgerFilter& filter) {
  const std::string state(filter.state ? AttemptStateName(*filter.state) : "");
  const DbParameters values = {Text(filter.month), Text(filter.request_id), Text(state),
                               static_cast<std::int64_t>(filter.limit)};
  ASSIGN_OR_RETURN(const DbResult result, connection_->Execute(kHistory, values));
  std::vector<LedgerAttempt> attempts;
  for (const DbRow& row : result.rows) {
    ASSIGN_OR_RETURN(attempts.emplace_back(), ReadAttempt(row));
  }
  return attempts;
}

Result<std::map<BudgetAccount, BudgetAmounts>> LedgerTable::Sums(BudgetWindow window,
                                                                 const BudgetPeriods& periods) {
  const std::string& period = periods.of(window);
  const std::string sql = fmt::format(
      "SELECT kind, client, provider, model, state, CAST(sum(amount_pusd) AS BIGINT)"
      " FROM garrison_attempts WHERE {0} = $1 AND {1} = $2 GROUP BY kind, client, provider, "
      "model, state",
      window == BudgetWindow::kMonth ? "month" : "day", BudgetWindowName(window));
  // An index on months and days; a month may be named otherwise since its day of beginning changed.
  const DbParameters values = {Text(window == BudgetWindow::kMonth ? periods.month : periods.day),
                               Text(period)};
  ASSIGN_OR_RETURN(const DbResult result, connection_->Execute(sql, values));
  std::map<BudgetAccount, BudgetAmounts> sums;
  for (const DbRow& row : result.rows) {
    LedgerAttempt group;
    ASSIGN_OR_RETURN(group.kind, TextAt(row, 0));
    ASSIGN_OR_RETURN(group.client, TextAt(row, 1));
    ASSIGN_OR_RETURN(group.provider, TextAt(row, 2));
    ASSIGN_OR_RETURN(group.model, TextAt(row, 3));
    ASSIGN_OR_RETURN(const std::string state, TextAt(row, 4));
    ASSIGN_OR_RETURN(const Pusd amount, IntegerAt(row, 5));
    const std::optional<AttemptState> known = AttemptStateOf(state);
    if (!known) return Fail(Code::kDataLoss, "an attempt has the state \"{}\"", state);
    (window == BudgetWindow::kMonth ? group.periods.month
     : window == BudgetWindow::kDay ? group.periods.day
                                    : group.periods.hour) = period;
    for (const BudgetAccount& account : group.accounts()) {
      if (account.period != period) continue;
      BudgetAmounts& sum = sums[account];
      switch (*known) {
        case AttemptState::kReserved:
        case AttemptState::kSent:
          sum.reserved += amount;
          break;
        case AttemptState::kDisputed:
          sum.disputed += amount;
          break;
        case AttemptState::kSettled:
        case AttemptState::kReconciled:
          sum.settled += amount;
          break;
        case AttemptState::kReleased:
          break;
      }
    }
  }
  return sums;
}

}  // namespace garrison
