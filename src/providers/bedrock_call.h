// Calls to Amazon Bedrock's runtime: where it is, and the signature or the key that they carry.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/provider_settings.h"
#include "net/http_client.h"
#include "providers/aws_credentials.h"
#include "wire/upstream.h"

namespace garrison {

// Thread-safe.
class BedrockCalls {
 public:
  // `clock` must outlive it. INVALID_ARGUMENT for an endpoint that is none.
  static Result<BedrockCalls> Create(const BedrockSettings& settings,
                                     std::shared_ptr<AwsCredentialSource> credentials,
                                     const Clock& clock);

  // POST /model/MODEL/ACTION. Errors of AwsCredentialSource.
  Result<HttpCall> Make(std::string_view model, std::string_view action, std::string body,
                        std::string accept, const RequestContext& context) const;
  UpstreamFailure Failure(const HttpReply& reply) const;
  const std::vector<std::string>& secrets() const { return secrets_; }

 private:
  BedrockCalls(const BedrockSettings& settings, std::string origin,
               std::shared_ptr<AwsCredentialSource> credentials, const Clock& clock);

  std::string region_;
  std::string bearer_token_;
  std::vector<std::string> secrets_;
  std::string origin_;
  std::string host_;
  std::shared_ptr<AwsCredentialSource> credentials_;
  const Clock* clock_;
};

}  // namespace garrison
