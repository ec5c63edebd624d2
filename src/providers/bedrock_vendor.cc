#include "providers/bedrock_vendor.h"

#include <utility>
#include <variant>

#include "providers/bedrock_call.h"
#include "wire/upstream_bedrock.h"

namespace garrison {
namespace {

constexpr std::uint64_t kBytesMax = 1 << 20;  // the vendor refuses earlier: 8192 tokens

class BedrockVendor final : public Vendor {
 public:
  BedrockVendor(std::string model, TitanVersion version, BedrockCalls calls)
      : model_(std::move(model)), version_(version), calls_(std::move(calls)) {}

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
    return calls_.Make(model_, "invoke",
                       EncodeUpstreamTitan(version_, std::get<std::string>(part.inputs.front()),
                                           part.dimensions, part.normalize),
                       "application/json", context);
  }

  UpstreamFailure Failure(const HttpReply& reply) const override { return calls_.Failure(reply); }

  Result<UpstreamVectors> Decode(const HttpReply& reply, const EmbedPart&) const override {
    return DecodeUpstreamTitan(reply.body);
  }

 private:
  const std::string provider_ = "bedrock";
  const std::string model_;
  const TitanVersion version_;
  const BedrockCalls calls_;
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
  ASSIGN_OR_RETURN(BedrockCalls calls,
                   BedrockCalls::Create(settings, std::move(credentials), clock));
  return std::make_unique<BedrockVendor>(model, version, std::move(calls));
}

}  // namespace garrison
