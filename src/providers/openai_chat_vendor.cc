#include "providers/openai_chat_vendor.h"

#include <utility>

#include "wire/upstream_openai.h"

namespace garrison {
namespace {

class OpenAiChatVendor final : public ChatVendor {
 public:
  explicit OpenAiChatVendor(OpenAiChatVendorOptions options) : options_(std::move(options)) {}

  const std::string& provider() const override { return options_.provider; }
  const std::string& model() const override { return options_.model; }

  Result<std::string> Encode(const ChatRequest& request) const override {
    return EncodeUpstreamOpenAiChat(options_.model, request, options_.form);
  }

  Result<HttpCall> MakeCall(const std::string& body, const RequestContext&) const override {
    HttpCall call{.url = options_.url, .headers = options_.headers, .body = body};
    call.headers.push_back({"Content-Type", "application/json"});
    call.headers.push_back({"Accept", "text/event-stream"});
    return call;
  }

  UpstreamFailure Failure(const HttpReply& reply) const override {
    return DecodeUpstreamOpenAiFailure(reply.status, reply.body, options_.secrets);
  }

  std::unique_ptr<UpstreamChatDecoder> MakeDecoder() const override {
    return MakeOpenAiChatDecoder(options_.secrets);
  }

 private:
  const OpenAiChatVendorOptions options_;
};

}  // namespace

std::unique_ptr<ChatVendor> MakeOpenAiChatVendor(OpenAiChatVendorOptions options) {
  return std::make_unique<OpenAiChatVendor>(std::move(options));
}

}  // namespace garrison
