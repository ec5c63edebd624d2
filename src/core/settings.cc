#include "core/settings.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cstddef>
#include <optional>
#include <utility>

#include "base/ip_address.h"

namespace garrison {
namespace {

using Choices = std::vector<std::string_view>;
using Visitor = std::function<void(SettingField&)>;

void Text(const Visitor& visit, std::string_view name, std::string& value, std::string_view meaning,
          Choices choices = {}) {
  SettingField field{name, meaning, &value, 0, 0, std::move(choices), false};
  visit(field);
}

void Secret(const Visitor& visit, std::string_view name, std::string& value,
            std::string_view meaning) {
  SettingField field{name, meaning, &value, 0, 0, {}, true};
  visit(field);
}

void Integer(const Visitor& visit, std::string_view name, std::int64_t& value, std::int64_t min,
             std::int64_t max, std::string_view meaning) {
  SettingField field{name, meaning, &value, static_cast<double>(min), static_cast<double>(max),
                     {},   false};
  visit(field);
}

void Real(const Visitor& visit, std::string_view name, double& value, double min, double max,
          std::string_view meaning) {
  SettingField field{name, meaning, &value, min, max, {}, false};
  visit(field);
}

constexpr std::int64_t kDayMs = 24 * 3600 * 1000;
constexpr std::int64_t kGiB = std::int64_t{1} << 30;

void VisitServer(ServerSettings& s, const Visitor& visit) {
  Text(visit, "server.bind", s.bind, "Address to listen on; 0.0.0.0 or :: for every interface");
  Integer(visit, "server.port", s.port, 0, 65535, "TCP port; 0 takes a free one and prints it");
  Integer(visit, "server.grpc_port", s.grpc_port, -1, 65535,
          "TCP port for gRPC at the same address; 0 takes a free one, -1: none");
  Text(visit, "server.tls_certificate", s.tls_certificate,
       "PEM file with the certificate chain; with tls_key it turns TLS on");
  Text(visit, "server.tls_key", s.tls_key, "PEM file with the private key");
  Text(visit, "server.tls_client_ca", s.tls_client_ca,
       "PEM file with the authorities of client certificates; with it, clients need one (mTLS)");
  Text(visit, "server.keys_file", s.keys_file,
       "File with the API keys, one a line, made by `garrison keys new`; read again on SIGHUP");
  Secret(visit, "server.api_key", s.api_key,
         "One API key for everything but admin routes, beside those of the file");
  Secret(visit, "server.admin_key", s.admin_key, "One API key for everything");
  Text(visit, "server.admin_routes", s.admin_routes,
       "Whether routes that change the service are served: auto does so when server.bind is a "
       "loopback address",
       {"auto", "on", "off"});
  Text(visit, "server.insecure_bind", s.insecure_bind,
       "What to do at an address that others reach without both API keys (or client certificates) "
       "and TLS",
       {"refuse", "allow"});
  Text(visit, "server.cors_origins", s.cors_origins,
       "Origins of web pages that may use this service, separated by commas, or *; empty: none but "
       "its own");
  Integer(visit, "server.workers", s.workers, 0, 4096,
          "Requests worked on at once, of which each processor computes for one; 0: 16 per "
          "processor, at least 16 and at most 64");
  Integer(visit, "server.tei_validation_status", s.tei_validation_status, 400, 422,
          "Status of invalid input on the routes of text-embeddings-inference: 422, or 413 for "
          "clients of its versions before 2026");
}

void VisitLimits(LimitSettings& s, const Visitor& visit) {
  Integer(visit, "limits.connections", s.connections, 1, 1'000'000,
          "Open connections; more wait to be accepted");
  Integer(visit, "limits.connections_per_address", s.connections_per_address, 1, 1'000'000,
          "Open connections from one client address; more are closed");
  Integer(visit, "limits.header_bytes", s.header_bytes, 256, 1 << 20,
          "Request line and headers (431)");
  Integer(visit, "limits.header_ms", s.header_ms, 1, kDayMs,
          "Time from a request's first byte to the end of its headers (408)");
  Integer(visit, "limits.body_bytes", s.body_bytes, 1, kGiB, "Request body (413)");
  Integer(visit, "limits.body_ms", s.body_ms, 1, kDayMs, "Time for the whole request body (408)");
  Integer(visit, "limits.bytes_in_flight", s.bytes_in_flight, 1, 1024 * kGiB,
          "Bodies and answers of all requests together; more get 429 with Retry-After");
  Integer(visit, "limits.idle_ms", s.idle_ms, 1, kDayMs,
          "Time a connection may stay open between requests");
  Integer(visit, "limits.write_ms", s.write_ms, 1, kDayMs, "Time for a client to take its answer");
  Integer(visit, "limits.request_ms", s.request_ms, 1, kDayMs,
          "Time from the end of a request to its answer (504)");
  Integer(visit, "limits.queue", s.queue, 1, 1'000'000,
          "Requests waiting for a worker; more get 429 with Retry-After");
  Integer(visit, "limits.drain_ms", s.drain_ms, 0, kDayMs,
          "Time for running requests to finish after SIGTERM");
  Integer(visit, "limits.json_depth", s.json_depth, 1, 1000, "Nesting of JSON from outside");
  Integer(visit, "limits.inputs_per_request", s.inputs_per_request, 1, 1'000'000,
          "Texts in one embedding request");
  Integer(visit, "limits.input_bytes", s.input_bytes, 1, kGiB,
          "One text in bytes, or one list of token ids");
  Integer(visit, "limits.file_bytes", s.file_bytes, 1, 16 * kGiB,
          "A conversation, vector, risk or projection file");
  Integer(visit, "limits.conversation_turns", s.conversation_turns, 1, 1'000'000,
          "Turns of one conversation");
}

void VisitCache(CacheSettings& s, const Visitor& visit) {
  Integer(visit, "cache.memory_bytes", s.memory_bytes, 0, 1024 * kGiB,
          "Memory for vectors that were computed or paid before; 0: none");
  Text(
      visit, "cache.file", s.file,
      "SQLite file that keeps vectors over restarts; empty: none. Unused when database.url is set");
  Integer(visit, "cache.bytes", s.bytes, 1, std::int64_t{1} << 50,
          "Size of the vectors in the file or the database; those unused for longest go first");
  Integer(visit, "cache.ttl_s", s.ttl_s, 0, std::int64_t{100} * 366 * 24 * 3600,
          "Seconds a vector is kept; 0: until there is no room");
  Text(visit, "cache.precision", s.precision,
       "Of vectors in the file or the database; f16 takes half the room and rounds them",
       {"f32", "f16"});
  Text(visit, "cache.keep_text", s.keep_text,
       "Whether the texts are kept beside their vectors; a look-up needs their hash only",
       {"off", "on"});
}

void VisitBudget(BudgetSettings& s, const Visitor& visit) {
  Text(visit, "budget.month_usd", s.month_usd, "USD that paid calls of a month may cost together");
  Text(visit, "budget.day_usd", s.day_usd, "The same for a day");
  Text(visit, "budget.hour_usd", s.hour_usd, "The same for an hour of the clock");
  Text(visit, "budget.request_usd", s.request_usd, "USD that one call may cost at most");
  Text(visit, "budget.limits", s.limits,
       "More limits, separated by commas: key:NAME, model:PROVIDER/MODEL or kind:chat with month, "
       "day or hour and USD, such as \"key:alice month 20, kind:embed day 1\"");
  Integer(visit, "budget.stop_percent", s.stop_percent, 1, 100,
          "Paid calls stop when so much of a limit is spent or put aside; local work goes on");
  Integer(visit, "budget.premium_percent", s.premium_percent, 1, 100,
          "Models marked as premium stop when so much of the month's limit is");
  Text(visit, "budget.alert_percents", s.alert_percents,
       "Three parts of a limit of which people are told once each, when they are spent");
  Integer(visit, "budget.month_start", s.month_start, 1, 28, "Day on which the month begins");
  Text(visit, "budget.time_zone", s.time_zone,
       "Where days begin at midnight: UTC, +02:00 or a name such as Europe/Berlin");
  Text(visit, "budget.prices", s.prices,
       "JSON file with prices that come before the built-in ones (docs/budget.md)");
  Integer(visit, "budget.price_days", s.price_days, 1, 3650,
          "Days after which a price that nobody checked is warned about");
  Text(visit, "budget.file", s.file,
       "SQLite file of the ledger; empty: $XDG_STATE_HOME/garrison/ledger.db or "
       "~/.local/state/garrison/ledger.db. Unused when database.url is set");
}

void VisitGuard(GuardSettings& s, const Visitor& visit) {
  Real(visit, "guard.weight_r", s.weight_r, 0, 10, "wR: weight of the risk severity R");
  Real(visit, "guard.weight_v", s.weight_v, 0, 10, "wv: weight of the risk rate v");
  Real(visit, "guard.weight_a", s.weight_a, 0, 10, "wa: weight of the guardrail erosion a");
  Real(visit, "guard.bias", s.bias, -10, 10, "b: bias of the failure potential z");
  Real(visit, "guard.epsilon", s.epsilon, 1e-10, 1,
       "Epsilon in rho = C_model / (C_user + epsilon)");
  Text(visit, "guard.cumulative", s.cumulative, "Rule for the cumulative risk C",
       {"sum", "trapezoid"});
  Text(visit, "guard.preset", s.preset,
       "Alert thresholds of L and a: strict 0.65/0.08, balanced 0.80/0.15, research 0.95/0.30; set "
       "before "
       "the two thresholds below, which override it",
       {"strict", "balanced", "research"});
  Real(visit, "guard.alert_likelihood", s.alert_likelihood, 0, 1, "Alert when L is above");
  Real(visit, "guard.alert_erosion", s.alert_erosion, 0, 8, "Alert when a is above");
  Real(visit, "guard.alert_user_risk", s.alert_user_risk, 0, 1e6, "Alert when C_user is above");
  Real(visit, "guard.elevated_likelihood", s.elevated_likelihood, 0, 1,
       "Status ELEVATED when L is above");
  Real(visit, "guard.sycophancy_risk", s.sycophancy_risk, 0, 2, "User risk at or above is high");
  Real(visit, "guard.sycophancy_agreement", s.sycophancy_agreement, 0, 1,
       "Agreement at or above is high");
  Real(visit, "guard.sycophancy_event", s.sycophancy_event, 0, 2,
       "Toxic sycophancy at or above is an event");
  Real(visit, "guard.rho_tolerance", s.rho_tolerance, 0, 1, "rho this close to 1 is Reactive");
  Real(visit, "guard.fragility_pass", s.fragility_pass, 0, 1e6, "Phi below passes");
  Text(visit, "guard.safe_anchor", s.safe_anchor, "Text of v_safe: risk is the distance to it");
  Text(visit, "guard.sycophancy_anchor", s.sycophancy_anchor,
       "Text of v_syc: agreement is the closeness to it");
  Text(visit, "guard.projection", s.projection,
       "Projection file made by `garrison guard train`; empty compares in the full space");
  Text(visit, "guard.mode", s.mode,
       "compat: the formulas of the system before; measured: those and calibrated scores with them",
       {"compat", "measured"});
  Text(visit, "guard.file", s.file,
       "Guard of the measured mode for this model; empty: the one of the built-in model");
  Real(visit, "guard.prior", s.prior, 1e-6, 0.999999,
       "Share of risky turns that is expected, for the measured mode's probabilities");
  Text(visit, "guard.chat", s.chat,
       "Where the measured guard looks at conversations with language models: before the model is "
       "asked, after it, while it answers, or both",
       {"off", "before", "after", "both"});
  Text(visit, "guard.action", s.action,
       "What an alarm does there: monitor counts it and says so in headers, advise adds what to "
       "tell the user, block refuses the request or stops the answer",
       {"monitor", "advise", "block"});
  Text(visit, "guard.failure", s.failure,
       "When the guard itself fails: open lets the conversation pass, closed refuses it",
       {"open", "closed"});
  Integer(visit, "guard.chat_turns", s.chat_turns, 1, 1000,
          "Last turns of a conversation that are scored for it");
  Text(visit, "guard.webhook_url", s.webhook_url,
       "Where a conversation that begins to alarm is told, by POST; empty: nowhere");
  Secret(visit, "guard.webhook_secret", s.webhook_secret, "Key of the signature of what is sent");
  Text(visit, "guard.webhook_ca_file", s.webhook_ca_file,
       "PEM file with authorities to trust there beside those of the system");
  Text(visit, "guard.toxicity_model", s.toxicity_model,
       "Classifier that /v1/moderations asks beside the guard; empty: the guard alone");
  Real(visit, "guard.toxicity_threshold", s.toxicity_threshold, 0, 1,
       "Its scores above this are flagged");
  Integer(visit, "guard.conversations", s.conversations, 1, 10'000'000,
          "Conversations kept; the one unused for longest is dropped");
  Integer(visit, "guard.conversation_ttl_s", s.conversation_ttl_s, 1, 366 * 24 * 3600,
          "Seconds an unused conversation is kept");
  Text(visit, "guard.store", s.store,
       "Where conversations are kept: memory; sqlite:FILE, over restarts and for all services that "
       "name the file; postgres, the one of database.url, for services on several machines");
}

constexpr std::string_view kSqliteStore = "sqlite:";

Result<> CheckGuardStore(const Settings& settings) {
  const std::string_view store = settings.guard.store;
  if (store == "memory") return {};
  if (store == "postgres") {
    if (!settings.database.url.empty()) return {};
    return FailAt("guard.store", Code::kInvalidArgument,
                  "postgres is the database of database.url, which is not set");
  }
  if (store.starts_with(kSqliteStore) && store.size() > kSqliteStore.size()) return {};
  return FailAt("guard.store", Code::kInvalidArgument,
                "expected memory, sqlite:FILE or postgres (the database of database.url), got "
                "something else");
}

void VisitTracing(TracingSettings& s, const Visitor& visit) {
  Text(visit, "tracing.endpoint", s.endpoint,
       "Address that takes OpenTelemetry traces as JSON (OTLP/HTTP), with its path: "
       "http://127.0.0.1:4318/v1/traces; empty: none");
  Secret(visit, "tracing.headers", s.headers,
         "Headers for it, NAME=VALUE,NAME=VALUE: keys of a hosted collector");
  Real(
      visit, "tracing.sample_ratio", s.sample_ratio, 0, 1,
      "Share of the requests without a traceparent that is recorded; the others do as theirs says");
  Text(visit, "tracing.service_name", s.service_name, "service.name of the traces");
  Integer(visit, "tracing.interval_ms", s.interval_ms, 1, 3'600'000,
          "Time after which spans are sent; 512 of them are sent at once");
  Text(visit, "tracing.ca_file", s.ca_file,
       "PEM file with authorities for the collector's certificate, beside those of the system");
}

struct Preset {
  std::string_view name;
  double likelihood;
  double erosion;
};
constexpr std::array kPresets = {Preset{"strict", 0.65, 0.08}, Preset{"balanced", 0.80, 0.15},
                                 Preset{"research", 0.95, 0.30}};

std::string Expected(const SettingField& field) {
  if (!field.choices.empty()) {
    return fmt::format("one of {}", fmt::join(field.choices, ", "));
  }
  if (std::holds_alternative<std::int64_t*>(field.value)) {
    return fmt::format("a whole number from {:.0f} to {:.0f}", field.min, field.max);
  }
  return fmt::format("a number from {} to {}", field.min, field.max);
}

template <typename Number>
bool ParseNumber(std::string_view text, const SettingField& field, Number& target) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return false;
  const auto wide = static_cast<double>(value);
  // The negated form also refuses NaN.
  if (!(wide >= field.min && wide <= field.max)) return false;
  target = value;
  return true;
}

bool Assign(const SettingField& field, std::string_view text) {
  if (auto* const* integer = std::get_if<std::int64_t*>(&field.value)) {
    return ParseNumber(text, field, **integer);
  }
  if (auto* const* real = std::get_if<double*>(&field.value)) {
    return ParseNumber(text, field, **real);
  }
  const bool allowed =
      field.choices.empty() ||
      std::find(field.choices.begin(), field.choices.end(), text) != field.choices.end();
  if (allowed) *std::get<std::string*>(field.value) = text;
  return allowed;
}

}  // namespace

