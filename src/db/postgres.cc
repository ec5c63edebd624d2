#include <poll.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <map>
#include <optional>
#include <utility>

#include "base/clock.h"
#include "db/database.h"
#include "db/libpq.h"

namespace garrison {
namespace {

// Types by the numbers that PostgreSQL gives them (catalog/pg_type.dat).
constexpr Oid kBool = 16, kBytea = 17, kInt8 = 20, kInt2 = 21, kInt4 = 23, kText = 25,
              kFloat8 = 701, kVarchar = 1043;
constexpr int kBinary = 1;
constexpr const char* kUrl = "database.url";

template <typename Number>
std::array<char, sizeof(Number)> BigEndian(Number value) {
  auto bytes = std::bit_cast<std::array<char, sizeof(Number)>>(value);
  if constexpr (std::endian::native == std::endian::little) {
    std::reverse(bytes.begin(), bytes.end());
  }
  return bytes;
}

template <typename Number>
Number FromBigEndian(const char* from) {
  std::array<char, sizeof(Number)> bytes;
  std::memcpy(bytes.data(), from, bytes.size());
  if constexpr (std::endian::native == std::endian::little) {
    std::reverse(bytes.begin(), bytes.end());
  }
  return std::bit_cast<Number>(bytes);
}

Code CodeOfState(std::string_view state) {
  if (state == "40001" || state == "40P01") return Code::kAborted;
  if (state == "23505") return Code::kAlreadyExists;
  if (state == "25006" || state == "42501") return Code::kPermissionDenied;
  if (state == "57014") return Code::kDeadlineExceeded;
  if (state == "55P03") return Code::kUnavailable;
  const std::string_view kind = state.substr(0, 2);
  if (kind == "23") return Code::kFailedPrecondition;
  if (kind == "28") return Code::kPermissionDenied;
  if (kind == "3D") return Code::kNotFound;
  if (kind == "53") return Code::kResourceExhausted;
  if (kind == "08" || kind == "57" || kind == "58") return Code::kUnavailable;
  if (kind == "XX") return Code::kDataLoss;
  return Code::kInternal;
}

// One line, without the full stop and line feed of libpq.
std::string OneLine(const char* text) {
  std::string line = text == nullptr ? "" : text;
  while (!line.empty() && (line.back() == '\n' || line.back() == ' ')) line.pop_back();
  for (char& c : line) {
    if (c == '\n' || c == '\t') c = ' ';
  }
  return line.empty() ? "the connection was lost" : line;
}

// Parameters as libpq takes them.
struct Encoded {
  explicit Encoded(std::span<const DbParameter> parameters) {
    numbers.reserve(parameters.size());
    for (const DbParameter& parameter : parameters) {
      const char* value = nullptr;
      std::size_t size = 0;
      Oid type = 0;
      if (const auto* integer = std::get_if<std::int64_t>(&parameter)) {
        value = numbers.emplace_back(BigEndian(*integer)).data();
        size = sizeof(*integer);
        type = kInt8;
      } else if (const auto* real = std::get_if<double>(&parameter)) {
        value = numbers.emplace_back(BigEndian(*real)).data();
        size = sizeof(*real);
        type = kFloat8;
      } else if (const auto* text = std::get_if<std::string_view>(&parameter)) {
        value = text->empty() ? "" : text->data();
        size = text->size();
        type = kText;
      } else if (const auto* bytes = std::get_if<std::span<const std::byte>>(&parameter)) {
        value = bytes->empty() ? "" : reinterpret_cast<const char*>(bytes->data());
        size = bytes->size();
        type = kBytea;
      }
      values.push_back(value);
      sizes.push_back(static_cast<int>(size));
      types.push_back(type);
    }
    formats.assign(parameters.size(), kBinary);
  }

  std::vector<std::array<char, 8>> numbers;
  std::vector<const char*> values;
  std::vector<int> sizes;
  std::vector<int> formats;
  std::vector<Oid> types;
};

class PostgresConnection final : public DbConnection {
 public:
  PostgresConnection(const LibPq& pq, const DbOptions& options) : pq_(pq), options_(options) {}
  ~PostgresConnection() override {
    if (connection_ != nullptr) pq_.PQfinish(connection_);
  }
  PostgresConnection(const PostgresConnection&) = delete;
  PostgresConnection& operator=(const PostgresConnection&) = delete;

