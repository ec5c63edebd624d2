#include "providers/bedrock_vendor.h"

#include <fmt/format.h>

#include <utility>
#include <variant>

#include "providers/failure.h"
#include "providers/sigv4.h"
#include "wire/upstream_bedrock.h"

namespace garrison {
namespace {

constexpr std::uint64_t kBytesMax = 1 << 20;  // the vendor refuses earlier: 8192 tokens

class BedrockVendor final : public Vendor {
 public:
  BedrockVendor(const BedrockSettings& settings, std::string model, TitanVersion version,
                std::string origin, std::shared_ptr<AwsCredentialSource> credentials,
                const Clock& clock)
      : model_(std::move(model)),
        version_(version),
        region_(settings.region),
        bearer_token_(settings.bearer_token),
        secrets_({settings.bearer_token, settings.access_key_id, settings.secret_access_key,
                  settings.session_token}),
        origin_(std::move(origin)),
        host_(origin_.substr(origin_.find("//") + 2)),
        // As boto3 sends it: a colon would do, but an ARN's slash must be encoded.
        path_(fmt::format("/model/{}/invoke", PercentEncode(model_, false))),
        credentials_(std::move(credentials)),
        clock_(clock) {}

  const std::string& provider() const override { return provider_; }
  const std::string& model() const override { return model_; }
  Limits limits() const override { return {1, kBytesMax}; }

  Result<> Check(const EmbedRequest& request) const override {
    RETURN_IF_ERROR(CheckTextsOnly(provider_, request));
    RETURN_IF_ERROR(CheckNoPrompt(provider_, request));
    if (!request.dimensions) return {};
    const std::size_t d = *request.dimensions;
    if (version_ == TitanVersion::kV1 && d != 1536) {
      return FailAt("dimensions", Code::kInvalidArgument,
                    "expected 1536, the only dimension of {}, got {}", model_, d);
    }
    if (version_ == TitanVersion::kV2 && d != 256 && d != 512 && d != 1024) {
      return FailAt("dimensions", Code::kInvalidArgument, "expected 256, 512 or 1024, got {}", d);
    }
    return {};
  }

  Result<HttpCall> MakeCall(const EmbedPart& part, const RequestContext& context) const override {
    HttpCall call{.url = origin_ + path_};
    call.body = EncodeUpstreamTitan(version_, std::get<std::string>(part.inputs.front()),
                                    part.dimensions, part.normalize);
    const std::vector<HttpHeader> type = {{"Content-Type", "application/json"}};
    call.headers = type;
    call.headers.push_back({"Accept", "application/json"});
    if (!bearer_token_.empty()) {
      call.headers.push_back({"Authorization", "Bearer " + bearer_token_});
      return call;
    }
    ASSIGN_OR_RETURN(AwsCredentials credentials, credentials_->Get(context));
    const SigV4Key key{std::move(credentials.access_key_id),
                       std::move(credentials.secret_access_key),
                       std::move(credentials.session_token), region_, "bedrock"};
    for (HttpHeader& header :
         SignSigV4({"POST", host_, path_, type, call.body}, key, clock_.WallNow())) {
      call.headers.push_back(std::move(header));
    }
    return call;
  }

  UpstreamFailure Failure(const HttpReply& reply) const override {
    return DecodeUpstreamBedrockFailure(reply.status, FindHeader(reply.headers, "x-amzn-errortype"),
                                        reply.body, secrets_);
  }

  Result<UpstreamVectors> Decode(const HttpReply& reply, const EmbedPart&) const override {
    return DecodeUpstreamTitan(reply.body);
  }

 private:
  const std::string provider_ = "bedrock";
  const std::string model_;
  const TitanVersion version_;
  const std::string region_;
  const std::string bearer_token_;
  const std::vector<std::string> secrets_;
  const std::string origin_;
  const std::string host_;
  const std::string path_;
  const std::shared_ptr<AwsCredentialSource> credentials_;
  const Clock& clock_;
};

}  // namespace

Result<std::unique_ptr<Vendor>> MakeBedrockVendor(const BedrockSettings& settings,
                                                  const std::string& model,
                                                  std::shared_ptr<AwsCredentialSource> credentials,
                                                  const Clock& clock) {
  TitanVersion version = TitanVersion::kV2;
  if (model.find("titan-embed-text-v1") != std::string::npos ||
      model.find("titan-embed-g1-text") != std::string::npos) {
    version = TitanVersion::kV1;
  } else if (model.find("titan-embed-text-v2") == std::string::npos) {
    return FailAt("bedrock.model", Code::kInvalidArgument,
                  "expected amazon.titan-embed-text-v1 or amazon.titan-embed-text-v2:0, or an ARN "
                  "with one of them; got \"{}\"",
                  model);
  }
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
  return std::make_unique<BedrockVendor>(settings, model, version, std::move(origin),
                                         std::move(credentials), clock);
}

}  // namespace garrison
