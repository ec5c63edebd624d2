// The pre-tokenizers of tokenizer.json: they cut a normalised text into words.
#pragma once

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "base/result.h"
#include "text/aligned_text.h"

namespace garrison::tokenizers {

// A text and the words in it, with the buffers that steps need. Kept from text to text.
struct PreTokens {
  TextView view;
  std::vector<Span> words;  // of view.text, in order, none empty

  // Buffers of the steps.
  std::vector<Span> next;
  std::vector<Span> matches;
  TextBuffer buffers[2];
  int spare = 0;

  void Start(const TextView& text) {
    view = text;
    words.clear();
    if (!text.text.empty()) words.push_back({0, static_cast<std::uint32_t>(text.text.size())});
  }
  // A step that changes the text writes it here, and then calls Use().
  TextBuffer& Spare() {
    buffers[spare].Clear();
    return buffers[spare];
  }
  void Use() {
    view = buffers[spare].View(view);
    spare = 1 - spare;
  }
};

// One step. Immutable; safe to share between threads.
class PreTokenizer {
 public:
  virtual ~PreTokenizer() = default;
  virtual Result<> Apply(PreTokens& tokens) const = 0;
};

class PreTokenizerChain {
 public:
  // `spec` as tokenizer.json has it: an object, or null for none. `where` is its place there.
  static Result<PreTokenizerChain> Parse(const nlohmann::json& spec, const std::string& where);

  // The words of `tokens`, which has been started.
  Result<> Apply(PreTokens& tokens) const;

  // The last step turns bytes into characters of GPT-2's alphabet. A model that reads bytes can do
  // without.
  bool ends_in_byte_chars() const { return ends_in_byte_chars_; }
  void LeaveBytes();
  // Some step must know where in the original text it is.
  bool needs_ranges() const { return needs_ranges_; }

 private:
  friend class PreTokenizerParser;
  std::vector<std::unique_ptr<const PreTokenizer>> steps_;
  bool ends_in_byte_chars_ = false;
  bool needs_ranges_ = false;
};

}  // namespace garrison::tokenizers
