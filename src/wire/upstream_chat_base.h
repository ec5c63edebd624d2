// What the decoders of vendors' answers share.
#pragma once

#include <algorithm>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "core/chat.h"
#include "wire/upstream_chat.h"

namespace garrison {

// No vendor's list of tools is longer; a bound for what one answer may begin.
inline constexpr std::size_t kToolCallsMax = 1024;

// The field of an object; null when absent or null.
inline const nlohmann::json* Member(const nlohmann::json& object, const char* name) {
  const auto field = object.find(name);
  return field == object.end() || field->is_null() ? nullptr : &*field;
}

// A vendor's "" and null mean nothing. UNAVAILABLE for another type.
inline Result<std::string> MemberText(const nlohmann::json& object, const char* name) {
  const nlohmann::json* field = Member(object, name);
  if (field == nullptr) return std::string();
  if (field->is_string()) return field->get<std::string>();
  return Fail(Code::kUnavailable, "the vendor's \"{}\" is no text", name);
}

// Errors stay: what came behind one could belong to anything.
class ChatDecoderBase : public UpstreamChatDecoder {
 public:
  Result<> Decode(std::string_view name, std::string_view data,
                  std::vector<ChatEvent>& events) final {
    // Some servers send more behind the end; it is nobody's.
    if (finished_) return {};
    return Step([&] { return DecodeEvent(name, data, events); });
  }
  Result<> DecodeWhole(std::string_view body, std::vector<ChatEvent>& events) final {
    if (begun_) return Fail(Code::kUnavailable, "a whole answer came within a stream");
    return Step([&] { return DecodeBody(body, events); });
  }
  bool finished() const final { return finished_; }
  const ChatEnd& end() const final { return end_; }
  const std::string& model() const final { return model_; }
  const std::string& id() const final { return id_; }
  const std::optional<UpstreamFailure>& failure() const final { return failure_; }

 protected:
  explicit ChatDecoderBase(std::vector<std::string> secrets) : secrets_(std::move(secrets)) {
    end_.usage_known = false;
  }

  virtual Result<> DecodeEvent(std::string_view name, std::string_view data,
                               std::vector<ChatEvent>& events) = 0;
  virtual Result<> DecodeBody(std::string_view body, std::vector<ChatEvent>& events) = 0;

  tl::unexpected<Error> Failed(UpstreamFailure failure) {
    failure_ = std::move(failure);
    return garrison::Fail(Code::kUnavailable, "the vendor says that it failed: {}",
                          failure_->message.empty() ? FailureName(failure_->kind)
                                                    : std::string_view(failure_->message));
  }

  // Names that a vendor gives to what it made; the first one counts.
  static void Name(const nlohmann::json& object, const char* field, std::string& name) {
    constexpr std::size_t kNameMax = 200;
    const nlohmann::json* value = Member(object, field);
    if (!name.empty() || value == nullptr || !value->is_string()) return;
    if (const auto& text = value->get_ref<const std::string&>(); text.size() <= kNameMax) {
      name = text;
    }
  }

  std::vector<std::string> secrets_;
  ChatEnd end_;
  std::string model_;
  std::string id_;
  std::optional<UpstreamFailure> failure_;
  bool finished_ = false;

 private:
  template <typename Decoding>
  Result<> Step(Decoding decode) {
    if (broken_) return Fail(Code::kUnavailable, "the vendor's answer broke off before");
    begun_ = true;
    Result<> result = decode();
    broken_ = !result;
    return result;
  }

  bool begun_ = false;
  bool broken_ = false;
};

}  // namespace garrison