void VisitSettings(Settings& settings, const Visitor& visit) {
  VisitServer(settings.server, visit);
  VisitLimits(settings.limits, visit);
  Text(visit, "engine.model", settings.engine.model,
       "Model that answers when a request names none: a name or a folder");
  Text(
      visit, "engine.models_folder", settings.engine.models_folder,
      "Folder with more models, one in each folder or two levels down (ORGANISATION/NAME); each is "
      "loaded when it is first asked for");
  Text(visit, "engine.aliases", settings.engine.aliases,
       "Other names that models answer to: OTHERNAME=MODEL,...");
  Text(visit, "engine.dtype", settings.engine.dtype,
       "Arithmetic of model folders; auto: the best that was verified for this machine",
       {"auto", "f32", "bf16", "int8"});
  Integer(visit, "engine.threads", settings.engine.threads, 0, 4096,
          "Worker threads; 0 takes what the cpuset and the cgroup quota allow");
  Text(visit, "engine.long_input", settings.engine.long_input,
       "What happens to an input that is longer than the model reads",
       {"error", "truncate", "chunk"});
  Text(visit, "engine.truncation_side", settings.engine.truncation_side,
       "The end that truncate cuts off", {"right", "left"});
  Text(visit, "engine.bf16_layers", settings.engine.bf16_layers,
       "Linear layers that int8 keeps in bf16: names as `garrison models verify` prints them, "
       "separated by commas");
  Text(
      visit, "engine.cache", settings.engine.cache,
      "Folder for packed weights; empty: $XDG_CACHE_HOME/garrison or ~/.cache/garrison; off: none");
  Integer(visit, "engine.cache_bytes", settings.engine.cache_bytes, 0, std::int64_t{1} << 50,
          "Size of that folder; the files unused for longest go first");
  Integer(visit, "engine.idle_ms", settings.engine.idle_ms, 1, kDayMs,
          "Time after which unused working memory goes back to the system");
  VisitCache(settings.cache, visit);
  Secret(visit, "database.url", settings.database.url,
         "PostgreSQL that keeps vectors and the ledger of several services: "
         "postgres://USER:PASSWORD@HOST/NAME");
  VisitBudget(settings.budget, visit);
  VisitGuard(settings.guard, visit);
  VisitProviderSettings(settings.providers, visit);
  Text(visit, "log.level", settings.log.level, "Least serious lines on stderr",
       {"debug", "info", "warning", "error", "off"});
  Text(visit, "log.access_file", settings.log.access_file,
       "File that gets a JSON line for each request, without texts; - is standard output, empty: "
       "none. Opened again on SIGHUP");
  VisitTracing(settings.tracing, visit);
}

