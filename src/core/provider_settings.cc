#include "core/provider_settings.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>
#include <vector>

#include "core/settings.h"

namespace garrison {
namespace {

using Visitor = std::function<void(SettingField&)>;

constexpr std::int64_t kDayMs = 24 * 3600 * 1000;
constexpr std::array<std::string_view, 7> kChatProviders = {
    "openai", "anthropic", "deepseek", "bedrock", "azure", "huggingface", "custom"};

class List {
 public:
  explicit List(const Visitor& visit) : visit_(visit) {}

  void Text(std::string_view name, std::string& value, std::string_view meaning,
            std::vector<std::string_view> choices = {}) const {
    SettingField field{name, meaning, &value, 0, 0, std::move(choices), false};
    visit_(field);
  }
  void Secret(std::string_view name, std::string& value, std::string_view meaning) const {
    SettingField field{name, meaning, &value, 0, 0, {}, true};
    visit_(field);
  }
  void Integer(std::string_view name, std::int64_t& value, std::int64_t min, std::int64_t max,
               std::string_view meaning) const {
    SettingField field{name, meaning, &value, static_cast<double>(min), static_cast<double>(max),
                       {},   false};
    visit_(field);
  }
  void Real(std::string_view name, double& value, double min, double max,
            std::string_view meaning) const {
    SettingField field{name, meaning, &value, min, max, {}, false};
    visit_(field);
  }
  void Price(std::string_view name, double& value) const {
    Real(name, value, -1, 1e6,
         "Price of a million input tokens in USD, for x-cost-usd; -1: not known, no cost is told");
  }

