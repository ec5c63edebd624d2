#include "providers/bedrock_call.h"

#include <fmt/format.h>

#include <utility>

#include "providers/sigv4.h"
#include "wire/upstream_bedrock.h"

namespace garrison {

Result<BedrockCalls> BedrockCalls::Create(const BedrockSettings& settings,
                                          std::shared_ptr<AwsCredentialSource> credentials,
                                          const Clock& clock) {
  std::string origin =
      settings.endpoint.empty()
          ? fmt::format("https://bedrock-runtime.{}.amazonaws.com", settings.region)
          : settings.endpoint;
  while (origin.ends_with('/')) origin.pop_back();
  const std::size_t host = origin.find("://");
  if (host == std::string::npos || origin.find('/', host + 3) != std::string::npos) {
    return FailAt("bedrock.endpoint", Code::kInvalidArgument,
                  "expected https://HOST or https://HOST:PORT without a path");
  }
  return BedrockCalls(settings, std::move(origin), std::move(credentials), clock);
}

BedrockCalls::BedrockCalls(const BedrockSettings& settings, std::string origin,
                           std::shared_ptr<AwsCredentialSource> credentials, const Clock& clock)
    : region_(settings.region),
      bearer_token_(settings.bearer_token),
      secrets_({settings.bearer_token, settings.access_key_id, settings.secret_access_key,
                settings.session_token}),
      origin_(std::move(origin)),
      host_(origin_.substr(origin_.find("//") + 2)),
      credentials_(std::move(credentials)),
      clock_(&clock) {}

Result<HttpCall> BedrockCalls::Make(std::string_view model, std::string_view action,
                                    std::string body, std::string accept,
                                    const RequestContext& context) const {
  // As boto3 sends it: a colon would do, but an ARN's slash must be encoded.
  const std::string path = fmt::format("/model/{}/{}", PercentEncode(model, false), action);
  const std::vector<HttpHeader> type = {{"Content-Type", "application/json"}};
  HttpCall call{.url = origin_ + path, .headers = type, .body = std::move(body)};
  call.headers.push_back({"Accept", std::move(accept)});
  if (!bearer_token_.empty()) {
    call.headers.push_back({"Authorization", "Bearer " + bearer_token_});
    return call;
  }
  ASSIGN_OR_RETURN(AwsCredentials credentials, credentials_->Get(context));
  const SigV4Key key{std::move(credentials.access_key_id), std::move(credentials.secret_access_key),
                     std::move(credentials.session_token), region_, "bedrock"};
  for (HttpHeader& header :
       SignSigV4({"POST", host_, path, type, call.body}, key, clock_->WallNow())) {
    call.headers.push_back(std::move(header));
  }
  return call;
}

UpstreamFailure BedrockCalls::Failure(const HttpReply& reply) const {
  return DecodeUpstreamBedrockFailure(reply.status, FindHeader(reply.headers, "x-amzn-errortype"),
                                      reply.body, secrets_);
}

}  // namespace garrison
