#include "providers/huggingface_vendor.h"

#include <fmt/format.h>

#include <utility>

#include "providers/sigv4.h"
#include "wire/upstream_huggingface.h"

namespace garrison {
namespace {

// text-embeddings-inference takes 32 inputs a call unless it is told otherwise.
constexpr std::size_t kInputsMax = 32;
constexpr std::uint64_t kBytesMax = 1'000'000;

class HuggingFaceVendor final : public Vendor {
 public:
  HuggingFaceVendor(const HuggingFaceSettings& settings, std::string model)
      : model_(std::move(model)),
        url_(settings.endpoint.empty()
                 ? fmt::format("https://router.huggingface.co/hf-inference/models/{}/pipeline/"
                               "feature-extraction",
                               PercentEncode(model_, true))
                 : settings.endpoint),
        token_(settings.token),
        bill_to_(settings.bill_to) {}

  const std::string& provider() const override { return provider_; }
  const std::string& model() const override { return model_; }
  Limits limits() const override { return {kInputsMax, kBytesMax}; }
  bool cuts_here() const override { return true; }

  Result<> Check(const EmbedRequest& request) const override {
    RETURN_IF_ERROR(CheckTextsOnly(provider_, request));
    if (request.long_input.policy == LongInput::Policy::kChunk) {
      return FailAt("long_input", Code::kInvalidArgument,
                    "{} does not embed long texts in pieces; expected error or truncate",
                    provider_);
    }
    return {};
  }

  Result<HttpCall> MakeCall(const EmbedPart& part, const RequestContext&) const override {
    HttpCall call{
        .url = url_,
        .headers = {{"Content-Type", "application/json"}, {"Accept", "application/json"}}};
    if (!token_.empty()) call.headers.push_back({"Authorization", "Bearer " + token_});
    if (!bill_to_.empty()) call.headers.push_back({"X-HF-Bill-To", bill_to_});
    HuggingFaceOptions options;
    options.normalize = part.normalize;
    options.prompt_name = part.prompt;
    options.truncate = part.long_input.policy == LongInput::Policy::kTruncate;
    options.side = part.long_input.side;
    call.body = EncodeUpstreamHuggingFace(part.inputs, options);
    return call;
  }

  UpstreamFailure Failure(const HttpReply& reply) const override {
    const std::string secrets[] = {token_};
    return DecodeUpstreamHuggingFaceFailure(reply.status, reply.body, secrets);
  }

  Result<UpstreamVectors> Decode(const HttpReply& reply, const EmbedPart& part) const override {
    return DecodeUpstreamHuggingFace(reply.body, part.inputs.size());
  }

 private:
  const std::string provider_ = "huggingface";
  const std::string model_;
  const std::string url_;
  const std::string token_;
  const std::string bill_to_;
};

}  // namespace

std::unique_ptr<Vendor> MakeHuggingFaceVendor(const HuggingFaceSettings& settings,
                                              const std::string& model) {
  return std::make_unique<HuggingFaceVendor>(settings, model);
}

}  // namespace garrison