 private:
  const Visitor& visit_;
};

void VisitEmbeddings(EmbeddingsSettings& s, const Visitor& visit) {
  const List list(visit);
  list.Text("embeddings.provider", s.provider,
            "Who embeds for a request that names no model; anything but local sends texts to "
            "that service (docs/providers.md)",
            {"local", "openai", "huggingface", "bedrock", "azure", "custom"});
  list.Text("embeddings.model", s.model,
            "Its model; empty: the vendor's own setting (openai.model, ...)");
  list.Integer("embeddings.dimensions", s.dimensions, 0, 65'536,
               "Dimension to ask the provider for when a request names none; 0: the model's own");
  list.Text("embeddings.fallback", s.fallback,
            "Who answers when the provider fails: PROVIDER or PROVIDER/MODEL, or local or "
            "local/MODEL, separated by commas, tried in turn; only the same vector space, or one "
            "with an adapter to it");
  list.Text("embeddings.fallback_on", s.fallback_on, "The failures after which that happens");
  list.Text("embeddings.adapters", s.adapters,
            "Files made by `garrison adapter train` that let fallbacks answer from another "
            "space, separated by commas");
  list.Text("embeddings.fingerprints", s.fingerprints,
            "File that remembers what each space looks like, so that a fallback can be proved "
            "to have the same while the provider is away; empty: $XDG_STATE_HOME/garrison/"
            "fingerprints.json or ~/.local/state/garrison/fingerprints.json");
  list.Real("embeddings.fingerprint_tolerance", s.fingerprint_tolerance, 0, 0.1,
            "Two spaces are the same when every probe's cosine is at least 1 less this");
}

void VisitVendors(ProviderSettings& s, const Visitor& visit) {
  const List list(visit);
  list.Secret("openai.api_key", s.openai.api_key, "Key of OpenAI's API");
  list.Text("openai.base_url", s.openai.base_url, "Address of OpenAI's API");
  list.Text("openai.model", s.openai.model, "Its embedding model");
  list.Text("openai.organization", s.openai.organization,
            "Header OpenAI-Organization; empty: none");
  list.Text("openai.project", s.openai.project, "Header OpenAI-Project; empty: none");
  list.Price("openai.usd_per_million_tokens", s.openai.usd_per_million_tokens);

  list.Secret("huggingface.token", s.huggingface.token, "Access token of Hugging Face");
  list.Text(
      "huggingface.endpoint", s.huggingface.endpoint,
      "Full address of an Inference Endpoint, or of text-embeddings-inference with its /embed; "
      "empty: the router of Hugging Face");
  list.Text("huggingface.model", s.huggingface.model, "Its embedding model, ORGANISATION/NAME");
  list.Text("huggingface.bill_to", s.huggingface.bill_to,
            "Organisation that pays (X-HF-Bill-To); empty: you");

  list.Text("azure.endpoint", s.azure.endpoint, "https://RESOURCE.openai.azure.com");
  list.Secret("azure.api_key", s.azure.api_key, "Key of Azure OpenAI");
  list.Text("azure.deployment", s.azure.deployment, "Deployment of an embedding model");
  list.Text("azure.api_version", s.azure.api_version, "Version of the API");
  list.Price("azure.usd_per_million_tokens", s.azure.usd_per_million_tokens);

  list.Text("custom.base_url", s.custom.base_url,
            "Address of a service that speaks OpenAI's API, another Garrison for example: "
            "http://HOST:8000/v1");
  list.Secret("custom.api_key", s.custom.api_key, "Its key; empty: none is sent");
  list.Text("custom.model", s.custom.model, "Its embedding model; empty: its default");
  list.Price("custom.usd_per_million_tokens", s.custom.usd_per_million_tokens);

  list.Secret("anthropic.api_key", s.anthropic.api_key, "Key of Anthropic's API");
  list.Text("anthropic.base_url", s.anthropic.base_url, "Address of Anthropic's API");
  list.Text("anthropic.version", s.anthropic.version, "Header anthropic-version");

  list.Secret("deepseek.api_key", s.deepseek.api_key, "Key of DeepSeek's API");
  list.Text("deepseek.base_url", s.deepseek.base_url, "Address of DeepSeek's API");
}

void VisitChat(ChatSettings& s, const Visitor& visit) {
  const List list(visit);
  list.Text("chat.model", s.model,
            "PROVIDER/MODEL that answers conversations which name no model, for example "
            "anthropic/claude-haiku-4-5; empty: none");
  list.Text("chat.fallbacks", s.fallbacks,
            "Who answers when it fails before the first piece of an answer: PROVIDER/MODEL, "
            "separated by commas, tried in turn");
  list.Text("chat.fallback_on", s.fallback_on, "The failures after which that happens");
  list.Text("chat.aliases", s.aliases,
            "Names that clients may use: NAME=PROVIDER/MODEL, separated by commas");
  list.Integer("chat.max_tokens", s.max_tokens, 1, 10'000'000,
               "Tokens of an answer when a request names no number");
  list.Integer("chat.max_tokens_limit", s.max_tokens_limit, 1, 10'000'000,
               "Most tokens of an answer that a request may ask for");
  list.Integer("chat.drain_ms", s.drain_ms, 0, 600'000,
               "How long an answer is read on after its client has left, to learn what it cost; "
               "0: it is cut at once");
  list.Integer("chat.first_content_ms", s.first_content_ms, 1, kDayMs,
               "Time to the first piece of an answer; signs of life alone do not count");
  list.Integer("chat.content_idle_ms", s.content_idle_ms, 1, kDayMs,
               "Time between two pieces of an answer; signs of life alone do not count");
  list.Integer("chat.total_ms", s.total_ms, 1, kDayMs,
               "Time for a whole answer, with all attempts and fallbacks");
}

void VisitBedrock(BedrockSettings& s, const Visitor& visit) {
  const List list(visit);
  list.Text("bedrock.region", s.region, "Region, for example us-east-1");
  list.Text("bedrock.model", s.model, "amazon.titan-embed-text-v1 or -v2:0, or an ARN of one");
  list.Text("bedrock.endpoint", s.endpoint,
            "Address; empty: https://bedrock-runtime.REGION.amazonaws.com");
  list.Secret("bedrock.bearer_token", s.bearer_token, "Bedrock API key; with it nothing is signed");
  list.Secret("bedrock.access_key_id", s.access_key_id, "Access key; empty: looked for further");
  list.Secret("bedrock.secret_access_key", s.secret_access_key, "Its secret");
  list.Secret("bedrock.session_token", s.session_token, "Of temporary credentials");
  list.Text("bedrock.profile", s.profile, "Profile of the shared credentials file");
  list.Text("bedrock.credentials_file", s.credentials_file,
            "Shared credentials file; empty: ~/.aws/credentials, if there is one");
  list.Text("bedrock.container_uri", s.container_uri, "Where a container gets credentials (full)");
  list.Text("bedrock.container_path", s.container_path,
            "Where a container gets credentials (path at 169.254.170.2)");
  list.Secret("bedrock.container_token", s.container_token, "Authorization there");
  list.Text("bedrock.container_token_file", s.container_token_file,
            "File with the authorization there");
  list.Text("bedrock.metadata_endpoint", s.metadata_endpoint,
            "Where a virtual machine gets credentials (IMDSv2); off: nowhere");
  list.Price("bedrock.usd_per_million_tokens", s.usd_per_million_tokens);
}

void VisitUpstream(UpstreamSettings& s, const Visitor& visit) {
  const List list(visit);
  list.Integer("upstream.connect_ms", s.connect_ms, 1, kDayMs,
               "Time for name, connection, proxy and TLS of a call to a vendor");
  list.Integer("upstream.first_content_ms", s.first_content_ms, 1, kDayMs,
               "Time from the request to the first byte of the answer that is no white space");
  list.Integer("upstream.content_idle_ms", s.content_idle_ms, 1, kDayMs,
               "Time between two pieces of the answer");
  list.Integer("upstream.total_ms", s.total_ms, 1, kDayMs,
               "Time for all attempts of one call with the waits between them");
  list.Integer("upstream.attempts", s.attempts, 1, 10, "Attempts of one call, the first included");
  list.Integer("upstream.concurrency", s.concurrency, 1, 4096, "Calls to one vendor at once");
  list.Integer("upstream.fan_out", s.fan_out, 1, 256, "Calls to a vendor at once for one request");
  list.Integer("upstream.hedge_ms", s.hedge_ms, 0, kDayMs,
               "Ask a second time when an answer takes this long, and take the first; this can "
               "cost twice; 0: never");
  list.Integer("upstream.breaker_failures", s.breaker_failures, 1, 1000,
               "Failed attempts in a row after which a vendor is left alone");
  list.Integer("upstream.breaker_open_ms", s.breaker_open_ms, 1, kDayMs,
               "How long, before one call tries again; doubles up to ten times this");
  list.Integer("upstream.reply_bytes", s.reply_bytes, 1024, std::int64_t{1} << 30,
               "Answer of a vendor");
  list.Secret("upstream.proxy", s.proxy, "http://[USER:PASSWORD@]HOST:PORT for calls to vendors");
  list.Text("upstream.no_proxy", s.no_proxy,
            "Hosts that are called without it, separated by commas");
  list.Text("upstream.ca_file", s.ca_file,
            "PEM file with authorities to trust beside those of the system");
}

Result<> Needs(std::string_view provider, std::string_view name, const std::string& value) {
  if (!value.empty()) return {};
  return FailAt(std::string(name), Code::kInvalidArgument, "{} needs this setting; it is not set",
                provider);
}

std::string_view Trimmed(std::string_view text) {
  while (text.starts_with(' ')) text.remove_prefix(1);
  while (text.ends_with(' ')) text.remove_suffix(1);
  return text;
}

// A name in a setting: well formed, and its vendor can be called.
Result<> CheckSource(std::string_view setting, const ProviderSettings& s, std::string_view text) {
  Result<ChatSource> source = ParseChatSource(text);
  if (!source) return tl::unexpected(At(setting, std::move(source).error()));
  return CheckChatProvider(s, source->provider);
}

Result<> CheckChat(const ProviderSettings& s) {
  if (!s.chat.model.empty()) RETURN_IF_ERROR(CheckSource("chat.model", s, s.chat.model));
  const std::vector<std::string> fallbacks = SplitSetting(s.chat.fallbacks);
  for (const std::string& name : fallbacks) {
    RETURN_IF_ERROR(CheckSource("chat.fallbacks", s, name));
  }
  if (!fallbacks.empty() && s.chat.model.empty()) {
    return FailAt("chat.model", Code::kInvalidArgument,
                  "chat.fallbacks stand in for it; it is not set");
  }
  ASSIGN_OR_RETURN(const std::vector<ChatAlias> aliases, ParseChatAliases(s.chat.aliases));
  for (const ChatAlias& alias : aliases) {
    RETURN_IF_ERROR(CheckChatProvider(s, alias.source.provider));
  }
  if (s.chat.max_tokens > s.chat.max_tokens_limit) {
    return FailAt("chat.max_tokens", Code::kInvalidArgument,
                  "expected at most chat.max_tokens_limit ({}), got {}", s.chat.max_tokens_limit,
                  s.chat.max_tokens);
  }
  return {};
}

}  // namespace

void VisitProviderSettings(ProviderSettings& settings, const Visitor& visit) {
  VisitEmbeddings(settings.embeddings, visit);
  VisitVendors(settings, visit);
  VisitBedrock(settings.bedrock, visit);
  VisitChat(settings.chat, visit);
  VisitUpstream(settings.upstream, visit);
}

Result<> CheckProviderSettings(const ProviderSettings& s) {
  const std::string& provider = s.embeddings.provider;
  const std::string& model = s.embeddings.model;
  if (provider == "openai") {
    RETURN_IF_ERROR(Needs(provider, "openai.api_key", s.openai.api_key));
  } else if (provider == "huggingface" && s.huggingface.endpoint.empty()) {
    RETURN_IF_ERROR(Needs(provider, "huggingface.token", s.huggingface.token));
    RETURN_IF_ERROR(Needs(provider, "huggingface.model", model + s.huggingface.model));
  } else if (provider == "bedrock") {
    RETURN_IF_ERROR(Needs(provider, "bedrock.region", s.bedrock.region));
  } else if (provider == "azure") {
    RETURN_IF_ERROR(Needs(provider, "azure.endpoint", s.azure.endpoint));
    RETURN_IF_ERROR(Needs(provider, "azure.api_key", s.azure.api_key));
    RETURN_IF_ERROR(Needs(provider, "azure.deployment", model + s.azure.deployment));
  } else if (provider == "custom") {
    RETURN_IF_ERROR(Needs(provider, "custom.base_url", s.custom.base_url));
  }
  return CheckChat(s);
}

std::vector<std::string> SplitSetting(std::string_view text) {
  std::vector<std::string> items;
  while (!text.empty()) {
    const std::size_t comma = text.find(',');
    const std::string_view item = Trimmed(text.substr(0, comma));
    if (!item.empty()) items.emplace_back(item);
    if (comma == std::string_view::npos) break;
    text.remove_prefix(comma + 1);
  }
  return items;
}

Result<ChatSource> ParseChatSource(std::string_view text) {
  constexpr std::size_t kModelMax = 256;
  const std::size_t slash = text.find('/');
  const std::string_view provider = text.substr(0, slash);
  const bool known =
      std::find(kChatProviders.begin(), kChatProviders.end(), provider) != kChatProviders.end();
  const std::string_view model = slash == std::string_view::npos ? "" : text.substr(slash + 1);
  const bool printable =
      std::all_of(model.begin(), model.end(), [](char c) { return c > ' ' && c < 0x7f; });
  if (known && !model.empty() && model.size() <= kModelMax && printable) {
    return ChatSource{std::string(provider), std::string(model)};
  }
  return Fail(Code::kInvalidArgument,
              "expected PROVIDER/MODEL with openai, anthropic, deepseek, bedrock, azure, "
              "huggingface or custom; got \"{}\"",
              text.substr(0, 100));
}

Result<> CheckChatProvider(const ProviderSettings& s, std::string_view provider) {
  if (provider == "openai") return Needs(provider, "openai.api_key", s.openai.api_key);
  if (provider == "anthropic") return Needs(provider, "anthropic.api_key", s.anthropic.api_key);
  if (provider == "deepseek") return Needs(provider, "deepseek.api_key", s.deepseek.api_key);
  if (provider == "huggingface") return Needs(provider, "huggingface.token", s.huggingface.token);
  if (provider == "bedrock") return Needs(provider, "bedrock.region", s.bedrock.region);
  if (provider == "custom") return Needs(provider, "custom.base_url", s.custom.base_url);
  RETURN_IF_ERROR(Needs(provider, "azure.endpoint", s.azure.endpoint));
  return Needs(provider, "azure.api_key", s.azure.api_key);
}

Result<std::vector<ChatAlias>> ParseChatAliases(std::string_view text) {
  std::vector<ChatAlias> aliases;
  for (const std::string& item : SplitSetting(text)) {
    const std::size_t equals = item.find('=');
    const std::string name(Trimmed(std::string_view(item).substr(0, equals)));
    if (equals == std::string::npos || name.empty()) {
      return FailAt("chat.aliases", Code::kInvalidArgument,
                    "expected NAME=PROVIDER/MODEL, got \"{}\"", item);
    }
    Result<ChatSource> source = ParseChatSource(Trimmed(std::string_view(item).substr(equals + 1)));
    if (!source) return tl::unexpected(At("chat.aliases", std::move(source).error()));
    const bool twice = std::any_of(aliases.begin(), aliases.end(),
                                   [&](const ChatAlias& other) { return other.name == name; });
    if (twice) {
      return FailAt("chat.aliases", Code::kInvalidArgument, "\"{}\" is there twice", name);
    }
    aliases.push_back({name, *std::move(source)});
  }
  return aliases;
}

}  // namespace garrison
