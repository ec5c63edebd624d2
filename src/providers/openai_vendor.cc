#include "providers/openai_vendor.h"

#include <utility>

#include "wire/upstream_openai.h"

namespace garrison {
namespace {

// https://platform.openai.com/docs/api-reference/embeddings/create
constexpr std::size_t kInputsMax = 2048;
constexpr std::uint64_t kTokensMax = 300'000;

class OpenAiVendor final : public Vendor {
 public:
  explicit OpenAiVendor(OpenAiVendorOptions options) : options_(std::move(options)) {}

  const std::string& provider() const override { return options_.provider; }
  const std::string& model() const override { return options_.model; }
  Limits limits() const override { return {kInputsMax, kTokensMax}; }

  Result<> Check(const EmbedRequest& request) const override {
    RETURN_IF_ERROR(CheckNoPrompt(options_.provider, request));
    if (request.normalize == false) {
      return FailAt("normalize", Code::kInvalidArgument,
                    "{} cannot be asked for vectors that are not normalised; leave it out",
                    options_.provider);
    }
    return {};
  }

  Result<HttpCall> MakeCall(const EmbedPart& part, const RequestContext&) const override {
    HttpCall call{.url = options_.url, .headers = options_.headers};
    call.headers.push_back({"Content-Type", "application/json"});
    call.headers.push_back({"Accept", "application/json"});
    call.body = EncodeUpstreamOpenAi(options_.sends_model ? options_.model : "", part.inputs,
                                     part.dimensions);
    return call;
  }

  UpstreamFailure Failure(const HttpReply& reply) const override {
    return DecodeUpstreamOpenAiFailure(reply.status, reply.body, options_.secrets);
  }

  Result<UpstreamVectors> Decode(const HttpReply& reply, const EmbedPart& part) const override {
    return DecodeUpstreamOpenAi(reply.body, part.inputs.size());
  }

 private:
  const OpenAiVendorOptions options_;
};

}  // namespace

std::unique_ptr<Vendor> MakeOpenAiVendor(OpenAiVendorOptions options) {
  return std::make_unique<OpenAiVendor>(std::move(options));
}

}  // namespace garrison
