#include "providers/bedrock_chat_vendor.h"

#include <utility>

#include "providers/anthropic_vendor.h"
#include "providers/bedrock_call.h"

namespace garrison {
namespace {

class BedrockChatVendor final : public ChatVendor {
 public:
  BedrockChatVendor(std::string model, BedrockCalls calls)
      : model_(std::move(model)), calls_(std::move(calls)), form_(AnthropicFormOf(model_)) {
    form_.bedrock = true;
  }

  const std::string& provider() const override { return provider_; }
  const std::string& model() const override { return model_; }
  bool caches_unasked() const override { return false; }

  Result<std::string> Encode(const ChatRequest& request) const override {
    return EncodeUpstreamAnthropic(model_, request, form_);
  }

  Result<HttpCall> MakeCall(const std::string& body, const RequestContext& context) const override {
    return calls_.Make(model_, "invoke-with-response-stream", body,
                       "application/vnd.amazon.eventstream", context);
  }

  UpstreamFailure Failure(const HttpReply& reply) const override { return calls_.Failure(reply); }

  std::unique_ptr<EventDecoder> MakeEvents() const override { return MakeAwsEventDecoder(); }

  std::unique_ptr<UpstreamChatDecoder> MakeDecoder() const override {
    return MakeAnthropicDecoder(calls_.secrets());
  }

 private:
  const std::string provider_ = "bedrock";
  const std::string model_;
  const BedrockCalls calls_;
  AnthropicForm form_;
};

}  // namespace

Result<std::unique_ptr<ChatVendor>> MakeBedrockChatVendor(
    const BedrockSettings& settings, const std::string& model,
    std::shared_ptr<AwsCredentialSource> credentials, const Clock& clock) {
  if (model.find("claude") == std::string::npos && !model.starts_with("arn:")) {
    return FailAt("model", Code::kInvalidArgument,
                  "on Bedrock only Anthropic's models answer conversations here; expected "
                  "bedrock/anthropic.claude-... or an ARN, got \"{}\"",
                  model);
  }
  ASSIGN_OR_RETURN(BedrockCalls calls,
                   BedrockCalls::Create(settings, std::move(credentials), clock));
  return std::make_unique<BedrockChatVendor>(model, std::move(calls));
}

}  // namespace garrison
