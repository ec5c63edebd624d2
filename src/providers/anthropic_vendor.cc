#include "providers/anthropic_vendor.h"

#include <array>
#include <utility>
#include <vector>

namespace garrison {
namespace {

// https://docs.anthropic.com/en/docs/about-claude/models: what newer models do not take any more.
struct Capability {
  std::string_view name;  // found anywhere in a model's name, with no digit behind it
  bool sampling;
  bool forced_tool;
};
constexpr std::array kCapabilities = {
    Capability{"claude-sonnet-5", false, true},    Capability{"claude-sonnet-5-5", false, false},
    Capability{"claude-sonnet-5.5", false, false}, Capability{"claude-opus-5-5", true, false},
    Capability{"claude-opus-5.5", true, false},
};

bool Names(std::string_view model, std::string_view name) {
  const std::size_t at = model.find(name);
  if (at == std::string_view::npos) return false;
  const std::size_t end = at + name.size();
  return end == model.size() || model[end] < '0' || model[end] > '9';
}

class AnthropicVendor final : public ChatVendor {
 public:
  AnthropicVendor(const AnthropicSettings& settings, std::string model, std::string origin)
      : model_(std::move(model)),
        origin_(std::move(origin)),
        version_(settings.version),
        secrets_({settings.api_key}),
        form_(AnthropicFormOf(model_)) {}

  const std::string& provider() const override { return provider_; }
  const std::string& model() const override { return model_; }
  bool caches_unasked() const override { return false; }

  Result<std::string> Encode(const ChatRequest& request) const override {
    return EncodeUpstreamAnthropic(model_, request, form_);
  }

  Result<HttpCall> MakeCall(const std::string& body, const RequestContext&) const override {
    return Call("/v1/messages", "text/event-stream", body);
  }

  UpstreamFailure Failure(const HttpReply& reply) const override {
    return DecodeUpstreamAnthropicFailure(reply.status, reply.body, secrets_);
  }

  std::unique_ptr<UpstreamChatDecoder> MakeDecoder() const override {
    return MakeAnthropicDecoder(secrets_);
  }

  Result<HttpCall> MakeCount(const ChatRequest& request) const override {
    AnthropicForm form = form_;
    form.count = true;
    ASSIGN_OR_RETURN(const std::string body, EncodeUpstreamAnthropic(model_, request, form));
    return Call("/v1/messages/count_tokens", "application/json", body);
  }

  Result<std::uint64_t> DecodeCount(const HttpReply& reply) const override {
    return DecodeUpstreamAnthropicCount(reply.body);
  }

 private:
  HttpCall Call(std::string_view path, std::string accept, const std::string& body) const {
    return {.url = origin_ + std::string(path),
            .headers = {{"x-api-key", secrets_.front()},
                        {"anthropic-version", version_},
                        {"Content-Type", "application/json"},
                        {"Accept", std::move(accept)}},
            .body = body};
  }

  const std::string provider_ = "anthropic";
  const std::string model_;
  const std::string origin_;
  const std::string version_;
  const std::vector<std::string> secrets_;  // the key
  const AnthropicForm form_;
};

}  // namespace

AnthropicForm AnthropicFormOf(std::string_view model) {
  AnthropicForm form;
  std::size_t longest = 0;
  for (const Capability& row : kCapabilities) {
    if (row.name.size() < longest || !Names(model, row.name)) continue;
    longest = row.name.size();
    form.sampling = row.sampling;
    form.forced_tool = row.forced_tool;
  }
  return form;
}

std::unique_ptr<ChatVendor> MakeAnthropicVendor(const AnthropicSettings& settings,
                                                const std::string& model) {
  std::string origin = settings.base_url;
  while (origin.ends_with('/')) origin.pop_back();
  return std::make_unique<AnthropicVendor>(settings, model, std::move(origin));
}

}  // namespace garrison
