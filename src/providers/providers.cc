#include "providers/providers.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <utility>

#include "base/ip_address.h"
#include "providers/anthropic_vendor.h"
#include "providers/bedrock_chat_vendor.h"
#include "providers/bedrock_vendor.h"
#include "providers/huggingface_vendor.h"
#include "providers/openai_chat_vendor.h"
#include "providers/openai_vendor.h"
#include "providers/remote_embedder.h"
#include "providers/sigv4.h"

namespace garrison {
namespace {

constexpr std::array<std::string_view, 5> kNames = {"openai", "huggingface", "bedrock", "azure",
                                                    "custom"};

constexpr std::string_view kHuggingFaceRouter = "https://router.huggingface.co/v1";

std::chrono::milliseconds Ms(std::int64_t value) { return std::chrono::milliseconds(value); }

std::string WithoutSlash(std::string url) {
  while (url.ends_with('/')) url.pop_back();
  return url;
}

// "https://host/v1" and the same with "/embeddings".
std::string EmbeddingsUrl(const std::string& base) { return WithoutSlash(base) + "/embeddings"; }

HttpHeader Bearer(const std::string& key) { return {"Authorization", "Bearer " + key}; }

Result<> Missing(std::string name, std::string_view provider, const std::string& value) {
  if (!value.empty()) return {};
  return FailAt(std::move(name), Code::kInvalidArgument, "{} needs this setting; it is not set",
                provider);
}

// A key that goes over the network in the clear is everybody's.
std::vector<std::string> Warnings(std::string_view provider, std::string_view url, bool key) {
  if (!key || !url.starts_with("http://") || IsLoopbackUrl(url)) return {};
  return {fmt::format("{}: texts and the key go to {} without encryption; use https", provider,
                      HostOfUrl(url))};
}

// Where the vendor is: what tells two services apart that name a model alike.
std::string AddressOf(const ProviderSettings& settings, std::string_view provider) {
  if (provider == "openai") return settings.openai.base_url;
  if (provider == "azure") return settings.azure.endpoint;
  if (provider == "custom") return settings.custom.base_url;
  if (provider == "huggingface") return settings.huggingface.endpoint;
  if (provider == "anthropic") return settings.anthropic.base_url;
  if (provider == "deepseek") return settings.deepseek.base_url;
  return settings.bedrock.endpoint;
}

const char* Home() { return std::getenv("HOME"); }  // NOLINT(concurrency-mt-unsafe): nobody sets it

}  // namespace

std::optional<std::int64_t> TokenPrice(const ProviderSettings& settings,
                                       std::string_view provider) {
  const double usd = provider == "openai"    ? settings.openai.usd_per_million_tokens
                     : provider == "azure"   ? settings.azure.usd_per_million_tokens
                     : provider == "bedrock" ? settings.bedrock.usd_per_million_tokens
                     : provider == "custom"  ? settings.custom.usd_per_million_tokens
                                             : -1;
  if (usd < 0) return std::nullopt;
  return std::llround(usd * 1e6);  // 1e12 pico-dollars over a million tokens
}

bool NamesProvider(std::string_view source) {
  const std::string_view name = source.substr(0, source.find('/'));
  return std::find(kNames.begin(), kNames.end(), name) != kNames.end();
}

Result<std::unique_ptr<Providers>> Providers::Create(const ProviderSettings& settings,
                                                     std::shared_ptr<AttemptGate> gate,
                                                     const Clock& clock) {
  HttpClientOptions options;
  options.ca_file = settings.upstream.ca_file;
  options.proxy = settings.upstream.proxy;
  options.no_proxy = settings.upstream.no_proxy;
  options.idle_connections = static_cast<std::size_t>(settings.upstream.concurrency);
  ASSIGN_OR_RETURN(std::shared_ptr<HttpClient> client, HttpClient::Create(options));
  return std::make_unique<Providers>(settings, std::move(client), std::move(gate),
                                     SystemChance(clock), Home() == nullptr ? "" : Home());
}

Providers::Providers(const ProviderSettings& settings, std::shared_ptr<HttpClient> client,
                     std::shared_ptr<AttemptGate> gate, Chance chance, std::string home)
    : settings_(settings),
      client_(std::move(client)),
      gate_(std::move(gate)),
      chance_(std::move(chance)),
      aws_(std::make_shared<AwsCredentialSource>(settings.bedrock, std::move(home), client_,
                                                 chance_.clock)) {}

UpstreamOptions Providers::OptionsOf(const std::string& provider) const {
  const UpstreamSettings& s = settings_.upstream;
  UpstreamOptions options;
  options.provider = provider;
  options.attempts = static_cast<unsigned>(s.attempts);
  options.concurrency = static_cast<std::size_t>(s.concurrency);
  options.connect = Ms(s.connect_ms);
  options.first_content = Ms(s.first_content_ms);
  options.content_idle = Ms(s.content_idle_ms);
  options.total = Ms(s.total_ms);
  options.hedge = Ms(s.hedge_ms);
  options.breaker = {static_cast<unsigned>(s.breaker_failures), Ms(s.breaker_open_ms)};
  options.reply_bytes = static_cast<std::size_t>(s.reply_bytes);
  return options;
}

std::shared_ptr<Upstream> Providers::UpstreamOf(const std::string& provider) {
  const std::lock_guard lock(mutex_);
  std::shared_ptr<Upstream>& upstream = upstreams_[provider];
  if (upstream == nullptr) {
    upstream = std::make_shared<Upstream>(OptionsOf(provider), client_, gate_, chance_);
  }
  return upstream;
}

Providers::ChatWays Providers::ChatWaysOf(const std::string& provider) {
  const std::lock_guard lock(mutex_);
  ChatWays& ways = chats_[provider];
  if (ways.answers == nullptr) {
    const ChatSettings& s = settings_.chat;
    UpstreamOptions options = OptionsOf(provider);
    ways.counts =
        std::make_shared<Upstream>(options, client_, std::make_shared<CountingGate>(), chance_);
    options.first_content = Ms(s.first_content_ms);
    options.content_idle = Ms(s.content_idle_ms);
    options.total = Ms(s.total_ms);
    options.drain = Ms(s.drain_ms);
    ways.answers = std::make_shared<ChatUpstream>(options, client_, gate_, chance_);
  }
  return ways;
}

std::size_t Providers::open_circuits() {
  const auto open = [](const auto& upstream) {
    return upstream.circuit() != CircuitBreaker::State::kClosed;
  };
  const std::lock_guard lock(mutex_);
  std::size_t count = 0;
  for (const auto& [provider, upstream] : upstreams_) count += open(*upstream) ? 1 : 0;
  for (const auto& [provider, ways] : chats_) count += open(*ways.answers) ? 1 : 0;
  return count;
}

Result<std::shared_ptr<const Vendor>> Providers::MakeVendor(std::string_view provider,
                                                            const std::string& model) {
  const auto named = [&](const std::string& own) { return model.empty() ? own : model; };
  OpenAiVendorOptions options{.provider = std::string(provider)};
  if (provider == "openai") {
    const OpenAiSettings& s = settings_.openai;
    RETURN_IF_ERROR(Missing("openai.api_key", provider, s.api_key));
    options.url = EmbeddingsUrl(s.base_url);
    options.model = named(s.model);
    options.headers = {Bearer(s.api_key)};
    if (!s.organization.empty()) options.headers.push_back({"OpenAI-Organization", s.organization});
    if (!s.project.empty()) options.headers.push_back({"OpenAI-Project", s.project});
    options.secrets = {s.api_key};
  } else if (provider == "azure") {
    const AzureSettings& s = settings_.azure;
    RETURN_IF_ERROR(Missing("azure.endpoint", provider, s.endpoint));
    RETURN_IF_ERROR(Missing("azure.api_key", provider, s.api_key));
    RETURN_IF_ERROR(Missing("azure.deployment", provider, named(s.deployment)));
    options.model = named(s.deployment);
    options.url =
        fmt::format("{}/openai/deployments/{}/embeddings?api-version={}", WithoutSlash(s.endpoint),
                    PercentEncode(options.model, false), PercentEncode(s.api_version, false));
    options.sends_model = false;
    options.headers = {{"api-key", s.api_key}};
    options.secrets = {s.api_key};
  } else if (provider == "custom") {
    const CustomSettings& s = settings_.custom;
    RETURN_IF_ERROR(Missing("custom.base_url", provider, s.base_url));
    options.url = EmbeddingsUrl(s.base_url);
    options.model = named(s.model);
    if (!s.api_key.empty()) options.headers = {Bearer(s.api_key)};
    options.secrets = {s.api_key};
  } else if (provider == "huggingface") {
    const HuggingFaceSettings& s = settings_.huggingface;
    if (s.endpoint.empty()) {
      RETURN_IF_ERROR(Missing("huggingface.token", provider, s.token));
      RETURN_IF_ERROR(Missing("huggingface.model", provider, named(s.model)));
    }
    return std::shared_ptr<const Vendor>(MakeHuggingFaceVendor(s, named(s.model)));
  } else {
    const BedrockSettings& s = settings_.bedrock;
    RETURN_IF_ERROR(Missing("bedrock.region", provider, s.region));
    ASSIGN_OR_RETURN(std::unique_ptr<Vendor> vendor,
                     MakeBedrockVendor(s, named(s.model), aws_, chance_.clock));
    return std::shared_ptr<const Vendor>(std::move(vendor));
  }
  return std::shared_ptr<const Vendor>(MakeOpenAiVendor(std::move(options)));
}

Result<std::shared_ptr<const Embedder>> Providers::Open(std::string_view source) {
  const std::size_t slash = source.find('/');
  const std::string provider(source.substr(0, slash));
  if (!NamesProvider(source)) {
    return FailAt(
        "embeddings.provider", Code::kInvalidArgument,
        "expected openai, huggingface, bedrock, azure or custom, alone or with /MODEL; got "
        "\"{}\"",
        source.substr(0, 100));
  }
  const std::string model(slash == std::string_view::npos ? "" : source.substr(slash + 1));
  ASSIGN_OR_RETURN(std::shared_ptr<const Vendor> vendor, MakeVendor(provider, model));
  RemoteEmbedderOptions options;
  if (settings_.embeddings.dimensions > 0) {
    options.dimensions = static_cast<std::size_t>(settings_.embeddings.dimensions);
  }
  options.fan_out = static_cast<std::size_t>(settings_.upstream.fan_out);
  options.address = AddressOf(settings_, provider);
  const bool key = provider == "custom"        ? !settings_.custom.api_key.empty()
                   : provider == "huggingface" ? !settings_.huggingface.token.empty()
                                               : true;
  options.warnings = Warnings(provider, options.address, key);
  return std::make_shared<const RemoteEmbedder>(std::move(vendor), UpstreamOf(provider),
                                                std::move(options));
}

Result<std::shared_ptr<const ChatVendor>> Providers::MakeChatVendor(const ChatSource& source) {
  RETURN_IF_ERROR(CheckChatProvider(settings_, source.provider));
  const std::string& provider = source.provider;
  if (provider == "anthropic") {
    return std::shared_ptr<const ChatVendor>(
        MakeAnthropicVendor(settings_.anthropic, source.model));
  }
  if (provider == "bedrock") {
    ASSIGN_OR_RETURN(std::unique_ptr<ChatVendor> vendor,
                     MakeBedrockChatVendor(settings_.bedrock, source.model, aws_, chance_.clock));
    return std::shared_ptr<const ChatVendor>(std::move(vendor));
  }
  OpenAiChatVendorOptions options{.provider = provider};
  options.model = source.model;
  std::string key, base;
  if (provider == "openai") {
    const OpenAiSettings& s = settings_.openai;
    key = s.api_key;
    base = s.base_url;
    if (!s.organization.empty()) options.headers.push_back({"OpenAI-Organization", s.organization});
    if (!s.project.empty()) options.headers.push_back({"OpenAI-Project", s.project});
  } else if (provider == "azure") {
    key = settings_.azure.api_key;
    options.url =
        fmt::format("{}/openai/deployments/{}/chat/completions?api-version={}",
                    WithoutSlash(settings_.azure.endpoint), PercentEncode(source.model, false),
                    PercentEncode(settings_.azure.api_version, false));
    options.headers.push_back({"api-key", key});
  } else if (provider == "deepseek") {
    key = settings_.deepseek.api_key;
    base = settings_.deepseek.base_url;
    options.form.max_completion_tokens = false;
  } else if (provider == "huggingface") {
    const HuggingFaceSettings& s = settings_.huggingface;
    key = s.token;
    base = kHuggingFaceRouter;
    options.form.max_completion_tokens = false;
    if (!s.bill_to.empty()) options.headers.push_back({"X-HF-Bill-To", s.bill_to});
  } else {
    key = settings_.custom.api_key;
    base = settings_.custom.base_url;
    options.form.max_completion_tokens = false;
  }
  if (options.url.empty()) {
    options.url = WithoutSlash(base) + "/chat/completions";
    if (!key.empty()) options.headers.insert(options.headers.begin(), Bearer(key));
  }
  options.secrets = {key};
  return std::shared_ptr<const ChatVendor>(MakeOpenAiChatVendor(std::move(options)));
}

std::vector<std::string> Providers::ChatWarnings(std::string_view provider) const {
  if (provider == "huggingface") return {};  // its router, always by https
  const bool key = provider != "custom" || !settings_.custom.api_key.empty();
  return Warnings(provider, AddressOf(settings_, provider), key);
}

Result<std::shared_ptr<const RemoteChatModel>> Providers::OpenChat(const ChatSource& source) {
  ASSIGN_OR_RETURN(std::shared_ptr<const ChatVendor> vendor, MakeChatVendor(source));
  const ChatWays ways = ChatWaysOf(source.provider);
  RemoteChatOptions options;
  options.max_tokens = static_cast<std::uint32_t>(settings_.chat.max_tokens);
  options.max_tokens_limit = static_cast<std::uint32_t>(settings_.chat.max_tokens_limit);
  return std::make_shared<const RemoteChatModel>(std::move(vendor), ways.answers, ways.counts,
                                                 options);
}

}  // namespace garrison
