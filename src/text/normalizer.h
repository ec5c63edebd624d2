// The normalisers of tokenizer.json.
#pragma once

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "base/result.h"
#include "text/aligned_text.h"

namespace garrison::tokenizers {

// One step. Immutable; safe to share between threads.
class Normalizer {
 public:
  virtual ~Normalizer() = default;
  // False when `in` stays as it is; `out` is then not defined. `out` is none of the buffers of
  // `in`.
  virtual Result<bool> Apply(const TextView& in, TextBuffer& out) const = 0;
};

// The steps one after the other.
class NormalizerChain {
 public:
  // `spec` as tokenizer.json has it: an object, or null for none. `where` is its place there.
  static Result<NormalizerChain> Parse(const nlohmann::json& spec, const std::string& where);

  void Add(std::unique_ptr<const Normalizer> step) { steps_.push_back(std::move(step)); }
  bool empty() const { return steps_.empty(); }
  // The result lies in `in` or in one of the two buffers.
  Result<TextView> Apply(const TextView& in, TextBuffer (&buffers)[2]) const;

 private:
  std::vector<std::unique_ptr<const Normalizer>> steps_;
};

struct BertOptions {
  bool clean_text = true;
  bool chinese_chars = true;
  bool strip_accents = true;
  bool lowercase = true;
};
std::unique_ptr<const Normalizer> MakeBertNormalizer(const BertOptions& options);

}  // namespace garrison::tokenizers