  Result<> Open(const std::string& url) {
    // libpq's own words about a URL it cannot read may have the password in them.
    char* said = nullptr;
    PQconninfoOption* parsed = pq_.PQconninfoParse(url.c_str(), &said);
    pq_.PQfreemem(said);
    if (parsed == nullptr) {
      return FailAt(kUrl, Code::kInvalidArgument,
                    "expected postgres://USER:PASSWORD@HOST:PORT/DATABASE, got what PostgreSQL's "
                    "library cannot read; special characters are written as %XX");
    }
    pq_.PQconninfoFree(parsed);
    const std::array<const char*, 6> names = {"dbname",          "fallback_application_name",
                                              "client_encoding", "tcp_user_timeout",
                                              "keepalives_idle", nullptr};
    const std::array<const char*, 6> values = {url.c_str(), "garrison", "UTF8",
                                               "10000",     "30",       nullptr};
    StartClock(options_.connect_time);
    connection_ = pq_.PQconnectStartParams(names.data(), values.data(), 1);
    if (connection_ == nullptr) return FailAt(kUrl, Code::kResourceExhausted, "out of memory");
    pq_.PQsetNoticeProcessor(connection_, [](void*, const char*) {}, nullptr);
    RETURN_IF_ERROR(Connect());
    if (pq_.PQsetnonblocking(connection_, 1) != 0) return Lost();
    return ExecuteScript(fmt::format(
        "SET statement_timeout = {}; SET lock_timeout = {}; SET synchronous_commit = {};"
        "SET default_transaction_read_only = {}",
        options_.statement_time.count(), options_.lock_time.count(),
        options_.durable ? "on" : "off", options_.read_only ? "on" : "off"));
  }

  DbKind kind() const override { return DbKind::kPostgres; }
  bool usable() const override { return usable_; }

  Result<DbResult> Execute(std::string_view sql, std::span<const DbParameter> parameters) override {
    const Encoded encoded(parameters);
    ASSIGN_OR_RETURN(const std::string name, Prepare(sql, encoded));
    if (!Send(name, encoded)) return Lost();
    ASSIGN_OR_RETURN(Answer answer, NextAnswer());
    Result<DbResult> result = Read(*answer);
    RETURN_IF_ERROR(Drain());
    return result;
  }

  Result<std::vector<DbResult>> ExecuteEach(std::string_view sql,
                                            std::span<const DbParameters> calls) override {
    std::vector<DbResult> results;
    if (calls.empty()) return results;
    std::vector<std::string> names;
    for (const DbParameters& parameters : calls) {
      ASSIGN_OR_RETURN(names.emplace_back(), Prepare(sql, Encoded(parameters)));
    }
    StartClock(options_.statement_time);
    if (pq_.PQenterPipelineMode(connection_) != 1) return Lost();
    for (std::size_t i = 0; i < calls.size(); ++i) {
      if (!Send(names[i], Encoded(calls[i]))) return Lost();
    }
    if (pq_.PQpipelineSync(connection_) != 1) return Lost();
    std::optional<Error> first;
    results.reserve(calls.size());
    for (std::size_t i = 0; i < calls.size(); ++i) {
      ASSIGN_OR_RETURN(const Answer answer, NextAnswer());
      Result<DbResult> result = Read(*answer);
      if (result) {
        results.push_back(*std::move(result));
      } else if (!first) {
        first = std::move(result).error();
      }
      RETURN_IF_ERROR(Drain());
    }
    RETURN_IF_ERROR(NextAnswer());  // of the sync
    if (pq_.PQexitPipelineMode(connection_) != 1) return Lost();
    if (first) return tl::unexpected(*std::move(first));
    return results;
  }

  Result<> ExecuteScript(std::string_view sql) override {
    StartClock(options_.statement_time);
    if (pq_.PQsendQuery(connection_, std::string(sql).c_str()) != 1) return Lost();
    std::optional<Error> first;
    while (true) {
      RETURN_IF_ERROR(Await());
      const Answer answer = Own(pq_.PQgetResult(connection_));
      if (answer == nullptr) break;
      Result<> done = Check(*answer);
      if (!done && !first) first = std::move(done).error();
    }
    if (first) return tl::unexpected(*std::move(first));
    return {};
  }

