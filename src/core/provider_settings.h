// Settings of models that run elsewhere: which vendor embeds, who answers conversations, how each
// is reached, and how calls to all of them behave.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace garrison {

struct SettingField;

struct EmbeddingsSettings {
  std::string provider = "local";
  std::string model;
  std::int64_t dimensions = 0;
  std::string fallback;
  std::string fallback_on =
      "network,timeout,rate_limit,overloaded,server,bad_reply,billing,authentication,permission,"
      "not_found,redirect,circuit_open";
  std::string adapters;
  std::string fingerprints;
  double fingerprint_tolerance = 0.001;
};

struct OpenAiSettings {
  std::string api_key;
  std::string base_url = "https://api.openai.com/v1";
  std::string model = "text-embedding-3-small";
  std::string organization;
  std::string project;
  double usd_per_million_tokens = -1;  // not known
};

struct HuggingFaceSettings {
  std::string token;
  std::string endpoint;
  std::string model;
  std::string bill_to;
};

struct BedrockSettings {
  std::string region;
  std::string model = "amazon.titan-embed-text-v2:0";
  std::string endpoint;
  std::string bearer_token;
  std::string access_key_id;
  std::string secret_access_key;
  std::string session_token;
  std::string profile = "default";
  std::string credentials_file;
  std::string container_uri;
  std::string container_path;
  std::string container_token;
  std::string container_token_file;
  std::string metadata_endpoint = "http://169.254.169.254";
  double usd_per_million_tokens = -1;
};

struct AzureSettings {
  std::string endpoint;
  std::string api_key;
  std::string deployment;
  std::string api_version = "2024-10-21";
  double usd_per_million_tokens = -1;
};

// Any service that speaks OpenAI's API.
struct CustomSettings {
  std::string base_url;
  std::string api_key;
  std::string model;
  double usd_per_million_tokens = -1;
};

struct AnthropicSettings {
  std::string api_key;
  std::string base_url = "https://api.anthropic.com";
  std::string version = "2023-06-01";
};

struct DeepSeekSettings {
  std::string api_key;
  std::string base_url = "https://api.deepseek.com";
};

struct ChatSettings {
  std::string model;
  std::string fallbacks;
  // Not those that are the operator's own mistake: another vendor would hide them, and be paid.
  std::string fallback_on =
      "network,timeout,rate_limit,overloaded,server,bad_reply,billing,circuit_open";
  std::string aliases;
  std::int64_t max_tokens = 1024;
  std::int64_t max_tokens_limit = 8192;
  std::int64_t drain_ms = 0;
  std::int64_t first_content_ms = 60'000;
  std::int64_t content_idle_ms = 30'000;
  std::int64_t total_ms = 600'000;
};

struct UpstreamSettings {
  std::int64_t connect_ms = 5'000;
  std::int64_t first_content_ms = 30'000;
  std::int64_t content_idle_ms = 20'000;
  std::int64_t total_ms = 50'000;
  std::int64_t attempts = 3;
  std::int64_t concurrency = 16;
  std::int64_t fan_out = 8;
  std::int64_t hedge_ms = 0;
  std::int64_t breaker_failures = 5;
  std::int64_t breaker_open_ms = 30'000;
  std::int64_t reply_bytes = std::int64_t{64} << 20;
  std::string proxy;
  std::string no_proxy =
      "localhost,127.0.0.1,::1,169.254.169.254,169.254.170.2,169.254.170.23,fd00:ec2::23";
  std::string ca_file;
};

struct ProviderSettings {
  EmbeddingsSettings embeddings;
  OpenAiSettings openai;
  HuggingFaceSettings huggingface;
  BedrockSettings bedrock;
  AzureSettings azure;
  CustomSettings custom;
  AnthropicSettings anthropic;
  DeepSeekSettings deepseek;
  ChatSettings chat;
  UpstreamSettings upstream;
};

// As VisitSettings, which calls it.
void VisitProviderSettings(ProviderSettings& settings,
                           const std::function<void(SettingField&)>& visit);

// Checks that span several settings: a provider that is chosen has what it needs to be called.
// INVALID_ARGUMENT.
Result<> CheckProviderSettings(const ProviderSettings& settings);

// A model that answers conversations elsewhere.
struct ChatSource {
  std::string provider;
  std::string model;
};

// "anthropic/claude-haiku-4-5"; the model may have slashes of its own. INVALID_ARGUMENT for another
// form or an unknown provider, without `where`.
Result<ChatSource> ParseChatSource(std::string_view text);

// Whether that vendor can be called: its keys and addresses are set. INVALID_ARGUMENT, `where`
// naming the setting.
Result<> CheckChatProvider(const ProviderSettings& settings, std::string_view provider);

// "gpt-4o=openai/gpt-4o, ...", in the order they are written. INVALID_ARGUMENT.
struct ChatAlias {
  std::string name;
  ChatSource source;
};
Result<std::vector<ChatAlias>> ParseChatAliases(std::string_view text);

// "a, b" -> {"a", "b"}; empty items are left out.
std::vector<std::string> SplitSetting(std::string_view text);

}  // namespace garrison