Result<> AssignSetting(Settings& settings, std::string_view name, std::string_view text) {
  std::optional<Result<>> outcome;
  VisitSettings(settings, [&](SettingField& field) {
    if (field.name != name) return;
    if (Assign(field, text)) {
      outcome = Result<>();
    } else {
      outcome = FailAt(std::string(name), Code::kInvalidArgument, "expected {}, got \"{}\"",
                       Expected(field), field.secret ? "********" : text);
    }
  });
  if (!outcome) {
    return FailAt(std::string(name), Code::kInvalidArgument,
                  "there is no such setting; `garrison config` lists all of them");
  }
  if (*outcome && name == "guard.preset") {
    for (const Preset& preset : kPresets) {
      if (preset.name != text) continue;
      settings.guard.alert_likelihood = preset.likelihood;
      settings.guard.alert_erosion = preset.erosion;
    }
  }
  return *std::move(outcome);
}

std::string EnvironmentName(std::string_view setting_name) {
  std::string name = "GARRISON_";
  for (const char c : setting_name) {
    name += c == '.' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  }
  return name;
}

std::string FormatSetting(const SettingField& field) {
  if (auto* const* integer = std::get_if<std::int64_t*>(&field.value)) {
    return fmt::format("{}", **integer);
  }
  if (auto* const* real = std::get_if<double*>(&field.value)) return fmt::format("{}", **real);
  const std::string& text = *std::get<std::string*>(field.value);
  return field.secret && !text.empty() ? "********" : text;
}