 private:
  struct Clear {
    decltype(&::PQclear) clear;
    void operator()(PGresult* result) const { clear(result); }
  };
  using Answer = std::unique_ptr<PGresult, Clear>;

  Answer Own(PGresult* result) const { return {result, Clear{pq_.PQclear}}; }

  Result<> Begin() override { return ExecuteScript("BEGIN"); }
  Result<> Commit() override { return ExecuteScript("COMMIT"); }
  void Rollback() override {
    if (usable_ && !ExecuteScript("ROLLBACK")) usable_ = false;
  }

  Result<> Connect() {
    while (true) {
      const PostgresPollingStatusType status = pq_.PQconnectPoll(connection_);
      if (status == PGRES_POLLING_OK) return {};
      if (status == PGRES_POLLING_FAILED) {
        usable_ = false;
        const std::string said = OneLine(pq_.PQerrorMessage(connection_));
        const bool refused = said.find("authentication failed") != std::string::npos;
        return FailAt(kUrl, refused ? Code::kPermissionDenied : Code::kUnavailable,
                      "PostgreSQL: {}", said);
      }
      RETURN_IF_ERROR(WaitFor(status == PGRES_POLLING_READING ? POLLIN : POLLOUT));
    }
  }

  // The name of the statement, prepared for parameters of these types.
  Result<std::string> Prepare(std::string_view sql, const Encoded& encoded) {
    std::string key(sql);
    for (const Oid type : encoded.types) key += fmt::format(" {}", type);
    if (const auto found = statements_.find(key); found != statements_.end()) return found->second;
    std::string name = fmt::format("g{}", statements_.size());
    StartClock(options_.statement_time);
    if (pq_.PQsendPrepare(connection_, name.c_str(), std::string(sql).c_str(),
                          static_cast<int>(encoded.types.size()), encoded.types.data()) != 1) {
      return Lost();
    }
    ASSIGN_OR_RETURN(const Answer answer, NextAnswer());
    const Result<> prepared = Check(*answer);
    RETURN_IF_ERROR(Drain());
    if (!prepared) return tl::unexpected(prepared.error());
    statements_.emplace(std::move(key), name);
    return name;
  }

  bool Send(const std::string& name, const Encoded& encoded) {
    StartClock(options_.statement_time);
    return pq_.PQsendQueryPrepared(connection_, name.c_str(),
                                   static_cast<int>(encoded.values.size()), encoded.values.data(),
                                   encoded.sizes.data(), encoded.formats.data(), kBinary) == 1;
  }

  Result<Answer> NextAnswer() {
    RETURN_IF_ERROR(Await());
    Answer answer = Own(pq_.PQgetResult(connection_));
    if (answer == nullptr) return Lost();
    return answer;
  }

  // Past the end of one statement's answers.
  Result<> Drain() {
    while (true) {
      RETURN_IF_ERROR(Await());
      if (Own(pq_.PQgetResult(connection_)) == nullptr) return {};
    }
  }

  // Until an answer is there, and everything was sent.
  Result<> Await() {
    while (true) {
      const int unsent = pq_.PQflush(connection_);
      if (unsent < 0) return Lost();
      if (pq_.PQisBusy(connection_) == 0) return {};
      RETURN_IF_ERROR(WaitFor(static_cast<short>(POLLIN | (unsent > 0 ? POLLOUT : 0))));
      if (pq_.PQconsumeInput(connection_) != 1) return Lost();
    }
  }

  Result<> WaitFor(short events) {
    pollfd wait{pq_.PQsocket(connection_), events, 0};
    if (wait.fd < 0) return Lost();
    int timeout = -1;
    if (end_) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(*end_ - clock_.Now());
      timeout = static_cast<int>(std::max<std::int64_t>(left.count(), 0));
    }
    const int ready = poll(&wait, 1, timeout);
    if (ready > 0 || (ready < 0 && errno == EINTR)) return {};
    // An answer that comes later would be taken for that of another statement.
    usable_ = false;
    return FailAt(kUrl, Code::kUnavailable, "PostgreSQL did not answer in time");
  }

