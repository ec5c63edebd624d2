// The decoders of tokenizer.json: from tokens back to text.
#pragma once

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "base/result.h"

namespace garrison::tokenizers {

// One step over the list of tokens. Immutable; safe to share between threads.
class Decoder {
 public:
  virtual ~Decoder() = default;
  virtual void Apply(std::vector<std::string>& tokens) const = 0;
};

class DecoderChain {
 public:
  // `spec` as tokenizer.json has it: an object, or null for none. `where` is its place there.
  static Result<DecoderChain> Parse(const nlohmann::json& spec, const std::string& where);

  // Without steps the tokens are joined with spaces.
  std::string Decode(std::vector<std::string> tokens) const;

 private:
  friend class DecoderParser;
  std::vector<std::unique_ptr<const Decoder>> steps_;
};

}  // namespace garrison::tokenizers
