#include "core/provider_settings.h"

#include <string_view>
#include <utility>
#include <vector>

#include "core/settings.h"

namespace garrison {
namespace {

using Visitor = std::function<void(SettingField&)>;

constexpr std::int64_t kDayMs = 24 * 3600 * 1000;

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

}  // namespace

void VisitProviderSettings(ProviderSettings& settings, const Visitor& visit) {
  VisitEmbeddings(settings.embeddings, visit);
  VisitVendors(settings, visit);
  VisitBedrock(settings.bedrock, visit);
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
  return {};
}

}  // namespace garrison
