// One vendor's way of embedding texts: what it takes, and how requests and replies look.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "base/result.h"
#include "core/embedder.h"
#include "net/http_client.h"
#include "wire/upstream.h"

namespace garrison {

// What one call to a vendor embeds: some of a request's inputs, all texts or all ids.
struct EmbedPart {
  std::span<const EmbedInput> inputs;
  std::optional<std::size_t> dimensions;
  std::optional<bool> normalize;
  std::string prompt;
  LongInput long_input;
};

// Thread-safe.
class Vendor {
 public:
  struct Limits {
    std::size_t inputs = 1;    // of one call
    std::uint64_t tokens = 0;  // of one call, counted as bytes or ids
  };

  virtual ~Vendor() = default;
  virtual const std::string& provider() const = 0;  // "openai"
  virtual const std::string& model() const = 0;
  virtual Limits limits() const = 0;
  // INVALID_ARGUMENT for what this vendor cannot do, before anything is sent.
  virtual Result<> Check(const EmbedRequest& request) const = 0;
  // Whether shorter vectors are made here, from the whole ones.
  virtual bool cuts_here() const { return false; }
  virtual Result<HttpCall> MakeCall(const EmbedPart& part, const RequestContext& context) const = 0;
  virtual UpstreamFailure Failure(const HttpReply& reply) const = 0;
  virtual Result<UpstreamVectors> Decode(const HttpReply& reply, const EmbedPart& part) const = 0;
};

// INVALID_ARGUMENT naming the input, for vendors that take texts only.
Result<> CheckTextsOnly(std::string_view provider, const EmbedRequest& request);
// INVALID_ARGUMENT for vendors that know no prompts by name.
Result<> CheckNoPrompt(std::string_view provider, const EmbedRequest& request);

}  // namespace garrison
