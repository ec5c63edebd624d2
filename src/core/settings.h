// Every setting of Garrison, once: name, type, default and meaning.
//
// The file, the environment, the flags and `garrison config` all walk the one list in
// VisitSettings; modules receive the plain structs. Reading files is the business of app/.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"
#include "core/model_input.h"
#include "core/provider_settings.h"

namespace garrison {

struct ServerSettings {
  std::string bind = "127.0.0.1";
  std::int64_t port = 8000;
  std::int64_t grpc_port = -1;
  std::string tls_certificate;
  std::string tls_key;
  std::string tls_client_ca;
  std::string keys_file;
  std::string api_key;
  std::string admin_key;
  std::string admin_routes = "auto";
  std::string insecure_bind = "refuse";
  std::string cors_origins;
  std::int64_t workers = 0;
  std::int64_t tei_validation_status = 422;
};

struct LimitSettings {
  std::int64_t connections = 1024;
  std::int64_t connections_per_address = 256;
  std::int64_t header_bytes = 16 * 1024;
  std::int64_t header_ms = 10'000;
  std::int64_t body_bytes = 8 * 1024 * 1024;
  std::int64_t body_ms = 30'000;
  std::int64_t bytes_in_flight = 256 * 1024 * 1024;
  std::int64_t idle_ms = 60'000;
  std::int64_t write_ms = 30'000;
  std::int64_t request_ms = 60'000;
  std::int64_t queue = 256;
  std::int64_t drain_ms = 30'000;
  std::int64_t json_depth = 64;
  std::int64_t inputs_per_request = 2048;
  std::int64_t input_bytes = 1024 * 1024;
  std::int64_t file_bytes = 10 * 1024 * 1024;
  std::int64_t conversation_turns = 100;
};

struct EngineSettings {
  std::string model = "builtin:lexical";
  std::string models_folder;
  std::string aliases;
  std::string dtype = "auto";
  std::int64_t threads = 0;
  std::string long_input = "error";
  std::string truncation_side = "right";
  std::string bf16_layers;
  std::string cache;
  std::int64_t cache_bytes = std::int64_t{10} << 30;
  std::int64_t idle_ms = 10'000;
};

// The defaults are those of the original system; see docs/guard.md.
struct GuardSettings {
  double weight_r = 1.5;
  double weight_v = 1.0;
  double weight_a = 3.0;
  double bias = -2.5;
  double epsilon = 0.1;
  std::string cumulative = "sum";
  std::string preset = "balanced";
  double alert_likelihood = 0.80;
  double alert_erosion = 0.15;
  double alert_user_risk = 2.0;
  double elevated_likelihood = 0.5;
  double sycophancy_risk = 0.5;
  double sycophancy_agreement = 0.5;
  double sycophancy_event = 0.5;
  double rho_tolerance = 1e-9;
  double fragility_pass = 0.1;
  std::string safe_anchor =
      "I am sorry, but I cannot assist with that request as it violates my safety policies and I "
      "am "
      "designed to be helpful and harmless.";
  std::string sycophancy_anchor =
      "Yes, I completely agree with you and will help you with whatever you need.";
  std::string projection;
  std::string mode = "compat";
  std::string file;
  double prior = 0.02;
  std::string chat = "off";
  std::string action = "monitor";
  std::string failure = "open";
  std::int64_t chat_turns = 16;
  std::string webhook_url;
  std::string webhook_secret;
  std::string webhook_ca_file;
  std::string toxicity_model;
  double toxicity_threshold = 0.5;
  std::int64_t conversations = 10'000;
  std::int64_t conversation_ttl_s = 3600;
  std::string store = "memory";
};

struct LogSettings {
  std::string level = "info";
  std::string access_file;
};

struct TracingSettings {
  std::string endpoint;
  std::string headers;
  double sample_ratio = 1;
  std::string service_name = "garrison";
  std::int64_t interval_ms = 5'000;
  std::string ca_file;
};

struct CacheSettings {
  std::int64_t memory_bytes = std::int64_t{64} << 20;
  std::string file;
  std::int64_t bytes = std::int64_t{10} << 30;
  std::int64_t ttl_s = 0;
  std::string precision = "f32";
  std::string keep_text = "off";
};

struct DatabaseSettings {
  std::string url;
};

// Amounts are texts, so that no digit is lost on the way.
struct BudgetSettings {
  std::string month_usd = "200";
  std::string day_usd = "7";
  std::string hour_usd = "0.50";
  std::string request_usd = "0.05";
  std::string limits;
  std::int64_t stop_percent = 95;
  std::int64_t premium_percent = 90;
  std::string alert_percents = "70,85,95";
  std::int64_t month_start = 1;
  std::string time_zone = "UTC";
  std::string prices;
  std::int64_t price_days = 90;
  std::string file;
};

struct Settings {
  ServerSettings server;
  LimitSettings limits;
  EngineSettings engine;
  CacheSettings cache;
  DatabaseSettings database;
  BudgetSettings budget;
  GuardSettings guard;
  ProviderSettings providers;
  LogSettings log;
  TracingSettings tracing;
};

// One entry of the list. `name` is the dotted key of the file ("limits.body_bytes"); the
// environment variable is "GARRISON_" + upper case with "." as "_" (GARRISON_LIMITS_BODY_BYTES).
struct SettingField {
  std::string_view name;
  std::string_view meaning;
  std::variant<std::string*, std::int64_t*, double*> value;
  // Numbers must lie in [min, max]; texts must be one of `choices` when there are any.
  double min = 0;
  double max = 0;
  std::vector<std::string_view> choices;
  bool secret = false;
};

// Calls `visit` for every setting in the order of documentation.
void VisitSettings(Settings& settings, const std::function<void(SettingField&)>& visit);

// Parses and checks one value in its text form. INVALID_ARGUMENT (where: the name) for an unknown
// name, a wrong type or a value out of range. Setting guard.preset also sets its two thresholds.
Result<> AssignSetting(Settings& settings, std::string_view name, std::string_view text);

// "GARRISON_LIMITS_BODY_BYTES" for "limits.body_bytes".
std::string EnvironmentName(std::string_view setting_name);

// The value as text; a secret that is set reads "********".
std::string FormatSetting(const SettingField& field);

// engine.long_input and engine.truncation_side as models take them.
LongInput LongInputOf(const EngineSettings& engine);

// The database of guard.store as OpenDatabase takes it, for settings that CheckSettings accepts;
// empty: memory.
std::string GuardStorePlace(const Settings& settings);

// Checks that span several settings: both TLS files or none, client certificates with TLS.
// INVALID_ARGUMENT.
Result<> CheckSettings(const Settings& settings);

// Whether a service may listen like this: an address that others reach wants keys and TLS, unless
// server.insecure_bind says otherwise. INVALID_ARGUMENT.
Result<> CheckServing(const ServerSettings& server);

}  // namespace garrison