LongInput LongInputOf(const EngineSettings& engine) {
  LongInput long_input;
  if (engine.long_input == "truncate") long_input.policy = LongInput::Policy::kTruncate;
  if (engine.long_input == "chunk") long_input.policy = LongInput::Policy::kChunk;
  if (engine.truncation_side == "left") long_input.side = LongInput::Side::kLeft;
  return long_input;
}

Result<> CheckSettings(const Settings& settings) {
  if (settings.server.tls_certificate.empty() != settings.server.tls_key.empty()) {
    return FailAt("server.tls_certificate", Code::kInvalidArgument,
                  "TLS needs both server.tls_certificate and server.tls_key; only one is set");
  }
  if (!settings.server.tls_client_ca.empty() && settings.server.tls_key.empty()) {
    return FailAt("server.tls_client_ca", Code::kInvalidArgument,
                  "client certificates need TLS: set server.tls_certificate and server.tls_key");
  }
  const std::string_view url = settings.database.url;
  if (!url.empty() && !url.starts_with("postgres://") && !url.starts_with("postgresql://")) {
    return FailAt("database.url", Code::kInvalidArgument,
                  "expected postgres://USER:PASSWORD@HOST:PORT/DATABASE, got something else; a "
                  "SQLite file belongs into cache.file");
  }
  RETURN_IF_ERROR(CheckGuardStore(settings));
  return CheckProviderSettings(settings.providers);
}

std::string GuardStorePlace(const Settings& settings) {
  const std::string& store = settings.guard.store;
  if (store == "memory") return "";
  if (store == "postgres") return settings.database.url;
  return store.substr(kSqliteStore.size());
}

Result<> CheckServing(const ServerSettings& server) {
  const bool tls = !server.tls_certificate.empty();
  const bool keys = !server.keys_file.empty() || !server.api_key.empty() ||
                    !server.admin_key.empty() || !server.tls_client_ca.empty();
  if (server.insecure_bind == "refuse" && !IsLoopbackAddress(server.bind) && !(keys && tls)) {
    return FailAt("server.bind", Code::kInvalidArgument,
                  "others reach {}, and there {}; set server.keys_file (or server.api_key) and "
                  "server.tls_certificate with server.tls_key, or server.insecure_bind = \"allow\" "
                  "where something else protects it",
                  server.bind,
                  keys  ? "is no TLS"
                  : tls ? "are no API keys"
                        : "are neither API keys nor TLS");
  }
  return {};
}

}  // namespace garrison
