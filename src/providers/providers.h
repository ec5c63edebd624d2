// The vendors as the settings describe them, and what their calls share.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "base/log.h"
#include "base/result.h"
#include "core/embedder.h"
#include "core/settings.h"
#include "core/attempt_gate.h"
#include "providers/aws_credentials.h"
#include "providers/chance.h"
#include "providers/upstream.h"
#include "providers/vendor.h"

namespace garrison {

// True for "openai", "huggingface", "bedrock", "azure" and "custom", alone or before "/MODEL".
bool NamesProvider(std::string_view source);

// Thread-safe. Embedders keep what they need of it alive.
// Of one token of that provider's, in 1e-12 USD; unset: not known, or "local".
std::optional<std::int64_t> TokenPrice(const ProviderSettings& settings, std::string_view provider);

class Providers {
 public:
  // `clock` must outlive it and its embedders. Errors of HttpClient::Create.
  static Result<std::unique_ptr<Providers>> Create(const ProviderSettings& settings,
                                                   std::shared_ptr<AttemptGate> gate,
                                                   const Clock& clock);
  // The same with what calls go through.
  Providers(const ProviderSettings& settings, std::shared_ptr<HttpClient> client,
            std::shared_ptr<AttemptGate> gate, Chance chance, std::string home);

  // `source`: "openai" (its model in the settings) or "openai/MODEL". INVALID_ARGUMENT naming the
  // setting that is missing or wrong.
  Result<std::shared_ptr<const Embedder>> Open(std::string_view source);

  // Vendors that are left alone at the moment because they failed again and again.
  std::size_t open_circuits();

 private:
  Result<std::shared_ptr<const Vendor>> MakeVendor(std::string_view provider,
                                                   const std::string& model);
  std::shared_ptr<Upstream> UpstreamOf(const std::string& provider);

  const ProviderSettings settings_;
  const std::shared_ptr<HttpClient> client_;
  const std::shared_ptr<AttemptGate> gate_;
  const Chance chance_;
  const std::shared_ptr<AwsCredentialSource> aws_;
  std::mutex mutex_;  // guards upstreams_
  std::map<std::string, std::shared_ptr<Upstream>, std::less<>> upstreams_;
};

}  // namespace garrison