  tl::unexpected<Error> Lost() {
    usable_ = false;
    return FailAt(kUrl, Code::kUnavailable, "PostgreSQL: {}",
                  OneLine(pq_.PQerrorMessage(connection_)));
  }

  Result<> Check(const PGresult& answer) {
    const ExecStatusType status = pq_.PQresultStatus(&answer);
    if (status == PGRES_PIPELINE_ABORTED) {
      return FailAt(kUrl, Code::kAborted, "a statement before it failed");
    }
    if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK && status != PGRES_EMPTY_QUERY) {
      return ServerFailure(answer);
    }
    return {};
  }

  Result<DbResult> Read(const PGresult& answer) {
    RETURN_IF_ERROR(Check(answer));
    DbResult result;
    const int rows = pq_.PQntuples(&answer), columns = pq_.PQnfields(&answer);
    result.rows.reserve(static_cast<std::size_t>(rows));
    for (int row = 0; row < rows; ++row) {
      DbRow& values = result.rows.emplace_back();
      for (int column = 0; column < columns; ++column) {
        ASSIGN_OR_RETURN(values.emplace_back(), ReadValue(answer, row, column));
      }
    }
    const std::string_view changed = pq_.PQcmdTuples(const_cast<PGresult*>(&answer));
    std::from_chars(changed.data(), changed.data() + changed.size(), result.changed);
    return result;
  }

  Result<DbValue> ReadValue(const PGresult& answer, int row, int column) {
    if (pq_.PQgetisnull(&answer, row, column) != 0) return std::monostate();
    const char* value = pq_.PQgetvalue(&answer, row, column);
    const auto size = static_cast<std::size_t>(pq_.PQgetlength(&answer, row, column));
    switch (pq_.PQftype(&answer, column)) {
      case kInt8:
        return FromBigEndian<std::int64_t>(value);
      case kInt4:
        return std::int64_t{FromBigEndian<std::int32_t>(value)};
      case kInt2:
        return std::int64_t{FromBigEndian<std::int16_t>(value)};
      case kBool:
        return std::int64_t{*value};
      case kFloat8:
        return FromBigEndian<double>(value);
      case kBytea: {
        const auto* bytes = reinterpret_cast<const std::byte*>(value);
        return std::vector<std::byte>(bytes, bytes + size);
      }
      case kText:
      case kVarchar:
        return std::string(value, size);
      default:
        return FailAt(kUrl, Code::kInternal,
                      "column {} has a type that is not read; cast it to BIGINT, DOUBLE PRECISION, "
                      "TEXT or BYTEA",
                      column + 1);
    }
  }

  tl::unexpected<Error> ServerFailure(const PGresult& answer) {
    const char* state = pq_.PQresultErrorField(&answer, PG_DIAG_SQLSTATE);
    if (state == nullptr) return Lost();
    // What ends the connection: an administrator's command, a crash.
    if (std::string_view(state).starts_with("57P")) usable_ = false;
    return FailAt(kUrl, CodeOfState(state), "PostgreSQL: {}",
                  OneLine(pq_.PQresultErrorField(&answer, PG_DIAG_MESSAGE_PRIMARY)));
  }

  void StartClock(std::chrono::milliseconds time) {
    // The server's own limit comes first; ours is for a server that does not answer at all.
    constexpr std::chrono::milliseconds kGrace{1'000};
    end_.reset();
    if (time.count() > 0) end_ = clock_.Now() + time + kGrace;
  }

  const LibPq pq_;
  const DbOptions options_;
  const SystemClock clock_;
  std::optional<SteadyTime> end_;  // of what is waited for; unset: none
  bool usable_ = true;
  PGconn* connection_ = nullptr;                                // owned
  std::map<std::string, std::string, std::less<>> statements_;  // with their types -> name
};

}  // namespace

Result<std::unique_ptr<DbConnection>> OpenPostgres(const std::string& url,
                                                   const DbOptions& options) {
  ASSIGN_OR_RETURN(const LibPq pq, LibPq::Load());
  auto connection = std::make_unique<PostgresConnection>(pq, options);
  RETURN_IF_ERROR(connection->Open(url));
  return std::unique_ptr<DbConnection>(std::move(connection));
}

}  // namespace garrison
