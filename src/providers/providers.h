// The vendors as the settings describe them, and what their calls share.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/log.h"
#include "base/result.h"
#include "core/attempt_gate.h"
#include "core/embedder.h"
#include "core/provider_settings.h"
#include "providers/aws_credentials.h"
#include "providers/chance.h"
#include "providers/chat_upstream.h"
#include "providers/chat_vendor.h"
#include "providers/remote_chat_model.h"
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

  // A model that answers conversations. INVALID_ARGUMENT as above, and for a model that the vendor
  // does not have for that.
  Result<std::shared_ptr<const RemoteChatModel>> OpenChat(const ChatSource& source);

  // What an operator should know of calls to that vendor ("the key goes without encryption").
  std::vector<std::string> ChatWarnings(std::string_view provider) const;

  // Vendors that are left alone at the moment because they failed again and again.
  std::size_t open_circuits();

 private:
  Result<std::shared_ptr<const Vendor>> MakeVendor(std::string_view provider,
                                                   const std::string& model);
  Result<std::shared_ptr<const ChatVendor>> MakeChatVendor(const ChatSource& source);
  UpstreamOptions OptionsOf(const std::string& provider) const;
  std::shared_ptr<Upstream> UpstreamOf(const std::string& provider);

  const ProviderSettings settings_;
  const std::shared_ptr<HttpClient> client_;
  const std::shared_ptr<AttemptGate> gate_;
  const Chance chance_;
  const std::shared_ptr<AwsCredentialSource> aws_;
  // Of one vendor: long answers do not keep embeddings waiting, and counting costs nothing.
  struct ChatWays {
    std::shared_ptr<ChatUpstream> answers;
    std::shared_ptr<Upstream> counts;
  };
  ChatWays ChatWaysOf(const std::string& provider);

  std::mutex mutex_;  // guards the rest
  std::map<std::string, std::shared_ptr<Upstream>, std::less<>> upstreams_;
  std::map<std::string, ChatWays, std::less<>> chats_;
};

}  // namespace garrison
